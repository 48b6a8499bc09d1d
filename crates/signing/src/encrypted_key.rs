//! cosign's encrypted private keys: scrypt makes a key of the password, NaCl's secretbox opens what is
//! in the PEM block. The format is that of go-securesystemslib, `encrypted/encrypted.go`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead;
use crypto_secretbox::{Key, KeyInit, Nonce, XSalsa20Poly1305};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{SigningError, SigningErrorKind};

/// The costs, as powers of two, that upstream accepts: its "legacy", "standard" and "OWASP". Any other
/// could be there to make us work for hours (`scryptKDF.CheckParams`).
const ACCEPTED_LOG_N: [u8; 3] = [15, 16, 17];
const ACCEPTED_R: u32 = 8;
const ACCEPTED_P: u32 = 1;

const KEY_SIZE: usize = 32;
const NONCE_SIZE: usize = 24;

#[derive(Deserialize)]
struct Encrypted {
    kdf: Derivation,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Derivation {
    name: String,
    params: Cost,
    salt: String,
}

#[derive(Deserialize)]
struct Cost {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The PKCS#8 DER that is encrypted in the content of the PEM block.
///
/// # Errors
/// [`SigningErrorKind::Denied`] for a wrong password; [`SigningErrorKind::Unsupported`] for parameters
/// that upstream does not write; [`SigningErrorKind::Invalid`] for what is not such a key at all.
pub(crate) fn decrypt(
    content: &[u8],
    password: &SecretString,
) -> Result<Zeroizing<Vec<u8>>, SigningError> {
    let Encrypted { kdf, cipher, ciphertext } =
        serde_json::from_slice(content).map_err(|_| invalid("it is not in cosign's format"))?;
    if kdf.name != "scrypt" || cipher.name != "nacl/secretbox" {
        return Err(unsupported("it is encrypted in another way than cosign does"));
    }
    let params = accepted(&kdf.params)
        .ok_or_else(|| unsupported("its scrypt parameters are not those that cosign uses"))?;
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| invalid("it has broken base64"));
    let salt = decode(&kdf.salt)?;
    let ciphertext = decode(&ciphertext)?;
    let nonce: [u8; NONCE_SIZE] = decode(&cipher.nonce)?
        .try_into()
        .map_err(|_| invalid("its nonce has not the length that cosign uses"))?;

    let mut key = Zeroizing::new([0; KEY_SIZE]);
    scrypt::scrypt(password.expose_secret().as_bytes(), &salt, &params, key.as_mut())
        .map_err(|_| invalid("no key can be derived from its password"))?;
    XSalsa20Poly1305::new(Key::from_slice(key.as_ref()))
        .decrypt(Nonce::from_slice(&nonce), ciphertext.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| {
            SigningError::new(
                SigningErrorKind::Denied,
                "the password does not open the private key, or the key was changed",
            )
            .with_hint("COSIGN_PASSWORD must hold the password that the key was made with")
        })
}

fn accepted(cost: &Cost) -> Option<scrypt::Params> {
    let log_n = ACCEPTED_LOG_N.into_iter().find(|log_n| cost.n == 1 << log_n)?;
    if cost.r != ACCEPTED_R || cost.p != ACCEPTED_P {
        return None;
    }
    scrypt::Params::new(log_n, cost.r, cost.p).ok()
}

fn invalid(problem: &str) -> SigningError {
    let message = format!("the encrypted private key cannot be read: {problem}");
    SigningError::new(SigningErrorKind::Invalid, message)
}

fn unsupported(problem: &str) -> SigningError {
    let message = format!("the encrypted private key cannot be used: {problem}");
    SigningError::new(SigningErrorKind::Unsupported, message)
        .with_hint("encrypt it anew: `cosign import-key-pair --key FILE`")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    fn content() -> String {
        let block = pem::parse(sample::COSIGN_PRIVATE).unwrap();
        String::from_utf8(block.into_contents()).unwrap()
    }

    #[test]
    fn opens_what_cosign_wrote() {
        let opened = decrypt(content().as_bytes(), &sample::COSIGN_PASSWORD.into()).unwrap();
        assert_eq!(*opened, pem::parse(sample::P256_PRIVATE).unwrap().into_contents());
    }

    #[test]
    fn refuses_without_working_for_it() {
        use SigningErrorKind as K;
        let table = [
            ("\"N\":65536", "\"N\":1073741824", K::Unsupported),
            ("\"N\":65536", "\"N\":65537", K::Unsupported),
            ("\"r\":8", "\"r\":4294967295", K::Unsupported),
            ("\"p\":1", "\"p\":2", K::Unsupported),
            ("scrypt", "argon2", K::Unsupported),
            ("nacl/secretbox", "none", K::Unsupported),
            ("\"nonce\":\"", "\"nonce\":\"AAAA", K::Invalid),
            ("\"salt\":\"", "\"salt\":\"!", K::Invalid),
            ("\"kdf\"", "\"KDF2\"", K::Invalid),
        ];
        for (from, to, kind) in table {
            let changed = content().replacen(from, to, 1);
            assert_ne!(changed, content(), "{from}");
            let error = decrypt(changed.as_bytes(), &sample::COSIGN_PASSWORD.into()).unwrap_err();
            assert_eq!(error.kind(), kind, "{to}: {error}");
        }
    }

    #[test]
    fn a_wrong_password_is_denied() {
        let error = decrypt(content().as_bytes(), &"another".into()).unwrap_err();
        assert_eq!(error.kind(), SigningErrorKind::Denied);
    }

    proptest! {
        #[test]
        fn never_panics(content in ".*") {
            let _ = decrypt(content.as_bytes(), &"".into());
        }
    }
}
