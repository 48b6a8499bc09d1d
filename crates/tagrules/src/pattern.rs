//! [`Pattern`]: a glob or a regex over the whole of a tag.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use oci::Tag;

use crate::whole_regex::WholeRegex;

/// No pattern that somebody wrote is longer, in bytes.
pub(crate) const LONGEST: usize = 4096;

/// A glob (`v*`, `1.2?`, `{1,2}.*`, `[0-9]*`), or a regex between slashes (`/v\d+/`).
///
/// Both match a tag as a whole or not at all: `/a|b/` matches `a` and `b`, and neither `ab` nor
/// `xb`.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Glob(GlobMatcher),
    Regex(WholeRegex),
}

/// A text that is no pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{}` is not a pattern: {problem}", input.escape_debug())]
pub struct InvalidPattern {
    input: String,
    problem: String,
    hint: Option<String>,
}

impl InvalidPattern {
    pub(crate) fn new(input: &str, problem: impl Into<String>) -> Self {
        Self { input: input.to_owned(), problem: problem.into(), hint: None }
    }

    pub(crate) fn too_long(input: &str) -> Self {
        let start: String = input.chars().take(40).collect();
        Self::new(&format!("{start}…"), format!("it has more than {LONGEST} bytes"))
    }

    /// What is wrong with it, without the input.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What was probably meant.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl Pattern {
    /// Whether it matches the whole of a tag.
    pub fn matches(&self, tag: &Tag) -> bool {
        self.matches_text(tag.as_str())
    }

    pub(crate) fn matches_text(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.is_match(text),
            Matcher::Regex(regex) => regex.matches(text),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(input: &str) -> Result<Self, InvalidPattern> {
        if input.len() > LONGEST {
            return Err(InvalidPattern::too_long(input));
        }
        let matcher = match input.strip_prefix('/') {
            Some(rest) => match rest.strip_suffix('/') {
                Some("") => {
                    return Err(InvalidPattern::new(input, "there is nothing between its slashes"));
                }
                Some(regex) => {
                    let quoted = |error| InvalidPattern { input: input.to_owned(), ..error };
                    Matcher::Regex(regex.parse().map_err(quoted)?)
                }
                None => {
                    return Err(InvalidPattern::new(input, "a regex ends with a slash as well"));
                }
            },
            None => Matcher::Glob(glob(input)?),
        };
        Ok(Self { text: input.to_owned(), matcher })
    }
}

fn glob(input: &str) -> Result<GlobMatcher, InvalidPattern> {
    if input.is_empty() {
        return Err(InvalidPattern::new(input, "it is empty"));
    }
    // What no tag has, in a glob, is a regex without its slashes, or a mistake that would select
    // nothing for ever.
    let known = |c: char| c.is_ascii_alphanumeric() || "_.-*?[]{},!".contains(c);
    if let Some(stranger) = input.chars().find(|c| !known(*c)) {
        let problem = format!("no tag has a `{}`", stranger.escape_debug());
        let hint =
            format!("a regex stands between slashes: `/{}/`", input.trim_matches(['^', '$']));
        let looks_like_regex = "^$\\+(|)".contains(stranger);
        let hint = looks_like_regex.then_some(hint);
        return Err(InvalidPattern { hint, ..InvalidPattern::new(input, problem) });
    }
    GlobBuilder::new(input)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| InvalidPattern::new(input, error.kind().to_string()))
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_matches_the_whole_of_a_tag() {
        let table: [(&str, &[&str], &[&str]); 15] = [
            ("v*", &["v", "v1.2"], &["1.2", "rv1", "V1"]),
            ("*", &["a", "1.2-b"], &[]),
            ("latest", &["latest"], &["latest-1", "not-latest"]),
            ("*-rc*", &["2.0-rc", "2.0-rc.1"], &["2.0", "rc-2"]),
            ("1.2?", &["1.27"], &["1.2", "1.277"]),
            ("[0-9]*", &["1", "1.27-x"], &["v1"]),
            ("[!v]*", &["1"], &["v1"]),
            ("{1,2}.*", &["1.0", "2.5"], &["3.0", "12.0"]),
            ("1.27.*", &["1.27.3"], &["1.27", "1x27x3"]),
            // The trap of `^a|b$`, which others have fallen into.
            ("/a|b/", &["a", "b"], &["ax", "xb", "ab"]),
            ("/^a|b$/", &["a", "b"], &["ax", "xb"]),
            ("/v\\d+/", &["v12"], &["v", "v12a", "av12", "v12-rc"]),
            ("/(?i)RC/", &["rc", "rC"], &["rcc"]),
            ("/(?m)a/", &["a"], &["ab"]),
            ("/[\\w.-]{1,128}/", &["1.27-alpine"], &[]),
        ];
        for (text, matching, others) in table {
            for tag in matching {
                assert!(pattern(text).matches(&tag.parse().unwrap()), "{text} {tag}");
            }
            for tag in others {
                assert!(!pattern(text).matches(&tag.parse().unwrap()), "{text} {tag}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let table = [
            ("", "it is empty"),
            ("//", "there is nothing between its slashes"),
            ("/", "a regex ends with a slash as well"),
            ("/v.*", "a regex ends with a slash as well"),
            ("/(/", "unclosed group"),
            ("/a)|(?:b/", "unopened group"),
            ("/\\w{1000}{1000}/", "it is too large when compiled"),
            ("/(?x)a # b/", "it ends in a comment; write it without `(?x)`"),
            ("[a", "unclosed character class; missing ']'"),
            ("a b", "no tag has a ` `"),
            ("^v1.*$", "no tag has a `^`"),
        ];
        for (text, problem) in table {
            let error = text.parse::<Pattern>().unwrap_err();
            assert_eq!(error.problem(), problem, "{text}");
        }
        let error = "^v1.*$".parse::<Pattern>().unwrap_err();
        assert_eq!(error.hint(), Some("a regex stands between slashes: `/v1.*/`"));
        assert!("x".repeat(LONGEST + 1).parse::<Pattern>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[/^$a-c0-9.*?{},!\\[\\]()|\\\\+-]{0,24}|\\PC{0,16}", tag in "[a-c0-9.-]{1,6}") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                pattern.matches_text(&tag);
            }
        }

        #[test]
        fn a_regex_matches_as_a_whole(tag in "[ab]{1,6}") {
            prop_assert_eq!(pattern("/a|ab|b/").matches_text(&tag), ["a", "ab", "b"].contains(&tag.as_str()));
        }
    }
}
