//! [`Closure`]: everything that a manifest is made of.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use oci::{Content, Descriptor, Digest, Manifest};

use crate::place::Place;
use crate::{Class, Failure, ForeignLayers, Side};

/// The manifests and blobs below a root, the root among them.
#[derive(Debug)]
pub(crate) struct Closure {
    /// The manifests in levels: each manifest stands in a later level than all it is made of. The
    /// root is alone in the last.
    pub(crate) levels: Vec<Vec<Manifest>>,
    /// The different blobs, largest first.
    pub(crate) blobs: Vec<Descriptor>,
    /// Layers that registries need not hold, where they are left out.
    pub(crate) foreign: Vec<Descriptor>,
}

impl Closure {
    /// What the closure is of.
    pub(crate) fn root(&self) -> Option<&Manifest> {
        self.levels.last().and_then(|level| level.first())
    }

    /// All its manifests.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.levels.iter().flatten()
    }
}

/// How many manifests are read at once for one item.
const READ_AT_ONCE: usize = 8;

/// What one item may be made of, so that a hostile index cannot fill the memory. The largest
/// indexes in the field have some hundred children.
const MANIFESTS_AT_MOST: usize = 4096;
const MANIFEST_BYTES_AT_MOST: usize = 32 * 1024 * 1024;

/// Reads everything below `root` from the place that has it.
pub(crate) async fn read(
    place: &Place,
    side: Side,
    root: Manifest,
    foreign_layers: ForeignLayers,
) -> Result<Closure, Failure> {
    let root_digest = root.digest();
    check_data(side, &root)?;
    let mut found = HashMap::new();
    let mut wanted: Vec<Descriptor> = root.manifests().cloned().collect();
    let mut bytes = root.bytes().len();
    found.insert(root_digest, root);
    while !wanted.is_empty() {
        let mut asked = HashSet::new();
        wanted.retain(|child| !found.contains_key(&child.digest) && asked.insert(child.digest));
        if found.len() + wanted.len() > MANIFESTS_AT_MOST || bytes > MANIFEST_BYTES_AT_MOST {
            let message = format!(
                "the index is made of more than {MANIFESTS_AT_MOST} manifests or {} MiB of them",
                MANIFEST_BYTES_AT_MOST / 1024 / 1024
            );
            return Err(Failure::new(side, Class::Unsupported, message));
        }
        let mut reads = futures::stream::iter(std::mem::take(&mut wanted))
            .map(|child| read_child(place, side, child))
            .buffer_unordered(READ_AT_ONCE);
        while let Some(manifest) = reads.next().await {
            let manifest = manifest?;
            check_data(side, &manifest)?;
            bytes += manifest.bytes().len();
            wanted.extend(manifest.manifests().cloned());
            found.insert(manifest.digest(), manifest);
        }
    }
    Ok(arrange(root_digest, found, foreign_layers))
}

/// Content embedded in descriptors is what their digests say, or whoever reads it there gets other
/// content than whoever reads the blob.
fn check_data(side: Side, manifest: &Manifest) -> Result<(), Failure> {
    for part in manifest.manifests().chain(manifest.blobs()) {
        part.check_data().map_err(|error| {
            let message = format!(
                "manifest {} embeds wrong content for {}: {error}",
                manifest.digest(),
                part.digest
            );
            Failure::new(side, Class::Content, message)
        })?;
    }
    Ok(())
}

async fn read_child(place: &Place, side: Side, child: Descriptor) -> Result<Manifest, Failure> {
    let problem = if child.media_type.is_schema1() {
        return Err(Failure::new(
            side,
            Class::Unsupported,
            format!("child {} is in Docker's manifest schema 1", child.digest),
        )
        .with_hint("have the image built again by a current tool"));
    } else {
        match place.manifest(child.digest).await? {
            Some(manifest) if manifest.bytes().len() as u64 == child.size => return Ok(manifest),
            Some(manifest) => {
                format!("has {} bytes, not the {} it says", manifest.bytes().len(), child.size)
            }
            None => "is not there".to_owned(),
        }
    };
    let what = child.platform.as_ref().map(|platform| format!(" ({platform})")).unwrap_or_default();
    let message = format!("the index names manifest {}{what}, which {problem}", child.digest);
    Err(Failure::new(side, Class::Content, message))
}

/// Sorts what was found into levels and lists. A digest cannot contain itself, so there is no cycle.
fn arrange(
    root: Digest,
    found: HashMap<Digest, Manifest>,
    foreign_layers: ForeignLayers,
) -> Closure {
    let mut heights = HashMap::new();
    height(root, &found, &mut heights);
    let mut levels = vec![Vec::new(); heights.get(&root).map_or(0, |height| height + 1)];
    let mut blobs = HashMap::new();
    let mut foreign = HashMap::new();
    for (digest, manifest) in found {
        for blob in manifest.blobs() {
            // Only an image's layers can be foreign; a blob in an index is what the index is about.
            let is_layer = matches!(manifest.content(), Content::Image(_));
            let left_out = foreign_layers == ForeignLayers::LeaveOut;
            let list = if left_out && is_layer && blob.media_type.is_foreign_layer() {
                &mut foreign
            } else {
                &mut blobs
            };
            list.entry(blob.digest).or_insert_with(|| blob.clone());
        }
        if let Some(level) = heights.get(&digest).and_then(|height| levels.get_mut(*height)) {
            level.push(manifest);
        }
    }
    // Deterministic order: requests and reports look the same on every run.
    for level in &mut levels {
        level.sort_by_key(Manifest::digest);
    }
    let in_order = |map: HashMap<Digest, Descriptor>| {
        let mut list: Vec<Descriptor> = map.into_values().collect();
        list.sort_by(|a, b| b.size.cmp(&a.size).then(a.digest.cmp(&b.digest)));
        list
    };
    foreign.retain(|digest, _| !blobs.contains_key(digest));
    Closure { levels, blobs: in_order(blobs), foreign: in_order(foreign) }
}

/// How many levels of manifests are below this one.
fn height(
    digest: Digest,
    found: &HashMap<Digest, Manifest>,
    heights: &mut HashMap<Digest, usize>,
) -> usize {
    if let Some(height) = heights.get(&digest) {
        return *height;
    }
    let below = found.get(&digest).into_iter().flat_map(Manifest::manifests);
    let own = below.map(|child| height(child.digest, found, heights) + 1).max().unwrap_or(0);
    heights.insert(digest, own);
    own
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use oci::{Algorithm, MediaType};

    use super::*;

    fn manifest(text: String) -> Manifest {
        Manifest::parse(Bytes::from(text), None, Algorithm::Sha256).unwrap()
    }

    fn image(name: &str, layer_type: &str) -> Manifest {
        let digest = Digest::sha256(name.as_bytes());
        let shared = Digest::sha256(b"base");
        manifest(format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{digest}","size":1}},
            "layers":[{{"mediaType":"{layer_type}","digest":"{shared}","size":9}}]}}"#
        ))
    }

    fn index(children: &[&Manifest]) -> Manifest {
        let children: Vec<_> = children.iter().map(|child| child.descriptor()).collect();
        manifest(serde_json::json!({"schemaVersion": 2, "manifests": children}).to_string())
    }

    #[test]
    fn each_manifest_comes_after_all_it_is_made_of() {
        // `both` stands beside `inner` in the root and is a child of it as well.
        let both = image("both", "layer");
        let inner = index(&[&both]);
        let root = index(&[&both, &inner]);
        let found = [&both, &inner, &root].map(|m| (m.digest(), m.clone())).into();
        let closure = arrange(root.digest(), found, ForeignLayers::LeaveOut);
        assert_eq!(closure.levels, [vec![both], vec![inner], vec![root]]);
    }

    #[test]
    fn a_blob_is_listed_once_and_foreign_layers_apart() {
        let one = image("one", "layer");
        let two = image("two", "layer");
        let root = index(&[&one, &two]);
        let found = [&one, &two, &root].map(|m| (m.digest(), m.clone())).into();
        let closure = arrange(root.digest(), found, ForeignLayers::LeaveOut);
        assert_eq!(closure.blobs.len(), 3);
        assert_eq!(closure.blobs[0].size, 9, "largest first");
        let windows = image("w", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        let found = HashMap::from([(windows.digest(), windows.clone())]);
        let closure = arrange(windows.digest(), found.clone(), ForeignLayers::LeaveOut);
        assert_eq!((closure.blobs.len(), closure.foreign.len()), (1, 1));
        assert!(closure.foreign[0].media_type != MediaType::OCI_LAYER);
        let closure = arrange(windows.digest(), found, ForeignLayers::Include);
        assert_eq!((closure.blobs.len(), closure.foreign.len()), (2, 0));
    }
}
