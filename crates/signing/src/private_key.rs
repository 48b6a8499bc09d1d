//! [`PrivateKey`]: a key that is at hand, from a file or a variable, and what it signs with.

use std::fmt;

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::encrypted_key::decrypt;
use crate::{Algorithm, KeyKind, PublicKey, SigningError, SigningErrorKind};

/// A private key.
///
/// It signs with what `cosign verify` without flags verifies: SHA-256 whatever the curve, PKCS#1 v1.5
/// for RSA, Ed25519 over the message itself. (cosign's own `sign` takes SHA-384 for P-384 and Ed25519ph,
/// which its `verify` takes only with flags, or not at all.)
pub struct PrivateKey {
    secret: Secret,
    algorithm: Algorithm,
    public_key: PublicKey,
}

enum Secret {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// The key in a PEM block: PKCS#8, SEC1 (`EC PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`), or
    /// encrypted as cosign does it, which needs the password.
    ///
    /// In FIPS mode, what is outside the module is refused: cosign's encryption, Ed25519, and RSA keys
    /// of a size that the module does not sign with. P-384 and P-521 then sign with the hash of their
    /// own size, because aws-lc-rs has no other that is approved.
    ///
    /// # Errors
    /// [`SigningErrorKind::Denied`] for a password that is missing or wrong,
    /// [`SigningErrorKind::Unsupported`] and [`SigningErrorKind::Invalid`] for the key itself.
    pub fn from_pem(
        text: &SecretString,
        password: Option<&SecretString>,
        fips: bool,
    ) -> Result<Self, SigningError> {
        let block = private_block(text)?;
        let tag = block.tag().to_owned();
        let encrypted_headers = block.headers().get("DEK-Info").is_some();
        let content = Zeroizing::new(block.into_contents());
        let content = match tag.as_str() {
            "PRIVATE KEY" => content,
            "EC PRIVATE KEY" | "RSA PRIVATE KEY" if !encrypted_headers => content,
            "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                if fips {
                    return Err(outside_module(
                        "a key file that cosign encrypted",
                        "scrypt and XSalsa20-Poly1305",
                    )
                    .with_hint("keep the key in a KMS, or in PKCS#8"));
                }
                let password = password.ok_or_else(|| {
                    SigningError::new(
                        SigningErrorKind::Denied,
                        "the private key is encrypted and there is no password for it",
                    )
                    .with_hint("put the password into COSIGN_PASSWORD")
                })?;
                decrypt(&content, password)?
            }
            "PUBLIC KEY" | "RSA PUBLIC KEY" => {
                return Err(invalid("it is a public key; signing needs the private one"));
            }
            _ => {
                return Err(SigningError::new(
                    SigningErrorKind::Unsupported,
                    format!("a `{}` cannot be read", tag.escape_debug()),
                )
                .with_hint("import it: `cosign import-key-pair --key FILE`"));
            }
        };
        Self::parse(&content, fips)
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The signature of `message`; ECDSA's is ASN.1 DER.
    ///
    /// # Errors
    /// [`SigningErrorKind::Invalid`] where the key cannot sign after all.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let random = SystemRandom::new();
        let signature = match &self.secret {
            Secret::Ecdsa(pair) if self.signs_short_hash() => pair
                .sign_digest(&widened(pair, message)?)
                .map(|signature| signature.as_ref().to_vec()),
            Secret::Ecdsa(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec())
            }
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
            Secret::Ed25519(pair) => {
                pair.try_sign(message).map(|signature| signature.as_ref().to_vec())
            }
        };
        signature.map_err(|_| invalid("the key does not sign"))
    }

    fn parse(der: &[u8], fips: bool) -> Result<Self, SigningError> {
        let curves = [
            (&ECDSA_P256_SHA256_ASN1_SIGNING, Algorithm::EcdsaSha256),
            (&ECDSA_P384_SHA384_ASN1_SIGNING, Algorithm::EcdsaSha384),
            (&ECDSA_P521_SHA512_ASN1_SIGNING, Algorithm::EcdsaSha512),
        ];
        for (curve, approved) in curves {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
                let public_key = PublicKey::from_der(&x509(pair.public_key())?)?;
                let algorithm = if fips { approved } else { Algorithm::EcdsaSha256 };
                return Ok(Self { secret: Secret::Ecdsa(pair), algorithm, public_key });
            }
        }
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
            // aws-lc-rs, `src/rsa/key.rs`, "FIPS" of `KeyPair::sign`.
            let bits = pair.public_modulus_len() * 8;
            if fips && ![2048, 3072, 4096].contains(&bits) {
                return Err(outside_module("an RSA key of this size", &format!("{bits} bits")));
            }
            let public_key = PublicKey::from_der(&x509(pair.public_key())?)?;
            let algorithm = Algorithm::RsaPkcs1Sha256;
            return Ok(Self { secret: Secret::Rsa(pair), algorithm, public_key });
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            let algorithm = Algorithm::Ed25519;
            if fips && !algorithm.is_in_fips_module() {
                return Err(outside_module("this key", algorithm.as_str()));
            }
            let public_key = PublicKey::from_der(&x509(pair.public_key())?)?;
            return Ok(Self { secret: Secret::Ed25519(pair), algorithm, public_key });
        }
        Err(SigningError::new(
            SigningErrorKind::Unsupported,
            "the private key cannot be read, or is of a kind that is not supported",
        )
        .with_hint("ECDSA P-256, P-384 and P-521, RSA from 2048 bits and Ed25519 are supported"))
    }

    /// Whether SHA-256 is signed by a curve that is wider.
    fn signs_short_hash(&self) -> bool {
        self.algorithm == Algorithm::EcdsaSha256 && self.public_key.kind() != KeyKind::EcdsaP256
    }
}

/// The SHA-256 of `message` as a digest of the length that `pair` signs in aws-lc-rs.
///
/// ECDSA reads a hash no longer than the curve's order as one big-endian number (FIPS 186-5, section
/// 6.4.1, steps 1 to 3), so with zeros in front it is the same number and the same signature. aws-lc-rs
/// verifies SHA-256 by P-384 and P-521 but has no constant to sign it.
fn widened(pair: &EcdsaKeyPair, message: &[u8]) -> Result<Digest, SigningError> {
    let hash = digest::digest(&digest::SHA256, message);
    let wide = if *pair.algorithm() == ECDSA_P384_SHA384_ASN1_SIGNING {
        &digest::SHA384
    } else {
        &digest::SHA512
    };
    let mut bytes = vec![0; wide.output_len().saturating_sub(hash.as_ref().len())];
    bytes.extend_from_slice(hash.as_ref());
    Digest::import_less_safe(&bytes, wide).map_err(|_| invalid("the hash cannot be signed"))
}

/// The first block that is not the curve's parameters, which `openssl ecparam -genkey` writes before.
fn private_block(text: &SecretString) -> Result<pem::Pem, SigningError> {
    pem::parse_many(text.expose_secret())
        .ok()
        .and_then(|blocks| blocks.into_iter().find(|block| block.tag() != "EC PARAMETERS"))
        .ok_or_else(|| {
            invalid("no PEM block can be read")
                .with_hint("a private key begins with `-----BEGIN … PRIVATE KEY-----`")
        })
}

fn x509<K>(key: &K) -> Result<Vec<u8>, SigningError>
where
    K: AsDer<aws_lc_rs::encoding::PublicKeyX509Der<'static>>,
{
    let der =
        key.as_der().map_err(|_| invalid("the public key of the private one cannot be had"))?;
    Ok(der.as_ref().to_vec())
}

fn invalid(message: &str) -> SigningError {
    SigningError::new(SigningErrorKind::Invalid, message)
}

fn outside_module(what: &str, algorithms: &str) -> SigningError {
    let message =
        format!("{what} cannot be used in FIPS mode: {algorithms} are outside the module");
    SigningError::new(SigningErrorKind::Unsupported, message)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("public_key", &self.public_key)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    fn read(text: &str, fips: bool) -> Result<PrivateKey, SigningError> {
        PrivateKey::from_pem(&text.into(), Some(&sample::COSIGN_PASSWORD.into()), fips)
    }

    const KEYS: [(&str, &str, Algorithm); 8] = [
        (sample::P256_PRIVATE, sample::P256_PUBLIC, Algorithm::EcdsaSha256),
        (sample::COSIGN_PRIVATE, sample::P256_PUBLIC, Algorithm::EcdsaSha256),
        (sample::P384_PRIVATE, sample::P384_PUBLIC, Algorithm::EcdsaSha256),
        (sample::P384_PRIVATE_SEC1, sample::P384_PUBLIC, Algorithm::EcdsaSha256),
        (sample::P521_PRIVATE, sample::P521_PUBLIC, Algorithm::EcdsaSha256),
        (sample::RSA_PRIVATE, sample::RSA_PUBLIC, Algorithm::RsaPkcs1Sha256),
        (sample::RSA_PRIVATE_PKCS1, sample::RSA_PUBLIC, Algorithm::RsaPkcs1Sha256),
        (sample::ED25519_PRIVATE, sample::ED25519_PUBLIC, Algorithm::Ed25519),
    ];

    #[test]
    fn each_kind_signs_what_its_public_key_verifies() {
        for (private, public, algorithm) in KEYS {
            let key = read(private, false).unwrap();
            assert_eq!(key.public_key().to_pem(), public);
            assert_eq!(key.algorithm(), algorithm, "{public}");
            let signature = key.sign(b"message").unwrap();
            let verify = |message| key.public_key().verify(algorithm, message, &signature);
            assert!(verify(b"message").is_ok(), "{public}");
            assert!(verify(b"massage").is_err(), "{public}");
            assert_eq!(key.public_key().algorithms().first(), Some(&algorithm), "{public}");
        }
    }

    #[test]
    fn fips_mode_refuses_what_is_outside_and_signs_the_rest() {
        for (private, public, _) in KEYS {
            let outside = [sample::COSIGN_PRIVATE, sample::ED25519_PRIVATE].contains(&private);
            match read(private, true) {
                Ok(key) => {
                    let signature = key.sign(b"message").unwrap();
                    assert!(!outside, "{public}");
                    key.public_key().verify(key.algorithm(), b"message", &signature).unwrap();
                }
                Err(error) => {
                    assert!(outside, "{error}");
                    assert_eq!(error.kind(), SigningErrorKind::Unsupported);
                    assert!(error.to_string().contains("outside the module"), "{error}");
                }
            }
        }
    }

    #[test]
    fn reads_a_key_behind_its_parameters() {
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n";
        assert!(read(&format!("{parameters}{}", sample::P384_PRIVATE_SEC1), false).is_ok());
    }

    #[test]
    fn the_older_header_is_read_too() {
        let old = sample::COSIGN_PRIVATE.replace("SIGSTORE", "COSIGN");
        assert!(read(&old, false).is_ok());
    }

    #[test]
    fn says_what_is_wrong_and_nothing_of_the_key() {
        use SigningErrorKind as K;
        let other = |tag: &str| sample::P256_PRIVATE.replace("PRIVATE KEY", tag);
        let table = [
            ("", K::Invalid, "no PEM block"),
            (sample::P256_PUBLIC, K::Invalid, "public key"),
            (&other("ENCRYPTED PRIVATE KEY"), K::Unsupported, "`ENCRYPTED PRIVATE KEY`"),
            (&other("OPENSSH PRIVATE KEY"), K::Unsupported, "`OPENSSH PRIVATE KEY`"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                K::Unsupported,
                "cannot be read",
            ),
        ];
        for (text, kind, part) in table {
            let error = read(text, false).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
        let missing =
            PrivateKey::from_pem(&sample::COSIGN_PRIVATE.into(), None, false).unwrap_err();
        assert_eq!(missing.kind(), K::Denied);
        assert!(missing.hint().unwrap().contains("COSIGN_PASSWORD"));
        let shown = format!("{:?}", read(sample::P256_PRIVATE, false).unwrap());
        assert!(shown.contains("PublicKey(ECDSA P-256"), "{shown}");
    }

    proptest! {
        #[test]
        fn never_panics(der in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
            let _ = read(&text, false);
            for tag in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
                let _ = read(&pem::encode(&pem::Pem::new(tag, der.clone())), false);
            }
        }
    }
}
