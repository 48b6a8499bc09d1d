//! The `Link` header of paged lists (RFC 8288).

use http::HeaderMap;
use http::header::LINK;

/// The target of the link to the next page, as it was written.
pub(crate) fn next(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(LINK)
        .iter()
        .find_map(|value| next_in(&String::from_utf8_lossy(value.as_bytes())))
}

fn next_in(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        // A link's parameters end where the next link begins.
        let end = after.find('<').unwrap_or(after.len());
        let (parameters, following) = after.split_at(end);
        if parameters.split([';', ',']).any(is_next) {
            return Some(target.trim().to_owned());
        }
        rest = following;
    }
    None
}

fn is_next(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("rel")
            && value
                .trim()
                .trim_matches('"')
                .split_whitespace()
                .any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_next_page() {
        let table = [
            (r#"</v2/a/tags/list?last=x&n=2>; rel="next""#, Some("/v2/a/tags/list?last=x&n=2")),
            ("</v2/a?last=b>;rel=next", Some("/v2/a?last=b")),
            (r#"<https://h/a>; title="x"; REL="prev next""#, Some("https://h/a")),
            (r#"</p>; rel="prev", </n>; rel="next""#, Some("/n")),
            (r#"</p>; rel="prev""#, None),
            ("</p>", None),
            ("rel=next", None),
            ("<broken; rel=next", None),
            ("", None),
        ];
        for (header, expected) in table {
            assert_eq!(next_in(header).as_deref(), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(text in ".{0,100}") {
            let _ = next_in(&text);
        }
    }
}
