//! How text that is not ours is put into Markdown: always as code, because GitHub turns what it finds in
//! other text into mentions, references and links, and notifies people.

/// The text as code, on one line, safe in a cell of a table.
pub(crate) fn code(text: &str) -> String {
    let is_harmless = |one: char| {
        one.is_alphanumeric() || " !\"#$%&'()*+,-./:;=?@[]^_{}~".contains(one) || one == '…'
    };
    if text.trim().is_empty() {
        return String::new();
    }
    if text.chars().all(is_harmless) && text.trim().len() == text.len() {
        return format!("`{text}`");
    }
    // A reference by number is never structure (CommonMark 0.31, section 2.5), not even in a table, where a
    // backslash before a bar depends on who reads it.
    let mut html = String::from("<code>");
    for one in text.chars() {
        match one {
            ' ' => html.push(' '),
            one if one.is_control() || is_invisible(one) => html.push('\u{fffd}'),
            one if one.is_ascii_punctuation() => html.push_str(&format!("&#{};", u32::from(one))),
            one => html.push(one),
        }
    }
    html + "</code>"
}

/// Characters that turn the direction of text around, so that a reader sees another one than a program.
fn is_invisible(one: char) -> bool {
    matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// A fence that the text cannot close.
pub(crate) fn fence(text: &str) -> String {
    let longest = text.split(|one| one != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_more_than_text_is_written_by_number() {
        let table = [
            ("", ""),
            (" ", ""),
            ("docker.io/library/nginx:1.27", "`docker.io/library/nginx:1.27`"),
            ("@octocat #1 *a*", "`@octocat #1 *a*`"),
            ("a|b", "<code>a&#124;b</code>"),
            ("a\\|b", "<code>a&#92;&#124;b</code>"),
            ("`x` @me", "<code>&#96;x&#96; &#64;me</code>"),
            ("<b>", "<code>&#60;b&#62;</code>"),
            ("&lt;", "`&lt;`"),
            ("a\nb\u{1b}", "<code>a\u{fffd}b\u{fffd}</code>"),
            ("a\u{202e}b|", "<code>a\u{fffd}b&#124;</code>"),
            ("größe|", "<code>größe&#124;</code>"),
        ];
        for (text, expected) in table {
            assert_eq!(code(text), expected);
        }
    }

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        assert_eq!(fence("a"), "```");
        assert_eq!(fence("`` ``` `"), "````");
    }
}
