//! [`BigImage`]: an image with a layer as large as wanted, which is never in memory as a whole.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use layout::Layout;
use oci::{Algorithm, Descriptor, Digest, Hasher, Manifest, MediaType};
use serde_json::json;

use super::random::Random;
use super::{layer, write_blob};

/// An image of one uncompressed layer, whose content is made while it is read.
#[derive(Clone, Debug)]
pub struct BigImage {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its config.
    pub config: (Descriptor, Bytes),
    /// Its layer.
    pub layer: Descriptor,
    blocks: Blocks,
}

impl BigImage {
    /// The digest that a tag of it shows.
    pub fn digest(&self) -> Digest {
        self.manifest.digest()
    }

    /// The layer's content, in pieces of up to a mebibyte.
    pub fn content(&self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
        stream::iter(self.blocks.clone().map(Ok))
    }

    /// Writes it into a layout, untagged.
    ///
    /// # Panics
    /// If the layout cannot be written.
    pub async fn write_to(&self, layout: &Layout) {
        let (config, content) = self.config.clone();
        write_blob(layout, &config, content).await;
        let (layer, content) = (&self.layer, self.content());
        let written = layout.write_blob(&layer.digest, Some(layer.size), content).await;
        written.expect("writing a blob into a layout");
        layout.put_manifest(&self.manifest).await.expect("writing a manifest into a layout");
    }
}

/// An image with a layer of `size` bytes, rounded up to what tar can have. The layer is computed
/// once here for its digest: some 1 s a GiB.
///
/// # Panics
/// Never: the manifest is our own.
pub fn big(seed: u64, size: u64) -> BigImage {
    let blocks = Blocks::new(seed, size);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut length = 0;
    for block in blocks.clone() {
        hasher.update(&block);
        length += block.len() as u64;
    }
    let digest = hasher.finish();
    let layer_type = MediaType::new("application/vnd.oci.image.layer.v1.tar");
    let layer = Descriptor::new(layer_type, digest, length);
    let config = json!({
        "os": "linux",
        "architecture": "amd64",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest] },
    });
    let config = Bytes::from(config.to_string());
    let config_descriptor =
        Descriptor::new(MediaType::OCI_CONFIG, Digest::sha256(&config), config.len() as u64);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": config_descriptor,
        "layers": [layer],
    });
    let manifest = Manifest::parse(manifest.to_string().into(), None, Algorithm::Sha256);
    BigImage {
        manifest: manifest.expect("a manifest of our own"),
        config: (config_descriptor, config),
        layer,
        blocks,
    }
}

/// A tar archive of one file, block by block. All blocks are the same random bytes with their
/// number in front, because random bytes are slow to make in a debug build.
#[derive(Clone, Debug)]
struct Blocks {
    pattern: Bytes,
    header: Option<Bytes>,
    number: u64,
    left: u64,
    end: Option<Bytes>,
}

const BLOCK: usize = 1024 * 1024;
/// tar counts in records of this size, and ends with two of zeros.
const RECORD: u64 = 512;

impl Blocks {
    fn new(seed: u64, size: u64) -> Self {
        let file_size = size.div_ceil(RECORD).saturating_sub(3).max(1) * RECORD;
        let mut header = layer::header(file_size);
        header.set_path("big.bin").expect("a short name");
        header.set_cksum();
        Self {
            pattern: Random::new(seed).bytes(BLOCK).into(),
            header: Some(Bytes::copy_from_slice(header.as_bytes())),
            number: 0,
            left: file_size,
            end: Some(Bytes::from_static(&[0; 1024])),
        }
    }
}

impl Iterator for Blocks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(header) = self.header.take() {
            return Some(header);
        }
        if self.left == 0 {
            return self.end.take();
        }
        let length = usize::try_from(self.left).unwrap_or(BLOCK).min(BLOCK);
        let mut block = BytesMut::with_capacity(BLOCK);
        block.extend_from_slice(&self.number.to_le_bytes());
        block.extend_from_slice(self.pattern.get(block.len()..length).unwrap_or_default());
        block.truncate(length);
        self.number += 1;
        self.left -= length as u64;
        Some(block.freeze())
    }
}
