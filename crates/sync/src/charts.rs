//! [`Charts`]: the classic chart repositories of a run, and [`ChartPlace`], one chart of one of them as
//! a place to copy from: its versions are tags, and each is made an image when it is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use charts::{Chart, ChartImage, ChartName, ChartRepository, Entry, Index};
use oci::{ChartLocation, Digest, Manifest, Reference, Selection, Selector, Source, Tag};
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::place::Place;
use crate::{Class, Failure, Side};

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
    client: ChartRepository,
    wanted: BTreeSet<ChartName>,
    index: OnceCell<Result<Index, Failure>>,
}

impl Charts {
    /// These charts, each repository reached by what `client` gives for its URL.
    ///
    /// # Errors
    /// What `client` says.
    pub fn new<E>(
        wanted: impl IntoIterator<Item = ChartLocation>,
        client: impl Fn(&str) -> Result<ChartRepository, E>,
    ) -> Result<Self, E> {
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
                client: client(url)?,
                wanted: BTreeSet::from([name]),
                index: OnceCell::new(),
            };
            charts.repositories.insert(url.to_owned(), repository);
        }
        Ok(charts)
    }
}

impl Default for Charts {
    fn default() -> Self {
        Self { repositories: BTreeMap::new(), held: Arc::new(Semaphore::new(HELD_AT_ONCE)) }
    }
}

impl Repository {
    async fn index(&self) -> Result<&Index, Failure> {
        let index = self.index.get_or_init(|| async {
            let read = self.client.versions(&self.wanted).await;
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
    images: HashMap<Tag, Arc<ChartImage>>,
    held: Option<OwnedSemaphorePermit>,
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

    /// Where a version really is, for a repository that only points at a registry.
    pub(crate) async fn elsewhere(&self, tag: &Tag) -> Result<Option<Source>, Failure> {
        let entry = self.entry(tag).await?;
        let Some(url) = entry.and_then(Entry::registry_url) else { return Ok(None) };
        let invalid = |problem: &dyn std::fmt::Display| {
            let message = format!("the index of {} sends us to {url}: {problem}", self.location);
            Failure::new(Side::Source, Class::Content, message)
        };
        let named = url.trim_start_matches("oci://");
        let reference: Reference = named.parse().map_err(|error| invalid(&error))?;
        let tag = reference.tag.clone().unwrap_or_else(|| tag.clone());
        let reference = Reference { tag: Some(tag), ..reference };
        reference.try_into().map(Some).map_err(|error: oci::InvalidName| invalid(&error))
    }

    /// The digest of a version's archive, as far as it is known without reading it.
    pub(crate) async fn archive_digest(&self, tag: &Tag) -> Result<Option<Digest>, Failure> {
        if let Some(made) = self.made.lock().await.images.get(tag) {
            return Ok(charts::chart_layer(&made.manifest).map(|layer| layer.digest));
        }
        Ok(self.entry(tag).await?.and_then(Entry::digest))
    }

    pub(crate) async fn manifest(&self, selector: &Selector) -> Result<Option<Manifest>, Failure> {
        match selector {
            Selector::Tag(tag) => Ok(self.image(tag).await?.map(|image| image.manifest.clone())),
            Selector::Digest(digest) => {
                let made = self.made.lock().await;
                let manifests = made.images.values().map(|image| &image.manifest);
                Ok(manifests.into_iter().find(|manifest| manifest.has_digest(digest)).cloned())
            }
        }
    }

    /// A blob of what was made of a version.
    pub(crate) async fn blob(&self, digest: &Digest) -> Option<Bytes> {
        let made = self.made.lock().await;
        let mut blobs = made.images.values().flat_map(|image| &image.blobs);
        blobs.find(|(blob, _)| blob.digest == *digest).map(|(_, content)| content.clone())
    }

    /// The images that a version names in its values.
    pub(crate) async fn archive(&self, tag: &Tag) -> Result<Option<Bytes>, Failure> {
        let Some(image) = self.image(tag).await? else { return Ok(None) };
        let Some(layer) = charts::chart_layer(&image.manifest) else { return Ok(None) };
        Ok(self.blob(&layer.digest).await)
    }

    async fn entries(&self) -> Result<&[Entry], Failure> {
        let repository = self.charts.repositories.get(self.location.repository());
        let name = self.location.chart().parse::<ChartName>();
        let (Some(repository), Ok(name)) = (repository, name) else { return Ok(&[]) };
        Ok(repository.index().await?.entries(&name))
    }

    async fn entry(&self, tag: &Tag) -> Result<Option<&Entry>, Failure> {
        let mut entries = self.entries().await?.iter();
        Ok(entries.find(|entry| tag_of(entry).is_ok_and(|its| its == *tag)))
    }

    /// A version as an image; fetched once.
    async fn image(&self, tag: &Tag) -> Result<Option<Arc<ChartImage>>, Failure> {
        let Some(entry) = self.entry(tag).await? else { return Ok(None) };
        let mut made = self.made.lock().await;
        if let Some(image) = made.images.get(tag) {
            return Ok(Some(Arc::clone(image)));
        }
        let Some(repository) = self.charts.repositories.get(self.location.repository()) else {
            return Ok(None);
        };
        if made.held.is_none() {
            // It is never closed.
            made.held = Arc::clone(&self.charts.held).acquire_owned().await.ok();
        }
        let image = async { repository.client.fetch(entry).await?.image() }.await;
        let image = Arc::new(image.map_err(|error| Failure::chart(&error))?);
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
