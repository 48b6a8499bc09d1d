//! `index.json` as a value: what it says, and how it changes. No I/O.
//!
//! An entry with an `org.opencontainers.image.ref.name` is a tag; there is one for each. A
//! manifest that no tag names has an entry without a name, so that tools which clean up a layout
//! keep it; a manifest that an index in the layout holds needs none. Everything that others wrote
//! into the file and that means nothing here is kept.

use std::collections::{BTreeMap, HashMap};

use oci::{Descriptor, Digest, MediaType, Selector, Tag};
use serde_json::{Map, Value, json};

/// The annotation that names an entry (image spec, "Pre-Defined Annotation Keys").
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What became of a tag that was to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tagged {
    /// It was free and points at the manifest now.
    Written,
    /// It pointed at the manifest already.
    Same,
    /// It points at this other manifest and was left alone.
    Holds(Digest),
}

/// The file, to be changed.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    fields: Map<String, Value>,
    entries: Vec<Value>,
}

/// What the file says, to be asked.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Each tag's manifest.
    pub(crate) tags: BTreeMap<Tag, Descriptor>,
    /// Each entry's digest and media type, in the order of the file, each digest once.
    pub(crate) manifests: Vec<Descriptor>,
    by_digest: HashMap<Digest, usize>,
}

impl Contents {
    pub(crate) fn find(&self, selector: &Selector) -> Option<&Descriptor> {
        match selector {
            Selector::Tag(tag) => self.tags.get(tag),
            Selector::Digest(digest) => self.by_digest(digest),
        }
    }

    fn by_digest(&self, digest: &Digest) -> Option<&Descriptor> {
        self.by_digest.get(digest).and_then(|&position| self.manifests.get(position))
    }
}

impl Default for Document {
    fn default() -> Self {
        let mut fields = Map::new();
        fields.insert("schemaVersion".to_owned(), json!(2));
        fields.insert("mediaType".to_owned(), json!(MediaType::OCI_INDEX));
        Self { fields, entries: Vec::new() }
    }
}

impl Document {
    /// Reads the file; the error says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut fields: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON ({error})"))?;
        let entries = match fields.remove("manifests") {
            Some(Value::Array(entries)) => entries,
            // Go writes an empty list as `null`.
            Some(Value::Null) | None => Vec::new(),
            Some(_) => return Err("its `manifests` are not a list".to_owned()),
        };
        Ok(Self { fields, entries })
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let Self { mut fields, entries } = self;
        fields.insert("manifests".to_owned(), Value::Array(entries));
        Value::Object(fields).to_string().into_bytes()
    }

    /// What it says. An entry that is no descriptor, or has a digest of an unknown algorithm, is
    /// another tool's business and left out; of two with one name the first counts.
    pub(crate) fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        for entry in &self.entries {
            let Some(descriptor) = descriptor_of(entry) else { continue };
            if let Some(tag) = name_of(entry).and_then(|name| name.parse::<Tag>().ok()) {
                contents.tags.entry(tag).or_insert_with(|| descriptor.clone());
            }
            if !contents.by_digest.contains_key(&descriptor.digest) {
                contents.by_digest.insert(descriptor.digest, contents.manifests.len());
                contents.manifests.push(descriptor);
            }
        }
        contents
    }

    /// Points a tag at a manifest, unless it points somewhere. The error says what is wrong with
    /// the entry that has the name.
    pub(crate) fn tag(&mut self, tag: &Tag, manifest: &Descriptor) -> Result<Tagged, String> {
        match self.entries.iter().find(|entry| name_of(entry) == Some(tag.as_str())) {
            None => {
                self.name(tag, manifest);
                Ok(Tagged::Written)
            }
            Some(entry) => match digest_of(entry) {
                Some(digest) if digest == manifest.digest => Ok(Tagged::Same),
                Some(digest) => Ok(Tagged::Holds(digest)),
                None => Err(format!("the entry of tag `{tag}` has no digest that is known here")),
            },
        }
    }

    /// Points a tag at a manifest, wherever it points now; false where it does so already. What
    /// it pointed at stays in the layout.
    pub(crate) fn retag(&mut self, tag: &Tag, manifest: &Descriptor) -> bool {
        let named = |entry: &&Value| name_of(entry) == Some(tag.as_str());
        let digests: Vec<_> = self.entries.iter().filter(named).map(digest_of).collect();
        if digests == [Some(manifest.digest)] {
            return false;
        }
        self.untag(tag);
        self.name(tag, manifest);
        true
    }

    /// Takes a tag away; false where it is not there. Its manifest stays.
    pub(crate) fn untag(&mut self, tag: &Tag) -> bool {
        let mut found = false;
        while let Some(position) =
            self.entries.iter().position(|entry| name_of(entry) == Some(tag.as_str()))
        {
            found = true;
            let mut entry = self.entries.remove(position);
            let digest = digest_of(&entry);
            let held = digest.is_some_and(|d| self.entries.iter().any(|e| digest_of(e) == Some(d)));
            if !held {
                unname(&mut entry);
                self.entries.insert(position, entry);
            }
        }
        found
    }

    /// Sees to it that a manifest has an entry; false where it has one.
    pub(crate) fn keep(&mut self, manifest: &Descriptor) -> bool {
        if self.entries.iter().any(|entry| digest_of(entry) == Some(manifest.digest)) {
            return false;
        }
        self.entries.push(json!(manifest));
        true
    }

    /// Drops a manifest's entry without a name: what holds it is in the layout. False where there
    /// is none.
    pub(crate) fn release(&mut self, digest: &Digest) -> bool {
        self.drop_entries(|entry| digest_of(entry) == Some(*digest) && name_of(entry).is_none())
    }

    /// Drops all entries of a manifest, its tags among them; false where there are none.
    pub(crate) fn remove(&mut self, digest: &Digest) -> bool {
        self.drop_entries(|entry| digest_of(entry) == Some(*digest))
    }

    fn drop_entries(&mut self, is_dropped: impl Fn(&Value) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| !is_dropped(entry));
        self.entries.len() != before
    }

    /// Gives a manifest's entry the name; its nameless one, or else a new one.
    fn name(&mut self, tag: &Tag, manifest: &Descriptor) {
        let nameless =
            |entry: &Value| digest_of(entry) == Some(manifest.digest) && name_of(entry).is_none();
        let position = self.entries.iter().position(nameless);
        let mut entry = match position {
            Some(position) => self.entries.remove(position),
            None => json!(manifest),
        };
        if let Some(fields) = entry.as_object_mut() {
            let annotations = fields.entry("annotations").or_insert_with(|| json!({}));
            if !annotations.is_object() {
                *annotations = json!({});
            }
            if let Some(annotations) = annotations.as_object_mut() {
                annotations.insert(REF_NAME.to_owned(), json!(tag));
            }
        }
        self.entries.insert(position.unwrap_or(self.entries.len()), entry);
    }
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

fn unname(entry: &mut Value) {
    let Some(fields) = entry.as_object_mut() else { return };
    let Some(annotations) = fields.get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    annotations.remove(REF_NAME);
    if annotations.is_empty() {
        fields.remove("annotations");
    }
}

/// What must be in an entry. The rest is for other tools, and need not be right.
fn descriptor_of(entry: &Value) -> Option<Descriptor> {
    let media_type = MediaType::new(entry.get("mediaType")?.as_str()?);
    Some(Descriptor::new(media_type, digest_of(entry)?, entry.get("size")?.as_u64()?))
}

fn digest_of(entry: &Value) -> Option<Digest> {
    entry.get("digest")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(seed: &str) -> Descriptor {
        Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(seed.as_bytes()), 7)
    }

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    /// Each entry as `name=seed`, in the order of the file.
    fn entries(document: &Document) -> Vec<String> {
        let seed = |entry: &Value| {
            let digest = digest_of(entry);
            ["a", "b", "c"].into_iter().find(|seed| digest == Some(manifest(seed).digest)).unwrap()
        };
        document
            .entries
            .iter()
            .map(|entry| format!("{}={}", name_of(entry).unwrap_or_default(), seed(entry)))
            .collect()
    }

    #[test]
    fn a_tag_is_written_once_and_never_moves() {
        let mut document = Document::default();
        assert_eq!(document.tag(&tag("1"), &manifest("a")), Ok(Tagged::Written));
        assert_eq!(document.tag(&tag("1"), &manifest("a")), Ok(Tagged::Same));
        assert_eq!(
            document.tag(&tag("1"), &manifest("b")),
            Ok(Tagged::Holds(manifest("a").digest))
        );
        assert_eq!(entries(&document), ["1=a"]);
    }

    #[test]
    fn changes_leave_one_entry_for_a_tag_and_lose_no_manifest() {
        let mut document = Document::default();
        assert!(document.keep(&manifest("a")) && !document.keep(&manifest("a")));
        document.tag(&tag("1"), &manifest("a")).unwrap();
        document.tag(&tag("2"), &manifest("a")).unwrap();
        assert_eq!(entries(&document), ["1=a", "2=a"]);
        assert!(document.retag(&tag("1"), &manifest("b")));
        assert!(!document.retag(&tag("1"), &manifest("b")));
        assert_eq!(entries(&document), ["2=a", "1=b"]);
        assert!(document.retag(&tag("1"), &manifest("c")));
        assert_eq!(entries(&document), ["2=a", "=b", "1=c"]);
        assert!(document.untag(&tag("2")) && !document.untag(&tag("2")));
        assert_eq!(entries(&document), ["=a", "=b", "1=c"]);
        assert!(
            document.release(&manifest("b").digest) && !document.release(&manifest("c").digest)
        );
        assert!(document.remove(&manifest("c").digest));
        assert_eq!(entries(&document), ["=a"]);
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let text = r#"{"schemaVersion":2,"x":[1],"manifests":[{"digest":"md5:0","y":2},
            {"mediaType":"m","digest":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
            "size":1,"z":{"k":null},"annotations":{"org.opencontainers.image.ref.name":"1"}}]}"#;
        let mut document = Document::parse(text.as_bytes()).unwrap();
        document.tag(&tag("2"), &manifest("b")).unwrap();
        document.untag(&tag("2"));
        document.remove(&manifest("b").digest);
        let expected: Value = serde_json::from_str(text).unwrap();
        let contents = document.contents();
        assert_eq!(serde_json::from_slice::<Value>(&document.into_bytes()).unwrap(), expected);
        assert_eq!(contents.tags.keys().collect::<Vec<_>>(), [&tag("1")]);
        assert!(contents.by_digest(&manifest("a").digest).is_some());
    }

    #[test]
    fn a_tag_whose_entry_cannot_be_read_is_not_free() {
        let text = r#"{"manifests":[{"digest":"md5:0",
            "annotations":{"org.opencontainers.image.ref.name":"1"}}]}"#;
        let mut document = Document::parse(text.as_bytes()).unwrap();
        assert!(document.tag(&tag("1"), &manifest("a")).unwrap_err().contains("tag `1`"));
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(Document::parse(b"").unwrap_err().contains("not JSON"));
        assert!(Document::parse(b"[]").unwrap_err().contains("not JSON"));
        assert!(Document::parse(br#"{"manifests":{}}"#).unwrap_err().contains("not a list"));
        assert!(Document::parse(br#"{"manifests":null}"#).unwrap().entries.is_empty());
    }
}
