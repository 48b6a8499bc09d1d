//! [`AzureRegistry`]: a token of Azure's for one of a registry's own.
//!
//! <https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md>: a token of Microsoft Entra is exchanged for
//! a refresh token, which the registry's token server takes for what is asked there.

use std::time::Duration;

use oci::Host;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{AzureCloud, AzureCredentials, AzureSettings};
use crate::Credential;
use crate::cloud::{CloudError, CloudErrorKind, Http, Reach, Timed};
use crate::variables::Variables;

/// What a token for a registry is for, in all clouds (Azure SDK for Go, `azcontainerregistry`,
/// `cloud_config.go`).
const AUDIENCE: &str = "https://containerregistry.azure.net";
/// Refresh tokens are good for three hours; so long a token is used, whatever the machine's clock says.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A registry, and who we are to Azure.
#[derive(Debug)]
pub(crate) struct AzureRegistry {
    http: Http,
    credentials: AzureCredentials,
    host: Host,
    exchange: Url,
}

#[derive(Deserialize)]
struct ExchangeAnswer {
    refresh_token: SecretString,
}

impl AzureRegistry {
    /// The cloud of a host that is one of Azure's registries.
    pub(crate) fn cloud(host: &Host) -> Option<AzureCloud> {
        let clouds = [
            (".azurecr.io", AzureCloud::Public),
            (".azurecr.us", AzureCloud::Government),
            (".azurecr.cn", AzureCloud::China),
        ];
        clouds.into_iter().find_map(|(end, cloud)| host.as_str().ends_with(end).then_some(cloud))
    }

    /// The registry `host`, reached at `endpoint` where it is not at its name.
    pub(crate) fn new(
        host: &Host,
        endpoint: Option<&Url>,
        settings: &AzureSettings,
        variables: &Variables,
    ) -> Result<Self, CloudError> {
        let cloud = Self::cloud(host).unwrap_or(AzureCloud::Public);
        let invalid = || {
            let message = format!("`{host}` has no address for a token");
            CloudError::new(CloudErrorKind::Invalid, message)
        };
        let base = match endpoint {
            Some(endpoint) => endpoint.clone(),
            None => Url::parse(&format!("https://{host}/")).map_err(|_| invalid())?,
        };
        Ok(Self {
            http: Http::new("Azure Container Registry", Reach::Outside(None))?,
            credentials: AzureCredentials::new(cloud, AUDIENCE.to_owned(), settings, variables)?,
            host: host.clone(),
            exchange: base.join("/oauth2/exchange").map_err(|_| invalid())?,
        })
    }

    pub(crate) async fn authorization(&self) -> Result<Timed<Credential>, CloudError> {
        let token = self.credentials.token().await?;
        let service = self.host.name();
        let form: [(&str, &str); 3] = [
            ("grant_type", "access_token"),
            ("service", service),
            ("access_token", token.value().expose_secret()),
        ];
        let request = self.http.post(self.exchange.clone()).form(&form);
        let what = format!("when asked for a token for `{}`", self.host);
        let answer: ExchangeAnswer =
            self.http.send(request).await?.json(&what).map_err(|error| match error.kind() {
                CloudErrorKind::Denied => error.with_hint(
                    "grant the identity a role on the registry, such as `AcrPull` or `AcrPush`",
                ),
                _ => error,
            })?;
        Ok(Timed::new(Credential::IdentityToken(answer.refresh_token), LIFETIME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_tells_its_cloud() {
        let table = [
            ("team.azurecr.io", Some(AzureCloud::Public)),
            ("team.azurecr.us", Some(AzureCloud::Government)),
            ("team.azurecr.cn", Some(AzureCloud::China)),
            ("azurecr.io", None),
            ("team.azurecr.io.evil.example", None),
        ];
        for (host, expected) in table {
            assert_eq!(AzureRegistry::cloud(&host.parse().unwrap()), expected, "{host}");
        }
    }
}
