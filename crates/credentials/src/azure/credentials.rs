//! [`AzureCredentials`]: who we are to Azure.
//!
//! In the order of the SDKs' `DefaultAzureCredential`
//! (<https://learn.microsoft.com/azure/developer/go/sdk/authentication/credential-chains>): a client's
//! secret, a workload's token, the managed identity of the machine, the login of `az`. Own, and not
//! `azure_identity`: 1.0 has each of these ways but not their order, and brings eighteen crates for what
//! is one request each.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::process::Command;

use crate::cloud::{CloudError, CloudErrorKind, Http, Reach, Token};
use crate::variables::Variables;

const SERVICE: &str = "Azure's token service";

/// One of Azure's clouds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AzureCloud {
    /// The one that is meant where none is named.
    Public,
    /// US Government.
    Government,
    /// China, operated by 21Vianet.
    China,
}

impl AzureCloud {
    /// Where its tokens are had, unless `AZURE_AUTHORITY_HOST` says otherwise.
    /// <https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>
    fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::Government => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }
}

/// What differs from what the variables says.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct AzureSettings {
    /// The application, or the managed identity, instead of `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// The tenant instead of `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
}

/// Where tokens come from.
#[derive(Debug)]
pub struct AzureCredentials {
    http: Http,
    machine: Http,
    source: Source,
    /// What the token is for.
    audience: String,
}

#[derive(Debug)]
enum Source {
    /// An application, with what proves that we are it.
    Client { server: Url, id: String, proof: Proof },
    /// App Service, Container Apps, Functions.
    AppService { server: Url, header: SecretString, id: Option<String> },
    /// A virtual machine; if there is none, who logged in with `az`.
    MachineOrUser { server: Url, id: Option<String> },
}

#[derive(Debug)]
enum Proof {
    Secret(SecretString),
    /// A token of the workload's own platform; read for each use, because it is rotated.
    TokenFile(PathBuf),
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    expires_in: Seconds,
}

/// The token service says a number, the metadata service a text of digits.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserAnswer {
    access_token: SecretString,
}

impl AzureCredentials {
    /// Credentials for what `audience` names, a URL without a path. Asks nobody yet.
    ///
    /// # Errors
    /// A setting that is missing or cannot be read, or no HTTP client can be made.
    pub fn new(
        cloud: AzureCloud,
        audience: String,
        settings: &AzureSettings,
        variables: &Variables,
    ) -> Result<Self, CloudError> {
        Ok(Self {
            http: Http::new(SERVICE, Reach::Outside(None))?,
            machine: Http::new("Azure's metadata service", Reach::Here)?,
            source: source(cloud, settings, variables)?,
            audience,
        })
    }

    /// A new token.
    ///
    /// # Errors
    /// There are no credentials, or they are refused.
    pub async fn token(&self) -> Result<Token, CloudError> {
        match &self.source {
            Source::Client { server, id, proof } => self.token_of_client(server, id, proof).await,
            Source::AppService { server, header, id } => {
                // https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
                let url = self.identity_url(server, "2019-08-01", id.as_deref());
                let request = self.machine.get(url);
                let request = request.header("X-IDENTITY-HEADER", header.expose_secret());
                self.token_of_machine(request).await
            }
            Source::MachineOrUser { server, id } => {
                // https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
                let url = self.identity_url(server, "2018-02-01", id.as_deref());
                let request = self.machine.get(url).header("Metadata", "true");
                match self.token_of_machine(request).await {
                    Ok(token) => Ok(token),
                    Err(machine) => self.token_of_user().await.ok_or_else(|| {
                        denied(format!("there are no credentials for Azure: {machine}"))
                    }),
                }
            }
        }
    }

    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
    async fn token_of_client(
        &self,
        server: &Url,
        id: &str,
        proof: &Proof,
    ) -> Result<Token, CloudError> {
        let scope = format!("{}/.default", self.audience);
        let mut form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", id.to_owned()),
            ("scope", scope),
        ];
        match proof {
            Proof::Secret(secret) => {
                form.push(("client_secret", secret.expose_secret().to_owned()));
            }
            Proof::TokenFile(file) => {
                let token = std::fs::read_to_string(file).map_err(|error| {
                    let file = file.display();
                    invalid(format!("the workload's token cannot be read from {file}: {error}"))
                        .with_hint("correct AZURE_FEDERATED_TOKEN_FILE")
                })?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.push(("client_assertion_type", kind.to_owned()));
                form.push(("client_assertion", token.trim().to_owned()));
            }
        }
        let answer = self.http.send(self.http.post(server.clone()).form(&form)).await?;
        // RFC 6749, section 5.2: refused credentials are a 400 or a 401.
        if answer.status == 400 {
            return Err(denied(answer.refusal("when asked for a token").to_string()));
        }
        let answer: TokenAnswer = answer.json("when asked for a token")?;
        Ok(answer.into_token())
    }

    async fn token_of_machine(&self, request: RequestBuilder) -> Result<Token, CloudError> {
        let answer = self.machine.send(request).await?;
        let answer: TokenAnswer = answer.json("when asked for a token")?;
        Ok(answer.into_token())
    }

    async fn token_of_user(&self) -> Option<Token> {
        let arguments = ["account", "get-access-token", "--output", "json", "--resource"];
        let mut command = Command::new("az");
        command.args(arguments).arg(&self.audience).kill_on_drop(true);
        command.stdin(std::process::Stdio::null());
        let ended = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
        let output = ended.ok()?.ok().filter(|output| output.status.success())?;
        let answer: UserAnswer = serde_json::from_slice(&output.stdout).ok()?;
        // `az` renews its tokens when they have five minutes left.
        Some(Token::new(answer.access_token, Duration::from_secs(300)))
    }

    fn identity_url(&self, server: &Url, version: &str, id: Option<&str>) -> Url {
        let mut url = server.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("api-version", version).append_pair("resource", &self.audience);
        query.extend_pairs(id.map(|id| ("client_id", id)));
        drop(query);
        url
    }
}

impl TokenAnswer {
    fn into_token(self) -> Token {
        let seconds = match self.expires_in {
            Seconds::Number(seconds) => seconds,
            Seconds::Text(text) => text.parse().unwrap_or_default(),
        };
        Token::new(self.access_token, Duration::from_secs(seconds))
    }
}

/// Whether the variables says that there are credentials, without a look at the machine.
pub(crate) fn are_meant(variables: &Variables) -> bool {
    let is_set = |name: &str| variables.text(name).is_some();
    let has_proof = is_set("AZURE_CLIENT_SECRET") || is_set("AZURE_FEDERATED_TOKEN_FILE");
    (has_proof && is_set("AZURE_CLIENT_ID") && is_set("AZURE_TENANT_ID"))
        || (is_set("IDENTITY_ENDPOINT") && is_set("IDENTITY_HEADER"))
        || is_set("AZURE_POD_IDENTITY_AUTHORITY_HOST")
}

fn source(
    cloud: AzureCloud,
    settings: &AzureSettings,
    variables: &Variables,
) -> Result<Source, CloudError> {
    let given =
        |setting: &Option<String>, name: &str| setting.clone().or_else(|| variables.text(name));
    let tenant = given(&settings.tenant_id, "AZURE_TENANT_ID");
    let id = given(&settings.client_id, "AZURE_CLIENT_ID");
    let secret = variables.secret("AZURE_CLIENT_SECRET").map(Proof::Secret);
    let token_file = variables.path("AZURE_FEDERATED_TOKEN_FILE").map(Proof::TokenFile);
    if let Some(proof) = secret.or(token_file) {
        let (Some(tenant), Some(id)) = (tenant, id) else {
            return Err(invalid("it is not known who we are to Azure".to_owned())
                .with_hint("set AZURE_TENANT_ID and AZURE_CLIENT_ID beside the secret or token"));
        };
        let authority = variables.text("AZURE_AUTHORITY_HOST");
        let mut server =
            url("AZURE_AUTHORITY_HOST", authority.as_deref().unwrap_or(cloud.authority()))?;
        server
            .path_segments_mut()
            .map_err(|()| invalid("AZURE_AUTHORITY_HOST is no URL".to_owned()))?
            .pop_if_empty()
            .extend([tenant.as_str(), "oauth2", "v2.0", "token"]);
        return Ok(Source::Client { server, id, proof });
    }
    if variables.text("AZURE_CLIENT_CERTIFICATE_PATH").is_some() {
        let message = "a client certificate is no way to log in to Azure here";
        return Err(CloudError::new(CloudErrorKind::Unsupported, message).with_hint(
            "use a workload identity (AZURE_FEDERATED_TOKEN_FILE), a managed identity or \
             AZURE_CLIENT_SECRET",
        ));
    }
    let endpoint = variables.text("IDENTITY_ENDPOINT");
    if let Some((endpoint, header)) = endpoint.zip(variables.secret("IDENTITY_HEADER")) {
        return Ok(Source::AppService { server: url("IDENTITY_ENDPOINT", &endpoint)?, header, id });
    }
    let host = variables.text("AZURE_POD_IDENTITY_AUTHORITY_HOST");
    let host = host.as_deref().unwrap_or("http://169.254.169.254").trim_end_matches('/');
    let server = format!("{host}/metadata/identity/oauth2/token");
    Ok(Source::MachineOrUser { server: url("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server)?, id })
}

fn url(variable: &str, text: &str) -> Result<Url, CloudError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| invalid(format!("{variable} is no URL")))
}

fn denied(message: String) -> CloudError {
    CloudError::new(CloudErrorKind::Denied, message).with_hint(
        "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, use a workload identity or a \
         managed identity, or run `az login`",
    )
}

fn invalid(message: String) -> CloudError {
    CloudError::new(CloudErrorKind::Invalid, message)
}
