//! [`Places`]: opens the places of a run, each layout and archive once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use layout::{Archive, ArchiveWriter, Layout};
use oci::Location;

use super::{Place, Remote, Store};
use crate::charts::{ChartPlace, Charts};
use crate::{Class, Failure, Side};

/// Opens the places of a run.
pub(crate) struct Places {
    source: registry::Client,
    target: registry::Client,
    /// Whether targets are only looked at.
    read_only: bool,
    /// One for each folder: it knows what it has read of `index.json`, and lines up its writers.
    layouts: std::sync::Mutex<HashMap<PathBuf, Layout>>,
    /// Archives are indexed once, however many images are read from them.
    archives: tokio::sync::Mutex<HashMap<PathBuf, Archive>>,
    charts: Arc<Charts>,
}

impl Places {
    pub(crate) fn new(
        source: registry::Client,
        target: registry::Client,
        charts: Arc<Charts>,
        read_only: bool,
    ) -> Self {
        Self {
            charts,
            source,
            target,
            read_only,
            layouts: std::sync::Mutex::default(),
            archives: tokio::sync::Mutex::default(),
        }
    }

    /// Opens a location. Touches nothing but, for an archive, its table of contents.
    pub(crate) async fn open(&self, side: Side, location: &Location) -> Result<Place, Failure> {
        let store = match location {
            Location::Registry { host, repository } => {
                let client = match side {
                    Side::Source => &self.source,
                    Side::Target => &self.target,
                };
                Store::Registry(Remote {
                    client: client.repository(host, repository),
                    host: host.clone(),
                    name: repository.clone(),
                })
            }
            Location::Layout(folder) => {
                let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
                let layout = layouts.entry(folder.clone()).or_insert_with(|| Layout::at(folder));
                Store::Layout(layout.clone())
            }
            Location::Chart(chart) => Store::Chart(ChartPlace::new(&self.charts, chart)),
            Location::Archive(file) if side == Side::Source => {
                let mut archives = self.archives.lock().await;
                let archive = match archives.get(file) {
                    Some(archive) => archive.clone(),
                    None => {
                        let opened = Archive::open(file).await;
                        let archive = opened
                            .map_err(|error| Failure::layout(side, &error))?
                            .ok_or_else(|| {
                                let message = format!("there is no archive {}", file.display());
                                Failure::new(side, Class::NotFound, message)
                            })?;
                        archives.insert(file.clone(), archive.clone());
                        archive
                    }
                };
                Store::Archive(archive)
            }
            Location::Archive(file) if self.read_only => {
                match Archive::open(file).await.map_err(|error| Failure::layout(side, &error))? {
                    Some(archive) => Store::Archive(archive),
                    None => Store::Nothing,
                }
            }
            Location::Archive(file) => {
                let writer = ArchiveWriter::create(file).await;
                Store::Growing(Arc::new(writer.map_err(|error| Failure::layout(side, &error))?))
            }
        };
        Ok(Place { side, location: location.clone(), store })
    }
}
