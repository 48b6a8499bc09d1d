//! Finds what belongs to an image and is no part of it: its referrers and cosign's tags, those of
//! its children, and again what belongs to each of these.

use std::collections::HashSet;

use futures::StreamExt;
use oci::{Descriptor, Digest, Manifest, Tag, Target};

use crate::closure::{self, Closure};
use crate::place::Place;
use crate::tag_lists::{COSIGN_KINDS, TagLists, cosign_tag, cosign_type};
use crate::walk::Walk;
use crate::{Class, Failure, Fence, ForeignLayers, Side, WhichReferrers};

/// Something that belongs to an image, with all it is made of.
#[derive(Debug)]
pub(crate) struct Companion {
    /// The tag that it is found by; a referrer has none.
    pub(crate) tag: Option<Tag>,
    pub(crate) manifest: Manifest,
    pub(crate) closure: Closure,
}

/// What was found, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Companions {
    /// What belongs to the image itself, then what belongs to that, and so on.
    pub(crate) rings: Vec<Vec<Companion>>,
    pub(crate) problems: Vec<Failure>,
    /// How many came since a plan was made that is carried out now; they are not in it.
    pub(crate) new: usize,
}

impl Companions {
    /// What to say of those that came since the plan was made.
    pub(crate) fn newcomers(&self) -> Option<String> {
        newcomers(self.new)
    }
}

/// What to say of so many that came since the plan was made.
pub(crate) fn newcomers(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some(
            "1 referrer or signature came since the plan was made, and was not copied".to_owned(),
        ),
        more => Some(format!(
            "{more} referrers or signatures came since the plan was made, and were not copied"
        )),
    }
}

/// Something that is listed as belonging to an image.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Candidate {
    Referrer {
        subject: Digest,
        digest: Digest,
    },
    Tagged(Tag),
    /// What a plan has foreseen, by its digest.
    Planned {
        tag: Option<Tag>,
        digest: Digest,
    },
}

/// How many requests of one item are under way at once.
const ASK_AT_ONCE: usize = 8;

/// How many companions an item may have, and how large their manifests may be together, so that a
/// hostile source cannot fill the memory.
const COMPANIONS_AT_MOST: usize = 4096;
const MANIFEST_BYTES_AT_MOST: usize = 32 * 1024 * 1024;

/// Looks for companions at a source.
pub(crate) struct Search<'a> {
    pub(crate) source: &'a Place,
    pub(crate) tags: &'a TagLists,
    pub(crate) which: &'a WhichReferrers,
    pub(crate) foreign_layers: ForeignLayers,
    /// What alone may be brought, where a plan is carried out.
    pub(crate) fence: Option<&'a Fence>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(walk: &'a Walk, source: &'a Place) -> Self {
        let which = &walk.options.referrers.which;
        let (tags, fence) = (&walk.tag_lists, walk.options.fence.as_deref());
        Self { source, tags, which, foreign_layers: walk.options.foreign_layers, fence }
    }

    /// Everything that belongs to these manifests; where a plan is carried out, what it has foreseen for
    /// these targets, by digest.
    pub(crate) async fn for_targets(
        &self,
        targets: impl Iterator<Item = &Target>,
        nodes: Vec<Digest>,
    ) -> Companions {
        let Some(fence) = self.fence else { return self.around(nodes).await };
        let rings = fence.rings(targets);
        let planned: HashSet<Digest> =
            rings.iter().flatten().flat_map(|one| one.manifests.iter().copied()).collect();
        let tags: HashSet<&Tag> =
            rings.iter().flatten().filter_map(|one| one.tag.as_ref()).collect();
        let (listed, _) = self.listed_for(nodes.clone()).await;
        let is_new = |candidate: &&Candidate| match candidate {
            // Some registries list the children of an index.
            Candidate::Referrer { digest, .. } => {
                !planned.contains(digest) && !nodes.contains(digest)
            }
            Candidate::Tagged(tag) => !tags.contains(tag),
            Candidate::Planned { .. } => false,
        };
        let new = listed.iter().filter(is_new).count();
        let mut found = Companions { new, ..Companions::default() };
        for ring in rings {
            let ring = ring
                .into_iter()
                .map(|one| Candidate::Planned { tag: one.tag.clone(), digest: one.digest });
            self.read_planned(ring.collect(), &mut found).await;
        }
        found
    }

    /// Reads what a plan has foreseen, as one more ring.
    pub(crate) async fn read_planned(&self, ring: Vec<Candidate>, found: &mut Companions) {
        let mut reads =
            futures::stream::iter(ring).map(|candidate| self.read(candidate)).buffered(ASK_AT_ONCE);
        let mut ring = Vec::new();
        while let Some(read) = reads.next().await {
            match read {
                Ok(companion) => ring.extend(companion),
                Err(problem) => found.problems.push(problem),
            }
        }
        found.rings.push(ring);
    }

    /// Everything that belongs to these manifests.
    pub(crate) async fn around(&self, nodes: Vec<Digest>) -> Companions {
        let mut seen: HashSet<Digest> = nodes.iter().copied().collect();
        let (candidates, problems) = self.listed_for(nodes).await;
        let mut found = self.follow(candidates, &mut seen).await;
        found.problems.splice(0..0, problems);
        found
    }

    /// These candidates, and everything that belongs to them. What was seen is not read again, so
    /// a circle ends.
    pub(crate) async fn follow(
        &self,
        mut candidates: Vec<Candidate>,
        seen: &mut HashSet<Digest>,
    ) -> Companions {
        let mut found = Companions::default();
        let (mut count, mut bytes) = (0, 0);
        let mut asked = HashSet::new();
        loop {
            candidates.retain(|candidate| {
                let known = matches!(candidate, Candidate::Referrer { digest, .. } if seen.contains(digest));
                !known && asked.insert(candidate.clone())
            });
            count += candidates.len();
            if candidates.is_empty() {
                return found;
            }
            if count > COMPANIONS_AT_MOST || bytes > MANIFEST_BYTES_AT_MOST {
                let message = format!(
                    "more than {COMPANIONS_AT_MOST} artifacts or {} MiB of manifests belong to it",
                    MANIFEST_BYTES_AT_MOST / 1024 / 1024
                );
                found.problems.push(Failure::new(Side::Source, Class::Unsupported, message));
                return found;
            }
            let mut ring = Vec::new();
            let mut nodes = Vec::new();
            let mut reads = futures::stream::iter(std::mem::take(&mut candidates))
                .map(|candidate| self.read(candidate))
                .buffered(ASK_AT_ONCE);
            while let Some(read) = reads.next().await {
                match read {
                    Ok(Some(companion)) => {
                        for manifest in companion.closure.levels.iter().flatten() {
                            if seen.insert(manifest.digest()) {
                                bytes += manifest.bytes().len();
                                nodes.push(manifest.digest());
                            }
                        }
                        ring.push(companion);
                    }
                    Ok(None) => {}
                    Err(problem) => found.problems.push(problem),
                }
            }
            found.rings.push(ring);
            let (next, problems) = self.listed_for(nodes).await;
            candidates = next;
            found.problems.extend(problems);
        }
    }

    async fn listed_for(&self, nodes: Vec<Digest>) -> (Vec<Candidate>, Vec<Failure>) {
        let mut lists =
            futures::stream::iter(nodes).map(|node| self.listed(node)).buffered(ASK_AT_ONCE);
        let (mut candidates, mut problems) = (Vec::new(), Vec::new());
        while let Some((listed, wrong)) = lists.next().await {
            candidates.extend(listed);
            problems.extend(wrong);
        }
        (candidates, problems)
    }

    /// What is listed as belonging to one manifest, of the types that are wanted as far as the
    /// lists say them.
    pub(crate) async fn listed(&self, node: Digest) -> (Vec<Candidate>, Vec<Failure>) {
        if *self.which == WhichReferrers::None {
            return (Vec::new(), Vec::new());
        }
        let (referrers, tags) =
            futures::join!(referrers(self.source, self.tags, node), self.tags.of(self.source));
        let mut candidates = Vec::new();
        let mut problems = Vec::new();
        match referrers {
            Ok(referrers) => candidates.extend(
                referrers
                    .into_iter()
                    .filter(|referrer| match &referrer.artifact_type {
                        Some(artifact_type) => self.which.include(artifact_type),
                        None => true,
                    })
                    .map(|referrer| Candidate::Referrer { subject: node, digest: referrer.digest }),
            ),
            Err(problem) => problems.push(problem),
        }
        match tags {
            Ok(tags) => candidates.extend(
                COSIGN_KINDS
                    .iter()
                    .filter(|kind| self.which.include(&cosign_type(kind)))
                    .filter_map(|kind| cosign_tag(&node, kind))
                    .filter(|tag| tags.contains(tag))
                    .map(Candidate::Tagged),
            ),
            Err(problem) if problems.contains(&problem) => {}
            Err(problem) => problems.push(problem),
        }
        (candidates, problems)
    }

    /// Reads what is listed; none where it is not what the list takes it for.
    async fn read(&self, candidate: Candidate) -> Result<Option<Companion>, Failure> {
        let gone = |what: String| {
            let message = format!("{what} is listed, and is not there");
            Failure::new(Side::Source, Class::Content, message)
        };
        let (tag, manifest) = match candidate {
            Candidate::Referrer { subject, digest } => {
                let manifest = self.source.manifest(digest).await?;
                let manifest = manifest.ok_or_else(|| gone(format!("referrer {digest}")))?;
                // A list may hold what does not refer to the subject: GitLab gives the children of
                // an index, because it takes the fallback tag for the digest (oras-go#1396).
                let refers = manifest.subject().is_some_and(|it| it.digest == subject);
                let included = manifest
                    .artifact_type()
                    .map_or_else(|| self.which.include(""), |it| self.which.include(it));
                if !refers || !included {
                    tracing::debug!(target: "sync", %subject, %digest, refers, "left out");
                    return Ok(None);
                }
                (None, manifest)
            }
            Candidate::Planned { tag, digest } => {
                let manifest = self.source.manifest(digest).await?;
                let manifest = manifest.ok_or_else(|| {
                    let message = format!("{digest}, which is planned, is gone from the source");
                    Failure::new(Side::Source, Class::NotFound, message)
                })?;
                (tag, manifest)
            }
            Candidate::Tagged(tag) => {
                let manifest = self.source.manifest(tag.clone()).await?;
                let manifest = manifest.ok_or_else(|| gone(format!("tag {tag}")))?;
                (Some(tag), manifest)
            }
        };
        let closure =
            closure::read(self.source, Side::Source, manifest.clone(), self.foreign_layers).await?;
        Ok(Some(Companion { tag, manifest, closure }))
    }
}

/// What a place lists as referring to a manifest: its own list, or what stands under the fallback
/// tag. Where the place's own list is empty, a fallback tag that is there is believed before it:
/// Quay takes referrers and does not list them (tektoncd/chains#1691).
pub(crate) async fn referrers(
    place: &Place,
    tags: &TagLists,
    subject: Digest,
) -> Result<Vec<Descriptor>, Failure> {
    match place.own_referrers(&subject).await? {
        Some(own) if !own.is_empty() => Ok(own),
        own => {
            let tags = match (tags.of(place).await, own) {
                (Ok(tags), _) => tags,
                // The list of tags has its own reader, who says what is wrong with it.
                (Err(_), Some(own)) => return Ok(own),
                (Err(problem), None) => return Err(problem),
            };
            if tags.contains(&oci::Tag::of_referrers(&subject)) {
                place.tagged_referrers(&subject).await
            } else {
                Ok(Vec::new())
            }
        }
    }
}
