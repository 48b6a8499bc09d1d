//! A place as one that holds a Helm chart.

use bytes::Bytes;
use oci::{Digest, Selection, Selector, Source, Tag};

use super::{Place, Store};
use crate::Failure;

impl Place {
    /// The digest of a chart's archive, as far as it is known without reading anything: a classic
    /// repository's index tells it.
    pub(crate) async fn known_chart(
        &self,
        selection: &Selection,
    ) -> Result<Option<Digest>, Failure> {
        match (&self.store, selection.tag()) {
            (Store::Chart(chart), Some(tag)) => chart.archive_digest(tag).await,
            _ => Ok(None),
        }
    }

    /// The digest of the archive of the chart that a selection picks.
    pub(crate) async fn chart(&self, selection: &Selection) -> Result<Option<Digest>, Failure> {
        if let Some(known) = self.known_chart(selection).await? {
            return Ok(Some(known));
        }
        let manifest = self.manifest(selector(selection)).await?;
        let layer = manifest.as_ref().and_then(charts::chart_layer);
        Ok(layer.map(|layer| layer.digest))
    }

    /// Where the chart really is, for a classic repository that only points at a registry.
    pub(crate) async fn elsewhere(&self, tag: &Tag) -> Result<Option<Source>, Failure> {
        match &self.store {
            Store::Chart(chart) => chart.elsewhere(tag).await,
            _ => Ok(None),
        }
    }

    /// The archive of a chart; none where there is no chart.
    pub(crate) async fn chart_archive(
        &self,
        selection: &Selection,
    ) -> Result<Option<Bytes>, Failure> {
        if let (Store::Chart(chart), Some(tag)) = (&self.store, selection.tag()) {
            return chart.archive(tag).await;
        }
        let manifest = self.manifest(selector(selection)).await?;
        match manifest.as_ref().and_then(charts::chart_layer) {
            Some(layer) => self.read_small(layer).await.map(Some),
            None => Ok(None),
        }
    }
}

fn selector(selection: &Selection) -> Selector {
    match selection {
        Selection::Tag(tag) => Selector::Tag(tag.clone()),
        Selection::Digest(digest) | Selection::Pinned { digest, .. } => Selector::Digest(*digest),
    }
}
