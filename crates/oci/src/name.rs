//! The error of every name parser, and what all name types share.

use std::fmt;

/// A text that is not the name it should be: quotes the input and says what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidName {
    what: &'static str,
    input: String,
    problem: String,
}

impl InvalidName {
    pub(crate) fn new(what: &'static str, input: &str, problem: impl Into<String>) -> Self {
        Self { what, input: input.to_owned(), problem: problem.into() }
    }

    /// What the text should have been, such as `tag`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The text as it was given.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Why it was refused and what would be right, without the input.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not {} {}: {}",
            self.input.escape_debug(),
            article(self.what),
            self.what,
            self.problem
        )
    }
}

impl std::error::Error for InvalidName {}

fn article(noun: &str) -> &'static str {
    if noun.to_ascii_lowercase().starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Gives a name type that is parsed by `FromStr` its serde forms: a plain string, both ways.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use serde_as_text;
