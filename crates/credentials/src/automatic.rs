//! What the environment says of who we are at a registry that nobody gave a login for.
//!
//! A cloud is asked only for its own registries, and only where a variable, a file or the machine itself
//! shows that it is meant: a public image of somebody else's must neither fail nor wait for it.

use oci::{EcrRegistry, Host};
use secrecy::{ExposeSecret, SecretString};

use crate::aws::IdentitySettings;
use crate::azure::{self, AzureRegistry, AzureSettings};
use crate::doors::Door;
use crate::google::{self, GoogleSettings};
use crate::key::is_same;
use crate::variables::Variables;
use crate::{Credential, gitlab};

/// A way in that the environment shows.
#[derive(Debug)]
pub(crate) enum Automatic {
    /// The credential itself, and the variables it is of.
    Here(Credential, &'static str),
    /// A cloud that gives one. Where only the machine speaks for it, a cloud that gives none is no mistake:
    /// it may have given us no identity.
    Cloud { door: Door, place: &'static str, only_machine: bool },
}

/// Whether this machine is a cloud's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) is_google: bool,
    pub(crate) is_azure: bool,
}

impl Machine {
    pub(crate) fn here(variables: &Variables) -> Self {
        Self { is_google: google::is_here(variables), is_azure: azure::is_here() }
    }
}

/// The way in to a registry, if there is one. Asks nobody.
pub(crate) fn way_in(
    host: &Host,
    variables: &Variables,
    machine: impl FnOnce() -> Machine,
) -> Option<Automatic> {
    // A private registry of ECR lets nobody in without a token.
    if EcrRegistry::of_host(host).is_some() {
        let door = Door::Aws(IdentitySettings::default());
        return Some(Automatic::Cloud { door, place: "the identity at AWS", only_machine: false });
    }
    if google::is_registry(host) {
        let is_meant = google::are_meant(variables);
        let door = Door::Google(GoogleSettings::default());
        let place = "Google's application default credentials";
        return (is_meant || machine().is_google).then_some(Automatic::Cloud {
            door,
            place,
            only_machine: !is_meant,
        });
    }
    if AzureRegistry::cloud(host).is_some() {
        let is_meant = azure::are_meant(variables);
        let door = Door::Azure(AzureSettings::default());
        return (is_meant || machine().is_azure).then_some(Automatic::Cloud {
            door,
            place: "the identity at Azure",
            only_machine: !is_meant,
        });
    }
    let name = host.name();
    if is_same(host, "ghcr.io") {
        // https://docs.github.com/actions/reference/workflows-and-actions/variables: GITHUB_ACTOR is set
        // in every workflow; a token is, where its author hands it on.
        let token = secret(variables, &["GITHUB_TOKEN", "GH_TOKEN"])?;
        let actor = variables.text("GITHUB_ACTOR")?;
        return Some(Automatic::Here(basic(&actor, token), "GITHUB_TOKEN and GITHUB_ACTOR"));
    }
    if name == "icr.io" || name.ends_with(".icr.io") {
        // https://cloud.ibm.com/docs/Registry?topic=Registry-registry_access
        let key = secret(variables, &["IBMCLOUD_API_KEY", "IC_API_KEY"])?;
        return Some(Automatic::Here(basic("iamapikey", key), "IBMCLOUD_API_KEY"));
    }
    let (credential, place) = gitlab::job(host, variables)?;
    Some(Automatic::Here(credential, place))
}

/// The first of these variables that is set, without line ends after it.
pub(crate) fn secret(variables: &Variables, names: &[&str]) -> Option<SecretString> {
    let secret = names.iter().find_map(|name| variables.secret(name))?;
    Some(SecretString::from(secret.expose_secret().trim_end_matches(['\r', '\n'])))
}

pub(crate) fn basic(username: &str, password: SecretString) -> Credential {
    Credential::Basic { username: username.to_owned(), password }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::exposed;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    const NOWHERE: Machine = Machine { is_google: false, is_azure: false };

    /// The way in, in words.
    fn way(host: &str, variables: Pairs<'_>, machine: Machine) -> String {
        let owned: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let variables = Variables::from_lookup(move |name| {
            owned.iter().find(|(known, _)| known == name).map(|(_, value)| value.into())
        });
        match way_in(&host.parse().unwrap(), &variables, || machine) {
            None => "none".into(),
            Some(Automatic::Here(credential, _)) => exposed(&credential),
            Some(Automatic::Cloud { door, only_machine, .. }) => {
                let cloud = match door {
                    Door::Aws(_) => "aws",
                    Door::Google(_) => "google",
                    Door::Azure(_) => "azure",
                };
                format!("{cloud}{}", if only_machine { " maybe" } else { "" })
            }
        }
    }

    #[test]
    fn a_door_is_tried_only_where_something_shows_that_it_is_meant() {
        let google = [("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")];
        let azure = [
            ("AZURE_CLIENT_ID", "i"),
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/f"),
        ];
        let github = [("GITHUB_TOKEN", "t\n"), ("GITHUB_ACTOR", "octocat")];
        let both = Machine { is_google: true, is_azure: true };
        let table: [(&str, Pairs<'_>, Machine, &str); 22] = [
            ("111122223333.dkr.ecr.eu-west-1.amazonaws.com", &[], NOWHERE, "aws"),
            ("public.ecr.aws", &[], NOWHERE, "none"),
            ("gcr.io", &[], NOWHERE, "none"),
            ("gcr.io", &google, NOWHERE, "google"),
            ("eu.gcr.io", &[("GCE_METADATA_HOST", "x")], NOWHERE, "google"),
            ("europe-docker.pkg.dev", &[], both, "google maybe"),
            ("europe-docker.pkg.dev", &google, both, "google"),
            ("gcr.io.evil.example", &google, both, "none"),
            ("team.azurecr.io", &[], NOWHERE, "none"),
            ("team.azurecr.io", &azure, NOWHERE, "azure"),
            ("team.azurecr.cn", &azure[..2], NOWHERE, "none"),
            ("team.azurecr.us", &[], both, "azure maybe"),
            ("ghcr.io", &github, both, "basic octocat:t"),
            ("ghcr.io:443", &github, both, "basic octocat:t"),
            ("ghcr.io", &github[..1], both, "none"),
            ("docker.io", &github, both, "none"),
            ("de.icr.io", &[("IC_API_KEY", "k")], NOWHERE, "basic iamapikey:k"),
            ("icr.io", &[("IBMCLOUD_API_KEY", "k")], NOWHERE, "basic iamapikey:k"),
            ("icr.io", &[], NOWHERE, "none"),
            ("noticr.io", &[("IC_API_KEY", "k")], NOWHERE, "none"),
            ("quay.io", &github, both, "none"),
            ("registry.example", &google, both, "none"),
        ];
        for (host, variables, machine, expected) in table {
            assert_eq!(way(host, variables, machine), expected, "{host} {variables:?}");
        }
    }
}
