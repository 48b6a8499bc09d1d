//! [`Htpasswd`]: who may use the registry, from the file that Apache's `htpasswd -B` writes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use oci::Digest;
use tokio::sync::Semaphore;

use crate::errors::{Code, Refusal};

/// How many hashes are computed at a time: bcrypt is slow on purpose, and guesses must not take
/// all processors from those who are known.
const AT_A_TIME: usize = 2;

/// How many credentials that were right are remembered.
const REMEMBERED: usize = 1024;

/// Users and the bcrypt hashes of their passwords.
#[derive(Clone)]
pub struct Htpasswd {
    hashes: Arc<HashMap<String, String>>,
    /// Digests of credentials that were right, so that bcrypt's time is spent once for each.
    known: Arc<Mutex<HashSet<Digest>>>,
    turns: Arc<Semaphore>,
}

impl std::fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Htpasswd").field("users", &self.hashes.len()).finish_non_exhaustive()
    }
}

/// Why a password file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line is not `user:hash`.
    #[error("line {line} is not `user:hash`")]
    Line {
        /// The line's number, from 1.
        line: usize,
    },
    /// A hash is not bcrypt's; the others are too weak to be let in.
    #[error("line {line}: the password of `{user}` is not hashed with bcrypt; use `htpasswd -B`")]
    NotBcrypt {
        /// The line's number, from 1.
        line: usize,
        /// Whose it is.
        user: String,
    },
    /// There is nobody in it, so nobody could use the registry.
    #[error("it has no users; add one with `htpasswd -B`")]
    Empty,
}

impl Htpasswd {
    /// Reads a password file.
    ///
    /// # Errors
    /// [`HtpasswdError`].
    pub fn read(path: &Path) -> Result<Self, HtpasswdError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| HtpasswdError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads the text of a password file: lines `user:hash`, comments after `#`.
    ///
    /// # Errors
    /// [`HtpasswdError`], other than `Read`.
    pub fn parse(text: &str) -> Result<Self, HtpasswdError> {
        let mut hashes = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), number + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) = line.split_once(':').ok_or(HtpasswdError::Line { line: number })?;
            if hash.parse::<bcrypt::HashParts>().is_err() {
                return Err(HtpasswdError::NotBcrypt { line: number, user: user.to_owned() });
            }
            hashes.insert(user.to_owned(), hash.to_owned());
        }
        if hashes.is_empty() {
            return Err(HtpasswdError::Empty);
        }
        Ok(Self {
            hashes: Arc::new(hashes),
            known: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
        })
    }

    /// Whether `user:password` is right.
    async fn admits(&self, credentials: String) -> bool {
        let digest = Digest::sha256(credentials.as_bytes());
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&digest) {
            return true;
        }
        let Some((user, password)) = credentials.split_once(':') else { return false };
        let exists = self.hashes.contains_key(user);
        // Where there is no such user some hash is computed all the same: the time does not tell.
        let hash = self.hashes.get(user).or_else(|| self.hashes.values().next()).cloned();
        let (hash, password) = (hash.unwrap_or_default(), password.to_owned());
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let verified = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash)).await;
        let admitted = exists && matches!(verified, Ok(Ok(true)));
        if admitted {
            let mut known = known();
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(digest);
        }
        admitted
    }
}

/// Lets a request through whose credentials are right.
pub(crate) async fn authenticate(
    State(htpasswd): State<Arc<Htpasswd>>,
    request: Request,
    next: Next,
) -> Response {
    let credentials = request.headers().get(AUTHORIZATION).and_then(|header| {
        let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
        let basic = scheme.eq_ignore_ascii_case("basic");
        basic.then(|| STANDARD.decode(token.trim()).ok()).flatten()
    });
    let credentials = credentials.and_then(|credentials| String::from_utf8(credentials).ok());
    let message = match credentials {
        Some(credentials) if htpasswd.admits(credentials.clone()).await => {
            return next.run(request).await;
        }
        Some(_) => "the username or the password is wrong",
        None => "a username and a password are needed",
    };
    Refusal::new(Code::Unauthorized, message)
        .with_header(WWW_AUTHENTICATE, r#"Basic realm="image-syncer", charset="UTF-8""#)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_htpasswd_writes_and_says_what_is_wrong() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let text = format!("# people\n\nann:{hash}\r\nbob:{}\n", hash.replacen("$2b$", "$2y$", 1));
        let htpasswd = Htpasswd::parse(&text).unwrap();
        assert_eq!(htpasswd.hashes.len(), 2);
        assert!(!format!("{htpasswd:?}").contains("$2"));
        for (text, expected) in [
            ("", "no users"),
            ("ann\n", "line 1 is not `user:hash`"),
            ("# x\nann:{SHA}abc=\n", "line 2: the password of `ann`"),
            ("ann:$apr1$abc$def\n", "htpasswd -B"),
        ] {
            let error = Htpasswd::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn admits_who_knows_the_password() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let htpasswd = Htpasswd::parse(&format!("ann:{hash}")).unwrap();
        for (credentials, expected) in [
            ("ann:secret", true),
            ("ann:secret", true),
            ("ann:Secret", false),
            ("ann:", false),
            ("bob:secret", false),
            ("annsecret", false),
            ("", false),
        ] {
            let admitted = htpasswd.admits(credentials.to_owned()).await;
            assert_eq!(admitted, expected, "{credentials}");
        }
    }
}
