//! [`Found`]: what a place has of signatures and attestations of one manifest.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use oci::{Content, Descriptor, Digest, Manifest};
use signing::bundle::{Bundle, Envelope, SIGNATURE_PREDICATE_TYPE};
use signing::judge::{self, Evidence};
use signing::transparency_log::TransparencyLog;
use signing::{PublicKey, simple_signing};

use super::rule::Seen;
use crate::place::Place;
use crate::tag_lists::cosign_tag;
use crate::{Class, Failure};

/// How many blobs and manifests of one image's signatures are read at once.
const READ_AT_ONCE: usize = 8;

/// The most bundles of one image that are looked at.
const MOST_BUNDLES: usize = 256;

/// cosign's annotation of a bundle that says what is in it.
const PREDICATE_TYPE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";

/// What a place has of signatures and attestations of one manifest.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The image under cosign's tag for signatures.
    pub(crate) image: Option<Manifest>,
    /// What could be read.
    pub(super) evidence: Vec<Evidence>,
    /// What is there and could not be read, and why.
    pub(super) unreadable: Vec<String>,
}

impl Found {
    /// The signatures that a place has of `digest`. A denied look is a failure, never "none".
    pub(crate) async fn at(place: &Place, digest: Digest) -> Result<Self, Failure> {
        let is_signature = |annotated: Option<&String>| {
            annotated.is_none_or(|found| found == SIGNATURE_PREDICATE_TYPE)
        };
        let mut found = Self::default();
        found.read_image(place, digest).await?;
        found.read_bundles(place, digest, is_signature).await?;
        Ok(found)
    }

    /// The signatures and attestations.
    pub(crate) async fn all_at(place: &Place, digest: Digest) -> Result<Self, Failure> {
        let mut found = Self::default();
        found.read_image(place, digest).await?;
        found.read_attestations(place, digest).await?;
        found.read_bundles(place, digest, |_| true).await?;
        Ok(found)
    }

    /// The bundles with statements of one type.
    pub(crate) async fn of_type(
        place: &Place,
        digest: Digest,
        predicate_type: &str,
    ) -> Result<Self, Failure> {
        let mut found = Self::default();
        let is_of_type =
            |annotated: Option<&String>| annotated.is_some_and(|it| it == predicate_type);
        found.read_bundles(place, digest, is_of_type).await?;
        Ok(found)
    }

    /// Whether there is nothing that could be a signature.
    pub(crate) fn is_empty(&self) -> bool {
        self.unreadable.is_empty() && !self.evidence.iter().any(Evidence::is_signature)
    }

    /// Whether this is among it.
    pub(crate) fn includes(&self, evidence: &Evidence) -> bool {
        self.evidence.contains(evidence)
    }

    /// What is here and not there.
    pub(crate) fn without(&self, there: &Self) -> Self {
        let evidence = self.evidence.iter().filter(|one| !there.includes(one)).cloned();
        let unreadable = self.unreadable.iter().filter(|one| !there.unreadable.contains(one));
        Self {
            image: None,
            evidence: evidence.collect(),
            unreadable: unreadable.cloned().collect(),
        }
    }

    /// Whose the signatures are: the key's, a former key's, or strangers'. Where there is a log, the key's
    /// must be in it.
    pub(crate) fn by(
        &self,
        key: &PublicKey,
        former: &[PublicKey],
        log: Option<&TransparencyLog>,
        digest: Digest,
    ) -> Seen {
        let mut seen = Seen { strangers: self.unreadable.clone(), ..Seen::default() };
        for evidence in self.evidence.iter().filter(|evidence| evidence.is_signature()) {
            match (judge::signature(evidence, &digest, std::slice::from_ref(key)), evidence) {
                (Ok(_), own) if log.is_some_and(|log| !log.has(own, key)) => {
                    seen.own_unlogged = true;
                }
                (Ok(_), Evidence::Layer(_)) => seen.own_legacy = true,
                (Ok(_), Evidence::Bundle(_) | Evidence::Envelope { .. }) => seen.own_bundle = true,
                (Err(_), _) if judge::signature(evidence, &digest, former).is_ok() => {
                    seen.own_former = true;
                }
                (Err(refusal), _) => seen.strangers.push(refusal.to_string()),
            }
        }
        seen
    }

    /// What is under cosign's tag for signatures.
    async fn read_image(&mut self, place: &Place, digest: Digest) -> Result<(), Failure> {
        let Some(tag) = cosign_tag(&digest, "sig") else { return Ok(()) };
        let Some(manifest) = place.manifest(tag).await? else { return Ok(()) };
        let mut layers: Vec<Descriptor> = simple_signing::layers(&manifest).cloned().collect();
        layers.sort_by_key(|layer| layer.digest);
        layers.dedup_by_key(|layer| layer.digest);
        let payloads = stream::iter(layers)
            .map(|layer| async move {
                Ok::<_, Failure>((layer.digest, place.read_small(&layer).await?))
            })
            .buffer_unordered(READ_AT_ONCE);
        let payloads: BTreeMap<Digest, Bytes> = payloads.try_collect().await?;
        let layers = simple_signing::read(&manifest, &payloads);
        self.evidence.extend(layers.into_iter().map(Evidence::Layer));
        self.image = Some(manifest);
        Ok(())
    }

    /// What is under cosign's tag for attestations.
    async fn read_attestations(&mut self, place: &Place, digest: Digest) -> Result<(), Failure> {
        let Some(tag) = cosign_tag(&digest, "att") else { return Ok(()) };
        let Some(manifest) = place.manifest(tag).await? else { return Ok(()) };
        let Content::Image(image) = manifest.content() else { return Ok(()) };
        let layers = image.layers.iter();
        let layers = layers.filter(|layer| layer.media_type.as_str() == Envelope::LAYER_TYPE);
        for layer in layers.take(MOST_BUNDLES) {
            let annotations = layer.annotations.clone();
            match Envelope::parse(&place.read_small(layer).await?) {
                Ok(envelope) => self.evidence.push(Evidence::Envelope { envelope, annotations }),
                Err(error) => {
                    self.unreadable.push(format!("attestation {}: {error}", layer.digest));
                }
            }
        }
        Ok(())
    }

    /// The bundles that refer to it, as far as their annotations say that they are wanted.
    async fn read_bundles(
        &mut self,
        place: &Place,
        digest: Digest,
        wanted: impl Fn(Option<&String>) -> bool,
    ) -> Result<(), Failure> {
        let referrers = match place.own_referrers(&digest).await? {
            Some(own) => own,
            None => place.tagged_referrers(&digest).await?,
        };
        let bundles = referrers.into_iter().filter(|referrer| {
            let is_one = referrer.artifact_type.as_deref().is_some_and(is_bundle);
            is_one && wanted(referrer.annotations.get(PREDICATE_TYPE_ANNOTATION))
        });
        let bundles =
            stream::iter(bundles.take(MOST_BUNDLES))
                .map(|referrer| async move {
                    (referrer.digest, read_bundle(place, referrer.digest).await)
                })
                .buffered(READ_AT_ONCE);
        let bundles: Vec<_> = bundles.collect().await;
        for (digest, bundle) in bundles {
            match bundle? {
                Ok(bundle) => self.evidence.push(Evidence::Bundle(bundle)),
                Err(problem) => self.unreadable.push(format!("bundle {digest}: {problem}")),
            }
        }
        Ok(())
    }
}

/// Whether an artifact type is that of a bundle, of whatever version.
fn is_bundle(artifact_type: &str) -> bool {
    artifact_type.starts_with("application/vnd.dev.sigstore.bundle")
}

/// The bundle in a referrer, or why it is none.
async fn read_bundle(place: &Place, digest: Digest) -> Result<Result<Bundle, String>, Failure> {
    let Some(manifest) = place.manifest(digest).await? else {
        let message = format!("referrer {digest} is listed and not there");
        return Err(Failure::new(place.side(), Class::Content, message));
    };
    let layer = match manifest.content() {
        Content::Image(image) => image.layers.first(),
        Content::Index(_) => None,
    };
    let Some(layer) = layer else { return Ok(Err("it has no layer".to_owned())) };
    let bundle = Bundle::parse(place.read_small(layer).await?);
    Ok(bundle.map_err(|error| error.to_string()))
}
