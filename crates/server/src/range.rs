//! Byte ranges: of a blob that is pulled (RFC 9110, section 14) and of a chunk that is pushed
//! (distribution spec, "Pushing a blob in chunks"; without a unit and without a total).

/// The bytes from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Range {
    pub(crate) fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a request for a part of something is to be answered with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Requested {
    /// All of it: no single range was asked for, or not in a way that is understood.
    Whole,
    /// This part.
    Part(Range),
    /// No part: there is nothing in the range.
    Unsatisfiable,
}

/// Reads a `Range` header for content of `size` bytes.
pub(crate) fn requested(header: &str, size: u64) -> Requested {
    let Some(range) = header.trim().strip_prefix("bytes=") else { return Requested::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Requested::Whole };
    let range = match (number(first), number(last)) {
        // The last bytes, or all where there are not so many.
        (None, Some(length)) if first.is_empty() => {
            if length == 0 || size == 0 {
                return Requested::Unsatisfiable;
            }
            Range { first: size.saturating_sub(length), last: size - 1 }
        }
        (Some(first), None) if last.is_empty() => Range { first, last: u64::MAX },
        (Some(first), Some(last)) => Range { first, last },
        _ => return Requested::Whole,
    };
    if range.first >= size || range.last < range.first {
        return Requested::Unsatisfiable;
    }
    Requested::Part(Range { last: range.last.min(size - 1), ..range })
}

/// Reads the `Content-Range` header of a chunk, `<first>-<last>`; a unit and a total, which some
/// clients send as HTTP has it, are passed over.
pub(crate) fn of_chunk(header: &str) -> Option<Range> {
    let range = header.trim();
    let range = range.strip_prefix("bytes ").unwrap_or(range);
    let range = range.split_once('/').map_or(range, |(range, _)| range);
    let (first, last) = range.split_once('-')?;
    let range = Range { first: number(first)?, last: number(last)? };
    (range.first <= range.last && range.last < u64::MAX).then_some(range)
}

/// Digits only; `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_pull() {
        use Requested::{Part, Unsatisfiable, Whole};
        let part = |first, last| Part(Range { first, last });
        let table = [
            ("bytes=0-0", 10, part(0, 0)),
            ("bytes=2-5", 10, part(2, 5)),
            ("bytes=2-", 10, part(2, 9)),
            ("bytes=2-99", 10, part(2, 9)),
            ("bytes=-3", 10, part(7, 9)),
            ("bytes=-30", 10, part(0, 9)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=5-4", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-1", 0, Unsatisfiable),
            ("bytes=0-1,4-5", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("lines=1-2", 10, Whole),
            ("", 10, Whole),
        ];
        for (header, size, expected) in table {
            assert_eq!(requested(header, size), expected, "{header} of {size}");
        }
    }

    #[test]
    fn ranges_of_a_chunk() {
        let range = |first, last| Some(Range { first, last });
        let largest = format!("0-{}", u64::MAX);
        for (header, expected) in [
            ("0-9", range(0, 9)),
            ("5-5", range(5, 5)),
            ("bytes 0-9/10", range(0, 9)),
            ("9-0", None),
            ("0-", None),
            ("-9", None),
            ("x-y", None),
            ("", None),
            (largest.as_str(), None),
        ] {
            assert_eq!(of_chunk(header), expected, "{header}");
        }
    }
}
