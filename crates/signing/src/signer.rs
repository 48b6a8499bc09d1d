//! [`Signer`]: signs with a key, wherever it is.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use credentials::Variables;
use secrecy::{ExposeSecret, SecretString};

use crate::kms::{Service, ServiceKey};
use crate::once::Once;
use crate::{Algorithm, KeyReference, PrivateKey, PublicKey, SigningError, SigningErrorKind};

/// The password of encrypted key files: cosign's variable.
const PASSWORD: &str = "COSIGN_PASSWORD";

/// Signs with one key. What it needs to know of the key it asks once, when it is first needed; a key
/// that cannot be had for now is asked for again.
#[derive(Debug)]
pub struct Signer {
    reference: KeyReference,
    settings: SignerSettings,
    key: Once<Arc<Key>>,
    earlier: Once<Arc<[PublicKey]>>,
}

/// What a [`Signer`] goes by, beside its reference.
#[derive(Clone, Debug)]
pub struct SignerSettings {
    environment: Variables,
    fips: bool,
    algorithm: Option<Algorithm>,
}

/// A key that was found.
#[derive(Debug)]
struct Key {
    public: Arc<PublicKey>,
    holder: Holder,
}

/// Who signs with it.
#[derive(Debug)]
enum Holder {
    Here(PrivateKey),
    Service(Box<InService>),
    /// It is a public key: there is nothing to sign with.
    Nobody,
}

/// A key in a key service.
#[derive(Debug)]
struct InService {
    service: Service,
    key: ServiceKey,
    algorithm: Algorithm,
}

impl SignerSettings {
    /// Settings whose variables `lookup` answers for, by name: `COSIGN_PASSWORD`, those that `env://`
    /// names, and what the key services' own tools read. AWS's SDK reads the process's environment.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self { environment: Variables::from_lookup(lookup), fips: false, algorithm: None }
    }

    /// Settings with the variables of this process.
    pub fn of_this_process() -> Self {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// Whether keys and algorithms outside the FIPS module are refused.
    #[must_use]
    pub fn with_fips(self, fips: bool) -> Self {
        Self { fips, ..self }
    }

    /// What to sign with where a key service offers more than one algorithm for a key. Without, it is
    /// the first that `cosign verify` tries.
    #[must_use]
    pub fn with_algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm: Some(algorithm), ..self }
    }
}

impl Signer {
    /// Opens nothing yet: the key is read, or the key service asked, when first needed.
    pub fn new(reference: KeyReference, settings: SignerSettings) -> Self {
        Self { reference, settings, key: Once::default(), earlier: Once::default() }
    }

    /// Where the key is.
    pub fn reference(&self) -> &KeyReference {
        &self.reference
    }

    /// The public key.
    ///
    /// # Errors
    /// The key cannot be had.
    pub async fn public_key(&self) -> Result<Arc<PublicKey>, SigningError> {
        Ok(Arc::clone(&self.key().await?.public))
    }

    /// The public keys that the same key had before it was rotated, as far as its service tells them:
    /// Vault's and Google's do. None where it does not, or where we may not ask.
    ///
    /// # Errors
    /// The key cannot be had, or the service does not answer.
    pub async fn earlier_public_keys(&self) -> Result<Arc<[PublicKey]>, SigningError> {
        let key = self.key().await?;
        let Holder::Service(held) = &key.holder else { return Ok(Arc::default()) };
        let earlier = async { held.service.earlier(&held.key).await.map(Arc::from) };
        self.earlier.get(Box::pin(earlier)).await
    }

    /// What it signs with.
    ///
    /// # Errors
    /// The key cannot be had, or is a public key.
    pub async fn algorithm(&self) -> Result<Algorithm, SigningError> {
        match &self.key().await?.holder {
            Holder::Here(key) => Ok(key.algorithm()),
            Holder::Service(held) => Ok(held.algorithm),
            Holder::Nobody => Err(self.cannot_sign()),
        }
    }

    /// A signature of the message, ECDSA as ASN.1 DER. The public key verifies it: it was tried.
    ///
    /// # Errors
    /// The key cannot be had, the key service refuses, or what it gave is no signature by this key.
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let key = self.key().await?;
        let (algorithm, signature) = match &key.holder {
            Holder::Here(private) => (private.algorithm(), private.sign(message)?),
            Holder::Service(held) => {
                let InService { service, key, algorithm } = &**held;
                (*algorithm, Box::pin(service.sign(key, *algorithm, message)).await?)
            }
            Holder::Nobody => return Err(self.cannot_sign()),
        };
        match key.public.verify(algorithm, message, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => {
                let message = format!(
                    "{} gave a signature that its own public key does not verify",
                    self.shown()
                );
                Err(SigningError::new(SigningErrorKind::BadSignature, message)
                    .with_hint("was the key changed meanwhile? run again"))
            }
        }
    }

    async fn key(&self) -> Result<Arc<Key>, SigningError> {
        // On the heap, as in `sign`: the client of a key service takes 30 KB, and each of hundreds of images that are
        // looked at at once would hold room for it.
        self.key.get(Box::pin(self.find())).await
    }

    async fn find(&self) -> Result<Arc<Key>, SigningError> {
        let environment = &self.settings.environment;
        let key = match &self.reference {
            KeyReference::Inline(pem) => public(pem)?,
            KeyReference::Variable(name) => {
                let text = environment.secret(name).ok_or_else(|| {
                    let message = format!("the variable {name} is not set");
                    SigningError::new(SigningErrorKind::NotFound, message)
                })?;
                self.of_pem(text).await?
            }
            KeyReference::File(file) => self.of_pem(read(file).await?).await?,
            KeyReference::Aws { .. }
            | KeyReference::Google { .. }
            | KeyReference::Azure { .. }
            | KeyReference::Vault { .. } => self.of_service().await?,
        };
        Ok(Arc::new(key))
    }

    async fn of_service(&self) -> Result<Key, SigningError> {
        let opened = Service::open(&self.reference, &self.settings.environment)?;
        let service = opened.ok_or_else(|| self.cannot_sign())?;
        let key = service.key().await?;
        let algorithm =
            choose(&key.public, &key.algorithms, &self.settings).map_err(|message| {
                let message = format!("{} {message}", self.shown());
                SigningError::new(SigningErrorKind::Unsupported, message)
            })?;
        tracing::debug!(target: "signing", key = %self.reference, %algorithm, "key found");
        let public = Arc::new(key.public.clone());
        Ok(Key { public, holder: Holder::Service(Box::new(InService { service, key, algorithm })) })
    }

    /// A key in PEM, private or public.
    async fn of_pem(&self, pem: SecretString) -> Result<Key, SigningError> {
        if !pem.expose_secret().contains("PRIVATE KEY-----") {
            return public(pem.expose_secret());
        }
        let password = self.settings.environment.secret_or_empty(PASSWORD);
        let fips = self.settings.fips;
        // To try a password takes a tenth of a second, on purpose.
        let opened = tokio::task::spawn_blocking(move || {
            PrivateKey::from_pem(&pem, password.as_ref(), fips)
        });
        let private = opened.await.map_err(|_| {
            SigningError::new(SigningErrorKind::Invalid, "the key could not be opened")
        })??;
        Ok(Key { public: Arc::new(private.public_key().clone()), holder: Holder::Here(private) })
    }

    fn cannot_sign(&self) -> SigningError {
        let message = format!("{} is a public key, which cannot sign", self.shown());
        SigningError::new(SigningErrorKind::Unsupported, message)
            .with_hint("give a private key's file, env://NAME, or a key in a key service")
    }

    /// The reference in messages.
    fn shown(&self) -> String {
        match &self.reference {
            KeyReference::Inline(_) => self.reference.to_string(),
            reference => format!("`{reference}`"),
        }
    }
}

fn public(pem: &str) -> Result<Key, SigningError> {
    Ok(Key { public: Arc::new(PublicKey::from_pem(pem)?), holder: Holder::Nobody })
}

async fn read(file: &Path) -> Result<SecretString, SigningError> {
    let shown = file.display();
    let text = tokio::fs::read_to_string(file).await.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => SigningErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => SigningErrorKind::Denied,
            _ => SigningErrorKind::Invalid,
        };
        SigningError::new(kind, format!("the key cannot be read from {shown}: {error}"))
    })?;
    Ok(SecretString::from(text))
}

/// What to sign with, of what a service offers for a key; or why there is nothing.
fn choose(
    public: &PublicKey,
    offered: &[Algorithm],
    settings: &SignerSettings,
) -> Result<Algorithm, String> {
    let mut possible = public.algorithms().iter().filter(|algorithm| offered.contains(algorithm));
    let chosen = match settings.algorithm {
        Some(wanted) => possible
            .find(|algorithm| **algorithm == wanted)
            .ok_or_else(|| format!("cannot sign with {wanted}"))?,
        None => possible.next().ok_or_else(|| {
            format!("has a key ({}) that signs with nothing that is known here", public.kind())
        })?,
    };
    if settings.fips && !chosen.is_in_fips_module() {
        return Err(format!("signs with {chosen}, which the FIPS module has not"));
    }
    Ok(*chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn signer(reference: &str, variables: &'static [(&str, &str)]) -> Signer {
        let settings = SignerSettings::from_lookup(move |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        });
        Signer::new(reference.parse().unwrap(), settings)
    }

    #[tokio::test]
    async fn a_key_at_hand_signs_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cosign.key");
        std::fs::write(&file, sample::COSIGN_PRIVATE).unwrap();
        let encrypted = signer(
            file.to_str().unwrap(),
            &[(PASSWORD, sample::COSIGN_PASSWORD), ("OTHER", "value")],
        );
        let plain = signer("env://KEY", &[("KEY", sample::P256_PRIVATE)]);
        for signer in [encrypted, plain] {
            let signature = signer.sign(b"message").await.unwrap();
            let public = signer.public_key().await.unwrap();
            assert_eq!(public.to_pem(), sample::P256_PUBLIC);
            let algorithm = signer.algorithm().await.unwrap();
            public.verify(algorithm, b"message", &signature).unwrap();
            assert!(public.verify(algorithm, b"another", &signature).is_err());
            let shown = format!("{signer:?}");
            assert!(!shown.contains(sample::COSIGN_PASSWORD), "{shown}");
            assert!(!shown.contains("PRIVATE KEY"), "{shown}");
        }
    }

    #[tokio::test]
    async fn a_public_key_can_be_had_and_does_not_sign() {
        let inline = signer(sample::P256_PUBLIC, &[]);
        let variable = signer("env://KEY", &[("KEY", sample::P256_PUBLIC)]);
        for signer in [inline, variable] {
            assert_eq!(signer.public_key().await.unwrap().to_pem(), sample::P256_PUBLIC);
            let error = signer.sign(b"message").await.unwrap_err();
            assert_eq!(error.kind(), SigningErrorKind::Unsupported);
            assert!(error.to_string().contains("is a public key, which cannot sign"), "{error}");
            assert_eq!(signer.algorithm().await.unwrap_err().kind(), error.kind());
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let table = [
            ("env://KEY", SigningErrorKind::NotFound, "the variable KEY is not set"),
            ("/nowhere/cosign.key", SigningErrorKind::NotFound, "/nowhere/cosign.key"),
            ("hashivault://key", SigningErrorKind::Invalid, "where Vault is"),
        ];
        for (reference, kind, text) in table {
            let error = signer(reference, &[]).public_key().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn what_cosign_verifies_goes_first() {
        use Algorithm as A;
        let [p256, p384, rsa, ed25519] =
            [sample::P256_PUBLIC, sample::P384_PUBLIC, sample::RSA_PUBLIC, sample::ED25519_PUBLIC]
                .map(|pem| PublicKey::from_pem(pem).unwrap());
        let plain = SignerSettings::from_lookup(|_| None);
        let pss = plain.clone().with_algorithm(A::RsaPssSha256);
        let fips = plain.clone().with_fips(true);
        let table: [(&PublicKey, &[Algorithm], _, Option<Algorithm>); 8] = [
            (&p256, &[A::EcdsaSha256], &plain, Some(A::EcdsaSha256)),
            (&p384, &[A::EcdsaSha384], &plain, Some(A::EcdsaSha384)),
            (&rsa, &[A::RsaPssSha256, A::RsaPkcs1Sha256], &plain, Some(A::RsaPkcs1Sha256)),
            (&rsa, &[A::RsaPkcs1Sha256, A::RsaPssSha256], &pss, Some(A::RsaPssSha256)),
            (&rsa, &[A::RsaPkcs1Sha256], &pss, None),
            (&p256, &[A::RsaPkcs1Sha256], &plain, None),
            (&ed25519, &[A::Ed25519], &plain, Some(A::Ed25519)),
            (&ed25519, &[A::Ed25519], &fips, None),
        ];
        for (public, offered, settings, expected) in table {
            assert_eq!(choose(public, offered, settings).ok(), expected, "{public:?} {offered:?}");
        }
    }
}
