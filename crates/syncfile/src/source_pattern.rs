//! [`SourcePattern`]: which sources a rule is for. What would match nothing is refused, because a
//! rule that is for nothing verifies nothing.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use oci::Location;
use tagrules::WholeRegex;

use crate::target_name::names_registry;

/// A glob over `host/repository` (`ghcr.io/org/**`), or a regex between slashes; it matches the whole
/// of it. Docker Hub's names are whole here: `docker.io/library/nginx`.
///
/// In a glob `*` and `?` stay within a component of the name, `**` stands for any number of them.
/// A layout or an archive is matched as it is written, `oci:FOLDER`, its folder seen from the working
/// directory.
#[derive(Clone, Debug)]
pub struct SourcePattern {
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Glob(GlobMatcher),
    Regex(WholeRegex),
}

/// Why a text is no pattern, and what to do.
pub(crate) struct Problem {
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

impl SourcePattern {
    /// Whether the rule is for what comes from here.
    pub fn matches(&self, source: &Location) -> bool {
        let source = source.to_string();
        match &self.matcher {
            Matcher::Glob(glob) => glob.is_match(source),
            Matcher::Regex(regex) => regex.matches(&source),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let matcher = match text.strip_prefix('/') {
            Some(rest) => match rest.strip_suffix('/') {
                Some(regex) => {
                    let error = |error: tagrules::InvalidPattern| says(error.problem());
                    Matcher::Regex(regex.parse().map_err(error)?)
                }
                None => return Err(says("a regex ends with a slash as well")),
            },
            None => {
                check(text)?;
                let glob = GlobBuilder::new(text).literal_separator(true).build();
                let glob = glob.map_err(|error| says(&error.kind().to_string()))?;
                Matcher::Glob(glob.compile_matcher())
            }
        };
        Ok(Self { text: text.to_owned(), matcher })
    }
}

/// Longer than any pattern that somebody wrote, in bytes.
const LONGEST: usize = 4096;

/// Refuses globs that match less than they seem to, or nothing.
fn check(text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(says("it is empty"));
    }
    if text.len() > LONGEST {
        return Err(says(&format!("it has more than {LONGEST} bytes")));
    }
    if let Some(within) = text.match_indices("**").find(|(at, _)| !is_component(text, *at)) {
        let help = match text.get(..within.0).unwrap_or_default().trim_end_matches('/') {
            "" => "every source is `**`".to_owned(),
            before => format!("all below is `{before}/**`"),
        };
        return Err(says("`**` stands for whole components of a name").help(help));
    }
    if text == "**" || text.starts_with("oci:") || text.starts_with("oci-archive:") {
        return Ok(());
    }
    // What no name has is a regex without its slashes, or a mistake.
    let known =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-/:*?[]{},!".contains(c);
    if let Some(stranger) = text.chars().find(|c| !known(*c)) {
        let problem = says(&format!("no source has a `{}`", stranger.escape_debug()));
        return Err(match stranger {
            '@' => problem.help("a rule is for a repository, with all its tags and digests"),
            'A'..='Z' => problem.help("names are lower-case here"),
            '^' | '$' | '\\' | '+' | '(' | '|' | ')' => problem.help(format!(
                "a regex stands between slashes: `/{}/`",
                text.trim_matches(['^', '$'])
            )),
            _ => problem,
        });
    }
    let Some((first, rest)) = text.split_once('/') else {
        let problem = says("it has to match `HOST/REPOSITORY`");
        return Err(problem.help("everything of a registry is `HOST/**`, every source is `**`"));
    };
    let is_glob = |text: &str| text.contains(['*', '?', '[', '{']);
    if !is_glob(first) && !names_registry(first) {
        let problem = says("it does not begin with a registry");
        return Err(problem.help(format!("if Docker Hub is meant, write `docker.io/{text}`")));
    }
    match rest.rsplit('/').next().unwrap_or(rest).split_once(':') {
        Some(_) if !is_glob(first) => {
            Err(says("a rule is for a repository, with all its tags").help("leave the tag away"))
        }
        _ => Ok(()),
    }
}

/// Whether the `**` at this position stands alone between slashes (or in braces).
fn is_component(text: &str, at: usize) -> bool {
    let before = text.get(..at).and_then(|text| text.chars().next_back());
    let after = text.get(at + 2..).and_then(|text| text.chars().next());
    before.is_none_or(|c| "/{,".contains(c)) && after.is_none_or(|c| "/},".contains(c))
}

fn says(label: &str) -> Problem {
    Problem { label: label.to_owned(), help: None }
}

impl Problem {
    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl PartialEq for SourcePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SourcePattern {}

impl fmt::Display for SourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use oci::Reference;
    use proptest::prelude::*;

    use super::*;

    fn location(text: &str) -> Location {
        text.parse::<Reference>().expect(text).location
    }

    fn pattern(text: &str) -> SourcePattern {
        SourcePattern::parse(text).unwrap_or_else(|problem| panic!("{text}: {}", problem.label))
    }

    #[test]
    fn a_pattern_matches_the_whole_of_host_and_repository() {
        let table: [(&str, &[&str], &[&str]); 12] = [
            ("**", &["nginx", "ghcr.io/a/b/c", "oci:./layouts/app"], &[]),
            (
                "ghcr.io/org/**",
                &["ghcr.io/org/a", "ghcr.io/org/a/b"],
                &["ghcr.io/organ/a", "ghcr.io/org"],
            ),
            ("ghcr.io/org/*", &["ghcr.io/org/a"], &["ghcr.io/org/a/b", "quay.io/ghcr.io/org/a"]),
            ("ghcr.io/**/tool", &["ghcr.io/tool", "ghcr.io/a/b/tool"], &["ghcr.io/a/toolbox"]),
            (
                "*/library/nginx",
                &["nginx", "r.example/library/nginx"],
                &["r.example/a/library/nginx"],
            ),
            ("docker.io/library/nginx", &["nginx:1", "docker.io/nginx"], &["nginx/nginx"]),
            ("localhost:5000/**", &["localhost:5000/a"], &["localhost:5001/a"]),
            ("{ghcr.io,quay.io}/org/**", &["ghcr.io/org/a", "quay.io/org/a"], &["gcr.io/org/a"]),
            ("{ghcr.io/a/**,quay.io/**}", &["ghcr.io/a/b", "quay.io/b"], &["ghcr.io/b"]),
            ("ghcr.io/org/a?", &["ghcr.io/org/ab"], &["ghcr.io/org/a", "ghcr.io/org/abc"]),
            (
                "/ghcr\\.io/(a|b)/.*/",
                &["ghcr.io/a/x", "ghcr.io/b/x/y"],
                &["ghcr.io/c/x", "x.io/ghcr.io/a/x"],
            ),
            ("/ghcr\\.io/a|quay\\.io/b/", &["ghcr.io/a", "quay.io/b"], &["ghcr.io/a/quay.io/b"]),
        ];
        for (text, matching, others) in table {
            for source in matching {
                assert!(pattern(text).matches(&location(source)), "{text} {source}");
            }
            for source in others {
                assert!(!pattern(text).matches(&location(source)), "{text} {source}");
            }
        }
        assert!(pattern("oci:Layouts/**").matches(&location("oci:Layouts/a/b:1")));
        assert!(!pattern("oci:Layouts/*").matches(&location("oci:Layouts/a/b:1")));
    }

    #[test]
    fn what_would_match_nothing_is_refused() {
        let table = [
            ("", "it is empty"),
            ("//", "it is empty"),
            ("/a", "a regex ends with a slash as well"),
            ("/(/", "unclosed group"),
            ("*", "it has to match `HOST/REPOSITORY`"),
            ("nginx", "it has to match `HOST/REPOSITORY`"),
            ("ghcr.io", "it has to match `HOST/REPOSITORY`"),
            ("bitnami/*", "it does not begin with a registry"),
            ("ghcr.io/org**", "`**` stands for whole components of a name"),
            ("ghcr.io/***", "`**` stands for whole components of a name"),
            ("oci:**", "`**` stands for whole components of a name"),
            ("ghcr.io/org/app:1.0", "a rule is for a repository, with all its tags"),
            ("ghcr.io/org/app@sha256:0", "no source has a `@`"),
            ("GHCR.io/**", "no source has a `G`"),
            ("^ghcr.io/.*$", "no source has a `^`"),
            ("ghcr.io/{a", "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
        ];
        for (text, label) in table {
            let problem = SourcePattern::parse(text).err().map(|problem| problem.label);
            assert_eq!(problem.as_deref(), Some(label), "{text}");
        }
        assert!(SourcePattern::parse(&"x".repeat(LONGEST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[/a-c.:@*?{},!\\[\\]()|\\\\]{0,24}|\\PC{0,16}") {
            if let Ok(pattern) = SourcePattern::parse(&text) {
                pattern.matches(&location("ghcr.io/a/b"));
            }
        }

        #[test]
        fn the_pattern_of_all_matches_all(name in "[a-z]{1,4}(/[a-z]{1,4}){0,4}") {
            let source = location(&format!("r.example/{name}"));
            prop_assert!(pattern("**").matches(&source));
            prop_assert!(pattern("r.example/**").matches(&source));
        }
    }
}
