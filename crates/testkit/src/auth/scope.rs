//! [`Scope`]: what a token is good for, and what a request needs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use http::Method;
use http::request::Parts;

use crate::fault::parameter;
use crate::pattern::repository_of;

/// Actions on a thing, written `repository:library/nginx:pull,push`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Scope {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: BTreeSet<String>,
}

impl Scope {
    fn repository(name: &str, actions: &[&str]) -> Self {
        Self {
            kind: "repository".to_owned(),
            name: name.to_owned(),
            actions: actions.iter().map(|&action| action.to_owned()).collect(),
        }
    }

    pub(crate) fn is_covered_by(&self, granted: &[Self]) -> bool {
        self.actions.iter().all(|action| {
            granted.iter().any(|granted| {
                granted.kind == self.kind
                    && granted.name == self.name
                    && granted.actions.contains(action)
            })
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<_> = self.actions.iter().map(String::as_str).collect();
        write!(f, "{}:{}:{}", self.kind, self.name, actions.join(","))
    }
}

impl FromStr for Scope {
    type Err = ();

    /// A name may have a colon (a host's port), so the ends are taken first.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, rest) = text.split_once(':').ok_or(())?;
        let (name, actions) = rest.rsplit_once(':').ok_or(())?;
        Ok(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            actions: actions.split(',').map(str::to_owned).collect(),
        })
    }
}

/// What a request needs, as distribution asks for it: a write needs `pull` as well, and a mount
/// `pull` on the repository it mounts from. Nothing is needed for `/v2/` but a token.
pub(crate) fn needed(request: &Parts) -> Vec<Scope> {
    let path = request.uri.path();
    let Some(repository) = repository_of(path) else {
        let catalog = || Scope {
            kind: "registry".to_owned(),
            name: "catalog".to_owned(),
            actions: BTreeSet::from(["*".to_owned()]),
        };
        return if path == "/v2/_catalog" { vec![catalog()] } else { Vec::new() };
    };
    let actions: &[&str] = match request.method {
        Method::GET | Method::HEAD => &["pull"],
        // Cancelling an upload is a push, not a deletion.
        Method::DELETE if !path.contains("/blobs/uploads/") => &["delete"],
        _ => &["pull", "push"],
    };
    let mut scopes = vec![Scope::repository(repository, actions)];
    if request.method == Method::POST {
        let from = parameter(request, "from");
        scopes.extend(from.map(|from| Scope::repository(&from, &["pull"])));
    }
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_needs() {
        for (method, uri, expected) in [
            ("GET", "/v2/", ""),
            ("GET", "/v2/_catalog", "registry:catalog:*"),
            ("HEAD", "/v2/a/b/manifests/1", "repository:a/b:pull"),
            ("PUT", "/v2/a/manifests/1", "repository:a:pull,push"),
            ("DELETE", "/v2/a/manifests/1", "repository:a:delete"),
            ("DELETE", "/v2/a/blobs/uploads/1", "repository:a:pull,push"),
            (
                "POST",
                "/v2/a/blobs/uploads/?mount=sha256:0&from=b/c",
                "repository:a:pull,push repository:b/c:pull",
            ),
        ] {
            let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
            let scopes = needed(&request.into_parts().0);
            let text: Vec<_> = scopes.iter().map(Scope::to_string).collect();
            assert_eq!(text.join(" "), expected, "{method} {uri}");
        }
    }

    #[test]
    fn names_keep_their_colons() {
        let scope: Scope = "repository:host:5000/a:pull,push".parse().unwrap();
        assert_eq!(scope, Scope::repository("host:5000/a", &["pull", "push"]));
        assert!("repository".parse::<Scope>().is_err());
    }
}
