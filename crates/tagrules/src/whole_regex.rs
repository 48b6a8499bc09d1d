//! [`WholeRegex`]: a regex that matches the whole of a text or not at all.

use std::fmt;
use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

use crate::pattern::{InvalidPattern, LONGEST};

/// The memory in bytes that a compiled regex may take; `[\w.-]{1,128}` needs a tenth of it.
const SIZE_LIMIT: usize = 1 << 20;

/// A regex that matches the whole of a text or not at all: `a|b` matches `a` and `b`, and neither
/// `ab` nor `xb`.
#[derive(Clone, Debug)]
pub struct WholeRegex {
    text: String,
    regex: Regex,
}

impl WholeRegex {
    /// Whether it matches the whole of a text.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }

    /// The regex as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for WholeRegex {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::new(text, "it is empty"));
        }
        if text.len() > LONGEST {
            return Err(InvalidPattern::too_long(text));
        }
        // Tags are ASCII: `\w` without Unicode is a hundredth of the size.
        let compile =
            |regex: &str| RegexBuilder::new(regex).unicode(false).size_limit(SIZE_LIMIT).build();
        // By itself first: `a)|(b` must not become right by what is put around it.
        compile(text).map_err(|error| InvalidPattern::new(text, described(&error)))?;
        // The group keeps an alternation together: `^a|b$` would match `ax` and `xb`.
        let regex = compile(&format!(r"\A(?:{text})\z")).map_err(|_| {
            InvalidPattern::new(text, "it ends in a comment; write it without `(?x)`")
        })?;
        Ok(Self { text: text.to_owned(), regex })
    }
}

/// The last line of the regex crate's error, which draws the pattern before it.
fn described(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
        error => {
            let text = error.to_string();
            let line = text.lines().last().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

impl PartialEq for WholeRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for WholeRegex {}

impl fmt::Display for WholeRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_matches_the_whole_of_a_text_of_any_characters() {
        let regex: WholeRegex = "https://github\\.com/org/.*|ä".parse().unwrap();
        for (text, matches) in [
            ("https://github.com/org/repo", true),
            ("https://github.com/org/ré", true),
            ("ä", true),
            ("xä", false),
            ("https://githubXcom/org/repo", false),
            ("http://x/https://github.com/org/repo", false),
            ("https://github.com/org/repo\n", false),
        ] {
            assert_eq!(regex.matches(text), matches, "{text}");
        }
        assert_eq!("".parse::<WholeRegex>().unwrap_err().problem(), "it is empty");
        assert!("x".repeat(LONGEST + 1).parse::<WholeRegex>().is_err());
    }
}
