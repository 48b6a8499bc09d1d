//! [`Login`]: a credential that was given for one host, in the sync file or on the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::{Credential, Error};

/// How to come by the credential for a host. Files are read each time they are needed.
#[derive(Clone, Debug)]
pub enum Login {
    /// Show nothing, whatever the other places have.
    Anonymous,
    /// A user and a password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// The JSON key of a Google service account: user `_json_key`, the whole file as password,
    /// byte for byte.
    JsonKey(PathBuf),
    /// A bearer token that is sent as it is.
    AccessToken(Secret),
    /// A refresh token for the registry's token server.
    IdentityToken(Secret),
    /// The program `docker-credential-NAME`.
    Helper(String),
}

/// A secret, or where it lies. Line ends after it are not part of it.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The secret itself.
    Text(SecretString),
    /// A file that holds nothing else.
    File(PathBuf),
}

impl Secret {
    /// The secret itself; an empty one is an error.
    async fn read(&self, what: &'static str) -> Result<SecretString, Error> {
        let (text, place) = match self {
            Self::Text(text) => (text.clone(), format!("the {what}")),
            Self::File(file) => {
                (read_text(file, what).await?, format!("the {what} in {}", file.display()))
            }
        };
        let trimmed = text.expose_secret().trim_end_matches(['\n', '\r']);
        if trimmed.is_empty() {
            return Err(Error::Invalid {
                place,
                problem: "it is empty".to_owned(),
                hint: "check the step that should have filled it".to_owned(),
            });
        }
        Ok(SecretString::from(trimmed))
    }
}

impl Login {
    /// The credential, for every login that needs no helper.
    pub(crate) async fn credential(&self) -> Result<Option<Credential>, Error> {
        Ok(Some(match self {
            Self::Anonymous => Credential::Anonymous,
            Self::Basic { username, password } => Credential::Basic {
                username: username.clone(),
                password: password.read("password").await?,
            },
            Self::JsonKey(file) => json_key(file).await?,
            Self::AccessToken(token) => Credential::Bearer(token.read("access token").await?),
            Self::IdentityToken(token) => {
                Credential::IdentityToken(token.read("identity token").await?)
            }
            Self::Helper(_) => return Ok(None),
        }))
    }
}

async fn json_key(file: &Path) -> Result<Credential, Error> {
    /// What tells the kinds of Google's credential files apart.
    #[derive(serde::Deserialize)]
    struct Kind {
        r#type: Option<String>,
    }
    let key = read_text(file, "JSON key").await?;
    let invalid = |problem: &str, hint: &str| Error::Invalid {
        place: format!("the JSON key in {}", file.display()),
        problem: problem.to_owned(),
        hint: hint.to_owned(),
    };
    if key.expose_secret().trim().is_empty() {
        return Err(invalid("it is empty", "check the step that should have written it"));
    }
    // Written by google-github-actions/auth: easily taken for a key, and no registry takes it.
    let kind = serde_json::from_str::<Kind>(key.expose_secret()).ok().and_then(|kind| kind.r#type);
    if kind.as_deref() == Some("external_account") {
        return Err(invalid(
            "it configures workload identity (`external_account`) and holds no key",
            "exchange it for an access token first, and give that as the access token",
        ));
    }
    Ok(Credential::Basic { username: "_json_key".to_owned(), password: key })
}

/// The whole file, byte for byte.
async fn read_text(file: &Path, what: &'static str) -> Result<SecretString, Error> {
    let unreadable = |source| Error::Read { what, file: file.to_owned(), source: Arc::new(source) };
    let bytes = tokio::fs::read(file).await.map_err(unreadable)?;
    String::from_utf8(bytes).map(SecretString::from).map_err(|_| Error::Invalid {
        place: format!("the {what} in {}", file.display()),
        problem: "it is not text".to_owned(),
        hint: "check that the path names the right file".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::exposed;

    async fn read(login: Login) -> Result<String, String> {
        match login.credential().await {
            Ok(credential) => Ok(exposed(&credential.unwrap())),
            Err(error) => Err(format!("{error}; {}", error.hint())),
        }
    }

    #[tokio::test]
    async fn a_json_key_is_kept_byte_for_byte_and_a_token_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "{\"type\": \"service_account\"}\n").unwrap();
        let key = read(Login::JsonKey(file.clone())).await;
        assert_eq!(key.unwrap(), "basic _json_key:{\"type\": \"service_account\"}\n");

        std::fs::write(&file, "ya29.token\r\n").unwrap();
        let token = read(Login::AccessToken(Secret::File(file.clone()))).await;
        assert_eq!(token.unwrap(), "bearer ya29.token");
        let text = Secret::Text(SecretString::from("ya29.token\n"));
        assert_eq!(read(Login::AccessToken(text)).await.unwrap(), "bearer ya29.token");
        let password = Secret::File(file);
        let basic = Login::Basic { username: "u".into(), password };
        assert_eq!(read(basic).await.unwrap(), "basic u:ya29.token");
    }

    #[tokio::test]
    async fn errors_name_the_file_and_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, content).unwrap();
            file
        };
        let missing = folder.path().join("missing");
        let federated = br#"{"type": "external_account", "audience": "hunter2"}"#;
        let table = [
            (Login::JsonKey(missing.clone()), "cannot read the JSON key from /"),
            (Login::AccessToken(Secret::File(missing)), "missing; correct the path"),
            (Login::JsonKey(file("federated", federated)), "give that as the access token"),
            (Login::JsonKey(file("empty", b"\n")), "empty cannot be used: it is empty"),
            (Login::AccessToken(Secret::Text("\n".into())), "the access token cannot be used"),
            (Login::IdentityToken(Secret::File(file("binary", b"\xff"))), "it is not text"),
        ];
        for (login, expected) in table {
            let error = read(login).await.unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let password = Secret::Text(SecretString::from("hunter2"));
        let login = Login::Basic { username: "u".into(), password };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
