//! [`Charts`]: the classic chart repositories of a run, and [`ChartPlace`], one chart of one of them as
//! a place to copy from: its versions are tags, and each is made an image when it is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use charts::{Chart, ChartImage, ChartName, ChartRepository, Entry, Index};
use oci::{ChartLocation, Digest, Manifest, Reference, Selection, Selector, Source, Tag};
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::Failure;
use crate::place::Place;

/// How many charts are held in memory at once, each of which may have some MiB.
const HELD_AT_ONCE: usize = 16;

/// The chart repositories of a run, by their URL. Each index is read once.
#[derive(Debug)]
pub struct Charts {
    repositories: BTreeMap<String, Repository>,
    held: Arc<Semaphore>,
}

#[derive(Debug)]
struct Repository {
    /// Or why it cannot be asked: that is the affair of its own charts only.
    client: Result<ChartRepository, Failure>,
    wanted: BTreeSet<ChartName>,
    index: OnceCell<Result<Index, Failure>>,
}

impl Charts {
    /// These charts, each repository reached by what `client` gives for its URL; where that is a
    /// failure, it is one of the charts of this repository.
    pub fn new(
        wanted: impl IntoIterator<Item = ChartLocation>,
        client: impl Fn(&str) -> Result<ChartRepository, Failure>,
    ) -> Self {
        let mut charts = Self::default();
        for location in wanted {
            // What is no name for Helm is in no index.
            let Ok(name) = location.chart().parse::<ChartName>() else { continue };
            let url = location.repository();
            if let Some(repository) = charts.repositories.get_mut(url) {
                repository.wanted.insert(name);
                continue;
            }
            let repository = Repository {
                client: client(url),
                wanted: BTreeSet::from([name]),
                index: OnceCell::new(),
            };
            charts.repositories.insert(url.to_owned(), repository);
        }
        charts
    }
}

impl Default for Charts {
    fn default() -> Self {
        Self { repositories: BTreeMap::new(), held: Arc::new(Semaphore::new(HELD_AT_ONCE)) }
    }
}

impl Repository {
    fn client(&self) -> Result<&ChartRepository, Failure> {
        self.client.as_ref().map_err(Failure::clone)
    }

    async fn index(&self) -> Result<&Index, Failure> {
        let index = self.index.get_or_init(|| async {
            let read = self.client()?.versions(&self.wanted).await;
            read.map_err(|error| Failure::chart(&error))
        });
        index.await.as_ref().map_err(Failure::clone)
    }
}

/// A chart of a classic repository.
#[derive(Clone)]
pub(crate) struct ChartPlace {
    charts: Arc<Charts>,
    location: ChartLocation,
    /// What was made of its versions. As long as there is any of it, it counts as held.
    made: Arc<Mutex<Made>>,
}

#[derive(Default)]
struct Made {
    images: HashMap<Tag, Arc<MadeImage>>,
    held: Option<OwnedSemaphorePermit>,
}

/// A version as an image.
struct MadeImage {
    image: ChartImage,
    /// What is not as it should be about it.
    remarks: Vec<String>,
}

impl ChartPlace {
    pub(crate) fn new(charts: &Arc<Charts>, location: &ChartLocation) -> Self {
        Self { charts: Arc::clone(charts), location: location.clone(), made: Arc::default() }
    }

    /// The tags of its versions; none where the repository, which is there, has no such chart.
    pub(crate) async fn tags(&self) -> Result<Option<Vec<Tag>>, Failure> {
        let tags = self.entries().await?.iter().filter_map(|entry| tag_of(entry).ok());
        let tags: Vec<Tag> = tags.collect();
        Ok((!tags.is_empty()).then_some(tags))
    }

    /// The versions that really are in a registry, because the index only points there, and where.
    /// Where it points at nothing that can be, the version is not among them: whoever wants it is told
    /// of it when it is to be fetched.
    pub(crate) async fn elsewhere(&self) -> Result<HashMap<Tag, Source>, Failure> {
        let mut elsewhere = HashMap::new();
        for entry in self.entries().await? {
            let (Some(url), Ok(tag)) = (entry.registry_url(), tag_of(entry)) else { continue };
            let Ok(reference) = url.trim_start_matches("oci://").parse::<Reference>() else {
                continue;
            };
            let there = reference.tag.clone().unwrap_or_else(|| tag.clone());
            if let Ok(source) = Source::try_from(Reference { tag: Some(there), ..reference }) {
                // Of equals the first: that is the one Helm takes.
                elsewhere.entry(tag).or_insert(source);
            }
        }
        Ok(elsewhere)
    }

    /// Why a version cannot be had that is not there; none where it is there, or that cannot be told.
    pub(crate) async fn missing(&self, tag: &Tag) -> Option<Failure> {
        let (repository, name) = self.repository()?;
        let index = repository.index().await.ok()?;
        index.exact(&name, tag.as_str()).err().map(|error| Failure::chart(&error))
    }

    /// What is not as it should be about a version, as far as it was fetched.
    pub(crate) async fn remarks(&self, tag: &Tag) -> Vec<String> {
        let made = self.made.lock().await;
        made.images.get(tag).map(|made| made.remarks.clone()).unwrap_or_default()
    }

    /// The digest of a version's archive, as far as it is known without reading it.
    pub(crate) async fn archive_digest(&self, tag: &Tag) -> Result<Option<Digest>, Failure> {
        if let Some(made) = self.made.lock().await.images.get(tag) {
            return Ok(charts::chart_layer(&made.image.manifest).map(|layer| layer.digest));
        }
        Ok(self.entry(tag).await?.and_then(Entry::digest))
    }

    /// Whether the repository has a provenance file for a version; not known counts as none.
    pub(crate) async fn has_provenance(&self, tag: &Tag) -> bool {
        let Some((repository, _)) = self.repository() else { return false };
        let (Ok(client), Ok(Some(entry))) = (repository.client(), self.entry(tag).await) else {
            return false;
        };
        client.has_provenance(entry).await.unwrap_or(false)
    }

    pub(crate) async fn manifest(&self, selector: &Selector) -> Result<Option<Manifest>, Failure> {
        match selector {
            Selector::Tag(tag) => Ok(self.made(tag).await?.map(|made| made.image.manifest.clone())),
            Selector::Digest(digest) => {
                let made = self.made.lock().await;
                let manifests = made.images.values().map(|made| &made.image.manifest);
                Ok(manifests.into_iter().find(|manifest| manifest.has_digest(digest)).cloned())
            }
        }
    }

    /// A blob of what was made of a version.
    pub(crate) async fn blob(&self, digest: &Digest) -> Option<Bytes> {
        let made = self.made.lock().await;
        let mut blobs = made.images.values().flat_map(|made| &made.image.blobs);
        blobs.find(|(blob, _)| blob.digest == *digest).map(|(_, content)| content.clone())
    }

    /// The archive of a version.
    pub(crate) async fn archive(&self, tag: &Tag) -> Result<Option<Bytes>, Failure> {
        let Some(made) = self.made(tag).await? else { return Ok(None) };
        let Some(layer) = charts::chart_layer(&made.image.manifest) else { return Ok(None) };
        Ok(self.blob(&layer.digest).await)
    }

    fn repository(&self) -> Option<(&Repository, ChartName)> {
        let repository = self.charts.repositories.get(self.location.repository())?;
        Some((repository, self.location.chart().parse().ok()?))
    }

    async fn entries(&self) -> Result<&[Entry], Failure> {
        let Some((repository, name)) = self.repository() else { return Ok(&[]) };
        Ok(repository.index().await?.entries(&name))
    }

    /// The version that has this tag, or is written so but for a `v` before it.
    async fn entry(&self, tag: &Tag) -> Result<Option<&Entry>, Failure> {
        let Some((repository, name)) = self.repository() else { return Ok(None) };
        Ok(repository.index().await?.exact(&name, tag.as_str()).ok())
    }

    /// A version as an image; fetched once.
    async fn made(&self, tag: &Tag) -> Result<Option<Arc<MadeImage>>, Failure> {
        let Some((repository, _)) = self.repository() else { return Ok(None) };
        let Some(entry) = self.entry(tag).await? else { return Ok(None) };
        let client = repository.client()?;
        let mut made = self.made.lock().await;
        if let Some(image) = made.images.get(tag) {
            return Ok(Some(Arc::clone(image)));
        }
        if made.held.is_none() {
            // It is never closed.
            made.held = Arc::clone(&self.charts.held).acquire_owned().await.ok();
        }
        let image = async {
            let chart = client.fetch(entry).await?;
            Ok(MadeImage { image: chart.image()?, remarks: chart.warnings().to_vec() })
        };
        let image = Arc::new(image.await.map_err(|error| Failure::chart(&error))?);
        made.images.insert(tag.clone(), Arc::clone(&image));
        Ok(Some(image))
    }
}

/// What a plan says of the images that a chart names: one line for each, or why there is none.
pub(crate) async fn images_named(source: &Place, selection: &Selection) -> Vec<String> {
    let archive = match source.chart_archive(selection).await {
        Ok(Some(archive)) => archive,
        // What is not there is told by the outcome.
        Ok(None) => return Vec::new(),
        Err(failure) => return vec![format!("the images it names could not be read: {failure}")],
    };
    let images = Chart::from_archive(archive, None).and_then(|chart| chart.images());
    match images {
        Ok(images) => images
            .into_iter()
            .map(|image| {
                let guess = if image.is_tag_guessed { ", its tag is a guess" } else { "" };
                let places = image.places.join(", ");
                format!("names the image {} ({places}{guess})", image.reference)
            })
            .collect(),
        Err(error) => vec![format!("the images it names could not be read: {error}")],
    }
}

fn tag_of(entry: &Entry) -> Result<Tag, oci::InvalidName> {
    charts::version_tag(entry.version())
}
