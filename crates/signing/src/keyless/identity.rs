//! [`Identity`]: whose keyless signatures count.

use std::fmt;

use regex::Regex;

use super::Signer;

/// Who may sign: whom the certificate must name, and who must have vouched for that. One without the
/// other says nothing: every issuer vouches for the names it likes.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The OpenID Connect issuer, as `https://token.actions.githubusercontent.com`.
    pub issuer: Expected,
    /// The certificate's subject: a mail address, or a URL as that of a workflow.
    pub subject: Expected,
}

impl Identity {
    /// Whether this is who signed.
    pub(super) fn matches(&self, signer: &Signer) -> bool {
        self.issuer.matches(signer.issuer.as_deref())
            && self.subject.matches(signer.subject.as_deref())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (issuer {})", self.subject, self.issuer)
    }
}

/// What a name must be. Neither kind matches an absent or an empty name.
#[derive(Clone, Debug)]
pub struct Expected(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Exact(String),
    Pattern { source: String, whole: Regex },
}

/// What cannot be expected of a name.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InvalidExpectation {
    /// Nothing at all.
    #[error("it is empty, which matches nothing")]
    Empty,
    /// A pattern with a mistake.
    #[error("`{pattern}` is not a regular expression: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The mistake, as the `regex` crate has it; may have several lines.
        problem: String,
    },
}

impl Expected {
    /// This very name.
    ///
    /// # Errors
    /// An empty name.
    pub fn exact(name: &str) -> Result<Self, InvalidExpectation> {
        if name.is_empty() {
            return Err(InvalidExpectation::Empty);
        }
        Ok(Self(Kind::Exact(name.to_owned())))
    }

    /// A name that the regular expression matches from its first to its last character. cosign's
    /// `--certificate-identity-regexp` finds its pattern anywhere, so that `https://github.com/us/`
    /// also lets `https://evil.example/?https://github.com/us/` in; here it would need a `.*` for that.
    ///
    /// # Errors
    /// An empty pattern, or one with a mistake.
    pub fn pattern(pattern: &str) -> Result<Self, InvalidExpectation> {
        if pattern.is_empty() {
            return Err(InvalidExpectation::Empty);
        }
        let problem = |error: regex::Error| InvalidExpectation::Pattern {
            pattern: pattern.to_owned(),
            problem: error.to_string(),
        };
        // First alone: `a)|(b` must not become a pattern by what is put around it.
        Regex::new(pattern).map_err(problem)?;
        let whole = Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(problem)?;
        Ok(Self(Kind::Pattern { source: pattern.to_owned(), whole }))
    }

    fn matches(&self, name: Option<&str>) -> bool {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return false };
        match &self.0 {
            Kind::Exact(expected) => name == expected,
            Kind::Pattern { whole, .. } => whole.is_match(name),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Exact(name) => f.write_str(name),
            Kind::Pattern { source, .. } => write!(f, "/{source}/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_as_a_whole() {
        let exact = |name| Expected::exact(name).unwrap();
        let pattern = |pattern| Expected::pattern(pattern).unwrap();
        let table = [
            (exact("a@example.com"), Some("a@example.com"), true),
            (exact("a@example.com"), Some("A@example.com"), false),
            (exact("a@example.com"), Some("aa@example.com"), false),
            (exact(".*"), Some("a"), false),
            (exact("a"), None, false),
            (pattern(".*@example[.]com"), Some("a@example.com"), true),
            (pattern(".*@example[.]com"), Some("a@example.com.evil"), false),
            (pattern("example"), Some("a@example.com"), false),
            // The shorter branch comes first and is no whole match; the longer one is.
            (pattern("a|ab"), Some("ab"), true),
            (pattern("a|b"), Some("ab"), false),
            // `$` and `^` would stop at a line's end, `\z` does not.
            (pattern("(?m)^a$"), Some("a\nb"), false),
            (pattern("a.b"), Some("a\nb"), false),
            (pattern(".*"), Some(""), false),
            (pattern(".*"), None, false),
        ];
        for (expected, name, matches) in table {
            assert_eq!(expected.matches(name), matches, "{expected} and {name:?}");
        }
    }

    #[test]
    fn a_pattern_cannot_leave_its_frame() {
        for pattern in ["", "a)|(b", "(", "(?x) a # comment", "a{4294967296}"] {
            assert!(Expected::pattern(pattern).is_err(), "{pattern}");
        }
        let error = Expected::pattern("a)|(b").unwrap_err().to_string();
        assert!(error.starts_with("`a)|(b` is not a regular expression"), "{error}");
        assert!(Expected::exact("").is_err());
    }

    #[test]
    fn subject_and_issuer_must_both_be_right() {
        let identity = Identity {
            issuer: Expected::exact("https://issuer.example").unwrap(),
            subject: Expected::pattern("ci@.*").unwrap(),
        };
        let signer = |subject: &str, issuer: &str| Signer {
            subject: Some(subject.to_owned()),
            issuer: Some(issuer.to_owned()),
        };
        assert!(identity.matches(&signer("ci@example.com", "https://issuer.example")));
        assert!(!identity.matches(&signer("ci@example.com", "https://other.example")));
        assert!(!identity.matches(&signer("me@example.com", "https://issuer.example")));
        assert!(!identity.matches(&Signer { subject: Some("ci@x".to_owned()), issuer: None }));
        assert_eq!(identity.to_string(), "/ci@.*/ (issuer https://issuer.example)");
    }
}
