//! [`Environment`]: the variables that say where credentials lie, read once at the program's edge.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::variables::Variables;

/// The variables that name places of credentials. An empty variable counts as not set.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `DOCKER_AUTH_CONFIG`: the text of a `config.json` (GitLab's runner; Docker since 28.3).
    pub docker_auth_config: Option<SecretString>,
    /// `REGISTRY_AUTH_FILE`: an `auth.json` (Podman, Buildah, Skopeo).
    pub registry_auth_file: Option<PathBuf>,
    /// `DOCKER_CONFIG`: the folder of `config.json`.
    pub docker_config: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`: the folder of `containers/auth.json`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`: the next folder of `containers/auth.json`.
    pub xdg_config_home: Option<PathBuf>,
    /// `HOME`, or `USERPROFILE` where that is what the system sets.
    pub home: Option<PathBuf>,
    /// `PATH`: the folders in which credential helpers are looked for.
    pub path: Option<OsString>,
    /// What clouds' own tools read.
    pub variables: Variables,
}

impl Environment {
    /// The environment of this process.
    pub fn of_this_process() -> Self {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// The environment that `lookup` answers from, by the variables' names.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        let text = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        Self {
            docker_auth_config: text("DOCKER_AUTH_CONFIG")
                .map(|value| SecretString::from(value.to_string_lossy().into_owned())),
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            docker_config: path("DOCKER_CONFIG"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
            home: path("HOME").or_else(|| path("USERPROFILE")),
            path: text("PATH"),
            variables: Variables::from_lookup(lookup),
        }
    }

    /// The files that may hold credentials, in the order in which they are asked.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let in_home = |below: &str| self.home.as_ref().map(|home| home.join(below));
        let join = |folder: &Option<PathBuf>, below: &str| {
            folder.as_deref().map(|folder: &Path| folder.join(below))
        };
        let mut files: Vec<PathBuf> = [
            self.registry_auth_file.clone(),
            join(&self.docker_config, "config.json").or_else(|| in_home(".docker/config.json")),
            join(&self.xdg_runtime_dir, "containers/auth.json"),
            join(&self.xdg_config_home, "containers/auth.json"),
            in_home(".config/containers/auth.json"),
        ]
        .into_iter()
        .flatten()
        .collect();
        files.dedup();
        files
    }

    /// Whether the file's place was said by a variable of its own, not only derived from `HOME`:
    /// then it is an error if we may not read it.
    pub(crate) fn names(&self, file: &Path) -> bool {
        self.registry_auth_file.as_deref() == Some(file)
            || self.docker_config.as_ref().is_some_and(|folder| file.starts_with(folder))
    }

    /// The program with this name in the first folder of `PATH` that has it.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        std::env::split_paths(self.path.as_ref()?)
            .map(|folder| folder.join(&file))
            .find(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn environment(variables: Pairs<'_>) -> Environment {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Environment::from_lookup(move |name| {
            variables.iter().find(|(key, _)| key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_usual_places_in_their_order() {
        let table: [(Pairs<'_>, &[&str]); 5] = [
            (&[], &[]),
            (&[("HOME", "/h")], &["/h/.docker/config.json", "/h/.config/containers/auth.json"]),
            (
                &[("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("XDG_RUNTIME_DIR", "/run/user/1")],
                &[
                    "/d/config.json",
                    "/run/user/1/containers/auth.json",
                    "/h/.config/containers/auth.json",
                ],
            ),
            (
                &[
                    ("REGISTRY_AUTH_FILE", "/r.json"),
                    ("XDG_CONFIG_HOME", "/h/.config"),
                    ("HOME", "/h"),
                ],
                &["/r.json", "/h/.docker/config.json", "/h/.config/containers/auth.json"],
            ),
            (
                &[("HOME", ""), ("USERPROFILE", "/u"), ("DOCKER_CONFIG", "")],
                &["/u/.docker/config.json", "/u/.config/containers/auth.json"],
            ),
        ];
        for (variables, files) in table {
            let expected: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            assert_eq!(environment(variables).files(), expected, "{variables:?}");
        }
    }

    #[test]
    fn the_text_of_docker_auth_config_is_not_shown() {
        let environment = environment(&[("DOCKER_AUTH_CONFIG", "hunter2")]);
        assert!(environment.docker_auth_config.is_some());
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
