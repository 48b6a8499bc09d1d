//! [`List`]: a sync file that is being written.

use std::fmt::Write as _;

use super::Converted;

/// The entries so far, and what could not be said.
#[derive(Debug, Default)]
pub(super) struct List {
    text: String,
    notes: Vec<String>,
}

/// One entry of `images`.
#[derive(Debug, Default)]
pub(super) struct Entry<'a> {
    pub(super) source: String,
    pub(super) destination: Option<&'a str>,
    pub(super) tag: Option<&'a str>,
    /// Lines of `tags`, key and value.
    pub(super) rules: Vec<(&'static str, Vec<String>)>,
    pub(super) platforms: Vec<&'a str>,
}

impl List {
    /// What is not said in the list.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn push(&mut self, entry: &Entry<'_>) {
        let text = &mut self.text;
        // Writing into a text does not fail.
        let _ = writeln!(text, "- source: {}", quoted(&entry.source));
        for (key, value) in [("destination", entry.destination), ("tag", entry.tag)] {
            if let Some(value) = value {
                let _ = writeln!(text, "  {key}: {}", quoted(value));
            }
        }
        if !entry.rules.is_empty() {
            text.push_str("  tags:\n");
            for (key, values) in &entry.rules {
                let _ = writeln!(text, "    {key}: {}", one_or_list(values));
            }
        }
        if !entry.platforms.is_empty() {
            let _ = writeln!(text, "  platforms: {}", one_or_list(&entry.platforms));
        }
    }

    pub(super) fn end(self) -> Converted {
        let text = match self.text.is_empty() {
            true => "images: []\n".to_owned(),
            false => format!("images:\n{}", self.text),
        };
        Converted { text, notes: self.notes }
    }
}

fn one_or_list(values: &[impl AsRef<str>]) -> String {
    match values {
        [one] => quoted(one.as_ref()),
        many => {
            let values: Vec<String> = many.iter().map(|value| quoted(value.as_ref())).collect();
            format!("[{}]", values.join(", "))
        }
    }
}

/// In single quotes nothing but themselves is special, and a backslash stays one; a line break, which no
/// reference or rule has, would become a space.
fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    format!("'{}'", text.replace('\'', "''"))
}
