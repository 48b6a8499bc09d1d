//! [`Environment`]: the variables that say where keys and credentials are, as somebody else looks
//! them up.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

/// Answers for the environment's variables, by name. An empty variable counts as not set.
#[derive(Clone)]
pub(crate) struct Environment(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

impl Environment {
    pub(crate) fn from_lookup(
        lookup: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }

    /// A variable's text; none if it is not set, or is no Unicode.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?.into_string().ok()?;
        Some(value).filter(|value| !value.is_empty())
    }

    /// The text of the first of these variables that is set.
    pub(crate) fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    /// A variable that nobody may see.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    /// A variable that may be set to nothing, as a password may.
    pub(crate) fn secret_or_empty(&self, name: &str) -> Option<SecretString> {
        (self.0)(name)?.into_string().ok().map(SecretString::from)
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        (self.0)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// A path below the user's home folder, where there is one.
    pub(crate) fn in_home(&self, below: &str) -> Option<PathBuf> {
        let home = self.path("HOME").or_else(|| self.path("USERPROFILE"))?;
        Some(home.join(below))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}
