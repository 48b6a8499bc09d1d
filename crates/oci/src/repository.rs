//! [`Repository`]: the path of a repository within a registry.

use std::fmt;
use std::str::FromStr;

use crate::InvalidName;
use crate::name::serde_as_text;

/// A repository name as the distribution spec defines it: components of lower-case letters and
/// digits, joined inside by `.`, `_`, `__` or dashes, separated by `/`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Repository(String);

/// Registries cap host and name together at 255 characters (distribution spec, "Pulling manifests").
const LONGEST: usize = 255;

impl Repository {
    /// The repository's path, without a leading or trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = InvalidName;

    fn from_str(input: &str) -> Result<Self, InvalidName> {
        let invalid = |problem: String| Err(InvalidName::new("repository name", input, problem));
        if input.is_empty() {
            return invalid("it is empty".into());
        }
        if input.len() > LONGEST {
            return invalid(format!("it has more than {LONGEST} characters"));
        }
        if input.bytes().any(|b| b.is_ascii_uppercase()) {
            return invalid(format!(
                "repository names are lower case; try `{}`",
                input.to_ascii_lowercase()
            ));
        }
        match input.split('/').find(|component| !is_component(component)) {
            Some("") => invalid("two slashes in a row, or one at an end".into()),
            Some(bad) => invalid(format!(
                "`{}` must be lower-case letters and digits, joined by `.`, `_`, `__` or dashes",
                bad.escape_debug()
            )),
            None => Ok(Self(input.to_owned())),
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(is_letter)
        && component.ends_with(is_letter)
        && component.split(is_letter).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Repository);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_spec_takes() {
        for good in ["a", "library/nginx", "a/b/c/1.10.0/d", "a--b", "a__b", "a_b.c-d", "0"] {
            assert_eq!(good.parse::<Repository>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["", "/a", "a/", "a//b", "a..b", "a___b", "-a", "a-", "A", "a b", "a:b", "a._b"]
        {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
        let error = "Team/App".parse::<Repository>().unwrap_err().to_string();
        assert!(error.contains("try `team/app`"), "{error}");
    }
}
