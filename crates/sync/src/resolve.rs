//! [`Engine::resolve`]: what the tags of sources point at, with nothing said of any target. For a lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use oci::{Digest, Selection, Selector, Source};

use crate::expand::{asked, select};
use crate::place::Places;
use crate::{Class, Engine, Failure, Locks, Origin, Side, Stop, TagSelection, Wanted, locked_name};

/// A tag of a source that is wanted.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The source; with a digest where the sync file pins it.
    pub source: Source,
    /// The place in a sync file that asked for it.
    pub origin: Option<Origin>,
    /// What it points at, or what the sync file pins it to; none where it was not asked.
    pub digest: Option<Result<Digest, Failure>>,
}

/// What is wanted, and what is not known of it.
#[derive(Clone, Debug, Default)]
pub struct ResolvedTags {
    /// Every tag, in the order wanted.
    pub tags: Vec<Resolved>,
    /// Those whose tags could not be selected, and why.
    pub unlisted: Vec<(Arc<TagSelection>, Failure)>,
}

impl Engine {
    /// What all wanted tags point at, as far as `asks` says of their names that they are to be asked.
    /// Each is asked once. What has no tag is left out.
    pub async fn resolve(
        &self,
        named: Vec<Wanted>,
        selections: Vec<TagSelection>,
        asks: impl Fn(Option<&Origin>, &Source) -> bool,
        stop: &Stop,
    ) -> ResolvedTags {
        let selections: Vec<Arc<TagSelection>> = selections.into_iter().map(Arc::new).collect();
        let lists = self.list(&selections, stop).await;
        let (mut wanted, mut unlisted) = (named, Vec::new());
        for selection in selections {
            match lists.get(&asked(&selection)) {
                Some(Ok(listed)) => match select(&selection, listed, &Locks::default()) {
                    Ok(selected) => wanted.extend(selected),
                    Err(failure) => unlisted.push((selection, failure)),
                },
                Some(Err(failure)) => unlisted.push((selection, failure.clone())),
                // Every source was listed.
                None => {}
            }
        }
        let tags: BTreeMap<String, Source> = wanted
            .iter()
            .filter(|wanted| asks(wanted.origin.as_ref(), &wanted.source))
            .filter_map(|wanted| Some((name(&wanted.source)?, wanted.source.clone())))
            .collect();
        let found = self.point_at(tags, stop).await;
        let tags = wanted.into_iter().filter_map(|Wanted { source, origin, .. }| {
            let name = name(&source)?;
            let digest = match source.selection {
                Selection::Pinned { digest, .. } => Some(Ok(digest)),
                _ => found.get(&name).cloned(),
            };
            Some(Resolved { source, origin, digest })
        });
        ResolvedTags { tags: tags.collect(), unlisted }
    }

    async fn point_at(
        &self,
        tags: BTreeMap<String, Source>,
        stop: &Stop,
    ) -> BTreeMap<String, Result<Digest, Failure>> {
        let charts = Arc::clone(&self.options.charts);
        let places = Places::new(self.source.clone(), self.source.clone(), charts, true);
        let resolved = futures::stream::iter(tags).map(|(name, source)| {
            let places = &places;
            async move {
                let found = tokio::select! {
                    biased;
                    () = stop.begin_nothing.cancelled() => {
                        let message = "the run was stopped before it was looked at";
                        Err(Failure::new(Side::Source, Class::Interrupted, message))
                    }
                    found = digest(places, &source) => found,
                };
                (name, found)
            }
        });
        resolved.buffer_unordered(self.options.concurrency.max(1)).collect().await
    }
}

async fn digest(places: &Places, source: &Source) -> Result<Digest, Failure> {
    let place = places.open(Side::Source, &source.location).await?;
    let found = match source.selection.tag() {
        Some(tag) => place.resolve(&Selector::Tag(tag.clone())).await?,
        None => source.selection.digest(),
    };
    match found {
        Some(digest) => Ok(digest),
        None => Err(place.missing(&source.selection).await),
    }
}

/// What a lock calls it; nothing where it has no tag.
fn name(source: &Source) -> Option<String> {
    source.selection.tag().map(|tag| locked_name(&source.location, tag))
}
