//! Publishes a small artifact of our own, such as the head of an audit log: through the same places and
//! by the same rules as images. A tag that holds something else stays as it is.

use bytes::Bytes;
use oci::{Algorithm, Descriptor, Digest, Location, Manifest, MediaType, Tag};

use crate::place::Tagged;
use crate::{Class, Engine, Failure, Side};

/// An artifact: what its manifest says, and the blobs that this names.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The manifest.
    pub manifest: Bytes,
    /// Its config and its layers.
    pub blobs: Vec<Bytes>,
}

impl Engine {
    /// Publishes an artifact under a tag, and returns its digest.
    ///
    /// # Errors
    /// It cannot be written, or the tag holds something else.
    pub async fn publish(
        &self,
        location: &Location,
        tag: &Tag,
        artifact: Artifact,
    ) -> Result<Digest, Failure> {
        let walk = self.walk(&[], Vec::new());
        let place = walk.places.open(Side::Target, location).await?;
        let manifest = artifact.manifest;
        let parsed = Manifest::parse(manifest, Some(&MediaType::OCI_MANIFEST), Algorithm::Sha256);
        let manifest = parsed.map_err(|error| {
            let message = format!("the artifact's manifest is none: {error}");
            Failure::new(Side::Target, Class::Unsupported, message)
        })?;
        for blob in artifact.blobs {
            let octets = MediaType::new("application/octet-stream");
            let blob_of = Descriptor::new(octets, Digest::sha256(&blob), blob.len() as u64);
            place.write_small(&blob_of, blob).await?;
        }
        match place.tag(tag, &manifest).await? {
            Tagged::Set | Tagged::Same => {}
            Tagged::Holds(other) => {
                let message = format!("tag {tag} of {location} holds {other} already");
                return Err(Failure::new(Side::Target, Class::Content, message).with_hint(
                    "tags are never moved; publish elsewhere, or find out whose it is",
                ));
            }
        }
        place.finish().await?;
        Ok(manifest.digest())
    }
}
