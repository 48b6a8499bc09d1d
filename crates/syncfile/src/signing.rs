//! What a file says about signing what was copied: [`Signing`] of an image, and the
//! [`SigningDefaults`] of its file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place};
use crate::key::{self, Key};
use crate::mapping::Mapping;
use crate::reader::{Field, Reader};
use crate::sync_file::SyncFile;
use crate::verify;

/// What the file says about signing an image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Signing {
    /// The image's own word on whether it is signed; it beats flags and variables. An image with a
    /// key of its own says so.
    pub sign: Option<Placed<bool>>,
    /// The image's own key; it beats flags and variables.
    pub key: Option<Key>,
    /// What its file says of all its images; flags and variables beat it.
    pub defaults: Arc<SigningDefaults>,
}

/// What a file says about signing all its images.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SigningDefaults {
    /// Whether images are signed.
    pub sign: Option<Placed<bool>>,
    /// The key that signs them.
    pub key: Option<Key>,
    /// The keys that signed them before; not all of them can sign.
    pub former_keys: Vec<Key>,
    /// How signatures are written.
    pub format: Option<SignatureFormat>,
    /// Whether the children of an index are signed as well.
    pub recursively: Option<bool>,
    /// Whether a statement about the mirroring is written as well.
    pub attest: Option<bool>,
    /// The URL of the transparency log that is told of signatures.
    pub log_url: Option<String>,
    /// The file with the log's public key or with a trusted root.
    pub log_key: Option<PathBuf>,
}

/// How a signature is written, by the names that cosign's users know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SignatureFormat {
    /// Simple signing, under the tag `sha256-….sig`. Every cosign verifies it without flags; cosign
    /// 2 does not so much as look at a bundle without a trusted root.
    #[default]
    Legacy,
    /// A bundle as a referrer, as cosign writes it since version 3.
    Bundle,
    /// Both.
    Both,
}

impl SignatureFormat {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Legacy, Self::Bundle, Self::Both];

    /// Its name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Bundle => "bundle",
            Self::Both => "both",
        }
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// What flags and variables say about signing; they beat what a file says of all its images.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outside {
    /// Whether images are signed.
    pub sign: Option<bool>,
    /// Whether there is a key.
    pub has_key: bool,
}

impl Signing {
    /// Whether the image is signed: its own word, then that of flags and variables, then its file's.
    pub fn signs(&self, outside: Option<bool>) -> bool {
        let of_file = || self.defaults.sign.as_ref().map(|sign| sign.value);
        self.sign.as_ref().map(|sign| sign.value).or(outside).or_else(of_file).unwrap_or_default()
    }

    /// Whether both say the same, wherever they stand. Whatever flags and variables say: they beat
    /// the defaults of both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        fn same(one: &Option<Key>, other: &Option<Key>) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => one.is_same(other),
                (None, None) => true,
                _ => false,
            }
        }
        let said = |sign: &Option<Placed<bool>>| sign.as_ref().map(|sign| sign.value);
        let (ours, theirs) = (&*self.defaults, &*other.defaults);
        said(&self.sign) == said(&other.sign)
            && same(&self.key, &other.key)
            && said(&ours.sign) == said(&theirs.sign)
            && same(&ours.key, &theirs.key)
            && ours.former_keys.len() == theirs.former_keys.len()
            && ours
                .former_keys
                .iter()
                .zip(&theirs.former_keys)
                .all(|(one, other)| one.is_same(other))
            && (ours.format, ours.recursively, ours.attest)
                == (theirs.format, theirs.recursively, theirs.attest)
            && (&ours.log_url, &ours.log_key) == (&theirs.log_url, &theirs.log_key)
    }

    /// The error where it is to be signed without any key.
    fn without_key(&self, outside: Outside) -> Option<(Option<Place>, Diagnostic)> {
        if outside.has_key || self.key.is_some() || self.defaults.key.is_some() {
            return None;
        }
        if !self.signs(outside.sign) {
            return None;
        }
        let said = match (&self.sign, outside.sign) {
            (Some(sign), _) => Some(sign),
            (None, Some(_)) => None,
            (None, None) => self.defaults.sign.as_ref(),
        };
        let place = said.map(|sign| sign.place.clone());
        let message = "signatures are asked for, but there is no key to sign with";
        let error = Diagnostic::error(Code::NoSigningKey, place.clone(), message);
        let help = "give `--kms-key` or the variable SYNCER_KMS_KEY, or write `kmsKey` at the top of the \
                    file or `key` in the image";
        Some((place, error.help(help)))
    }
}

impl SyncFile {
    /// Checks all keys, of images and of rules: `read` says what is wrong with a text that names no
    /// key, and every image that is to be signed must have one.
    ///
    /// # Errors
    /// All that is wrong, each with its place, in the order of the files' names and their lines.
    pub fn check_keys(
        &self,
        outside: Outside,
        read: impl Fn(&str) -> Result<(), String>,
    ) -> Result<(), Diagnostics> {
        // By place: the default of a file is that of many images.
        let mut found: BTreeMap<_, Diagnostic> = BTreeMap::new();
        let order = |place: &Place| (place.file.clone(), place.line, place.column);
        for signing in self.signings() {
            if let Some((place, error)) = signing.without_key(outside) {
                found.insert(place.as_ref().map(order), error);
            }
        }
        for key in self.keys() {
            if let Err(message) = read(key.as_str()) {
                found.insert(Some(order(key.place())), key.invalid(message));
            }
        }
        match found.is_empty() {
            true => Ok(()),
            false => Err(Diagnostics::new(found.into_values().collect())),
        }
    }

    /// Whether anything is to be signed, where flags and variables say this of it.
    pub fn signs(&self, sign: Option<bool>) -> bool {
        self.signings().any(|signing| signing.signs(sign))
    }

    /// All keys that the files name, the same one as often as it is used.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let of_images = self.signings().flat_map(|signing| {
            let defaults = &signing.defaults;
            signing.key.iter().chain(&defaults.key).chain(&defaults.former_keys)
        });
        of_images.chain(self.verify.iter().flat_map(|rule| &rule.keys))
    }

    fn signings(&self) -> impl Iterator<Item = &Signing> {
        let images = self.images.iter().map(|image| &image.signing);
        let selections = self.selections.iter().map(|one| &one.signing);
        images.chain(selections).chain(self.charts.iter().map(|chart| &chart.signing))
    }
}

/// What the top of a file says.
pub(crate) fn read_defaults(reader: &mut Reader<'_>, keys: &mut Mapping<'_>) -> SigningDefaults {
    SigningDefaults {
        sign: keys.get("sign").and_then(|field| sign(reader, field)),
        key: keys.get("kmsKey").and_then(|field| key::signing(reader, field)),
        former_keys: keys
            .get("formerKeys")
            .map(|field| verify::keys(reader, field))
            .unwrap_or_default(),
        format: keys.get("signatureFormat").and_then(|field| format(reader, field)),
        recursively: keys.get("signRecursively").and_then(|field| reader.boolean(field)),
        attest: keys.get("attest").and_then(|field| reader.boolean(field)),
        log_url: keys.get("rekorUrl").and_then(|field| log_url(reader, field)),
        log_key: keys.get("rekorKey").and_then(|field| {
            reader.text(field).map(|path| reader.text.resolve(path.value.as_ref()))
        }),
    }
}

/// What an image says.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    keys: &mut Mapping<'_>,
    defaults: &Arc<SigningDefaults>,
) -> Signing {
    let said = keys.get("sign").map(|field| sign(reader, field));
    let key = keys.get("key").and_then(|field| key::signing(reader, field));
    let sign = match (said, &key) {
        (Some(said), _) => said,
        (None, Some(key)) => Some(Placed { value: true, place: key.place().clone() }),
        (None, None) => None,
    };
    Signing { sign, key, defaults: Arc::clone(defaults) }
}

fn sign(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Placed<bool>> {
    let value = reader.boolean(field)?;
    Some(Placed { value, place: reader.text.place(field.key_span) })
}

fn log_url(reader: &mut Reader<'_>, field: Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let host = text.value.strip_prefix("https://").or_else(|| text.value.strip_prefix("http://"));
    if host.is_none_or(str::is_empty) {
        let error = reader.error(Code::WrongType, text.span, "`rekorUrl` must be a URL");
        reader.push(error.help("write it as in https://rekor.example.com"));
        return None;
    }
    Some(text.value)
}

fn format(reader: &mut Reader<'_>, field: Field<'_>) -> Option<SignatureFormat> {
    let text = reader.text(field)?;
    let format = SignatureFormat::ALL.into_iter().find(|format| format.as_str() == text.value);
    if format.is_none() {
        let message = "`signatureFormat` must be `legacy`, `bundle` or `both`";
        reader.push(reader.error(Code::WrongType, text.span, message));
    }
    format
}
