//! [`Challenge`]: what a `WWW-Authenticate` header asks for (RFC 9110 §11.6.1).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use super::scope::Scopes;

/// A way to say who we are that a registry offers and this client knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token, fetched from a token server (distribution's token authentication).
    Bearer {
        /// The token server's URL, as it was written.
        realm: String,
        /// The name that the token server knows the registry by.
        service: Option<String>,
        /// What the refused request needs; empty where the registry does not say.
        scopes: Scopes,
    },
}

impl Challenge {
    /// The challenge to answer: Bearer before Basic, as it shows the password to the token server
    /// only.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut found = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = String::from_utf8_lossy(value.as_bytes());
            for (scheme, parameters) in parse(&text) {
                let get = |name: &str| {
                    let hit = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    hit.map(|(_, value)| value.clone())
                };
                if scheme.eq_ignore_ascii_case("bearer")
                    && let Some(realm) = get("realm").filter(|realm| !realm.is_empty())
                {
                    let scopes = Scopes::parse(&get("scope").unwrap_or_default());
                    return Some(Self::Bearer { realm, service: get("service"), scopes });
                }
                if scheme.eq_ignore_ascii_case("basic") {
                    found = Some(Self::Basic);
                }
            }
        }
        found
    }
}

type Parameters = Vec<(String, String)>;

/// The challenges of one header value. Lenient: what is no challenge is skipped, and values without
/// quotes may hold what only quoted ones should (`realm=https://…`).
fn parse(text: &str) -> Vec<(String, Parameters)> {
    let mut challenges: Vec<(String, Parameters)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if rest.is_empty() {
            return challenges;
        }
        let end = rest.find(|c: char| c == '=' || c == ',' || c.is_whitespace());
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        match after.trim_start().strip_prefix('=') {
            Some(value) if !word.is_empty() => {
                let (value, after) = parameter_value(value.trim_start());
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                rest = after;
            }
            Some(stray) => rest = stray,
            None => {
                challenges.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// A quoted string or a bare value, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(index + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scopes: &str) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scopes: Scopes::parse(scopes),
        })
    }

    #[test]
    fn reads_what_registries_send() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#;
        let expected = bearer(
            "https://auth.docker.io/token",
            Some("registry.docker.io"),
            "repository:library/nginx:pull",
        );
        assert_eq!(of(&[hub]), expected);
        let table: &[(&[&str], Option<Challenge>)] = &[
            (&[], None),
            (
                &[r#"Basic realm="https://x.amazonaws.com/",service="ecr.amazonaws.com""#],
                Some(Challenge::Basic),
            ),
            (&["basic"], Some(Challenge::Basic)),
            (&["Negotiate", "NTLM abc=="], None),
            (
                &[r#"Basic realm="a, b", BEARER Realm=https://a/t?x=1 , service = "s""#],
                bearer("https://a/t?x=1", Some("s"), ""),
            ),
            (
                &[r#"Basic realm="r""#, r#"Bearer realm="https://a/t""#],
                bearer("https://a/t", None, ""),
            ),
            (&[r#"Bearer realm="https://a/\"t""#], bearer("https://a/\"t", None, "")),
            (&[r#"Bearer realm="https://a/t"#], bearer("https://a/t", None, "")),
            (&["Bearer", "Bearer realm=\"\""], None),
            (
                &[
                    r#"Bearer realm="https://a/t",error="insufficient_scope",scope="repository:a:pull,push repository:b:pull""#,
                ],
                bearer("https://a/t", None, "repository:a:pull,push repository:b:pull"),
            ),
        ];
        for (headers, expected) in table {
            assert_eq!(of(headers), *expected, "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(WWW_AUTHENTICATE, value);
                let _ = Challenge::of(&headers);
            }
        }

        #[test]
        fn quoting_keeps_any_value(realm in "[ -~]{1,40}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Bearer service=x, realm=\"{quoted}\", scope=\"a:b:c\"");
            prop_assert_eq!(of(&[&header]), bearer(&realm, Some("x"), "a:b:c"));
        }
    }
}
