//! [`PublicKey`]: who signed, and whether they did.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{
    self, ParsedPublicKey, RsaSubjectPublicKey, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Algorithm, SigningError, SigningErrorKind};

/// A public key: ECDSA on P-256, P-384 or P-521, RSA of 2048 to 8192 bits, Ed25519.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PublicKey {
    kind: KeyKind,
    der: Vec<u8>,
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyKind {
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// ECDSA on NIST P-521.
    EcdsaP521,
    /// RSA.
    Rsa,
    /// Ed25519.
    Ed25519,
}

/// A signature that is not by this key, or not of this message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature is not by this key, or not of this content")]
pub struct BadSignature;

impl PublicKey {
    /// The key in the first PEM block, `PUBLIC KEY` or `RSA PUBLIC KEY`.
    ///
    /// # Errors
    /// [`SigningErrorKind::Invalid`], [`SigningErrorKind::Unsupported`]
    pub fn from_pem(text: &str) -> Result<Self, SigningError> {
        let block = pem::parse(text).map_err(|error| {
            invalid(format!("no PEM block can be read: {error}"))
                .with_hint("a public key begins with `-----BEGIN PUBLIC KEY-----`")
        })?;
        match block.tag() {
            "PUBLIC KEY" => Self::from_der(block.contents()),
            // Bare RSA keys, which cosign reads as well (sigstore, pkg/cryptoutils/publickey.go).
            "RSA PUBLIC KEY" => Self::parse(block.contents()),
            tag if tag.ends_with("PRIVATE KEY") => {
                Err(invalid(format!("it is a private key (`{tag}`), not a public one"))
                    .with_hint("make its public key: `cosign public-key --key FILE`"))
            }
            tag => Err(invalid(format!("it is a `{}`, not a public key", tag.escape_debug()))),
        }
    }

    /// The key in a DER `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
    ///
    /// # Errors
    /// [`SigningErrorKind::Invalid`], [`SigningErrorKind::Unsupported`]
    pub fn from_der(der: &[u8]) -> Result<Self, SigningError> {
        let key = Self::parse(der)?;
        // aws-lc reads bare points and RSA keys as well; one key with two encodings would have two
        // hints, so only the one of the RFC is taken, as by Go's `x509.ParsePKIXPublicKey`.
        if key.der == der {
            Ok(key)
        } else {
            Err(invalid("it is not a SubjectPublicKeyInfo in DER".to_owned()))
        }
    }

    /// The key in one of the shorter forms in which services give it: an uncompressed point, the 32
    /// bytes of Ed25519, an `RSAPublicKey` (RFC 8017, section A.1.1).
    pub(crate) fn from_raw(bytes: &[u8]) -> Result<Self, SigningError> {
        Self::parse(bytes)
    }

    fn parse(der: &[u8]) -> Result<Self, SigningError> {
        let kinds = [
            KeyKind::EcdsaP256,
            KeyKind::EcdsaP384,
            KeyKind::EcdsaP521,
            KeyKind::Rsa,
            KeyKind::Ed25519,
        ];
        for kind in kinds {
            let Some(algorithm) = kind.algorithms().first() else { continue };
            let Some(verification) = kind.verification(*algorithm) else { continue };
            let Ok(parsed) = ParsedPublicKey::new(verification, der) else { continue };
            let Ok(canonical) = parsed.as_der() else { continue };
            // aws-lc-rs reads RSA keys of any size, and then verifies nothing with the others.
            if kind == KeyKind::Rsa && !has_supported_modulus(der) {
                continue;
            }
            return Ok(Self { kind, der: canonical.as_ref().to_vec() });
        }
        Err(SigningError::new(
            SigningErrorKind::Unsupported,
            "the public key cannot be read, or is of a kind that is not supported",
        )
        .with_hint("ECDSA P-256, P-384 and P-521, RSA from 2048 bits and Ed25519 are supported"))
    }

    /// The key as a PEM block.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("PUBLIC KEY", self.der.clone()), config)
    }

    /// The key as DER `SubjectPublicKeyInfo`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// What a bundle says of the key that signed it: base64 of the SHA-256 of the DER
    /// (cosign, `internal/key/svkeypair.go`).
    pub fn hint(&self) -> String {
        STANDARD.encode(digest::digest(&digest::SHA256, &self.der))
    }

    /// What tells the key apart for people: `sha256:` and the hash that [`Self::hint`] has, in hex,
    /// which is what `openssl pkey -pubin -outform DER | sha256sum` says.
    pub fn fingerprint(&self) -> String {
        oci::Digest::sha256(&self.der).to_string()
    }

    /// What such a key may have signed with, first what `cosign verify` tries without flags: SHA-256
    /// whatever the key, PKCS#1 v1.5 for RSA, Ed25519 over the message itself
    /// (cosign 2.6 and 3.1, `cmd/cosign/cli/verify/verify.go`: `HashAlgorithm = crypto.SHA256`).
    pub fn algorithms(&self) -> &'static [Algorithm] {
        self.kind.algorithms()
    }

    /// Whether `signature` is this key's, of `message`, made with `algorithm`.
    ///
    /// # Errors
    /// [`BadSignature`], also where such a key cannot have signed with `algorithm`.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let verification = self.kind.verification(algorithm).ok_or(BadSignature)?;
        UnparsedPublicKey::new(verification, &self.der)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }

    /// Whether `signature` is this key's, of `message`, made with any of [`Self::algorithms`]; which.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn verify_any(&self, message: &[u8], signature: &[u8]) -> Result<Algorithm, BadSignature> {
        let verifies =
            |algorithm: &&Algorithm| self.verify(**algorithm, message, signature).is_ok();
        self.algorithms().iter().find(verifies).copied().ok_or(BadSignature)
    }
}

impl KeyKind {
    /// The name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::EcdsaP521 => "ECDSA P-521",
            Self::Rsa => "RSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm as A;
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => {
                &[A::EcdsaSha256, A::EcdsaSha384, A::EcdsaSha512]
            }
            Self::Rsa => &[
                A::RsaPkcs1Sha256,
                A::RsaPkcs1Sha384,
                A::RsaPkcs1Sha512,
                A::RsaPssSha256,
                A::RsaPssSha384,
                A::RsaPssSha512,
            ],
            Self::Ed25519 => &[A::Ed25519],
        }
    }

    fn verification(self, algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
        use Algorithm as A;
        Some(match (self, algorithm) {
            (Self::EcdsaP256, A::EcdsaSha256) => &signature::ECDSA_P256_SHA256_ASN1,
            (Self::EcdsaP256, A::EcdsaSha384) => &signature::ECDSA_P256_SHA384_ASN1,
            (Self::EcdsaP256, A::EcdsaSha512) => &signature::ECDSA_P256_SHA512_ASN1,
            (Self::EcdsaP384, A::EcdsaSha256) => &signature::ECDSA_P384_SHA256_ASN1,
            (Self::EcdsaP384, A::EcdsaSha384) => &signature::ECDSA_P384_SHA384_ASN1,
            (Self::EcdsaP384, A::EcdsaSha512) => &signature::ECDSA_P384_SHA512_ASN1,
            (Self::EcdsaP521, A::EcdsaSha256) => &signature::ECDSA_P521_SHA256_ASN1,
            (Self::EcdsaP521, A::EcdsaSha384) => &signature::ECDSA_P521_SHA384_ASN1,
            (Self::EcdsaP521, A::EcdsaSha512) => &signature::ECDSA_P521_SHA512_ASN1,
            (Self::Rsa, A::RsaPkcs1Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Self::Rsa, A::RsaPkcs1Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Self::Rsa, A::RsaPkcs1Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Self::Rsa, A::RsaPssSha256) => &signature::RSA_PSS_2048_8192_SHA256,
            (Self::Rsa, A::RsaPssSha384) => &signature::RSA_PSS_2048_8192_SHA384,
            (Self::Rsa, A::RsaPssSha512) => &signature::RSA_PSS_2048_8192_SHA512,
            (Self::Ed25519, A::Ed25519) => &signature::ED25519,
            _ => return None,
        })
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.kind, self.fingerprint())
    }
}

fn has_supported_modulus(der: &[u8]) -> bool {
    RsaSubjectPublicKey::from_der(der)
        .is_ok_and(|key| (2048 / 8..=8192 / 8).contains(&key.modulus_len()))
}

fn invalid(message: String) -> SigningError {
    SigningError::new(SigningErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    #[test]
    fn reads_each_kind_and_writes_what_it_read() {
        let table = [
            (sample::P256_PUBLIC, KeyKind::EcdsaP256),
            (sample::P384_PUBLIC, KeyKind::EcdsaP384),
            (sample::P521_PUBLIC, KeyKind::EcdsaP521),
            (sample::RSA_PUBLIC, KeyKind::Rsa),
            (sample::ED25519_PUBLIC, KeyKind::Ed25519),
        ];
        for (text, kind) in table {
            let key = PublicKey::from_pem(text).unwrap();
            assert_eq!((key.kind(), key.to_pem().as_str()), (kind, text));
            assert_eq!(PublicKey::from_der(key.der()).unwrap(), key);
        }
        let bare = PublicKey::from_pem(sample::RSA_PUBLIC_PKCS1).unwrap();
        assert_eq!(bare.to_pem(), sample::RSA_PUBLIC);
    }

    #[test]
    fn says_what_it_is_not() {
        let message = |text: &str| PublicKey::from_pem(text).unwrap_err().to_string();
        assert!(message(sample::P256_PRIVATE).contains("it is a private key"));
        assert!(message("no PEM").contains("no PEM block"));
        let certificate = sample::P256_PUBLIC.replace("PUBLIC KEY", "CERTIFICATE");
        assert!(message(&certificate).contains("`CERTIFICATE`"));
        let bare_point = &PublicKey::from_pem(sample::P256_PUBLIC).unwrap().der;
        let bare_point = &bare_point[bare_point.len() - 65..];
        assert!(PublicKey::from_der(bare_point).is_err(), "only one encoding for one key");
    }

    #[test]
    fn what_cannot_be_verified_is_refused_at_once() {
        for text in sample::UNSUPPORTED_PUBLIC {
            let error = PublicKey::from_pem(text).unwrap_err();
            assert_eq!(error.kind(), SigningErrorKind::Unsupported, "{text}");
        }
    }

    #[test]
    fn hint_and_fingerprint_are_one_hash() {
        let key = PublicKey::from_pem(sample::P256_PUBLIC).unwrap();
        let hex: String =
            STANDARD.decode(key.hint()).unwrap().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(key.fingerprint(), format!("sha256:{hex}"));
    }

    #[test]
    fn an_algorithm_of_another_kind_of_key_is_a_bad_signature() {
        let key = PublicKey::from_pem(sample::ED25519_PUBLIC).unwrap();
        assert_eq!(key.verify(Algorithm::EcdsaSha256, b"", b""), Err(BadSignature));
        assert_eq!(key.verify_any(b"", b""), Err(BadSignature));
    }

    proptest! {
        #[test]
        fn never_panics(der in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
            let _ = PublicKey::from_der(&der);
            let _ = PublicKey::from_pem(&text);
            let _ = PublicKey::from_pem(&pem::encode(&pem::Pem::new("PUBLIC KEY", der)));
        }
    }
}
