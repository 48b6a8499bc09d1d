//! [`Login`]: a credential that was given for one host, in the sync file or on the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::aws::{AccessKey, IdentitySettings, SecretReference};
use crate::azure::AzureSettings;
use crate::doors::{Door, Doors};
use crate::google::GoogleSettings;
use crate::{Credential, Error};

/// How to come by the credential for a host. Files are read each time they are needed.
#[derive(Clone, Debug)]
pub enum Login {
    /// Show nothing, whatever the other places have.
    Anonymous,
    /// A user and a password.
    Basic {
        /// The user.
        username: Secret,
        /// The password.
        password: Secret,
    },
    /// A file of Google's credentials. The key of a service account is shown as it is: user `_json_key`,
    /// the whole file as password, byte for byte; all others are exchanged for a token.
    JsonKey(PathBuf),
    /// A bearer token that is sent as it is.
    AccessToken(Secret),
    /// A refresh token for the registry's token server.
    IdentityToken(Secret),
    /// The program `docker-credential-NAME`.
    Helper(String),
    /// The file of Docker's, or the `.dockerconfigjson` of Kubernetes', that has the login.
    DockerConfig(PathBuf),
    /// The folder where a Secret of Kubernetes is mounted.
    Kubernetes(PathBuf),
    /// Who we are to AWS: a token for its registry.
    Aws(IdentitySettings),
    /// The same, by an access key of AWS.
    AwsKey {
        /// Its id.
        id: Secret,
        /// Its secret.
        secret: Secret,
        /// What else differs.
        settings: IdentitySettings,
    },
    /// Who we are to Google: a token for its registry.
    Google(GoogleSettings),
    /// Who we are to Azure: a token for its registry.
    Azure(AzureSettings),
}

/// A secret, or where it lies. Line ends after it are not part of it.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The secret itself.
    Text(SecretString),
    /// A file that holds nothing else.
    File(PathBuf),
    /// A secret of AWS Secrets Manager.
    Aws(SecretReference),
}

/// What a login comes to.
pub(crate) enum Way {
    /// The credential itself.
    Credential(Credential),
    /// A cloud has to be asked.
    Door(Door),
    /// A program has to be asked.
    Helper(String),
    /// A file or folder has to be looked into.
    DockerConfig(PathBuf),
    Kubernetes(PathBuf),
}

impl Secret {
    /// The secret itself; an empty one is an error.
    pub(crate) async fn read(
        &self,
        what: &'static str,
        doors: &Doors,
    ) -> Result<SecretString, Error> {
        let (text, place) = match self {
            Self::Text(text) => (text.clone(), format!("the {what}")),
            Self::File(file) => {
                (read_text(file, what).await?, format!("the {what} in {}", file.display()))
            }
            Self::Aws(reference) => {
                let text = doors.secret(reference).await.map_err(Error::Cloud)?;
                (text, format!("the {what} in `{reference}`"))
            }
        };
        trimmed(&text, place)
    }

    /// Reads it again from where that is slow: it was refused.
    async fn refused(&self, doors: &Doors) {
        if let Self::Aws(reference) = self {
            doors.refused_secret(reference).await;
        }
    }
}

/// A secret without the line ends after it; an empty one is an error.
pub(crate) fn trimmed(text: &SecretString, place: String) -> Result<SecretString, Error> {
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

impl Login {
    /// The credential, or who has to be asked for it.
    pub(crate) async fn way(&self, doors: &Doors) -> Result<Way, Error> {
        Ok(Way::Credential(match self {
            Self::Anonymous => Credential::Anonymous,
            Self::Basic { username, password } => Credential::Basic {
                username: username.read("user name", doors).await?.expose_secret().to_owned(),
                password: password.read("password", doors).await?,
            },
            Self::JsonKey(file) => return json_key(file).await,
            Self::AccessToken(token) => {
                Credential::Bearer(token.read("access token", doors).await?)
            }
            Self::IdentityToken(token) => {
                Credential::IdentityToken(token.read("identity token", doors).await?)
            }
            Self::Helper(name) => return Ok(Way::Helper(name.clone())),
            Self::DockerConfig(file) => return Ok(Way::DockerConfig(file.clone())),
            Self::Kubernetes(folder) => return Ok(Way::Kubernetes(folder.clone())),
            Self::Aws(_) | Self::AwsKey { .. } => {
                return Ok(Way::Door(Door::Aws(self.at_aws(doors).await?)));
            }
            Self::Google(settings) => return Ok(Way::Door(Door::Google(settings.clone()))),
            Self::Azure(settings) => return Ok(Way::Door(Door::Azure(settings.clone()))),
        }))
    }

    /// Who we are to AWS: the default chain, unless this login says something of it.
    pub(crate) async fn at_aws(&self, doors: &Doors) -> Result<IdentitySettings, Error> {
        Ok(match self {
            Self::Aws(settings) => settings.clone(),
            Self::AwsKey { id, secret, settings } => {
                let id = id.read("id of an AWS access key", doors).await?;
                let secret = secret.read("secret of an AWS access key", doors).await?;
                let key = AccessKey { id: id.expose_secret().to_owned(), secret };
                IdentitySettings { access_key: Some(key), ..settings.clone() }
            }
            _ => IdentitySettings::default(),
        })
    }

    /// Reads again what is kept of secrets: they were refused.
    pub(crate) async fn refused(&self, doors: &Doors) {
        match self {
            Self::Basic { username, password } => {
                username.refused(doors).await;
                password.refused(doors).await;
            }
            Self::AwsKey { id, secret, .. } => {
                id.refused(doors).await;
                secret.refused(doors).await;
            }
            Self::AccessToken(token) | Self::IdentityToken(token) => token.refused(doors).await,
            _ => {}
        }
    }
}

async fn json_key(file: &Path) -> Result<Way, Error> {
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
    // What google-github-actions/auth and `gcloud` write is easily taken for a key, and no registry takes
    // it as one.
    let kind = serde_json::from_str::<Kind>(key.expose_secret()).ok().and_then(|kind| kind.r#type);
    let exchanged = ["external_account", "authorized_user", "impersonated_service_account"];
    if kind.is_some_and(|kind| exchanged.contains(&kind.as_str())) {
        let credentials_file = Some(file.to_owned());
        return Ok(Way::Door(Door::Google(GoogleSettings { credentials_file, impersonate: None })));
    }
    Ok(Way::Credential(Credential::Basic { username: "_json_key".to_owned(), password: key }))
}

/// The whole file, byte for byte.
pub(crate) async fn read_text(file: &Path, what: &'static str) -> Result<SecretString, Error> {
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
        match login.way(&Doors::default()).await {
            Ok(Way::Credential(credential)) => Ok(exposed(&credential)),
            Ok(_) => Ok("somebody has to be asked".to_owned()),
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
        let basic = Login::Basic { username: Secret::Text("u".into()), password };
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
        let table = [
            (Login::JsonKey(missing.clone()), "cannot read the JSON key from /"),
            (Login::AccessToken(Secret::File(missing)), "missing; correct the path"),
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

    #[tokio::test]
    async fn a_file_that_is_no_key_is_exchanged_for_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for kind in ["external_account", "authorized_user", "impersonated_service_account"] {
            std::fs::write(&file, format!(r#"{{"type": "{kind}"}}"#)).unwrap();
            let way = Login::JsonKey(file.clone()).way(&Doors::default()).await.unwrap();
            assert!(
                matches!(way, Way::Door(Door::Google(settings)) if settings.credentials_file.is_some()),
                "{kind}"
            );
        }
    }

    #[tokio::test]
    async fn an_access_key_is_read_anew_and_is_the_whole_identity() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access_secret");
        let login = Login::AwsKey {
            id: Secret::Text("AKIAEXAMPLE".into()),
            secret: Secret::File(file.clone()),
            settings: IdentitySettings::default(),
        };
        let mut found = Vec::new();
        for secret in ["before\n", "after\n", "after\n"] {
            std::fs::write(&file, secret).unwrap();
            let Ok(Way::Door(Door::Aws(settings))) = login.way(&Doors::default()).await else {
                panic!("AWS is asked");
            };
            let key = settings.access_key.clone().unwrap();
            assert_eq!(
                (key.id.as_str(), key.secret.expose_secret()),
                ("AKIAEXAMPLE", secret.trim())
            );
            assert!(!format!("{settings:?}").contains(secret.trim()));
            found.push(settings);
        }
        assert_ne!(found[0], found[1], "what is kept for the old key is not shown for the new one");
        assert_eq!(found[1], found[2]);
        std::fs::remove_file(file).unwrap();
        assert!(login.way(&Doors::default()).await.is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let password = Secret::Text(SecretString::from("hunter2"));
        let login = Login::Basic { username: Secret::Text("u".into()), password };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
