//! JSON as Go's `encoding/json` writes it, so that what is made here has the digest of what Helm
//! makes.

use serde::Serialize;

/// The value as Go's `json.Marshal` would write it: as serde_json does, but with `<`, `>`, `&` and
/// two line separators escaped (<https://pkg.go.dev/encoding/json#Marshal>). These stand nowhere but
/// in texts, so they can be replaced afterwards.
pub(crate) fn marshal(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let plain = serde_json::to_string(value)?;
    let mut escaped = String::with_capacity(plain.len());
    for character in plain.chars() {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    Ok(escaped.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_go_escapes() {
        // The right side is what a Go program printed.
        let table = [
            ("a<b>&c", r#""a\u003cb\u003e\u0026c""#),
            ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
            ("\"\\/\n\r\t\u{8}\u{c}\u{1}", r#""\"\\/\n\r\t\b\f\u0001""#),
            ("ü😀\u{7f}", "\"ü😀\u{7f}\""),
        ];
        for (text, expected) in table {
            assert_eq!(String::from_utf8(marshal(&text).unwrap()).unwrap(), expected);
        }
    }
}
