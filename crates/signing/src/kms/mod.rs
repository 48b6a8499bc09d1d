//! Keys that never leave a key service: [`Service`] asks one for its public key and for signatures.
//!
//! A closed set, one file each: AWS by its SDK, the others by their REST interfaces, two requests
//! each. What they say is not believed: [`Signer`](crate::Signer) checks every signature.

mod aws;
mod azure;
mod der;
mod google;
mod vault;

use aws_lc_rs::digest;
use credentials::Variables;

use crate::{Algorithm, KeyReference, PublicKey, SigningError};

/// A key in a key service.
#[derive(Debug)]
pub(crate) enum Service {
    Aws(aws::Aws),
    Google(google::Google),
    Azure(azure::Azure),
    Vault(vault::Vault),
}

/// What a service says about a key.
#[derive(Clone, Debug)]
pub(crate) struct ServiceKey {
    pub(crate) public: PublicKey,
    /// What the service signs with, its own order.
    pub(crate) algorithms: Vec<Algorithm>,
    /// Which version that is, in the service's own words: signatures are asked of the same one.
    version: String,
    /// The public keys of the versions before it, where the same answer has them.
    earlier: Vec<PublicKey>,
}

impl Service {
    /// The service that a reference names, or none if the key is not in one. No request is made.
    pub(crate) fn open(
        reference: &KeyReference,
        environment: &Variables,
    ) -> Result<Option<Self>, SigningError> {
        Ok(Some(match reference {
            KeyReference::Aws { endpoint, key } => {
                Self::Aws(aws::Aws::new(endpoint.as_deref(), key))
            }
            KeyReference::Google { key, version } => {
                Self::Google(google::Google::new(key, version.as_deref(), environment)?)
            }
            KeyReference::Azure { vault, key, version } => {
                Self::Azure(azure::Azure::new(vault, key, version.as_deref(), environment)?)
            }
            KeyReference::Vault { key } => Self::Vault(vault::Vault::new(key, environment)?),
            KeyReference::Variable(_) | KeyReference::File(_) | KeyReference::Inline(_) => {
                return Ok(None);
            }
        }))
    }

    /// The public key and what it signs with.
    pub(crate) async fn key(&self) -> Result<ServiceKey, SigningError> {
        match self {
            Self::Aws(aws) => aws.key().await,
            Self::Google(google) => google.key().await,
            Self::Azure(azure) => azure.key().await,
            Self::Vault(vault) => vault.key().await,
        }
    }

    /// The public keys of the key's earlier versions, as far as the service tells them. That it may not
    /// tell is no failure.
    pub(crate) async fn earlier(&self, key: &ServiceKey) -> Result<Vec<PublicKey>, SigningError> {
        match self {
            Self::Google(google) => google.earlier(key).await,
            Self::Vault(_) => Ok(key.earlier.clone()),
            Self::Aws(_) | Self::Azure(_) => Ok(Vec::new()),
        }
    }

    /// A signature of the message, one of the key's algorithms; ECDSA as ASN.1 DER.
    pub(crate) async fn sign(
        &self,
        key: &ServiceKey,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SigningError> {
        match self {
            Self::Aws(aws) => aws.sign(algorithm, message).await,
            Self::Google(google) => google.sign(key, algorithm, message).await,
            Self::Azure(azure) => azure.sign(key, algorithm, message).await,
            Self::Vault(vault) => vault.sign(key, algorithm, message).await,
        }
    }
}

/// The hash of an algorithm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// None for Ed25519, which signs the message itself.
    fn of(algorithm: Algorithm) -> Option<Self> {
        use Algorithm as A;
        match algorithm {
            A::EcdsaSha256 | A::RsaPkcs1Sha256 | A::RsaPssSha256 => Some(Self::Sha256),
            A::EcdsaSha384 | A::RsaPkcs1Sha384 | A::RsaPssSha384 => Some(Self::Sha384),
            A::EcdsaSha512 | A::RsaPkcs1Sha512 | A::RsaPssSha512 => Some(Self::Sha512),
            A::Ed25519 => None,
        }
    }

    fn digest(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, message).as_ref().to_vec()
    }
}
