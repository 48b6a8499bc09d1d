//! [`GoogleCredentials`]: who we are to Google, as its "application default credentials" have it.
//!
//! <https://cloud.google.com/docs/authentication/application-default-credentials>: the file that
//! `GOOGLE_APPLICATION_CREDENTIALS` names, then the one that `gcloud auth application-default login`
//! wrote, then the metadata server. Own, and not `google-cloud-auth`: 1.18 makes its HTTP clients with
//! `reqwest::Client::new()`, which panics where the system has no CA bundle, as in an empty image.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::google::text;
use super::http::{Http, Reach};
use super::token::Token;
use crate::environment::Environment;
use crate::{SigningError, SigningErrorKind};

const SERVICE: &str = "Google's token service";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_SERVER: &str = "https://oauth2.googleapis.com/token";
const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// Where tokens come from.
#[derive(Debug)]
pub(crate) struct GoogleCredentials {
    http: Http,
    metadata: Http,
    metadata_host: String,
    source: Source,
    quota_project: Option<String>,
}

#[derive(Debug)]
enum Source {
    /// A file of credentials; read for each token, so that what is rotated is picked up.
    File(PathBuf),
    Metadata,
}

/// What a file of credentials can be (`type`), with what is used of it here. All of it is secret:
/// none of these is ever shown.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CredentialFile {
    ServiceAccount {
        client_email: String,
        private_key: SecretString,
        private_key_id: Option<String>,
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

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    #[serde(default)]
    expires_in: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImpersonationAnswer {
    access_token: SecretString,
}

/// How long an impersonated token is asked for, and a signed one is good.
const LIFETIME: Duration = Duration::from_secs(3600);

impl GoogleCredentials {
    pub(crate) fn new(environment: &Environment) -> Result<Self, SigningError> {
        let well_known = environment
            .path("CLOUDSDK_CONFIG")
            .or_else(|| environment.in_home(".config/gcloud"))
            .map(|folder| folder.join("application_default_credentials.json"))
            .filter(|file| file.is_file());
        let file = environment.path(FILE_VARIABLE).or(well_known);
        let host = environment.text("GCE_METADATA_HOST");
        Ok(Self {
            http: Http::new(SERVICE, Reach::Outside(None))?,
            metadata: Http::new("Google's metadata server", Reach::Here)?,
            metadata_host: host.unwrap_or_else(|| "metadata.google.internal".to_owned()),
            source: file.map_or(Source::Metadata, Source::File),
            quota_project: environment.text("GOOGLE_CLOUD_QUOTA_PROJECT"),
        })
    }

    /// The project whose quota is used, where that is said.
    pub(crate) fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// A new token.
    pub(crate) async fn token(&self) -> Result<Token, SigningError> {
        match &self.source {
            Source::File(file) => self.token_by(read(file)?).await,
            Source::Metadata => self.token_of_machine().await,
        }
    }

    async fn token_by(&self, file: CredentialFile) -> Result<Token, SigningError> {
        match file {
            CredentialFile::ImpersonatedServiceAccount {
                service_account_impersonation_url: url,
                source_credentials,
                delegates,
            } => {
                let own = self.token_of_file(*source_credentials).await?;
                self.impersonated(&url, &delegates, &own).await
            }
            other => self.token_of_file(other).await,
        }
    }

    /// A token by a file that needs no other credentials.
    async fn token_of_file(&self, file: CredentialFile) -> Result<Token, SigningError> {
        match file {
            CredentialFile::ServiceAccount { client_email, private_key, private_key_id } => {
                let token = signed_token(&client_email, &private_key, private_key_id.as_deref())?;
                Ok(Token::new(token, LIFETIME))
            }
            CredentialFile::AuthorizedUser {
                client_id,
                client_secret,
                refresh_token,
                token_uri,
            } => {
                let form: [(&str, &str); 4] = [
                    ("grant_type", "refresh_token"),
                    ("client_id", &client_id),
                    ("client_secret", client_secret.expose_secret()),
                    ("refresh_token", refresh_token.expose_secret()),
                ];
                self.exchange(token_uri.as_deref().unwrap_or(TOKEN_SERVER), &form).await
            }
            CredentialFile::ExternalAccount {
                audience,
                subject_token_type,
                token_url,
                credential_source,
                service_account_impersonation_url,
            } => {
                let subject = self.subject_token(&credential_source).await?;
                // https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
                let form: [(&str, &str); 6] = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                    ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                    ("audience", &audience),
                    ("scope", SCOPE),
                    ("subject_token_type", &subject_token_type),
                    ("subject_token", subject.expose_secret()),
                ];
                let token = self.exchange(&token_url, &form).await?;
                match service_account_impersonation_url {
                    Some(url) => self.impersonated(&url, &[], &token).await,
                    None => Ok(token),
                }
            }
            CredentialFile::ImpersonatedServiceAccount { .. } | CredentialFile::Other => {
                Err(unsupported("Google's credentials are of a type that is not supported")
                    .with_hint(
                        "service_account, authorized_user, external_account and \
                     impersonated_service_account of one of these are",
                    ))
            }
        }
    }

    async fn exchange(&self, server: &str, form: &[(&str, &str)]) -> Result<Token, SigningError> {
        let request = self.http.post(url(server)?).form(form);
        let answer = self.http.send(request).await?;
        // RFC 6749, section 5.2: refused credentials are a 400.
        if answer.status == 400 {
            let message = answer.refusal("when asked for a token").to_string();
            return Err(denied(message));
        }
        let answer: TokenAnswer = answer.json("when asked for a token")?;
        Ok(Token::new(answer.access_token, Duration::from_secs(answer.expires_in)))
    }

    /// <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>
    async fn impersonated(
        &self,
        server: &str,
        delegates: &[String],
        own: &Token,
    ) -> Result<Token, SigningError> {
        let lifetime = format!("{}s", LIFETIME.as_secs());
        let body = json!({ "scope": [SCOPE], "lifetime": lifetime, "delegates": delegates });
        let request = self.http.post(url(server)?);
        let request = request.bearer_auth(own.value().expose_secret()).json(&body);
        let answer: ImpersonationAnswer = self
            .http
            .send(request)
            .await?
            .json("when asked for a service account's token")
            .map_err(|error| match error.kind() {
                SigningErrorKind::Denied => error.with_hint(
                    "grant iam.serviceAccounts.getAccessToken on the service account, as \
                         roles/iam.serviceAccountTokenCreator does",
                ),
                _ => error,
            })?;
        Ok(Token::new(answer.access_token, LIFETIME))
    }

    /// What a workload shows to be exchanged for a token: a file, or what a URL says (AIP-4117).
    async fn subject_token(&self, source: &Value) -> Result<SecretString, SigningError> {
        let content = if let Some(file) = text(source, "file") {
            std::fs::read_to_string(file).map_err(|error| {
                invalid(format!("the workload's token cannot be read from {file}: {error}"))
            })?
        } else if let Some(address) = text(source, "url") {
            let mut request = self.http.get(url(address)?);
            let headers = source.get("headers").and_then(Value::as_object);
            for (name, value) in headers.into_iter().flatten() {
                request = request.header(name, value.as_str().unwrap_or_default());
            }
            let answer = self.http.send(request).await?;
            answer.text("when asked for the workload's token")?
        } else {
            return Err(unsupported("Google's external account is neither of a file nor of a URL")
                .with_hint("make its configuration with --credential-source-file or -url"));
        };
        let format = source.get("format").unwrap_or(&Value::Null);
        let token = if text(format, "type") == Some("json") {
            let field = text(format, "subject_token_field_name").unwrap_or_default();
            let content: Value = serde_json::from_str(&content).unwrap_or_default();
            text(&content, field).map(str::to_owned)
        } else {
            Some(content.trim().to_owned())
        };
        let token = token.filter(|token| !token.is_empty());
        token.map(SecretString::from).ok_or_else(|| invalid("the workload has no token".to_owned()))
    }

    /// <https://cloud.google.com/compute/docs/access/authenticate-workloads>
    async fn token_of_machine(&self) -> Result<Token, SigningError> {
        let host = &self.metadata_host;
        let address = "computeMetadata/v1/instance/service-accounts/default/token";
        let request = self.metadata.get(url(&format!("http://{host}/{address}"))?);
        let answer = self.metadata.send(request.header("Metadata-Flavor", "Google")).await;
        let answer: TokenAnswer =
            answer
                .and_then(|answer| answer.json("when asked for a token"))
                .map_err(|error| denied(format!("there are no credentials for Google: {error}")))?;
        Ok(Token::new(answer.access_token, Duration::from_secs(answer.expires_in)))
    }
}

fn read(file: &Path) -> Result<CredentialFile, SigningError> {
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

/// A token that a service account signs itself (AIP-4111).
fn signed_token(
    email: &str,
    key: &SecretString,
    key_id: Option<&str>,
) -> Result<SecretString, SigningError> {
    let unusable = || invalid("the service account's private key cannot be used".to_owned());
    let pem = pem::parse(key.expose_secret()).map_err(|_| unusable())?;
    let key = RsaKeyPair::from_pkcs8(pem.contents()).map_err(|_| unusable())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": key_id });
    let end = now + LIFETIME.as_secs();
    let claims = json!({ "iss": email, "sub": email, "scope": SCOPE, "iat": now, "exp": end });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
        .map_err(|_| unusable())?;
    Ok(SecretString::from(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

fn url(text: &str) -> Result<Url, SigningError> {
    Url::parse(text).map_err(|_| invalid("Google's credentials have a URL that is none".to_owned()))
}

fn denied(message: String) -> SigningError {
    SigningError::new(SigningErrorKind::Denied, message)
        .with_hint(format!("set {FILE_VARIABLE}, or run `gcloud auth application-default login`"))
}

fn invalid(message: String) -> SigningError {
    SigningError::new(SigningErrorKind::Invalid, message)
}

fn unsupported(message: &str) -> SigningError {
    SigningError::new(SigningErrorKind::Unsupported, message)
}
