//! [`Pair`]: a key with its private half, and what it signs.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding,
    RsaKeyPair,
};

use super::KeyType;

/// A key with its private half.
pub(crate) enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    pub(crate) fn new(key_type: KeyType) -> Self {
        let ecdsa = |algorithm| Self::Ecdsa(EcdsaKeyPair::generate(algorithm).expect("a key"));
        match key_type {
            KeyType::P256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            KeyType::P384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            KeyType::P521 => ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING),
            KeyType::RsaPkcs1 | KeyType::RsaPss => {
                Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")))
            }
            KeyType::Ed25519 => Self::Ed25519(Ed25519KeyPair::generate().expect("a key")),
        }
    }

    /// r and s, one after the other; none if the digest is of another length.
    pub(crate) fn ecdsa(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let Self::Ecdsa(key) = self else { return None };
        let signature = key.sign_digest(&import(digest)?).ok()?;
        Some(signature.as_ref().to_vec())
    }

    pub(crate) fn rsa(&self, padding: &'static dyn RsaEncoding, digest: &[u8]) -> Option<Vec<u8>> {
        let Self::Rsa(key) = self else { return None };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign_digest(padding, &import(digest)?, &mut signature).ok()?;
        Some(signature)
    }

    pub(crate) fn ed25519(&self, message: &[u8]) -> Option<Vec<u8>> {
        let Self::Ed25519(key) = self else { return None };
        Some(key.sign(message).as_ref().to_vec())
    }

    /// What a key's coordinates are made of: `04`, x and y.
    pub(crate) fn point(&self) -> Option<&[u8]> {
        let Self::Ecdsa(key) = self else { return None };
        Some(key.public_key().as_ref())
    }

    /// Modulus and exponent.
    pub(crate) fn numbers(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let Self::Rsa(key) = self else { return None };
        let number = |bytes: &[u8]| bytes.to_vec();
        let public = key.public_key();
        let modulus = number(public.modulus().big_endian_without_leading_zero());
        Some((modulus, number(public.exponent().big_endian_without_leading_zero())))
    }

    pub(crate) fn public_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'_>, _> = match self {
            Self::Ecdsa(key) => key.public_key().as_der(),
            Self::Rsa(key) => key.public_key().as_der(),
            Self::Ed25519(key) => key.public_key().as_der(),
        };
        der.expect("a key is one in DER").as_ref().to_vec()
    }

    pub(crate) fn public_pem(&self) -> String {
        encode("PUBLIC KEY", self.public_der())
    }

    pub(crate) fn private_pem(&self) -> String {
        let Self::Rsa(key) = self else { panic!("only service accounts show theirs") };
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&**key);
        encode("PRIVATE KEY", der.expect("a key is one in DER").as_ref().to_vec())
    }
}

fn encode(tag: &str, der: Vec<u8>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), config)
}

fn import(bytes: &[u8]) -> Option<Digest> {
    let algorithm = match bytes.len() {
        32 => &digest::SHA256,
        48 => &digest::SHA384,
        64 => &digest::SHA512,
        _ => return None,
    };
    Digest::import_less_safe(bytes, algorithm).ok()
}

/// `SEQUENCE { INTEGER r, INTEGER s }`, as Google gives signatures.
pub(crate) fn asn1(fixed: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let mut content: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        if content.first().is_none_or(|first| first & 0x80 != 0) {
            content.insert(0, 0);
        }
        element(2, content)
    };
    let (r, s) = fixed.split_at(fixed.len() / 2);
    element(0x30, [integer(r), integer(s)].concat())
}

/// Google's curves have signatures of less than 128 bytes.
fn element(tag: u8, content: Vec<u8>) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short element");
    assert!(length < 0x80, "a short element");
    [vec![tag, length], content].concat()
}
