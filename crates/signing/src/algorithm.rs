//! [`Algorithm`]: what a key signs with.

use std::fmt;

/// A signature scheme with its hash. The key says the curve or the modulus.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// ECDSA, SHA-256; signatures are ASN.1 DER.
    EcdsaSha256,
    /// ECDSA, SHA-384; signatures are ASN.1 DER.
    EcdsaSha384,
    /// ECDSA, SHA-512; signatures are ASN.1 DER.
    EcdsaSha512,
    /// RSA, PKCS#1 v1.5, SHA-256.
    RsaPkcs1Sha256,
    /// RSA, PKCS#1 v1.5, SHA-384.
    RsaPkcs1Sha384,
    /// RSA, PKCS#1 v1.5, SHA-512.
    RsaPkcs1Sha512,
    /// RSA, PSS, SHA-256, with a salt of the hash's length.
    RsaPssSha256,
    /// RSA, PSS, SHA-384, with a salt of the hash's length.
    RsaPssSha384,
    /// RSA, PSS, SHA-512, with a salt of the hash's length.
    RsaPssSha512,
    /// Ed25519 over the message itself (RFC 8032 "PureEdDSA").
    Ed25519,
}

impl Algorithm {
    /// The name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaSha256 => "ECDSA with SHA-256",
            Self::EcdsaSha384 => "ECDSA with SHA-384",
            Self::EcdsaSha512 => "ECDSA with SHA-512",
            Self::RsaPkcs1Sha256 => "RSA PKCS#1 v1.5 with SHA-256",
            Self::RsaPkcs1Sha384 => "RSA PKCS#1 v1.5 with SHA-384",
            Self::RsaPkcs1Sha512 => "RSA PKCS#1 v1.5 with SHA-512",
            Self::RsaPssSha256 => "RSA-PSS with SHA-256",
            Self::RsaPssSha384 => "RSA-PSS with SHA-384",
            Self::RsaPssSha512 => "RSA-PSS with SHA-512",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Whether the FIPS module may be asked for it. aws-lc-rs says of Ed25519 signing that it "must
    /// not be used" in FIPS mode (aws-lc-rs 1.19, `src/ed25519.rs`).
    pub fn is_in_fips_module(self) -> bool {
        self != Self::Ed25519
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
