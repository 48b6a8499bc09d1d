//! [`CredentialFile`]: a file of credentials of Google's, and where one lies that nobody names.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::invalid;
use crate::cloud::CloudError;
use crate::variables::Variables;

/// The variable that names the file.
pub(super) const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// What a file of credentials can be (`type`), with what is used of it here. All of it is secret:
/// none of these is ever shown.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum CredentialFile {
    ServiceAccount {
        client_email: String,
        private_key: SecretString,
        private_key_id: Option<String>,
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
        token_uri: Option<String>,
    },
    ExternalAccount {
        audience: String,
        subject_token_type: String,
        token_url: String,
        credential_source: Value,
        service_account_impersonation_url: Option<String>,
    },
    ImpersonatedServiceAccount {
        service_account_impersonation_url: String,
        source_credentials: Box<CredentialFile>,
        #[serde(default)]
        delegates: Vec<String>,
    },
    #[serde(other)]
    Other,
}

impl CredentialFile {
    /// Reads one, of any type.
    ///
    /// # Errors
    /// It cannot be read, or holds none.
    pub(super) fn read(file: &Path) -> Result<Self, CloudError> {
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            invalid(format!("Google's credentials cannot be read from {shown}: {error}"))
                .with_hint(format!("correct {FILE_VARIABLE}"))
        })?;
        // serde's errors quote what they read.
        serde_json::from_str(&text).map_err(|error| {
            let line = error.line();
            invalid(format!("{shown} holds no credentials of Google's (line {line})"))
        })
    }
}

/// The file that is used where none is named.
pub(super) fn default_file(variables: &Variables) -> Option<PathBuf> {
    let well_known = variables
        .path("CLOUDSDK_CONFIG")
        .or_else(|| variables.in_home(".config/gcloud"))
        .map(|folder| folder.join("application_default_credentials.json"))
        .filter(|file| file.is_file());
    variables.path(FILE_VARIABLE).or(well_known)
}
