//! [`Doors`]: the clouds that give credentials for their own registries, and keep secrets.
//!
//! What a cloud gave is kept until shortly before its end, and so is, for a minute, that it gave nothing:
//! a thousand images must not wait a thousand times for a service that does not answer. Many who ask at
//! once wait for one answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oci::{EcrRegistry, Host};
use reqwest::Url;
use secrecy::SecretString;

use crate::aws::{Identity, IdentitySettings, SecretReference};
use crate::azure::{AzureRegistry, AzureSettings};
use crate::cloud::{CloudError, CloudErrorKind, Kept, Timed};
use crate::google::{GoogleCredentials, GoogleSettings};
use crate::variables::Variables;
use crate::{Credential, aws, google};

/// How long a failure is kept; a fifth of it is not used.
const FAILED_FOR: Duration = Duration::from_secs(75);
/// How long a secret of Secrets Manager is kept; a fifth of it is not used.
const SECRET_FOR: Duration = Duration::from_secs(300);

/// A cloud, and what differs from who we are there anyway.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Door {
    Aws(IdentitySettings),
    Google(GoogleSettings),
    Azure(AzureSettings),
}

/// What clouds said lately. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doors {
    credentials: Cells<(Host, Door), Credential>,
    secrets: Cells<SecretReference, SecretString>,
    identities: Arc<Mutex<HashMap<IdentitySettings, Arc<Identity>>>>,
}

impl Doors {
    /// The credential for a registry, which is reached at `endpoint` where it is not at its name.
    pub(crate) async fn credential(
        &self,
        host: &Host,
        door: &Door,
        endpoint: Option<&Url>,
        variables: &Variables,
    ) -> Result<Credential, CloudError> {
        // What an SDK does is large, and most who pass here do not need it.
        let fetch = Box::pin(async {
            match door {
                Door::Aws(settings) => {
                    let registry = EcrRegistry::of_host(host).ok_or_else(|| no_ecr(host))?;
                    aws::authorization(&self.identity(settings), &registry).await
                }
                Door::Google(settings) => {
                    google::authorization(&GoogleCredentials::new(settings, variables)?).await
                }
                Door::Azure(settings) => {
                    AzureRegistry::new(host, endpoint, settings, variables)?.authorization().await
                }
            }
        });
        self.credentials.get((host.clone(), door.clone()), fetch).await
    }

    /// A secret of AWS Secrets Manager.
    pub(crate) async fn secret(
        &self,
        reference: &SecretReference,
    ) -> Result<SecretString, CloudError> {
        let fetch = Box::pin(async {
            let identity = self.identity(&IdentitySettings::default());
            Ok(Timed::new(reference.read(&identity).await?, SECRET_FOR))
        });
        self.secrets.get(reference.clone(), fetch).await
    }

    /// Asks again for what is kept for a registry, unless that is new: it was refused.
    pub(crate) async fn refused(&self, host: &Host) {
        self.credentials.refused(|(other, _)| other == host).await;
    }

    /// The same for a secret.
    pub(crate) async fn refused_secret(&self, reference: &SecretReference) {
        self.secrets.refused(|other| other == reference).await;
    }

    /// Who we are to AWS; what one identity was given is kept.
    pub(crate) fn identity(&self, settings: &IdentitySettings) -> Arc<Identity> {
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Identity::new(settings.clone()));
        Arc::clone(identities.entry(settings.clone()).or_insert_with(new))
    }
}

fn no_ecr(host: &Host) -> CloudError {
    let message = format!("`{host}` is no private registry of Amazon ECR");
    CloudError::new(CloudErrorKind::Unsupported, message).with_hint(
        "`auth: {aws: …}` is for ACCOUNT.dkr.ecr.REGION.amazonaws.com; elsewhere, give a `username` and \
         a `password`",
    )
}

type Answer<V> = Result<V, CloudError>;
type Cell<V> = Arc<Kept<Answer<V>>>;

/// Answers by what was asked, failures too.
#[derive(Debug)]
struct Cells<K, V>(Arc<Mutex<HashMap<K, Cell<V>>>>);

impl<K, V> Clone for Cells<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Cells<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash, V: Clone> Cells<K, V> {
    async fn get(&self, key: K, fetch: impl Future<Output = Answer<Timed<V>>>) -> Answer<V> {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_insert_with(|| Arc::new(Kept::default())))
        };
        let fetch = async {
            Ok::<_, Infallible>(match fetch.await {
                Ok(timed) => timed.map(Ok),
                Err(error) => Timed::new(Err(error), FAILED_FOR),
            })
        };
        match cell.get(fetch).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    async fn refused(&self, is_it: impl Fn(&K) -> bool) {
        let cells: Vec<_> = {
            let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            cells.iter().filter(|(key, _)| is_it(key)).map(|(_, cell)| Arc::clone(cell)).collect()
        };
        for cell in cells {
            cell.refused().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn an_answer_and_a_failure_are_asked_for_once() {
        let cells = Cells::<&str, u32>::default();
        let asked = AtomicU32::new(0);
        let get = async |key: &'static str| {
            let fetch = async {
                let count = asked.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                match key {
                    "good" => Ok(Timed::new(count, Duration::from_secs(3600))),
                    _ => Err(CloudError::new(CloudErrorKind::Denied, "no")),
                }
            };
            cells.get(key, fetch).await.ok()
        };
        assert_eq!(
            tokio::join!(get("good"), get("good"), get("good")),
            (Some(1), Some(1), Some(1))
        );
        assert_eq!(tokio::join!(get("bad"), get("bad")), (None, None));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        cells.refused(|key| *key == "good").await;
        assert_eq!(get("good").await, Some(1), "what is new is not asked for again");
    }

    #[tokio::test]
    async fn only_ecr_has_tokens_of_ecr() {
        let door = Door::Aws(IdentitySettings::default());
        let host = "registry.example".parse().unwrap();
        let error = Doors::default()
            .credential(&host, &door, None, &Variables::default())
            .await
            .unwrap_err();
        assert!(error.hint().is_some_and(|hint| hint.contains("dkr.ecr")), "{error}");
    }
}
