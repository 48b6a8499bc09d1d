//! [`FallbackTags`]: keeps the lists of referrers at targets that keep none themselves
//! (distribution spec, "Referrers Tag Schema").
//!
//! A list is read, merged, written, and read again, because the protocol knows no condition on a
//! PUT and somebody else may write the same list (on GHCR two writers have lost each other's
//! entries: NVIDIA/nodewright-packages#132). A list never shrinks.

use std::collections::HashSet;
use std::time::Duration;

use oci::{Algorithm, Content, Digest, Manifest, MediaType};
use serde_json::{Map, Value, json};

use crate::act::{Act, ActKind, Acts};
use crate::place::Place;
use crate::turns::Turns;
use crate::{Class, Failure, Side};

/// How often a list is written before its item is told that it does not hold.
const WRITES: u32 = 4;

/// How long is waited before a list that was lost is looked at again, the first time; four times
/// as long each time after it.
const PAUSE: Duration = Duration::from_millis(100);

/// The lists that this run keeps. Each has one writer at a time.
#[derive(Default)]
pub(crate) struct FallbackTags {
    turns: Turns,
}

impl FallbackTags {
    /// Sees to it that the target's list of a subject's referrers has these.
    pub(crate) async fn add(
        &self,
        acts: &Acts,
        target: &Place,
        subject: Digest,
        referrers: &[Manifest],
    ) -> Result<(), Failure> {
        let turn = self.turns.of(target, subject);
        let _turn = turn.lock().await;
        let tag = oci::Tag::of_referrers(&subject);
        let mut wanted = List::of(referrers);
        for writes in 0..=WRITES {
            if writes > 1 {
                tokio::time::sleep(PAUSE * 4_u32.pow(writes - 2)).await;
            }
            let held = target.manifest(tag.clone()).await?;
            let there = match &held {
                Some(manifest) => List::read(manifest, &subject)?,
                None => List::default(),
            };
            if there.has_all_of(&wanted) {
                return Ok(());
            }
            wanted = there.and(wanted);
            if writes < WRITES {
                let list = wanted.manifest()?;
                let rewritten = acts.begin(|| {
                    let kind = ActKind::ReferrerListRewritten;
                    let mut act = Act::at_tag(kind, target.location(), &tag);
                    act.from = held.map(|held| held.digest());
                    act.to = Some(list.digest());
                    act.evidence.subject = Some(subject);
                    act
                });
                let rewritten = rewritten.await?;
                target.put_list(&tag, &list).await?;
                rewritten.done(|_| ()).await?;
            }
        }
        let message = format!(
            "the list of referrers under tag {tag} was written {WRITES} times and never held"
        );
        Err(Failure::new(Side::Target, Class::Content, message)
            .with_hint("someone else writes it at the same time, or the registry drops it"))
    }

    /// What the target's list of a subject's referrers has; `None` where it can have none, because
    /// something else stands under its tag.
    pub(crate) async fn listed(
        target: &Place,
        subject: &Digest,
    ) -> Result<Option<HashSet<Digest>>, Failure> {
        let list = target.manifest(oci::Tag::of_referrers(subject)).await?;
        Ok(match list {
            Some(list) if List::read(&list, subject).is_err() => None,
            Some(list) => Some(list.manifests().map(|entry| entry.digest).collect()),
            None => Some(HashSet::new()),
        })
    }
}

/// A list of referrers. What others wrote into it stays as it is.
#[derive(Debug, Default)]
struct List {
    fields: Map<String, Value>,
    entries: Vec<Value>,
}

impl List {
    /// A new list; its order does not depend on that of its making.
    fn of(referrers: &[Manifest]) -> Self {
        let mut referrers: Vec<&Manifest> = referrers.iter().collect();
        referrers.sort_by_key(|manifest| manifest.digest());
        referrers.dedup_by_key(|manifest| manifest.digest());
        let entries = referrers.into_iter().map(|one| json!(one.as_referrer())).collect();
        Self { fields: Map::new(), entries }
    }

    /// What stands under a fallback tag.
    fn read(manifest: &Manifest, subject: &Digest) -> Result<Self, Failure> {
        let same = Digest::of(subject.algorithm(), manifest.bytes()) == *subject;
        let problem = match manifest.content() {
            // GitLab reads the tag as the digest in it (oras-go#1396).
            _ if same => {
                "the target takes the fallback tag for the digest, so referrers cannot be listed"
            }
            Content::Image(_) => "the tag for it holds an image, which was left alone",
            Content::Index(_) => match serde_json::from_slice(manifest.bytes()) {
                Ok(Value::Object(mut fields)) => {
                    let entries = match fields.remove("manifests") {
                        Some(Value::Array(entries)) => entries,
                        _ => Vec::new(),
                    };
                    return Ok(Self { fields, entries });
                }
                _ => "the tag for it holds what cannot be read",
            },
        };
        let message = format!("the referrers of {subject} were copied, but not listed: {problem}");
        Err(Failure::new(Side::Target, Class::Unsupported, message))
    }

    fn has_all_of(&self, other: &Self) -> bool {
        other.entries.iter().all(|entry| self.has(entry))
    }

    fn has(&self, entry: &Value) -> bool {
        self.entries.iter().any(|own| own.get("digest") == entry.get("digest"))
    }

    /// Both; the own entries first.
    fn and(mut self, other: Self) -> Self {
        for entry in other.entries {
            if !self.has(&entry) {
                self.entries.push(entry);
            }
        }
        self
    }

    fn manifest(&self) -> Result<Manifest, Failure> {
        let mut document = self.fields.clone();
        document.insert("schemaVersion".to_owned(), json!(2));
        document.insert("mediaType".to_owned(), json!(MediaType::OCI_INDEX));
        document.insert("manifests".to_owned(), json!(self.entries));
        let bytes = Value::Object(document).to_string().into();
        Manifest::parse(bytes, None, Algorithm::Sha256).map_err(|error| {
            let message = format!("the list of referrers cannot be written: {error}");
            Failure::new(Side::Target, Class::Unsupported, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn parse(json: &Value) -> Manifest {
        Manifest::parse(Bytes::from(json.to_string()), None, Algorithm::Sha256).unwrap()
    }

    fn referrer(name: &str) -> Manifest {
        parse(&json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": "a/b",
            "config": { "mediaType": "c/d", "digest": Digest::sha256(b"{}"), "size": 2 },
            "layers": [], "annotations": { "name": name },
        }))
    }

    fn names(list: &List) -> Vec<&str> {
        list.entries.iter().map(|entry| entry["annotations"]["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn entries_have_what_the_spec_asks_for() {
        let one = referrer("one");
        let list = List::of(&[one.clone(), one.clone()]).manifest().unwrap();
        assert_eq!(*list.media_type(), MediaType::OCI_INDEX);
        let entries: Vec<_> = list.manifests().cloned().collect();
        assert_eq!(entries, [one.as_referrer()]);
        assert_eq!(entries[0].artifact_type.as_deref(), Some("a/b"));
    }

    #[test]
    fn a_merged_list_has_all_of_both_and_what_others_wrote() {
        let subject = Digest::sha256(b"subject");
        let theirs = parse(&json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "annotations": { "a": "b" },
            "manifests": [{
                "mediaType": MediaType::OCI_MANIFEST, "digest": Digest::sha256(b"t"), "size": 1,
                "annotations": { "name": "theirs" }, "unknown": true,
            }],
        }));
        let there = List::read(&theirs, &subject).unwrap();
        let ours = List::of(&[referrer("ours")]);
        assert!(!there.has_all_of(&ours));
        let merged = there.and(ours);
        assert_eq!(names(&merged), ["theirs", "ours"]);
        let again = List::read(&merged.manifest().unwrap(), &subject).unwrap();
        assert_eq!(names(&again), ["theirs", "ours"]);
        assert_eq!(again.entries[0]["unknown"], json!(true));
        assert_eq!(again.fields["annotations"]["a"], json!("b"));
        assert!(again.has_all_of(&List::of(&[referrer("ours")])));
    }

    #[test]
    fn what_is_no_list_is_left_alone() {
        let image = referrer("image");
        assert!(List::read(&image, &Digest::sha256(b"subject")).is_err());
        let index = parse(&json!({ "schemaVersion": 2, "manifests": [] }));
        assert!(List::read(&index, &index.digest()).is_err(), "the subject itself");
        assert!(List::read(&index, &Digest::sha256(b"subject")).is_ok());
    }
}
