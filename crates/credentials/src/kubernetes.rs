//! A Secret of Kubernetes that is mounted as a folder: one file for each of its keys.
//!
//! <https://kubernetes.io/docs/concepts/configuration/secret/#secret-types>; `access_key` and
//! `access_secret` are the names that IBM's Image Sync has for a user and a password.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use crate::login::{read_text, trimmed};
use crate::{Credential, Error};

/// What a folder has.
pub(crate) enum Found {
    Credential(Credential),
    /// A file like Docker's.
    DockerConfig(PathBuf),
}

/// Looks for a login in a mounted Secret: `.dockerconfigjson`, a user and a password, or a token.
pub(crate) async fn look_into(folder: &Path) -> Result<Found, Error> {
    let docker_config = folder.join(".dockerconfigjson");
    if is_there(&docker_config).await {
        return Ok(Found::DockerConfig(docker_config));
    }
    for (username, password) in [("username", "password"), ("access_key", "access_secret")] {
        if is_there(&folder.join(username)).await && is_there(&folder.join(password)).await {
            let username = secret(folder, username).await?.expose_secret().to_owned();
            let password = secret(folder, password).await?;
            return Ok(Found::Credential(Credential::Basic { username, password }));
        }
    }
    if is_there(&folder.join("token")).await {
        return Ok(Found::Credential(Credential::Bearer(secret(folder, "token").await?)));
    }
    Err(Error::Invalid {
        place: format!("the Secret in {}", folder.display()),
        problem: "it has no login".to_owned(),
        hint: "mount one with `.dockerconfigjson`, with `username` and `password`, with `access_key` and \
               `access_secret`, or with `token`"
            .to_owned(),
    })
}

async fn secret(folder: &Path, key: &str) -> Result<secrecy::SecretString, Error> {
    let file = folder.join(key);
    let text = read_text(&file, "secret").await?;
    trimmed(&text, format!("the secret in {}", file.display()))
}

async fn is_there(file: &Path) -> bool {
    tokio::fs::try_exists(file).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::exposed;

    async fn found(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        match look_into(folder.path()).await {
            Ok(Found::Credential(credential)) => exposed(&credential),
            Ok(Found::DockerConfig(_)) => "docker config".to_owned(),
            Err(error) => format!("{error}; {}", error.hint()),
        }
    }

    #[tokio::test]
    async fn a_secret_is_read_in_every_form() {
        let table: [(&[(&str, &str)], &str); 6] = [
            (&[("username", "u\n"), ("password", "p\n")], "basic u:p"),
            (&[("access_key", "k"), ("access_secret", "s\r\n")], "basic k:s"),
            (&[("token", "t\n")], "bearer t"),
            (&[(".dockerconfigjson", "{}"), ("token", "t")], "docker config"),
            (&[("username", "u"), ("token", "t")], "bearer t"),
            (&[("username", "u"), ("password", "p"), ("token", "t")], "basic u:p"),
        ];
        for (files, expected) in table {
            assert_eq!(found(files).await, expected, "{files:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let error = found(&[("user", "u")]).await;
        assert!(error.contains("it has no login; mount one with"), "{error}");
        let error = found(&[("username", "u"), ("password", "\n")]).await;
        assert!(error.contains("password cannot be used: it is empty"), "{error}");
    }
}
