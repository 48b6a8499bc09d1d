//! [`Scopes`]: what a token is asked for, and whether one that is there already serves.

use std::fmt;

use oci::Repository;

/// What may be done with one resource, `repository:NAME:ACTION,…`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Scope {
    /// Type and name, `repository:library/nginx`.
    resource: String,
    actions: Vec<String>,
}

/// Scopes in the order they are asked for: some registries look at the first one only, so what
/// matters most (pushing; what a challenge names) stands first.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Scopes(Vec<Scope>);

impl Scopes {
    pub(crate) fn pull(repository: &Repository) -> Self {
        Self::of(repository, &["pull"])
    }

    pub(crate) fn push(repository: &Repository) -> Self {
        Self::of(repository, &["pull", "push"])
    }

    pub(crate) fn delete(repository: &Repository) -> Self {
        Self::of(repository, &["delete"])
    }

    /// Pushing to one repository what is in another one.
    pub(crate) fn mount(target: &Repository, source: &Repository) -> Self {
        Self::push(target).then(&Self::pull(source))
    }

    fn of(repository: &Repository, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|&action| action.to_owned()).collect();
        Self(vec![Scope { resource: format!("repository:{repository}"), actions }])
    }

    /// Reads a challenge's `scope`; what is no scope is left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for word in text.split_whitespace() {
            if let Some((resource, actions)) = word.rsplit_once(':')
                && resource.contains(':')
            {
                let actions = actions.split(',').filter(|action| !action.is_empty());
                let actions = actions.map(str::to_owned).collect();
                scopes.add(&Scope { resource: resource.to_owned(), actions });
            }
        }
        scopes
    }

    /// These scopes and then others; each resource once, with the actions of both.
    pub(crate) fn then(mut self, others: &Self) -> Self {
        others.0.iter().for_each(|scope| self.add(scope));
        self
    }

    fn add(&mut self, scope: &Scope) {
        let Some(mine) = self.0.iter_mut().find(|mine| mine.resource == scope.resource) else {
            self.0.push(scope.clone());
            return;
        };
        for action in &scope.actions {
            if !mine.actions.contains(action) {
                mine.actions.push(action.clone());
            }
        }
    }

    /// Whether a token for these scopes serves a request that needs `others`.
    pub(crate) fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|wanted| {
            self.0.iter().any(|mine| {
                mine.resource == wanted.resource
                    && wanted
                        .actions
                        .iter()
                        .all(|action| mine.actions.iter().any(|have| have == action || have == "*"))
            })
        })
    }

    /// The resources, first the most important.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| scope.resource.as_str())
    }

    /// Each scope as it is written in a token request.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|scope| format!("{}:{}", scope.resource, scope.actions.join(",")))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> Repository {
        name.parse().unwrap()
    }

    #[test]
    fn pushing_stands_first_and_mounting_asks_for_both() {
        let (a, b) = (repository("team/a"), repository("b"));
        assert_eq!(Scopes::pull(&a).to_string(), "repository:team/a:pull");
        assert_eq!(
            Scopes::mount(&a, &b).to_string(),
            "repository:team/a:pull,push repository:b:pull"
        );
        assert_eq!(Scopes::mount(&a, &a).to_string(), "repository:team/a:pull,push");
        let challenged = Scopes::parse("repository:b:pull").then(&Scopes::mount(&a, &b));
        assert_eq!(challenged.to_string(), "repository:b:pull repository:team/a:pull,push");
    }

    #[test]
    fn a_wider_token_serves() {
        let table = [
            ("repository:a:pull,push", "repository:a:pull", true),
            ("repository:a:pull", "repository:a:pull,push", false),
            ("repository:a:*", "repository:a:pull,push", true),
            ("repository:a:pull,push repository:b:pull", "repository:b:pull", true),
            ("repository:a:pull", "repository:b:pull", false),
            ("repository:a:pull", "", true),
            ("", "repository:a:pull", false),
            ("repository:h:5000/a:pull", "repository:h:5000/a:pull", true),
        ];
        for (have, want, expected) in table {
            assert_eq!(
                Scopes::parse(have).cover(&Scopes::parse(want)),
                expected,
                "{have} / {want}"
            );
        }
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(Scopes::parse("a b:c  :x repository:a:pull").to_string(), "repository:a:pull");
    }
}
