//! A place as one that holds a Helm chart.

use std::collections::HashMap;

use bytes::Bytes;
use oci::{Digest, Selection, Selector, Source, Tag};

use super::{Place, Store};
use crate::{Class, Failure};

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

    /// The tags whose content really is in a registry, for a classic repository that only points there.
    pub(crate) async fn elsewhere(&self) -> Result<HashMap<Tag, Source>, Failure> {
        match &self.store {
            Store::Chart(chart) => chart.elsewhere().await,
            _ => Ok(HashMap::new()),
        }
    }

    /// What to say of a source that is not there.
    pub(crate) async fn missing(&self, selection: &Selection) -> Failure {
        if let (Store::Chart(chart), Some(tag)) = (&self.store, selection.tag())
            && let Some(missing) = chart.missing(tag).await
        {
            return missing;
        }
        let source = Source { location: self.location.clone(), selection: selection.clone() };
        let message = format!("there is no such tag or digest: `{source}`");
        Failure::new(self.side, Class::NotFound, message)
            .with_hint("check the spelling; private repositories often answer so to strangers")
    }

    /// What is not as it should be about a chart, as far as that was seen.
    pub(crate) async fn chart_remarks(&self, selection: &Selection) -> Vec<String> {
        match (&self.store, selection.tag()) {
            (Store::Chart(chart), Some(tag)) => chart.remarks(tag).await,
            _ => Vec::new(),
        }
    }

    /// Whether a classic repository has a provenance file for a chart.
    pub(crate) async fn has_provenance(&self, selection: &Selection) -> bool {
        match (&self.store, selection.tag()) {
            (Store::Chart(chart), Some(tag)) => chart.has_provenance(tag).await,
            _ => false,
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
