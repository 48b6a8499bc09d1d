//! [`Corpus`]: made-up images of a wanted shape. Their content lies once in a pool of files named by
//! digest; a registry's storage is made of hard links into it, so that a fresh registry costs nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use oci::{Algorithm, Digest, Hasher};
use serde_json::{Value, json};

use crate::error::{Context, Result};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const STATEMENT: &str = "application/vnd.in-toto+json";

/// What images are like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// How many repositories.
    pub(crate) repositories: usize,
    /// The numbers that are the tags of each.
    pub(crate) tags: Range<usize>,
    /// One makes a plain image, more an index.
    pub(crate) platforms: &'static [&'static str],
    /// The size in bytes of the first layer of all images of a platform.
    pub(crate) base: Option<u64>,
    /// How many layers an image has of its own, or with [`Shape::grows`] its first tag.
    pub(crate) own_layers: usize,
    /// From how many to how many bytes such a layer has.
    pub(crate) layer_sizes: (u64, u64),
    /// Whether each platform has an attestation manifest as buildx makes it.
    pub(crate) attestations: bool,
    /// Whether tag N has the layers of tag N - 1 and one more, instead of all its own.
    pub(crate) grows: bool,
}

/// Images, and where their content lies.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// The folder of the files named by digest (hex).
    pub(crate) pool: PathBuf,
    /// All repositories.
    pub(crate) repositories: Vec<Repository>,
}

/// A repository, with each manifest and blob of it once.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// A single path component: `skopeo sync` keeps no more.
    pub(crate) name: String,
    /// The size of each blob by its digest.
    pub(crate) blobs: BTreeMap<Digest, u64>,
    /// Each manifest by its digest.
    pub(crate) manifests: BTreeMap<Digest, Manifest>,
    /// Each tag with what it points at.
    pub(crate) tags: Vec<(String, Digest)>,
}

/// What a descriptor says of a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manifest {
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its media type.
    pub(crate) media_type: &'static str,
}

/// The requests that a copy needs that checks nothing.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Floor {
    /// One GET a manifest and blob.
    pub(crate) source: u64,
    /// POST and PUT or one mount a blob, one PUT a manifest, one read-back a tag.
    pub(crate) target: u64,
    /// The bytes of what is read from the source.
    pub(crate) bytes: u64,
}

impl Corpus {
    /// Makes all of it below this folder. The same shape gives the same images.
    pub(crate) fn make(folder: &Path, shape: &Shape) -> Result<Self> {
        let pool = folder.to_owned();
        std::fs::create_dir_all(&pool).context(|| format!("making {}", pool.display()))?;
        let mut maker = Maker { pool: &pool, made: HashMap::new() };
        let repositories = (0..shape.repositories)
            .map(|number| maker.repository(shape, number))
            .collect::<Result<_>>()?;
        Ok(Self { pool, repositories })
    }

    /// How many tags there are.
    pub(crate) fn tags(&self) -> usize {
        self.repositories.iter().map(|repository| repository.tags.len()).sum()
    }

    /// What a copy of it needs at least, where the target has all of `present` already.
    pub(crate) fn floor(&self, present: Option<&Self>) -> Floor {
        let known = |name: &str| {
            present.and_then(|corpus| corpus.repositories.iter().find(|known| known.name == name))
        };
        let mut floor = Floor::default();
        let mut read = BTreeSet::new();
        let mut at_target: BTreeSet<Digest> = present
            .iter()
            .flat_map(|corpus| &corpus.repositories)
            .flat_map(|repository| repository.blobs.keys().copied())
            .collect();
        for repository in &self.repositories {
            let known = known(&repository.name);
            for (digest, manifest) in &repository.manifests {
                if known.is_some_and(|known| known.manifests.contains_key(digest)) {
                    continue;
                }
                if read.insert(*digest) {
                    floor.source += 1;
                    floor.bytes += manifest.size;
                }
                floor.target += 1;
            }
            for (digest, size) in &repository.blobs {
                if known.is_some_and(|known| known.blobs.contains_key(digest)) {
                    continue;
                }
                if at_target.insert(*digest) {
                    floor.source += 1;
                    floor.bytes += size;
                    floor.target += 2;
                } else {
                    floor.target += 1;
                }
            }
            for (tag, digest) in &repository.tags {
                let same = known.is_some_and(|known| {
                    known.tags.iter().any(|(name, at)| name == tag && at == digest)
                });
                // The read-back of what was copied, or the one look at what was not.
                floor.target += 1;
                if same {
                    floor.source += 1;
                }
            }
        }
        floor
    }
}

struct Maker<'a> {
    pool: &'a Path,
    /// What was made of which seed.
    made: HashMap<u64, (Digest, u64)>,
}

impl Maker<'_> {
    fn repository(&mut self, shape: &Shape, number: usize) -> Result<Repository> {
        let mut repository =
            Repository { name: format!("app-{number:04}"), ..Repository::default() };
        for tag in shape.tags.clone() {
            let root = self.tagged(shape, &mut repository, number, tag)?;
            repository.tags.push((tag.to_string(), root));
        }
        Ok(repository)
    }

    fn tagged(
        &mut self,
        shape: &Shape,
        repository: &mut Repository,
        number: usize,
        tag: usize,
    ) -> Result<Digest> {
        let mut children = Vec::new();
        let mut attestations = Vec::new();
        for (place, platform) in shape.platforms.iter().enumerate() {
            let (os, architecture) = platform.split_once('/').unwrap_or((platform, ""));
            let layers = self.layers(shape, repository, number, tag, place)?;
            let difference_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
            let config = json!({
                "created": "2026-01-01T00:00:00Z",
                "architecture": architecture,
                "os": os,
                "config": { "Cmd": ["/bin/app"], "Labels": { "version": format!("{number}.{tag}") } },
                "rootfs": { "type": "layers", "diff_ids": difference_ids },
            });
            let config = self.document(repository, CONFIG, &config)?;
            let image = self.manifest(repository, IMAGE, &image(&config, &layers))?;
            if let [_] = shape.platforms {
                return Ok(image);
            }
            let mut child = descriptor(repository, image);
            child["platform"] = json!({ "os": os, "architecture": architecture });
            children.push(child);
            if shape.attestations {
                attestations.push(self.attestation(repository, image)?);
            }
        }
        children.append(&mut attestations);
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children });
        self.manifest(repository, INDEX, &index)
    }

    fn layers(
        &mut self,
        shape: &Shape,
        repository: &mut Repository,
        number: usize,
        tag: usize,
        place: usize,
    ) -> Result<Vec<Value>> {
        let mut layers = Vec::new();
        if let Some(size) = shape.base {
            layers.push(self.random(repository, seed(&[1, place]), size)?);
        }
        let (own, tag) =
            if shape.grows { (shape.own_layers + tag, 0) } else { (shape.own_layers, tag) };
        for layer in 0..own {
            let seed = seed(&[2, number, tag, place, layer]);
            let (least, most) = shape.layer_sizes;
            let size = least + seed % (most - least + 1);
            layers.push(self.random(repository, seed, size)?);
        }
        Ok(layers)
    }

    /// What buildx makes beside an image: its provenance in a manifest for `unknown/unknown`.
    fn attestation(&mut self, repository: &mut Repository, subject: Digest) -> Result<Value> {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{ "name": repository.name, "digest": { "sha256": subject.hex() } }],
            "predicate": {},
        });
        let statement = self.document(repository, STATEMENT, &statement)?;
        let config = json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": [statement["digest"]] },
        });
        let config = self.document(repository, CONFIG, &config)?;
        let manifest = self.manifest(repository, IMAGE, &image(&config, &[statement]))?;
        let mut child = descriptor(repository, manifest);
        child["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
        child["annotations"] = json!({
            "vnd.docker.reference.digest": subject,
            "vnd.docker.reference.type": "attestation-manifest",
        });
        Ok(child)
    }

    /// A layer of bytes that nothing can pack, and its descriptor.
    fn random(&mut self, repository: &mut Repository, seed: u64, size: u64) -> Result<Value> {
        let (digest, size) = match self.made.get(&seed) {
            Some(made) => *made,
            None => {
                let made = self.write_random(seed, size)?;
                self.made.insert(seed, made);
                made
            }
        };
        repository.blobs.insert(digest, size);
        Ok(json!({ "mediaType": LAYER, "digest": digest, "size": size }))
    }

    /// Writes a gzip file whose content is stored as it is. It has to be one: skopeo packs a layer
    /// that is not packed, and so changes it.
    fn write_random(&self, seed: u64, size: u64) -> Result<(Digest, u64)> {
        let path = self.pool.join(format!("seed-{seed}"));
        let written = || -> std::io::Result<(Digest, u64)> {
            let file = BufWriter::with_capacity(PIECE, File::create(&path)?);
            let hashed = Hashed { file, hasher: Hasher::new(Algorithm::Sha256), size: 0 };
            let mut gzip = GzEncoder::new(hashed, Compression::none());
            let mut random = Random(seed);
            let mut left = usize::try_from(size).unwrap_or(usize::MAX);
            while left > 0 {
                let piece = random.bytes(left.min(PIECE));
                gzip.write_all(&piece)?;
                left -= piece.len();
            }
            let Hashed { mut file, hasher, size } = gzip.finish()?;
            file.flush()?;
            let digest = hasher.finish();
            std::fs::rename(&path, self.pool.join(digest.hex()))?;
            Ok((digest, size))
        };
        written().context(|| format!("writing a layer to {}", path.display()))
    }

    /// A blob of JSON, and its descriptor.
    fn document(
        &self,
        repository: &mut Repository,
        media_type: &str,
        content: &Value,
    ) -> Result<Value> {
        let (digest, size) = self.write(content)?;
        repository.blobs.insert(digest, size);
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": size }))
    }

    fn manifest(
        &self,
        repository: &mut Repository,
        media_type: &'static str,
        content: &Value,
    ) -> Result<Digest> {
        let (digest, size) = self.write(content)?;
        repository.manifests.insert(digest, Manifest { size, media_type });
        Ok(digest)
    }

    fn write(&self, content: &Value) -> Result<(Digest, u64)> {
        let content = content.to_string();
        let digest = Digest::sha256(content.as_bytes());
        let path = self.pool.join(digest.hex());
        std::fs::write(&path, &content).context(|| format!("writing {}", path.display()))?;
        Ok((digest, content.len() as u64))
    }
}

/// How much of a layer is in memory.
const PIECE: usize = 1024 * 1024;

/// A file that is hashed while it is written.
struct Hashed {
    file: BufWriter<File>,
    hasher: Hasher,
    size: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn image(config: &Value, layers: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers })
}

fn descriptor(repository: &Repository, digest: Digest) -> Value {
    let manifest = repository.manifests.get(&digest);
    let (media_type, size) = manifest.map_or((IMAGE, 0), |known| (known.media_type, known.size));
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// A seed that depends on all of these.
fn seed(parts: &[usize]) -> u64 {
    parts.iter().fold(0, |seed, part| Random(seed ^ (*part as u64).wrapping_add(1)).next())
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
