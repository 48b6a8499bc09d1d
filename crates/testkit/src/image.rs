//! Made-up images: deterministic by seed, small, and of every shape that the field knows. Their
//! layers are real tar archives, so that other tools can unpack them.

mod big;
mod layer;
mod maker;
mod random;

use bytes::Bytes;
use oci::{Algorithm, Descriptor, Digest, Manifest, Tag};

pub use big::{BigImage, big};
pub use maker::Maker;

/// An image with all it is made of.
#[derive(Clone, Debug)]
pub struct MadeImage {
    /// The descriptor of its top: what a tag points at.
    pub root: Descriptor,
    /// Its manifests, children before their parents; the last is the root.
    pub manifests: Vec<Manifest>,
    /// Its blobs, each once.
    pub blobs: Vec<(Descriptor, Bytes)>,
}

impl MadeImage {
    /// The digest that a tag of it shows.
    pub fn digest(&self) -> Digest {
        self.root.digest
    }

    /// All digests it is made of, blobs first.
    pub fn digests(&self) -> Vec<Digest> {
        let blobs = self.blobs.iter().map(|(descriptor, _)| descriptor.digest);
        blobs.chain(self.manifests.iter().map(Manifest::digest)).collect()
    }

    /// The root manifest.
    ///
    /// # Panics
    /// If there are no manifests, which no function here makes.
    pub fn manifest(&self) -> &Manifest {
        self.manifests.last().expect("an image has a manifest")
    }

    /// The layers of its first manifest.
    pub fn layers(&self) -> Vec<Descriptor> {
        match self.manifests.first().map(Manifest::content) {
            Some(oci::Content::Image(image)) => image.layers.clone(),
            _ => Vec::new(),
        }
    }

    /// Writes it into a layout, untagged.
    ///
    /// # Panics
    /// If the layout cannot be written.
    pub async fn write_to(&self, layout: &layout::Layout) {
        for (blob, content) in &self.blobs {
            write_blob(layout, blob, content.clone()).await;
        }
        for manifest in &self.manifests {
            layout.put_manifest(manifest).await.expect("writing a manifest into a layout");
        }
    }

    fn extend(&mut self, other: Self) {
        for manifest in other.manifests {
            if !self.manifests.contains(&manifest) {
                self.manifests.push(manifest);
            }
        }
        for blob in other.blobs {
            if !self.blobs.contains(&blob) {
                self.blobs.push(blob);
            }
        }
    }
}

/// [`Maker::single`] with SHA-256.
pub fn single(seed: u64) -> MadeImage {
    SHA256.single(seed)
}

/// [`Maker::index`] with SHA-256.
pub fn index(seed: u64) -> MadeImage {
    SHA256.index(seed)
}

/// [`Maker::index_of`] with SHA-256.
pub fn index_of(seed: u64, platforms: &[&str]) -> MadeImage {
    SHA256.index_of(seed, platforms)
}

/// [`Maker::with_attestations`] with SHA-256.
pub fn with_attestations(seed: u64) -> MadeImage {
    SHA256.with_attestations(seed)
}

/// [`Maker::nested`] with SHA-256.
pub fn nested(seed: u64) -> MadeImage {
    SHA256.nested(seed)
}

/// [`Maker::docker`] with SHA-256.
pub fn docker(seed: u64) -> MadeImage {
    SHA256.docker(seed)
}

/// [`Maker::docker_single`] with SHA-256.
pub fn docker_single(seed: u64) -> MadeImage {
    SHA256.docker_single(seed)
}

/// [`Maker::artifact`] with SHA-256.
pub fn artifact(seed: u64) -> MadeImage {
    SHA256.artifact(seed)
}

/// [`Maker::referrer_of`] with SHA-256.
pub fn referrer_of(subject: &Descriptor, seed: u64) -> MadeImage {
    SHA256.referrer_of(subject, seed)
}

/// [`Maker::build_cache`] with SHA-256.
pub fn build_cache(seed: u64) -> MadeImage {
    SHA256.build_cache(seed)
}

/// [`Maker::shared_base`] with SHA-256.
pub fn shared_base(seed: u64, count: usize) -> Vec<MadeImage> {
    SHA256.shared_base(seed, count)
}

/// Makes images whose content is addressed by SHA-512.
pub fn sha512() -> Maker {
    Maker::new(Algorithm::Sha512)
}

/// The tag under which referrers of `subject` are listed where there is no referrers API
/// (distribution spec, "Referrers Tag Schema").
///
/// # Panics
/// Never: a digest of 64 or more hex digits makes a tag, cut where it is too long.
pub fn referrers_tag(subject: &Digest) -> Tag {
    let text: String = format!("{}-{}", subject.algorithm(), subject.hex()).chars().collect();
    // The spec cuts the algorithm at 32 and the digest at 64 characters.
    let length = subject.algorithm().as_str().len() + 1 + 64;
    text.chars().take(length).collect::<String>().parse().expect("a tag")
}

const SHA256: Maker = Maker::new(Algorithm::Sha256);

async fn write_blob(layout: &layout::Layout, blob: &Descriptor, content: Bytes) {
    let content = futures::stream::iter([Ok::<_, std::convert::Infallible>(content)]);
    let written = layout.write_blob(&blob.digest, Some(blob.size), content).await;
    written.expect("writing a blob into a layout");
}
