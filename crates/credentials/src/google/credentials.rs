//! [`GoogleCredentials`]: who we are to Google, as its "application default credentials" have it.
//!
//! <https://cloud.google.com/docs/authentication/application-default-credentials>: the file that
//! `GOOGLE_APPLICATION_CREDENTIALS` names, then the one that `gcloud auth application-default login`
//! wrote, then the metadata server. Own, and not `google-cloud-auth`: 1.18 makes its HTTP clients with
//! `reqwest::Client::new()`, which panics where the system has no CA bundle, as in an empty image.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::credential_file::{CredentialFile, FILE_VARIABLE, default_file};
use super::invalid;
use crate::cloud::{CloudError, CloudErrorKind, Http, Reach, Token};
use crate::variables::Variables;

const SERVICE: &str = "Google's token service";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_SERVER: &str = "https://oauth2.googleapis.com/token";
const IMPERSONATION_SERVER: &str = "https://iamcredentials.googleapis.com/";
/// Where that is instead: `gcloud`'s own variable for it.
const IMPERSONATION_VARIABLE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS";

/// What differs from the application default credentials.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct GoogleSettings {
    /// A file of credentials, of any type.
    pub credentials_file: Option<PathBuf>,
    /// The service account, by its e-mail address, that is acted as.
    pub impersonate: Option<String>,
}

/// Where tokens come from.
#[derive(Debug)]
pub struct GoogleCredentials {
    http: Http,
    metadata: Http,
    metadata_host: String,
    source: Source,
    quota_project: Option<String>,
    /// Where a token of the service account is had that is acted as.
    impersonation: Option<Url>,
}

/// What a service account's token is to be.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    /// One that it signs itself; Google's APIs take it.
    Signed,
    /// One that Google gives for that, which its registries take too.
    Given,
}

#[derive(Debug)]
enum Source {
    /// A file of credentials; read for each token, so that what is rotated is picked up.
    File(PathBuf),
    Metadata,
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
    /// Asks nobody yet.
    ///
    /// # Errors
    /// A setting that cannot be read, or no HTTP client can be made.
    pub fn new(settings: &GoogleSettings, variables: &Variables) -> Result<Self, CloudError> {
        let file = settings.credentials_file.clone().or_else(|| default_file(variables));
        let host = variables.text("GCE_METADATA_HOST");
        let impersonation = settings.impersonate.as_deref();
        let impersonation =
            impersonation.map(|account| impersonation_url(account, variables)).transpose()?;
        Ok(Self {
            http: Http::new(SERVICE, Reach::Outside(None))?,
            metadata: Http::new("Google's metadata server", Reach::Here)?,
            metadata_host: host.unwrap_or_else(|| "metadata.google.internal".to_owned()),
            source: file.map_or(Source::Metadata, Source::File),
            quota_project: variables.text("GOOGLE_CLOUD_QUOTA_PROJECT"),
            impersonation,
        })
    }

    /// The project whose quota is used, where that is said.
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// A new token for Google's APIs.
    ///
    /// # Errors
    /// There are no credentials, or they are refused.
    pub async fn token(&self) -> Result<Token, CloudError> {
        self.token_of(Form::Signed).await
    }

    /// A new token that Google itself has given, as its registries want it.
    ///
    /// # Errors
    /// As [`GoogleCredentials::token`].
    pub async fn access_token(&self) -> Result<Token, CloudError> {
        self.token_of(Form::Given).await
    }

    async fn token_of(&self, form: Form) -> Result<Token, CloudError> {
        // An account is acted as by one of Google's APIs.
        let own = if self.impersonation.is_some() { Form::Signed } else { form };
        let token = match &self.source {
            Source::File(file) => self.token_by(CredentialFile::read(file)?, own).await?,
            Source::Metadata => self.token_of_machine().await?,
        };
        match &self.impersonation {
            Some(server) => self.impersonated(server.clone(), &[], &token).await,
            None => Ok(token),
        }
    }

    async fn token_by(&self, file: CredentialFile, form: Form) -> Result<Token, CloudError> {
        match file {
            CredentialFile::ImpersonatedServiceAccount {
                service_account_impersonation_url: url,
                source_credentials,
                delegates,
            } => {
                let own = self.token_of_file(*source_credentials, Form::Signed).await?;
                self.impersonated(self::url(&url)?, &delegates, &own).await
            }
            other => self.token_of_file(other, form).await,
        }
    }

    /// A token by a file that needs no other credentials.
    async fn token_of_file(&self, file: CredentialFile, form: Form) -> Result<Token, CloudError> {
        match file {
            CredentialFile::ServiceAccount {
                client_email,
                private_key,
                private_key_id,
                token_uri,
            } => {
                let server = token_uri.as_deref().unwrap_or(TOKEN_SERVER);
                let audience = (form == Form::Given).then_some(server);
                let key_id = private_key_id.as_deref();
                let signed = signed_token(&client_email, &private_key, key_id, audience)?;
                if form == Form::Signed {
                    return Ok(Token::new(signed, LIFETIME));
                }
                // https://developers.google.com/identity/protocols/oauth2/service-account#httprest
                let form: [(&str, &str); 2] = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", signed.expose_secret()),
                ];
                self.exchange(server, &form).await
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
                    Some(server) => self.impersonated(url(&server)?, &[], &token).await,
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

    async fn exchange(&self, server: &str, form: &[(&str, &str)]) -> Result<Token, CloudError> {
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
        server: Url,
        delegates: &[String],
        own: &Token,
    ) -> Result<Token, CloudError> {
        let lifetime = format!("{}s", LIFETIME.as_secs());
        let body = json!({ "scope": [SCOPE], "lifetime": lifetime, "delegates": delegates });
        let request = self.http.post(server);
        let request = request.bearer_auth(own.value().expose_secret()).json(&body);
        let answer: ImpersonationAnswer = self
            .http
            .send(request)
            .await?
            .json("when asked for a service account's token")
            .map_err(|error| match error.kind() {
                CloudErrorKind::Denied => error.with_hint(
                    "grant iam.serviceAccounts.getAccessToken on the service account, as \
                         roles/iam.serviceAccountTokenCreator does",
                ),
                _ => error,
            })?;
        Ok(Token::new(answer.access_token, LIFETIME))
    }

    /// What a workload shows to be exchanged for a token: a file, or what a URL says (AIP-4117).
    async fn subject_token(&self, source: &Value) -> Result<SecretString, CloudError> {
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
    async fn token_of_machine(&self) -> Result<Token, CloudError> {
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

/// Whether the environment says that there are credentials, without a look at the machine.
pub(crate) fn are_meant(variables: &Variables) -> bool {
    default_file(variables).is_some() || variables.text("GCE_METADATA_HOST").is_some()
}

fn impersonation_url(account: &str, variables: &Variables) -> Result<Url, CloudError> {
    let server = variables.text(IMPERSONATION_VARIABLE);
    let mut url = url(server.as_deref().unwrap_or(IMPERSONATION_SERVER))?;
    url.path_segments_mut()
        .map_err(|()| invalid(format!("{IMPERSONATION_VARIABLE} is no URL")))?
        .pop_if_empty()
        .extend(["v1", "projects", "-", "serviceAccounts"])
        .push(&format!("{account}:generateAccessToken"));
    Ok(url)
}

/// A token that a service account signs itself, for all of Google's APIs (AIP-4111), or for a token server.
fn signed_token(
    email: &str,
    key: &SecretString,
    key_id: Option<&str>,
    audience: Option<&str>,
) -> Result<SecretString, CloudError> {
    let unusable = || invalid("the service account's private key cannot be used".to_owned());
    let pem = pem::parse(key.expose_secret()).map_err(|_| unusable())?;
    let key = RsaKeyPair::from_pkcs8(pem.contents()).map_err(|_| unusable())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": key_id });
    let end = now + LIFETIME.as_secs();
    let mut claims = json!({ "iss": email, "sub": email, "scope": SCOPE, "iat": now, "exp": end });
    if let Some(audience) = audience {
        claims["aud"] = audience.into();
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
        .map_err(|_| unusable())?;
    Ok(SecretString::from(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

fn url(text: &str) -> Result<Url, CloudError> {
    Url::parse(text).map_err(|_| invalid("Google's credentials have a URL that is none".to_owned()))
}

fn denied(message: String) -> CloudError {
    CloudError::new(CloudErrorKind::Denied, message)
        .with_hint(format!("set {FILE_VARIABLE}, or run `gcloud auth application-default login`"))
}

fn unsupported(message: &str) -> CloudError {
    CloudError::new(CloudErrorKind::Unsupported, message)
}

/// A text in an object of JSON.
fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}
