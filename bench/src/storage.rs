//! [`Kind`]: which registry, and how its data lies on disk: filled by hand before a run and judged by
//! eye after it, so that no tool of the comparison is asked what a tool did.

use std::fs;
use std::path::{Path, PathBuf};

use oci::Digest;
use serde_json::{Value, json};

use crate::corpus::{Corpus, Repository};
use crate::error::{Context, Error, Result};

/// Which registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// distribution 3 on its filesystem driver.
    Distribution,
    /// `image-syncer serve`: a tree of OCI layouts.
    Serve,
}

impl Kind {
    /// As it is called in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Distribution => "distribution 3",
            Self::Serve => "image-syncer serve",
        }
    }

    /// Lays all images of the corpus into the empty data folder of a registry that is not running.
    pub(crate) fn fill(self, data: &Path, corpus: &Corpus) -> Result<()> {
        corpus.repositories.iter().try_for_each(|repository| match self {
            Self::Distribution => fill_distribution(data, &corpus.pool, repository),
            Self::Serve => fill_layout(data, &corpus.pool, repository),
        })
    }

    /// Fails unless every tag, manifest and blob of the corpus lies in the data folder, the blobs with
    /// their size.
    pub(crate) fn verify(self, data: &Path, corpus: &Corpus) -> Result<()> {
        for repository in &corpus.repositories {
            let place = match self {
                Self::Distribution => data.join("docker/registry/v2"),
                Self::Serve => data.join(&repository.name),
            };
            for (tag, digest) in &repository.tags {
                let found = match self {
                    Self::Distribution => distribution_tag(&place, &repository.name, tag),
                    Self::Serve => layout_tag(&place, tag),
                };
                if found.as_deref() != Some(digest.to_string().as_str()) {
                    let found = found.as_deref().unwrap_or("nothing");
                    let name = &repository.name;
                    return Err(Error::new(format!("{name}:{tag} is {found} instead of {digest}")));
                }
            }
            let manifests = repository.manifests.iter().map(|(digest, kind)| (digest, kind.size));
            for (digest, size) in manifests.chain(repository.blobs.iter().map(|(d, s)| (d, *s))) {
                let path = match self {
                    Self::Distribution => distribution_blob(&place, digest),
                    Self::Serve => place.join("blobs/sha256").join(digest.hex()),
                };
                let found = fs::metadata(&path).map_or(0, |found| found.len());
                if found != size {
                    let name = &repository.name;
                    let what = format!("{name}: {digest} has {found} bytes instead of {size}");
                    return Err(Error::new(what));
                }
                if self == Self::Distribution {
                    let links = place.join("repositories").join(&repository.name);
                    let layer = links.join("_layers/sha256").join(digest.hex());
                    let revision = links.join("_manifests/revisions/sha256").join(digest.hex());
                    if !layer.exists() && !revision.exists() {
                        let name = &repository.name;
                        return Err(Error::new(format!("{digest} is not part of {name}")));
                    }
                }
            }
        }
        Ok(())
    }
}

fn fill_layout(data: &Path, pool: &Path, repository: &Repository) -> Result<()> {
    let layout = data.join(&repository.name);
    let blobs = layout.join("blobs/sha256");
    folder(&blobs)?;
    for digest in repository.manifests.keys().chain(repository.blobs.keys()) {
        link(pool, digest, &blobs.join(digest.hex()))?;
    }
    let manifests: Vec<Value> = repository
        .tags
        .iter()
        .filter_map(|(tag, digest)| {
            let manifest = repository.manifests.get(digest)?;
            Some(json!({
                "mediaType": manifest.media_type,
                "digest": digest,
                "size": manifest.size,
                "annotations": { "org.opencontainers.image.ref.name": tag },
            }))
        })
        .collect();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    write(&layout.join("index.json"), &index.to_string())?;
    write(&layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// The paths are those of distribution's `registry/storage/paths.go`.
fn fill_distribution(data: &Path, pool: &Path, repository: &Repository) -> Result<()> {
    let root = data.join("docker/registry/v2");
    let links = root.join("repositories").join(&repository.name);
    for digest in repository.manifests.keys().chain(repository.blobs.keys()) {
        let blob = distribution_blob(&root, digest);
        if !blob.exists() {
            folder(blob.parent().unwrap_or(&root))?;
            link(pool, digest, &blob)?;
        }
    }
    for digest in repository.blobs.keys() {
        point(&links.join("_layers/sha256").join(digest.hex()), digest)?;
    }
    for digest in repository.manifests.keys() {
        point(&links.join("_manifests/revisions/sha256").join(digest.hex()), digest)?;
    }
    for (tag, digest) in &repository.tags {
        let tag = links.join("_manifests/tags").join(tag);
        point(&tag.join("current"), digest)?;
        point(&tag.join("index/sha256").join(digest.hex()), digest)?;
    }
    Ok(())
}

fn distribution_blob(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    root.join("blobs/sha256").join(hex.get(..2).unwrap_or_default()).join(&hex).join("data")
}

fn distribution_tag(root: &Path, repository: &str, tag: &str) -> Option<String> {
    let tag = root.join("repositories").join(repository).join("_manifests/tags").join(tag);
    fs::read_to_string(tag.join("current/link")).ok()
}

fn layout_tag(layout: &Path, tag: &str) -> Option<String> {
    let index = fs::read_to_string(layout.join("index.json")).ok()?;
    let index: Value = serde_json::from_str(&index).ok()?;
    let manifests = index["manifests"].as_array()?;
    let tagged = |entry: &&Value| {
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str() == Some(tag)
    };
    Some(manifests.iter().find(tagged)?["digest"].as_str()?.to_owned())
}

fn point(place: &Path, digest: &Digest) -> Result<()> {
    folder(place)?;
    write(&place.join("link"), &digest.to_string())
}

fn link(pool: &Path, digest: &Digest, place: &Path) -> Result<()> {
    fs::hard_link(pool.join(digest.hex()), place).context(|| format!("linking {}", place.display()))
}

fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context(|| format!("making {}", path.display()))
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).context(|| format!("writing {}", path.display()))
}
