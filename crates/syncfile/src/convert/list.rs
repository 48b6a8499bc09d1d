//! [`List`]: a sync file that is being written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use oci::Host;

use super::Converted;

/// The entries so far, and what could not be said.
#[derive(Debug, Default)]
pub(super) struct List {
    text: String,
    /// The entries of `registries`, each as keys and values.
    registries: BTreeMap<Host, BTreeMap<&'static str, String>>,
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
    pub(super) extent: Extent<'a>,
}

/// How much of the source is wanted.
#[derive(Debug, Default)]
pub(super) enum Extent<'a> {
    #[default]
    Whole,
    Platforms(Vec<&'a str>),
    Amd64Only,
}

impl List {
    /// What is not said in the list.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A registry that is spoken to in plain http.
    pub(super) fn insecure(&mut self, host: Host) {
        self.registries.entry(host).or_default().insert("insecure", "true".to_owned());
    }

    /// A file of certificates that are trusted for a registry.
    pub(super) fn ca(&mut self, host: Host, file: &str) {
        self.registries.entry(host).or_default().insert("ca", quoted(file));
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
        match &entry.extent {
            Extent::Platforms(platforms) if !platforms.is_empty() => {
                let _ = writeln!(text, "  platforms: {}", one_or_list(platforms));
            }
            Extent::Amd64Only => text.push_str("  amd64Only: true\n"),
            Extent::Whole | Extent::Platforms(_) => {}
        }
    }

    pub(super) fn end(self) -> Converted {
        let mut text = String::new();
        for (number, (host, settings)) in self.registries.iter().enumerate() {
            if number == 0 {
                text.push_str("registries:\n");
            }
            let settings: Vec<String> =
                settings.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            let _ = writeln!(text, "  {}: {{ {} }}", quoted(host.as_str()), settings.join(", "));
        }
        match self.text.is_empty() {
            true => text.push_str("images: []\n"),
            false => {
                let _ = write!(text, "images:\n{}", self.text);
            }
        }
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
