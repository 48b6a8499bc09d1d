//! [`Key`]: a key as a file names it, for signing or for verifying.
//!
//! What the name of a key looks like is known to the crate that signs, and to it alone. Its cryptography
//! and its requests to key management services are no business of a reader of YAML, so this crate does
//! not use it: a key stays a text with its place, and [`SyncFile::check_keys`](crate::SyncFile::check_keys)
//! is given the parser. So there is one parser, and a mistake has its file, line and column before any
//! registry is asked.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic, Place};
use crate::reader::{Field, Reader, Spanned};
use crate::text;

/// A key as a file names it.
#[derive(Clone, Eq, PartialEq)]
pub struct Key {
    text: String,
    folder: PathBuf,
    place: Place,
}

impl Key {
    pub(crate) fn new(reader: &Reader<'_>, text: Spanned<String>) -> Self {
        let folder = reader.text.folder().to_owned();
        Self { place: reader.text.place(text.span), text: text.value, folder }
    }

    /// A reference to a key, or the key itself as PEM, as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A path in [`Key::as_str`] as seen from the working directory: it begins at the folder of the file.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        text::resolve(&self.folder, path)
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The error for a text that is no key; the message must not quote what may be secret.
    pub fn invalid(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(Code::InvalidKey, Some(self.place.clone()), message)
    }

    /// Whether it is the same key, as far as its text tells.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.text, &self.folder) == (&other.text, &other.folder)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if is_private(&self.text) { "***" } else { &self.text };
        write!(f, "Key({text:?} at {})", self.place)
    }
}

/// The key that signs.
pub(crate) fn signing(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Key> {
    let key = reader.text(field).map(|text| Key::new(reader, text))?;
    if key.text.contains(PUBLIC) {
        reader.push(key.invalid("a public key cannot sign").help("name the private key"));
        return None;
    }
    Some(key)
}

/// What the first line of a public key as PEM has (RFC 7468).
const PUBLIC: &str = "PUBLIC KEY-----";

/// What the first line of a private key as PEM has, whatever its form: those of RFC 7468, of OpenSSL
/// and of cosign.
const PRIVATE: &str = "PRIVATE KEY-----";

/// Whether a text is or has a private key. None may be in a file, but one that is must not be shown.
pub(crate) fn is_private(text: &str) -> bool {
    text.contains(PRIVATE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;
    use crate::yaml::Span;

    #[test]
    fn a_path_begins_at_the_folder_of_the_file_and_a_private_key_is_not_shown() {
        let text = Text::new("lists/a.yaml".into(), "lists".into(), "kmsKey: x".to_owned());
        let reader = Reader::new(&text);
        let key = |value: &str| {
            let span = Span { start: 8, end: 9 };
            Key::new(&reader, Spanned { value: value.to_owned(), span })
        };
        assert_eq!(key("x").resolve(Path::new("./x.pub")), Path::new("lists/x.pub"));
        assert_eq!(key("x").resolve(Path::new("/x.pub")), Path::new("/x.pub"));
        assert_eq!(format!("{:?}", key("x")), "Key(\"x\" at lists/a.yaml:1:9)");
        let private = key("-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0");
        assert_eq!(format!("{private:?}"), "Key(\"***\" at lists/a.yaml:1:9)");
    }
}
