//! [`Pattern`]: which requests are meant, by method and path. Faults match with it, and the log is
//! asked with it.

use http::Method;

/// Paths of the distribution API as patterns.
pub mod path {
    /// Anything.
    pub const ANY: &str = "*";
    /// Manifests, by tag and by digest.
    pub const MANIFESTS: &str = "/v2/*/manifests/*";
    /// Blobs by digest; upload sessions are [`UPLOADS`].
    pub const BLOBS: &str = "/v2/*/blobs/sha*";
    /// Upload sessions: their start, their pieces, their end.
    pub const UPLOADS: &str = "/v2/*/blobs/uploads/*";
    /// Tag lists.
    pub const TAGS: &str = "/v2/*/tags/list";
    /// The referrers API.
    pub const REFERRERS: &str = "/v2/*/referrers/*";
}

/// A method, or several as `PUT|POST`, or `*`; and a path in which each `*` stands for any run of
/// characters, slashes and nothing among them (repositories have slashes).
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    methods: String,
    path: String,
}

impl Pattern {
    pub(crate) fn new(methods: &str, path: &str) -> Self {
        Self { methods: methods.to_owned(), path: path.to_owned() }
    }

    pub(crate) fn matches(&self, method: &Method, path: &str) -> bool {
        self.methods.split('|').any(|wanted| wanted == "*" || wanted == method.as_str())
            && glob(&self.path, path)
    }
}

/// Whether `text` is what `pattern` describes, `*` being any run of characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The repository that a path of the distribution API is about.
pub(crate) fn repository_of(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/v2/")?;
    let end = ["/manifests/", "/blobs/", "/tags/list", "/referrers/"]
        .iter()
        .filter_map(|marker| path.rfind(marker))
        .max()?;
    path.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("/v2/", "/v2/", true),
            ("/v2/", "/v2/a", false),
            (path::MANIFESTS, "/v2/library/nginx/manifests/1", true),
            (path::BLOBS, "/v2/a/blobs/uploads/1", false),
            (path::BLOBS, "/v2/a/blobs/sha512:00", true),
            (path::UPLOADS, "/v2/a/blobs/uploads/", true),
            (path::TAGS, "/v2/a/tags/list", true),
            (path::TAGS, "/v2/a/tags/list/x", false),
            ("a*b*a", "aba", true),
            ("a*b*a", "ab", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn methods_are_alternatives() {
        let pattern = Pattern::new("PUT|POST", "*");
        assert!(pattern.matches(&Method::PUT, "/") && pattern.matches(&Method::POST, "/"));
        assert!(!pattern.matches(&Method::GET, "/"));
    }

    #[test]
    fn repositories_may_look_like_paths() {
        for (path, repository) in [
            ("/v2/", None),
            ("/v2/a/manifests/1", Some("a")),
            ("/v2/a/blobs/b/manifests/1", Some("a/blobs/b")),
            ("/v2/a/b/blobs/uploads/9", Some("a/b")),
            ("/v2/a/tags/list", Some("a")),
            ("/token", None),
        ] {
            assert_eq!(repository_of(path), repository, "{path}");
        }
    }
}
