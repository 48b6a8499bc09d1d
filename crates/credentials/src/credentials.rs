//! [`Credentials`]: asks the places in their order.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use oci::{Host, Repository};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use crate::auth_file::{AuthFile, HelperName};
use crate::automatic::{Automatic, Machine, way_in};
use crate::cloud::CloudError;
use crate::credential_helper::Helpers;
use crate::doors::{Door, Doors};
use crate::key::{candidates, helper_servers};
use crate::login::{Way, read_text};
use crate::{Credential, Environment, Error, Login, Secret, aws, kubernetes};

/// Where credentials come from: logins given for hosts, then the places of an [`Environment`].
/// Clones share what helpers and clouds said.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    logins: BTreeMap<Host, Login>,
    /// The login for every host without one of its own.
    for_all: Option<Login>,
    endpoints: BTreeMap<Host, Url>,
    environment: Arc<Environment>,
    helpers: Helpers,
    doors: Doors,
    machine: Arc<OnceCell<Machine>>,
}

impl Credentials {
    /// The places that the environment names; an empty environment has none.
    pub fn new(environment: Environment) -> Self {
        Self { environment: Arc::new(environment), ..Self::default() }
    }

    /// Gives a login for a host; it goes before every other place, and replaces one given before.
    #[must_use]
    pub fn with(mut self, host: Host, login: Login) -> Self {
        self.logins.insert(host, login);
        self
    }

    /// Gives a login for every host that has none of its own.
    #[must_use]
    pub fn for_all(self, login: Login) -> Self {
        Self { for_all: Some(login), ..self }
    }

    /// Says that a registry is reached at another address than its name, which also has its token service
    /// (Azure).
    #[must_use]
    pub fn with_endpoint(mut self, host: Host, endpoint: Url) -> Self {
        self.endpoints.insert(host, endpoint);
        self
    }

    /// Fetches anew what is kept of a cloud for this host, unless that was fetched just now: a registry has
    /// refused it.
    pub async fn refused(&self, host: &Host) {
        self.doors.refused(host).await;
        if let Some((login, _)) = self.login(host) {
            login.refused(&self.doors).await;
        }
    }

    /// A secret that is for no registry, from wherever it is; `what` names it in errors.
    ///
    /// # Errors
    /// It cannot be read, or is empty.
    pub async fn reveal(&self, secret: &Secret, what: &'static str) -> Result<SecretString, Error> {
        secret.read(what, &self.doors).await
    }

    /// Who we are to AWS where its services are asked about a host: as was given for it, or as AWS's default
    /// chain says.
    ///
    /// # Errors
    /// A secret of what was given cannot be read, or is empty.
    pub async fn aws_identity(&self, host: &Host) -> Result<Arc<aws::Identity>, Error> {
        let settings = match self.login(host) {
            Some((login, _)) => login.at_aws(&self.doors).await?,
            None => aws::IdentitySettings::default(),
        };
        Ok(self.doors.identity(&settings))
    }

    /// The credential for a repository, or for the host where none is named.
    ///
    /// # Errors
    /// A place that is there but cannot be used is an error, also when a later place could answer:
    /// going on without it would show up as a refusal that nobody understands.
    pub async fn credential(
        &self,
        host: &Host,
        repository: Option<&Repository>,
    ) -> Result<Credential, Error> {
        let found = self.find(host, repository).await?;
        match &found {
            Some((credential, place)) => {
                tracing::debug!(%host, kind = credential.kind(), %place, "credential found");
            }
            None => tracing::debug!(%host, "no credential found; asking anonymously"),
        }
        Ok(found.map_or(Credential::Anonymous, |(credential, _)| credential))
    }

    /// The place that the credential for a repository comes from, for people; none where there is
    /// no credential.
    ///
    /// # Errors
    /// As [`Credentials::credential`].
    pub async fn place(
        &self,
        host: &Host,
        repository: Option<&Repository>,
    ) -> Result<Option<String>, Error> {
        Ok(self.find(host, repository).await?.map(|(_, place)| place))
    }

    /// The credential with the place it came from.
    async fn find(
        &self,
        host: &Host,
        repository: Option<&Repository>,
    ) -> Result<Option<(Credential, String)>, Error> {
        if let Some((login, place)) = self.login(host) {
            let credential = match login.way(&self.doors).await? {
                Way::Credential(credential) => credential,
                Way::Helper(name) => {
                    self.ask(&name, host, &place).await?.unwrap_or(Credential::Anonymous)
                }
                Way::Door(door) => self.open(host, &door).await.map_err(Error::Cloud)?,
                Way::DockerConfig(file) => self.in_docker_config(&file, host, repository).await?,
                Way::Kubernetes(folder) => match kubernetes::look_into(&folder).await? {
                    kubernetes::Found::Credential(credential) => credential,
                    kubernetes::Found::DockerConfig(file) => {
                        self.in_docker_config(&file, host, repository).await?
                    }
                },
            };
            return Ok(Some((credential, place)));
        }
        if let Some(content) = &self.environment.docker_auth_config {
            let place = "DOCKER_AUTH_CONFIG";
            let file = AuthFile::parse(content.expose_secret().as_bytes(), place)?;
            if let Some(credential) = self.in_file(&file, place, host, repository).await? {
                return Ok(Some((credential, place.to_owned())));
            }
        }
        for path in self.environment.files() {
            let Some(content) = self.read(&path).await? else { continue };
            let place = path.display().to_string();
            let file = AuthFile::parse(content.expose_secret(), &place)?;
            if let Some(credential) = self.in_file(&file, &place, host, repository).await? {
                return Ok(Some((credential, place)));
            }
        }
        self.by_itself(host).await
    }

    /// What the environment shows for the registries of clouds.
    async fn by_itself(&self, host: &Host) -> Result<Option<(Credential, String)>, Error> {
        let variables = &self.environment.variables;
        let machine = *self.machine.get_or_init(|| async { Machine::here(variables) }).await;
        let (door, place, only_machine) = match way_in(host, variables, || machine) {
            None => return Ok(None),
            Some(Automatic::Here(credential, place)) => {
                return Ok(Some((credential, place.to_owned())));
            }
            Some(Automatic::Cloud { door, place, only_machine }) => (door, place, only_machine),
        };
        match self.open(host, &door).await {
            Ok(credential) => Ok(Some((credential, place.to_owned()))),
            Err(error) if only_machine => {
                tracing::debug!(%error, "asking {host} without {place}");
                Ok(None)
            }
            Err(error) => Err(Error::Cloud(error)),
        }
    }

    async fn open(&self, host: &Host, door: &Door) -> Result<Credential, CloudError> {
        let variables = &self.environment.variables;
        self.doors.credential(host, door, self.endpoints.get(host), variables).await
    }

    /// The login for a host, and where it was given.
    fn login(&self, host: &Host) -> Option<(&Login, String)> {
        let own = candidates(host, None)
            .iter()
            .find_map(|name| self.logins.iter().find(|(host, _)| host.as_str() == name))
            .map(|(_, login)| (login, format!("the login given for {host}")));
        let for_all = || Some((self.for_all.as_ref()?, "the login given for this side".to_owned()));
        own.or_else(for_all)
    }

    /// What a file that was named for this host says; it must know it.
    async fn in_docker_config(
        &self,
        path: &Path,
        host: &Host,
        repository: Option<&Repository>,
    ) -> Result<Credential, Error> {
        let content = read_text(path, "credentials").await?;
        let place = path.display().to_string();
        let file = AuthFile::parse(content.expose_secret().as_bytes(), &place)?;
        let found = self.in_file(&file, &place, host, repository).await?;
        found.ok_or_else(|| Error::Invalid {
            place,
            problem: format!("it has no login for `{host}`"),
            hint: format!("write one, as `docker login {host}` does, or name another file"),
        })
    }

    /// What one file says: the host's own helper, the file's own entries, then the file's store.
    async fn in_file(
        &self,
        file: &AuthFile,
        place: &str,
        host: &Host,
        repository: Option<&Repository>,
    ) -> Result<Option<Credential>, Error> {
        let named_by = |helper: &HelperName<'_>| format!("{place} ({})", helper.key);
        if let Some(helper) = file.helper(host)
            && let Some(credential) = self.ask(helper.name, host, &named_by(&helper)).await?
        {
            return Ok(Some(credential));
        }
        if let Some(credential) = file.inline(host, repository, place)? {
            return Ok(Some(credential));
        }
        let Some(store) = file.store() else { return Ok(None) };
        match self.ask(store.name, host, &named_by(&store)).await {
            // A desktop's config in a container names a store that is not there. It cannot have a
            // login for a host that no `docker login` wrote down.
            Err(error @ Error::HelperMissing { .. }) if !file.mentions(host) => {
                tracing::warn!(%error, "asking {host} without the credential store");
                Ok(None)
            }
            answer => answer,
        }
    }

    async fn ask(
        &self,
        name: &str,
        host: &Host,
        named_by: &str,
    ) -> Result<Option<Credential>, Error> {
        for server in helper_servers(host) {
            let answer = self.helpers.get(name, &server, named_by, &self.environment).await?;
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }

    /// A file's content; none if it is not there.
    async fn read(&self, path: &Path) -> Result<Option<secrecy::SecretSlice<u8>>, Error> {
        let error = match tokio::fs::read(path).await {
            Ok(content) => return Ok(Some(content.into())),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
            // A container that runs as some other user may still have HOME=/root.
            ErrorKind::PermissionDenied if !self.environment.names(path) => {
                tracing::warn!(%error, "going on without the credentials of {}", path.display());
                Ok(None)
            }
            _ => Err(Error::Read {
                what: "credentials",
                file: path.to_owned(),
                source: Arc::new(error),
            }),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::path::PathBuf;

    use secrecy::SecretString;

    use super::*;
    use crate::Secret;
    use crate::credential::exposed;
    use crate::credential_helper::tests::write_program;

    /// A home with files and helpers in it.
    struct Home {
        folder: tempfile::TempDir,
    }

    impl Home {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Writes a file below the home; its `auths` have one user for `r.io`.
        fn login(&self, file: &str, user: &str) {
            self.write(file, &format!(r#"{{"auths":{{"r.io":{{"username":"{user}"}}}}}}"#));
        }

        fn write(&self, file: &str, content: &str) {
            let path = self.path(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }

        fn helper(&self, name: &str, script: &str) {
            std::fs::create_dir_all(self.path("bin")).unwrap();
            write_program(&self.path("bin").join(format!("docker-credential-{name}")), script);
        }

        fn environment(&self) -> Environment {
            Environment {
                home: Some(self.path("")),
                path: Some(self.path("bin").into()),
                xdg_runtime_dir: Some(self.path("run")),
                ..Environment::default()
            }
        }

        fn credentials(&self) -> Credentials {
            Credentials::new(self.environment())
        }
    }

    #[tokio::test]
    async fn a_credential_names_its_place_and_nobody_has_none() {
        let home = Home::new();
        home.login(".docker/config.json", "docker");
        let place = async |host: &str| {
            home.credentials().place(&host.parse().unwrap(), None).await.unwrap()
        };
        let file = home.path(".docker/config.json").display().to_string();
        assert_eq!(place("r.io").await, Some(file));
        assert_eq!(place("other.io").await, None);
    }

    async fn find(credentials: &Credentials, host: &str) -> String {
        match credentials.credential(&host.parse().unwrap(), None).await {
            Ok(credential) => exposed(&credential),
            Err(error) => format!("error: {error}"),
        }
    }

    #[tokio::test]
    async fn the_first_place_that_has_one_wins() {
        let home = Home::new();
        assert_eq!(find(&home.credentials(), "r.io").await, "anonymous");
        // From the last place to the first; each one wins over all that are there already.
        let mut environment = home.environment();
        for (file, user) in [
            (".config/containers/auth.json", "xdg-config"),
            ("run/containers/auth.json", "xdg-runtime"),
            (".docker/config.json", "docker"),
            ("elsewhere/config.json", "docker-config"),
            ("auth.json", "registry-auth-file"),
        ] {
            home.login(file, user);
            match user {
                "docker-config" => environment.docker_config = Some(home.path("elsewhere")),
                "registry-auth-file" => environment.registry_auth_file = Some(home.path(file)),
                _ => {}
            }
            let credentials = Credentials::new(environment.clone());
            assert_eq!(find(&credentials, "r.io").await, format!("basic {user}:"));
        }
        environment.docker_auth_config =
            Some(SecretString::from(r#"{"auths":{"r.io":{"username":"variable"}}}"#));
        let credentials = Credentials::new(environment);
        assert_eq!(find(&credentials, "r.io").await, "basic variable:");
        assert_eq!(find(&credentials, "other.io").await, "anonymous");

        let token = Login::AccessToken(Secret::Text("given".into()));
        let credentials = credentials.with("r.io".parse().unwrap(), token);
        assert_eq!(find(&credentials, "r.io").await, "bearer given");
        assert_eq!(find(&credentials, "r.io:443").await, "bearer given");
        assert_eq!(find(&credentials, "r.io:444").await, "anonymous");
        let credentials = credentials.with("r.io".parse().unwrap(), Login::Anonymous);
        assert_eq!(find(&credentials, "r.io").await, "anonymous");
    }

    #[tokio::test]
    async fn a_file_that_does_not_know_the_host_is_passed_over() {
        let home = Home::new();
        home.login(".docker/config.json", "docker");
        home.write(
            ".config/containers/auth.json",
            r#"{"auths":{"other.io/team":{"username":"u","password":"p"}}}"#,
        );
        let credentials = home.credentials();
        let other = "other.io".parse().unwrap();
        let team = "team/app".parse().unwrap();
        let found = credentials.credential(&other, Some(&team)).await.unwrap();
        assert_eq!(exposed(&found), "basic u:p");
        assert_eq!(find(&credentials, "other.io").await, "anonymous");
    }

    #[tokio::test]
    async fn a_rotated_secret_is_picked_up() {
        let home = Home::new();
        let credentials = home.credentials();
        for user in ["one", "two"] {
            home.login(".docker/config.json", user);
            assert_eq!(find(&credentials, "r.io").await, format!("basic {user}:"));
        }
        let token = Login::AccessToken(Secret::File(home.path("token")));
        let credentials = credentials.with("r.io".parse().unwrap(), token);
        for token in ["one", "two"] {
            home.write("token", token);
            assert_eq!(find(&credentials, "r.io").await, format!("bearer {token}"));
        }
    }

    #[tokio::test]
    async fn helpers_are_asked_before_and_stores_after_the_entries_of_a_file() {
        let home = Home::new();
        home.write(
            ".docker/config.json",
            r#"{"credsStore":"store","credHelpers":{"helped.io":"own","none.io":"none"},
                "auths":{"helped.io":{"username":"entry"},"none.io":{"username":"entry"},"store.io":{}}}"#,
        );
        home.helper("own", r#"echo '{"Username":"own","Secret":"s"}'"#);
        home.helper("none", "echo credentials not found in native keychain; exit 1");
        // It knows Docker Hub as `docker login` stores it, and no `store.io`.
        home.helper(
            "store",
            r#"read -r server
            case "$server" in
            https://index.docker.io/v1/) echo '{"Username":"<token>","Secret":"hub"}' ;;
            *) echo credentials not found in native keychain; exit 1 ;;
            esac"#,
        );
        let credentials = home.credentials();
        let table = [
            ("helped.io", "basic own:s"),
            ("none.io", "basic entry:"),
            ("store.io", "anonymous"),
            ("docker.io", "identity hub"),
        ];
        for (host, expected) in table {
            assert_eq!(find(&credentials, host).await, expected, "{host}");
        }
        let given = credentials.with("g.io".parse().unwrap(), Login::Helper("own".into()));
        assert_eq!(find(&given, "g.io").await, "basic own:s");
    }

    #[tokio::test]
    async fn a_missing_store_fails_only_hosts_that_have_a_login_in_it() {
        let home = Home::new();
        home.write(".docker/config.json", r#"{"credsStore":"desktop","auths":{"r.io":{}}}"#);
        let credentials = home.credentials();
        assert_eq!(find(&credentials, "public.io").await, "anonymous");
        let error = find(&credentials, "r.io").await;
        assert!(error.contains("docker-credential-desktop is not in PATH"), "{error}");
        assert!(error.contains(".docker/config.json (credsStore) names it for r.io"), "{error}");
    }

    #[tokio::test]
    async fn a_broken_place_is_an_error_that_names_it() {
        let home = Home::new();
        home.write(".docker/config.json", r#"{"auths":{"r.io":{"auth":"hunter2""#);
        let error = find(&home.credentials(), "other.io").await;
        assert!(error.contains(".docker/config.json cannot be used: it is not valid"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");

        let environment = Environment {
            docker_auth_config: Some(SecretString::from("hunter2")),
            ..Environment::default()
        };
        let error = find(&Credentials::new(environment), "r.io").await;
        assert!(error.contains("DOCKER_AUTH_CONFIG cannot be used"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");

        // A folder where a file should be.
        let home = Home::new();
        std::fs::create_dir_all(home.path(".docker/config.json")).unwrap();
        let error = find(&home.credentials(), "r.io").await;
        assert!(error.contains("cannot read the credentials from"), "{error}");
    }

    #[tokio::test]
    async fn nothing_shows_a_secret() {
        let secret = || Secret::Text(SecretString::from("hunter2"));
        let host: Host = "r.io".parse().unwrap();
        let basic = Login::Basic { username: Secret::Text("u".into()), password: secret() };
        for login in [basic, Login::AccessToken(secret()), Login::IdentityToken(secret())] {
            let credentials = Credentials::default().with(host.clone(), login);
            let credential = credentials.credential(&host, None).await.unwrap();
            assert!(exposed(&credential).contains("hunter2"), "the test looks at a secret");
            let shown = format!("{credentials:?} {credential:?} {credential:#?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
