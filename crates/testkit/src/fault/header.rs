//! What faults do to the headers of an answer: Location and Content-Range.

use http::header::{CONTENT_RANGE, LOCATION};
use http::{HeaderMap, HeaderValue};
use url::Url;

/// How a Location is written. The spec leaves all of these open, and registries use them all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LocationForm {
    /// A path: `/v2/…`.
    Relative,
    /// With scheme and host.
    Absolute,
    /// Without its query, where it has one.
    WithoutQuery,
    /// At the registry's other server, see [`crate::Registry::cdn`], signed in the query.
    Cdn,
    /// At this origin, such as `http://169.254.169.254`; path and query stay.
    Origin(String),
    /// This text.
    Exactly(String),
}

/// Where a server and its other one are: `scheme://host:port`.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) own: String,
    pub(crate) cdn: Option<String>,
}

impl Site {
    /// A URL of the registry as one of its CDN, with the signature that the CDN asks for.
    pub(crate) fn at_cdn(&self, path_and_query: &str) -> Option<String> {
        let mut url = Url::parse(self.cdn.as_deref()?).ok()?.join(path_and_query).ok()?;
        url.query_pairs_mut().append_pair(crate::cdn::SIGNATURE, crate::cdn::VALID);
        Some(url.into())
    }
}

pub(crate) fn rewrite_location(headers: &mut HeaderMap, form: &LocationForm, site: &Site) {
    let Some(url) = location(headers, site) else { return };
    let relative = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let rewritten = match form {
        LocationForm::Relative => relative,
        LocationForm::Absolute => url.to_string(),
        LocationForm::WithoutQuery => url.path().to_owned(),
        LocationForm::Cdn => site.at_cdn(&relative).unwrap_or_default(),
        LocationForm::Origin(origin) => format!("{origin}{relative}"),
        LocationForm::Exactly(text) => text.clone(),
    };
    if let Ok(value) = HeaderValue::try_from(rewritten) {
        headers.insert(LOCATION, value);
    }
}

fn location(headers: &HeaderMap, site: &Site) -> Option<Url> {
    Url::parse(&site.own).ok()?.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// `bytes 5-9/10` becomes `bytes 4-9/10`, and `bytes 0-9/10` becomes `bytes 1-9/10`.
pub(crate) fn shift_content_range(headers: &mut HeaderMap) {
    let shifted = headers.get(CONTENT_RANGE).and_then(|value| {
        let (first, rest) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('-')?;
        let first: u64 = first.parse().ok()?;
        HeaderValue::try_from(format!("bytes {}-{rest}", first.checked_sub(1).unwrap_or(1))).ok()
    });
    if let Some(shifted) = shifted {
        headers.insert(CONTENT_RANGE, shifted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_take_each_form() {
        let site = Site { own: "http://a:1".into(), cdn: Some("http://b:2".into()) };
        for (given, form, expected) in [
            ("http://a:1/v2/x?s=1", LocationForm::Relative, "/v2/x?s=1"),
            ("/v2/x?s=1", LocationForm::Absolute, "http://a:1/v2/x?s=1"),
            ("/v2/x?s=1", LocationForm::WithoutQuery, "/v2/x"),
            ("/v2/x?s=1", LocationForm::Cdn, "http://b:2/v2/x?s=1&signature=valid"),
            ("/v2/x?s=1", LocationForm::Origin("http://c".into()), "http://c/v2/x?s=1"),
            ("/v2/x", LocationForm::Exactly("::".into()), "::"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, given.parse().unwrap());
            rewrite_location(&mut headers, &form, &site);
            assert_eq!(headers.get(LOCATION).unwrap(), expected, "{form:?}");
        }
    }

    #[test]
    fn a_shifted_range_is_always_another() {
        for (given, expected) in [("bytes 5-9/10", "bytes 4-9/10"), ("bytes 0-9/*", "bytes 1-9/*")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, given.parse().unwrap());
            shift_content_range(&mut headers);
            assert_eq!(headers.get(CONTENT_RANGE).unwrap(), expected);
        }
    }
}
