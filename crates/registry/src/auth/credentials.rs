//! [`Credentials`]: what the credential source answered lately, for each repository.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oci::{Host, Repository};
use tokio::time::Instant;

use super::cache::lock;
use crate::credential::{Credential, CredentialSource};
use crate::error::{ErrorKind, Failure, chain_of};

/// The credentials of one registry.
pub(crate) struct Credentials {
    host: Host,
    source: Arc<dyn CredentialSource>,
    cells: Mutex<HashMap<Option<Repository>, Cell>>,
}

/// Locked while the source is asked, which may run a program.
type Cell = Arc<tokio::sync::Mutex<Option<Answer>>>;

/// What the source said, and when.
struct Answer {
    credential: Credential,
    at: Instant,
}

impl Answer {
    fn now(credential: &Credential) -> Self {
        Self { credential: credential.clone(), at: Instant::now() }
    }
}

/// How long an answer is used before the source is asked again. Tokens of clouds live for an hour and
/// more, and are renewed by the source when they have five minutes left.
const USED_FOR: Duration = Duration::from_secs(4 * 60);

impl Credentials {
    pub(crate) fn new(host: Host, source: Arc<dyn CredentialSource>) -> Self {
        Self { host, source, cells: Mutex::default() }
    }

    /// The credential for a repository, or for the registry as such.
    pub(crate) async fn get(&self, repository: Option<&Repository>) -> Result<Credential, Failure> {
        let cell = self.cell(repository);
        let mut cell = cell.lock().await;
        if let Some(answer) = &*cell
            && answer.at.elapsed() < USED_FOR
        {
            return Ok(answer.credential.clone());
        }
        let credential = self.ask(repository).await?;
        *cell = Some(Answer::now(&credential));
        Ok(credential)
    }

    /// Another credential after one was refused; none if there is no other.
    pub(crate) async fn renew(
        &self,
        repository: Option<&Repository>,
        refused: &Credential,
    ) -> Result<Option<Credential>, Failure> {
        let cell = self.cell(repository);
        let mut cell = cell.lock().await;
        // Someone else may have renewed it already.
        if let Some(Answer { credential, .. }) = &*cell
            && !credential.same(refused)
        {
            return Ok(Some(credential.clone()));
        }
        self.source.refused(&self.host).await;
        let credential = self.ask(repository).await?;
        *cell = Some(Answer::now(&credential));
        Ok((!credential.same(refused)).then_some(credential))
    }

    /// The credential, if the source was asked for it.
    pub(crate) async fn known(&self, repository: Option<&Repository>) -> Option<Credential> {
        let cell = lock(&self.cells).get(&repository.cloned()).cloned()?;
        let known = cell.lock().await;
        known.as_ref().map(|answer| answer.credential.clone())
    }

    fn cell(&self, repository: Option<&Repository>) -> Cell {
        Arc::clone(lock(&self.cells).entry(repository.cloned()).or_default())
    }

    async fn ask(&self, repository: Option<&Repository>) -> Result<Credential, Failure> {
        self.source.credential(&self.host, repository).await.map_err(|error| {
            let causes: Vec<_> = chain_of(&error).map(ToString::to_string).collect();
            let message = format!("no credential for `{}`: {}", self.host, causes.join(": "));
            Failure::new(ErrorKind::Credential, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::future::{BoxFuture, join_all};

    use super::*;
    use crate::credential::CredentialError;

    /// Answers with one credential after another, and from then on with the last.
    struct Rotating(Mutex<Vec<&'static str>>);

    impl CredentialSource for Rotating {
        fn credential<'a>(
            &'a self,
            _: &'a Host,
            _: Option<&'a Repository>,
        ) -> BoxFuture<'a, Result<Credential, CredentialError>> {
            let mut passwords = lock(&self.0);
            let next =
                if passwords.len() > 1 { passwords.pop() } else { passwords.first().copied() };
            let result = match next {
                Some(password) => {
                    Ok(Credential::Basic { username: "me".into(), password: password.into() })
                }
                None => Err(CredentialError::new("the helper is missing")),
            };
            Box::pin(async move { result })
        }
    }

    fn credentials(passwords: &[&'static str]) -> (Credentials, Repository) {
        let source = Rotating(Mutex::new(passwords.to_vec()));
        let host = "r.example".parse().unwrap();
        (Credentials::new(host, Arc::new(source)), "a".parse().unwrap())
    }

    #[tokio::test]
    async fn asked_once_and_again_when_refused() {
        let (credentials, repository) = credentials(&["new", "old"]);
        let old = credentials.get(Some(&repository)).await.unwrap();
        assert!(credentials.get(Some(&repository)).await.unwrap().same(&old));
        let renewals = (0..3).map(|_| credentials.renew(Some(&repository), &old));
        for renewed in join_all(renewals).await {
            assert!(!renewed.unwrap().unwrap().same(&old));
        }
        let new = credentials.get(Some(&repository)).await.unwrap();
        assert!(credentials.renew(Some(&repository), &new).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn asked_again_before_a_token_ends() {
        let (credentials, repository) = credentials(&["new", "old"]);
        let old = credentials.get(Some(&repository)).await.unwrap();
        tokio::time::advance(USED_FOR - Duration::from_secs(1)).await;
        assert!(credentials.get(Some(&repository)).await.unwrap().same(&old));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!credentials.get(Some(&repository)).await.unwrap().same(&old));
    }

    #[tokio::test]
    async fn a_source_that_fails_is_no_anonymous_one() {
        let (credentials, repository) = credentials(&[]);
        let failure = credentials.get(Some(&repository)).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Credential);
        assert!(failure.message().ends_with("`r.example`: the helper is missing"));
    }
}
