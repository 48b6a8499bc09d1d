//! What an answer says of the part of a blob that it brings, and of the size of the whole
//! (RFC 9110, section 14.4).

use http::header::CONTENT_RANGE;
use http::{HeaderMap, StatusCode};

use crate::answer::{content_length, text};

/// The part that an answer with status 206 brings.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct ContentRange {
    pub(crate) start: u64,
    /// The size of the whole.
    pub(crate) whole: Option<u64>,
}

impl ContentRange {
    /// `bytes START-END/WHOLE`, where WHOLE may be `*`.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = text(headers, CONTENT_RANGE)?.trim();
        let (part, whole) = value.strip_prefix("bytes")?.trim_start().split_once('/')?;
        let (start, _) = part.split_once('-')?;
        Some(Self { start: start.trim().parse().ok()?, whole: whole.trim().parse().ok() })
    }

    /// Whether it is a part of content of this size, from `offset` on.
    pub(crate) fn continues(&self, offset: u64, size: Option<u64>) -> bool {
        self.start == offset
            && match (self.whole, size) {
                (Some(whole), Some(size)) => whole == size,
                _ => true,
            }
    }
}

/// The size of the whole content that an answer brings all or a part of.
pub(crate) fn whole_size(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    if status == StatusCode::PARTIAL_CONTENT {
        ContentRange::of(headers)?.whole
    } else {
        content_length(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(value: &str) -> Option<ContentRange> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, value.parse().unwrap());
        ContentRange::of(&headers)
    }

    #[test]
    fn a_range_continues_only_where_it_was_asked_to() {
        let table = [
            ("bytes 5-9/10", 5, Some(10), true),
            ("bytes 5-9/*", 5, Some(10), true),
            ("bytes 5-9/10", 5, None, true),
            ("bytes 0-9/10", 5, Some(10), false),
            ("bytes 6-9/10", 5, Some(10), false),
            ("bytes 5-9/11", 5, Some(10), false),
        ];
        for (value, offset, size, expected) in table {
            assert_eq!(range(value).unwrap().continues(offset, size), expected, "{value}");
        }
        for nonsense in ["", "bytes */10", "bytes", "items 5-9/10", "bytes x-9/10"] {
            assert_eq!(range(nonsense), None, "{nonsense}");
        }
    }
}
