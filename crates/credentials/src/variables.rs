//! [`Variables`]: the environment, as somebody else looks it up.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

/// Answers for the environment's variables, by name. An empty variable counts as not set.
#[derive(Clone)]
pub struct Variables(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

impl Variables {
    /// The variables that `lookup` answers for, by name.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// A variable's text; none if it is not set, or is no Unicode.
    pub fn text(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?.into_string().ok()?;
        Some(value).filter(|value| !value.is_empty())
    }

    /// The text of the first of these variables that is set.
    pub fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    /// A variable that nobody may see.
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    /// A variable that may be set to nothing, as a password may.
    pub fn secret_or_empty(&self, name: &str) -> Option<SecretString> {
        (self.0)(name)?.into_string().ok().map(SecretString::from)
    }

    /// A variable that names a file or a folder.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        (self.0)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// A path below the user's home folder, where there is one.
    pub fn in_home(&self, below: &str) -> Option<PathBuf> {
        let home = self.path("HOME").or_else(|| self.path("USERPROFILE"))?;
        Some(home.join(below))
    }
}

/// None at all.
impl Default for Variables {
    fn default() -> Self {
        Self::from_lookup(|_| None)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}
