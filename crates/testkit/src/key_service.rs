//! [`KeyService`]: Google Cloud KMS and Azure Key Vault, as far as signing goes, where no emulator
//! can be had. Made from the services' own definitions; the suite `kms` in `tests/interop` lets the
//! vendors' SDKs judge it.

mod azure;
mod google;
mod key;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Router;
use http::{HeaderMap, header};

pub(crate) use key::Pair;

/// What kind of key it is. Google's keys are for one algorithm, Azure's RSA keys for all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyType {
    /// ECDSA on P-256 with SHA-256.
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// ECDSA on P-521 with SHA-512; Azure only.
    P521,
    /// RSA of 2048 bits with SHA-256, PKCS#1 v1.5.
    RsaPkcs1,
    /// RSA of 2048 bits with SHA-256, PSS.
    RsaPss,
    /// Ed25519; Google only.
    Ed25519,
}

/// Keys, and who may use them.
#[derive(Clone, Default)]
pub struct KeyService {
    keys: Arc<BTreeMap<String, Vec<Version>>>,
    service_account: Option<Arc<Pair>>,
}

struct Version {
    key_type: KeyType,
    pair: Pair,
    enabled: bool,
}

impl KeyService {
    /// The token of who may do everything.
    pub const TOKEN: &'static str = "token-of-a-signer";
    /// The token of who may do nothing.
    pub const OTHER_TOKEN: &'static str = "token-of-somebody-else";
    /// What is exchanged for [`Self::TOKEN`]: a client's secret, a refresh token, a workload's token.
    pub const SECRET: &'static str = "S3cret-that-must-not-be-shown";
    /// The key ring of Google's keys.
    pub const KEY_RING: &'static str = "projects/p/locations/global/keyRings/r";

    /// Adds a key, or the next version of one.
    #[must_use]
    pub fn key(self, name: &str, key_type: KeyType) -> Self {
        self.version(name, key_type, true)
    }

    /// Adds a version that must not be used.
    #[must_use]
    pub fn disabled(self, name: &str, key_type: KeyType) -> Self {
        self.version(name, key_type, false)
    }

    fn version(mut self, name: &str, key_type: KeyType, enabled: bool) -> Self {
        let version = Version { key_type, pair: Pair::new(key_type), enabled };
        let keys = Arc::get_mut(&mut self.keys).expect("no router was made yet");
        keys.entry(name.to_owned()).or_default().push(version);
        self
    }

    /// Google's file of credentials for a service account of its own.
    pub fn service_account(&mut self) -> String {
        let pair = Pair::new(KeyType::RsaPkcs1);
        let file = serde_json::json!({
            "type": "service_account",
            "client_email": "signer@p.iam.gserviceaccount.com",
            "private_key": pair.private_pem(),
            "private_key_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        self.service_account = Some(Arc::new(pair));
        file.to_string()
    }

    /// A public key in PEM, the version counted from 1.
    ///
    /// # Panics
    /// If there is no such version.
    pub fn public_pem(&self, name: &str, version: usize) -> String {
        self.keys[name][version - 1].pair.public_pem()
    }

    /// Google's interface, with its token service and its metadata server.
    pub fn google(&self) -> Router {
        google::router(self.clone()).merge(tokens::google(self.service_account.clone()))
    }

    /// Azure's interface, with its token service and its metadata service.
    pub fn azure(&self) -> Router {
        azure::router(self.clone()).merge(tokens::azure())
    }

    fn find(&self, name: &str, version: usize) -> Option<&Version> {
        self.keys.get(name)?.get(version.checked_sub(1)?)
    }

    fn access(&self, headers: &HeaderMap) -> Access {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = value.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Access::Nobody;
        };
        let signed = |pair: &Arc<Pair>| tokens::is_signed_by(token, pair);
        match token {
            Self::TOKEN => Access::Granted,
            Self::OTHER_TOKEN => Access::Denied,
            _ if self.service_account.as_ref().is_some_and(signed) => Access::Granted,
            _ => Access::Nobody,
        }
    }
}

/// A form, or a URL's query.
fn pairs(text: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// What a request may do.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Access {
    Granted,
    Denied,
    Nobody,
}
