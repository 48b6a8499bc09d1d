//! `/v2/<name>/tags/list` and `/v2/_catalog`: sorted names, page by page.

use std::fmt::Display;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, LINK};
use layout::Layout;
use oci::Repository;
use serde_json::json;
use url::form_urlencoded::Serializer;

use crate::answer::Answer;
use crate::errors::{Code, Refusal};
use crate::registry::Registry;
use crate::router::Query;

pub(crate) async fn tags(
    layout: &Layout,
    repository: &Repository,
    query: &Query,
) -> Result<Response, Refusal> {
    if !layout.exists().await? {
        let message = format!("there is no repository `{repository}`");
        return Err(Refusal::new(Code::NameUnknown, message));
    }
    let page = Page::of(layout.tags().await?, query)?;
    let body = json!({ "name": repository, "tags": page.names });
    Ok(page.answer(&format!("/v2/{repository}/tags/list"), &body))
}

pub(crate) async fn catalog(registry: &Registry, query: &Query) -> Result<Response, Refusal> {
    let page = Page::of(registry.repositories().await?, query)?;
    let body = json!({ "repositories": page.names });
    Ok(page.answer("/v2/_catalog", &body))
}

/// A part of a list of names.
#[derive(Debug, Eq, PartialEq)]
struct Page {
    names: Vec<String>,
    /// The query of the page that follows, where one does.
    next: Option<String>,
}

impl Page {
    /// The names after `last`, at most `n` of them (distribution spec, "Listing Tags"). `names`
    /// are sorted.
    fn of(names: Vec<impl Display>, query: &Query) -> Result<Self, Refusal> {
        let limit = match query.first("n") {
            None => usize::MAX,
            Some(n) => n.parse().map_err(|_| {
                let message = format!("`n` is `{}`, not a number", n.escape_debug());
                Refusal::new(Code::Unsupported, message).with_status(StatusCode::BAD_REQUEST)
            })?,
        };
        let last = query.first("last").unwrap_or_default();
        let mut rest = names.into_iter().map(|name| name.to_string());
        let mut rest = rest.by_ref().skip_while(|name| name.as_str() <= last).peekable();
        let names: Vec<String> = rest.by_ref().take(limit).collect();
        let next = match names.last() {
            Some(last) if rest.peek().is_some() => {
                let mut next = Serializer::new(String::new());
                Some(next.append_pair("n", &limit.to_string()).append_pair("last", last).finish())
            }
            _ => None,
        };
        Ok(Self { names, next })
    }

    fn answer(&self, path: &str, body: &serde_json::Value) -> Response {
        let answer = Answer::new(StatusCode::OK).header(CONTENT_TYPE, "application/json");
        let answer = match &self.next {
            Some(next) => answer.header(LINK, format!("<{path}?{next}>; rel=\"next\"")),
            None => answer,
        };
        answer.body(Body::from(body.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let table = [
            ("", vec!["A", "b", "c"], None),
            ("n=2", vec!["A", "b"], Some("n=2&last=b")),
            ("n=3", vec!["A", "b", "c"], None),
            ("n=0", vec![], None),
            ("last=A", vec!["b", "c"], None),
            ("n=1&last=aa", vec!["b"], Some("n=1&last=b")),
            ("n=1&last=c", vec![], None),
        ];
        for (query, names, next) in table {
            let page = Page::of(vec!["A", "b", "c"], &Query::parse(query)).unwrap();
            assert_eq!(page.names, names, "{query}");
            assert_eq!(page.next.as_deref(), next, "{query}");
        }
        assert!(Page::of(vec!["a"], &Query::parse("n=x")).is_err());
    }
}
