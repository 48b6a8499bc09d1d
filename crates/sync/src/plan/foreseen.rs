//! [`Foreseen`]: what would be written for one item, and what that would cost.

use oci::{Digest, MediaType, Tag};

/// What would be written at the target of one item.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Foreseen {
    /// What the target's tag is to hold.
    pub root: Digest,
    /// The manifests that would be copied, the root last; none where the tag is there already.
    pub manifests: Vec<ForeseenManifest>,
    /// What belongs to the image and would be copied: first what belongs to the image itself, then what
    /// belongs to that.
    pub companions: Vec<ForeseenCompanion>,
    /// The blobs of all of these, each once.
    pub blobs: Vec<ForeseenBlob>,
    /// The manifests that would be signed.
    pub signatures: Vec<Digest>,
    /// Whether a statement about the mirroring of the root would be made.
    pub attests: bool,
    /// What it would cost at most.
    pub cost: Cost,
}

/// A manifest that would be copied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForeseenManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its type.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
}

/// A referrer, or what cosign keeps under a tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForeseenCompanion {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The tag that it is found by; a referrer has none.
    pub tag: Option<Tag>,
    /// What kind of artifact it says it is.
    pub artifact_type: Option<String>,
    /// Whether it belongs to the image (0), to something that belongs to it (1), and so on.
    pub ring: usize,
    /// All its manifests, its own among them.
    pub manifests: Vec<Digest>,
}

/// A blob of what would be copied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ForeseenBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the target lacks it, as far as that is known without writing: it may be mounted from
    /// another repository there.
    pub is_missing: bool,
}

/// What something costs at most: without what is tried again, and each item as if it were alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// Requests to both sides. A large blob may be read in more ranges than one.
    pub requests: u64,
    /// Bytes that would be sent to the target.
    pub bytes: u64,
    /// Manifests that would be read from a registry, which some count as pulls.
    pub pulls: u64,
}

impl Foreseen {
    /// Nothing to write for a tag that holds this.
    pub(crate) fn nothing(root: Digest) -> Self {
        Self {
            root,
            manifests: Vec::new(),
            companions: Vec::new(),
            blobs: Vec::new(),
            signatures: Vec::new(),
            attests: false,
            cost: Cost::default(),
        }
    }

    /// Every manifest that would be copied.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let own = self.manifests.iter().map(|manifest| manifest.digest);
        own.chain(self.companions.iter().flat_map(|one| one.manifests.iter().copied()))
    }

    /// Counts what it costs. A manifest is read, asked for and put; a blob is asked for, begun, sent
    /// and ended; a signature is looked for, written as an image of two blobs, and read back; so is a statement,
    /// or the list that it stands in.
    pub(crate) fn with_cost(mut self, reads_registry: bool) -> Self {
        let manifests = self.digests().count() as u64;
        let missing = || self.blobs.iter().filter(|blob| blob.is_missing);
        let blobs = missing().count() as u64;
        let signatures = self.signatures.len() as u64 + u64::from(self.attests);
        // Both sides of the tag, its PUT between two looks, and the lists of what belongs to it.
        let tag = if self.manifests.is_empty() { 2 } else { 5 + manifests };
        self.cost = Cost {
            requests: tag + 3 * manifests + 5 * blobs + 12 * signatures,
            bytes: missing().map(|blob| blob.size).sum::<u64>()
                + self.manifests.iter().map(|manifest| manifest.size).sum::<u64>(),
            pulls: if reads_registry { manifests } else { 0 },
        };
        self
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.pulls += other.pulls;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_costs_nothing() {
        let blob =
            |size, is_missing| ForeseenBlob { digest: Digest::sha256(b"b"), size, is_missing };
        let digest = Digest::sha256(b"m");
        let manifest = ForeseenManifest { digest, media_type: MediaType::OCI_MANIFEST, size: 7 };
        let foreseen = Foreseen {
            manifests: vec![manifest],
            blobs: vec![blob(100, true), blob(1000, false)],
            ..Foreseen::nothing(digest)
        };
        let cost = foreseen.clone().with_cost(true).cost;
        assert_eq!((cost.bytes, cost.pulls), (107, 1));
        assert_eq!(foreseen.with_cost(false).cost.pulls, 0);
    }
}
