//! Where only a part of a source is wanted: which manifest the target's tag is to hold then, and
//! whether what it holds is that.
//!
//! The source's manifest is read when something is to be copied. Whether there is anything to do is
//! told from the target wherever that can be: a GET at a source may count as a pull, and the target
//! has an index that was made here with all that is needed to make it again.

use futures::TryStreamExt;
use oci::{Content, Digest, Extent, Manifest, Platform, Selection, SubsetError, Tag, subset};
use tokio::sync::OnceCell;

use crate::place::Place;
use crate::tag_lists::{COSIGN_KINDS, cosign_tag};
use crate::walk::Walk;
use crate::{Class, Failure, Side, SourceState, TargetState, WhichReferrers};

/// The largest configuration that is read for its platform, in bytes. It is the size that registries
/// bound manifests by; an image's configuration has some kilobytes.
const CONFIG_SIZE_LIMIT: u64 = oci::MANIFEST_SIZE_LIMIT;

/// What is wanted of one source, read once for all its targets.
pub(crate) struct Subset<'a> {
    source: &'a Place,
    selection: &'a Selection,
    extent: &'a Extent,
    /// The source's manifest, where it has been read already.
    manifest: Option<Manifest>,
    part: OnceCell<Result<Part, Failure>>,
}

/// What the target's tag is to hold.
pub(crate) struct Root {
    pub(crate) manifest: Manifest,
    /// The digest that the source has; that of the manifest, unless only a part is wanted.
    pub(crate) whole: Digest,
    /// Whether it was made here. Then the source has no such manifest and nothing refers to it.
    pub(crate) is_made: bool,
}

impl<'a> Subset<'a> {
    /// What `extent` says is wanted of what `selection` picks at `source`.
    pub(crate) fn new(
        source: &'a Place,
        selection: &'a Selection,
        extent: &'a Extent,
        manifest: Option<Manifest>,
    ) -> Self {
        Self { source, selection, extent, manifest, part: OnceCell::new() }
    }

    /// What was seen of the source, with the digest that the target's tag is to hold in place of
    /// the source's own. Where that does not matter, the source's own stays: what the target holds
    /// is surely something else, or it holds nothing and `reads` forbids to look what it will be.
    pub(crate) async fn goal(
        &self,
        seen: &SourceState,
        held: &Held,
        target: &Place,
        reads: bool,
    ) -> SourceState {
        let goal = |digest| self.goal_digest(digest, held, target, reads);
        let goal = match seen {
            SourceState::Found(digest) => goal(*digest).await.map(SourceState::Found),
            SourceState::Moved { pinned, now } => {
                goal(*pinned).await.map(|pinned| SourceState::Moved { pinned, now: *now })
            }
            SourceState::Missing | SourceState::Refused(_) | SourceState::Unreadable(_) => {
                Ok(seen.clone())
            }
        };
        goal.unwrap_or_else(SourceState::Unreadable)
    }

    async fn goal_digest(
        &self,
        whole: Digest,
        held: &Held,
        target: &Place,
        reads: bool,
    ) -> Result<Digest, Failure> {
        let is_image = matches!(self.extent, Extent::Image(_));
        match &held.manifest {
            _ if *self.extent == Extent::Whole => Ok(whole),
            // These are the source's bytes: what is wanted of them is read from the target.
            Some(there) if is(there, whole) => {
                let part = part(target, there.clone(), self.extent).await?.digest();
                Ok(if part == there.digest() { whole } else { part })
            }
            Some(there) if held.source == Some(whole) => Ok(there.digest()),
            // Whoever pushed it: the chart is the same.
            Some(there) if *self.extent == Extent::Chart => {
                let own = self.source.chart(self.selection).await?;
                let is_same = own.is_some() && own == held.chart();
                Ok(if is_same { there.digest() } else { whole })
            }
            // An image cannot say what index it is from, so the source's has to be read.
            Some(there) if is_image && !there.media_type().is_index() => self.digest(whole).await,
            None if reads && held.state == TargetState::Absent => self.digest(whole).await,
            Some(_) | None => Ok(whole),
        }
    }

    /// The digest of what is wanted.
    async fn digest(&self, whole: Digest) -> Result<Digest, Failure> {
        let part = self.part.get_or_init(|| async {
            let manifest = match &self.manifest {
                Some(manifest) => manifest.clone(),
                None => read(self.source, whole).await?,
            };
            part(self.source, manifest, self.extent).await
        });
        part.await.as_ref().map(Part::digest).map_err(Failure::clone)
    }

    /// What is wanted, to be copied.
    pub(crate) async fn into_root(self, whole: Digest) -> Result<Root, Failure> {
        let part = match (self.part.into_inner(), self.manifest) {
            (Some(part), _) => part?,
            (None, Some(manifest)) => part(self.source, manifest, self.extent).await?,
            (None, None) => part(self.source, read(self.source, whole).await?, self.extent).await?,
        };
        let manifest = match part {
            Part::Manifest(manifest) => manifest,
            Part::Child(child) => read(self.source, child).await?,
        };
        let is_made = is_made(self.extent, whole, manifest.digest());
        Ok(Root { manifest, whole, is_made })
    }
}

/// Whether a root is another than the source's own, told by their digests: it was made here, or is
/// somebody's image of the same chart.
pub(crate) fn is_made(extent: &Extent, whole: Digest, root: Digest) -> bool {
    matches!(extent, Extent::Platforms(_) | Extent::Chart) && root != whole
}

/// What to say where something belongs to the whole index and so is not copied with a part of it,
/// as far as that is known without asking once more.
pub(crate) async fn left_behind(walk: &Walk, source: &Place, root: &Root) -> Option<String> {
    let Root { manifest, whole, .. } = root;
    if manifest.digest() == *whole || walk.options.referrers.which == WhichReferrers::None {
        return None;
    }
    // The same list tells what belongs to the parts.
    let tags = walk.tag_lists.of(source).await.ok()?;
    let cosign = COSIGN_KINDS.iter().filter_map(|kind| cosign_tag(whole, kind));
    let belong = cosign.chain([oci::Tag::of_referrers(whole)]).any(|tag| tags.contains(&tag));
    belong.then(|| {
        format!("signatures or referrers of the whole index {whole} are not those of a part of it")
    })
}

/// What a target's tag was seen to hold.
pub(crate) struct Held {
    pub(crate) state: TargetState,
    /// The manifest itself; read only where a part is wanted.
    manifest: Option<Manifest>,
    /// The digest of the index of which it proves to be what is wanted.
    source: Option<Digest>,
}

impl Held {
    /// What was found where all of the source is wanted, or nothing was found.
    pub(crate) fn whole(found: Result<Option<Digest>, Failure>) -> Self {
        let state = match found {
            Ok(Some(digest)) => TargetState::Holds(digest),
            Ok(None) => TargetState::Absent,
            Err(failure) => TargetState::Unreadable(failure),
        };
        Self { state, manifest: None, source: None }
    }

    /// Reads what a tag holds, where a part is wanted.
    pub(crate) async fn read(target: &Place, tag: &Tag, extent: &Extent) -> Self {
        match target.manifest(tag.clone()).await {
            Ok(Some(manifest)) => Self {
                state: TargetState::Holds(manifest.digest()),
                source: match extent {
                    Extent::Platforms(platforms) => subset::proven_source(&manifest, platforms),
                    Extent::Whole | Extent::Image(_) | Extent::Chart => None,
                },
                manifest: Some(manifest),
            },
            Ok(None) => Self::whole(Ok(None)),
            Err(failure) => Self::whole(Err(failure)),
        }
    }

    /// The digest of the archive of the chart that it is; none where it is no chart.
    pub(crate) fn chart(&self) -> Option<Digest> {
        charts::chart_layer(self.manifest.as_ref()?).map(|layer| layer.digest)
    }

    /// Whether it is a chart without a provenance file.
    pub(crate) fn lacks_provenance(&self) -> bool {
        self.manifest.as_ref().is_some_and(charts::lacks_provenance)
    }

    /// Whether it is known without the source that this is the manifest with this digest, or the
    /// part of it that is wanted.
    pub(crate) fn is_of(&self, digest: Digest) -> bool {
        self.state == TargetState::Holds(digest) || self.source == Some(digest)
    }

    /// For drift where a part is wanted: the digest to pin the source to, so that the target has
    /// what is wanted of it; none where there is none or it is not known.
    pub(crate) async fn part_of(&self, target: &Place, extent: &Extent) -> Option<Digest> {
        let held = self.manifest.as_ref()?;
        if self.source.is_some() || subset::source_of(held).is_some() {
            return self.source;
        }
        // Nothing may have been left out of it: an image, or an index of these platforms only.
        let again = part(target, held.clone(), extent).await.ok()?.digest();
        (again == held.digest()).then_some(again)
    }

    /// For drift where a part is wanted: what is there, where it is of the very source and yet not what is wanted of it.
    pub(crate) fn other_part_of(&self, whole: Digest) -> Option<&'static str> {
        let held = self.manifest.as_ref()?;
        if is(held, whole) {
            return Some("the target has all of what the source has; only a part is wanted");
        }
        let is_part = subset::source_of(held).is_some_and(|source| source.digest() == whole);
        is_part.then_some("the target has other platforms of what the source has")
    }
}

/// Whether a manifest has this digest, whatever algorithm it was found by.
fn is(manifest: &Manifest, digest: Digest) -> bool {
    Digest::of(digest.algorithm(), manifest.bytes()) == digest
}

/// What is wanted of a manifest.
#[expect(clippy::large_enum_variant, reason = "it lives for one decision")]
enum Part {
    Manifest(Manifest),
    /// One of an index's children.
    Child(Digest),
}

impl Part {
    fn digest(&self) -> Digest {
        match self {
            Self::Manifest(manifest) => manifest.digest(),
            Self::Child(digest) => *digest,
        }
    }
}

/// What is wanted of a manifest that `place` has.
async fn part(place: &Place, whole: Manifest, extent: &Extent) -> Result<Part, Failure> {
    match (extent, whole.content()) {
        (Extent::Whole | Extent::Chart, _) => Ok(Part::Manifest(whole)),
        (Extent::Platforms(platforms), Content::Index(_)) => {
            subset::of(&whole, platforms).map(Part::Manifest).map_err(|error| refused(&error))
        }
        (Extent::Image(platform), Content::Index(_)) => {
            let child = subset::image(&whole, platform).map_err(|error| refused(&error))?;
            Ok(Part::Child(child.digest))
        }
        (Extent::Platforms(_) | Extent::Image(_), Content::Image(image)) => {
            let own = platform(place, image).await?;
            let Some(own) = own else {
                return Err(missing("the source is an artifact that names no platform"));
            };
            let missed = extent.platforms().find(|wanted| !wanted.is_for(&own));
            match missed {
                None => Ok(Part::Manifest(whole)),
                Some(missed) => {
                    Err(missing(format!("the source is one image, for {own}; it has no {missed}")))
                }
            }
        }
    }
}

/// The platform that an image's configuration says.
async fn platform(place: &Place, image: &oci::Image) -> Result<Option<Platform>, Failure> {
    let Some(config) = &image.config else { return Ok(None) };
    if config.size > CONFIG_SIZE_LIMIT {
        let message = format!("the image's config has {} bytes, too many to read it", config.size);
        return Err(Failure::new(Side::Source, Class::Unsupported, message));
    }
    let mut bytes = Vec::new();
    let mut content = place.read_blob(config).await?;
    while let Some(piece) = content.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(Platform::of_config(&bytes))
}

async fn read(source: &Place, digest: Digest) -> Result<Manifest, Failure> {
    source.manifest(digest).await?.ok_or_else(|| {
        let message = format!("manifest {digest} was there a moment ago and is gone");
        Failure::new(Side::Source, Class::NotFound, message)
    })
}

fn missing(message: impl Into<String>) -> Failure {
    Failure::new(Side::Source, Class::NotFound, message)
        .with_hint("ask for platforms that there are, or for the whole of it")
}

fn refused(error: &SubsetError) -> Failure {
    match error {
        SubsetError::Missing { .. } => missing(error.to_string()),
        SubsetError::Nested(inner) => {
            Failure::new(Side::Source, Class::Unsupported, error.to_string())
                .with_hint(format!("copy it whole, or name the inner index itself: `NAME@{inner}`"))
        }
        SubsetError::NoIndex | SubsetError::Unmakeable(_) => {
            Failure::new(Side::Source, Class::Unsupported, error.to_string())
                .with_hint("copy it whole")
        }
    }
}
