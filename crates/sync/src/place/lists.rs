//! What a place lists: its tags, and the manifests that refer to another.

use std::collections::BTreeMap;

use oci::{Descriptor, Digest, Manifest, Selector, Tag};
use registry::TagList;

use super::{Place, Store};
use crate::Failure;

impl Place {
    /// All tags; none where there is no such repository.
    pub(crate) async fn tags(&self) -> Result<TagList, Failure> {
        self.tags_if_there().await.map(Option::unwrap_or_default)
    }

    /// All tags; `None` where there is no such repository.
    pub(crate) async fn tags_if_there(&self) -> Result<Option<TagList>, Failure> {
        let tags = match &self.store {
            Store::Registry(remote) => return remote.client.tags().await.map_err(self.registry()),
            Store::Layout(layout) if !layout.exists().await.map_err(self.layout())? => {
                return Ok(None);
            }
            Store::Layout(layout) => layout.tags().await.map_err(self.layout())?,
            Store::Archive(archive) => archive.tags().await.map_err(self.layout())?,
            Store::Growing(archive) => archive.tags().await.map_err(self.layout())?,
            Store::Nothing => return Ok(None),
            Store::Chart(chart) => match chart.tags().await? {
                Some(tags) => tags,
                None => return Ok(None),
            },
        };
        Ok(Some(TagList { tags, digests: BTreeMap::new() }))
    }

    /// Whether its list of tags tells what they point at.
    pub(crate) fn lists_digests(&self) -> bool {
        matches!(&self.store, Store::Registry(remote) if remote.client.lists_digests())
    }

    /// What the place itself lists as referring to `subject`; `None` where it keeps no such list
    /// and whoever pushes has to, under the fallback tag. An archive that is being written tells
    /// nothing; it can be asked for each manifest.
    pub(crate) async fn own_referrers(
        &self,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Failure> {
        match &self.store {
            Store::Registry(remote) => {
                remote.client.referrers_by_api(subject).await.map_err(self.registry())
            }
            Store::Layout(layout) => {
                layout.referrers(subject).await.map(Some).map_err(self.layout())
            }
            Store::Archive(archive) => {
                archive.referrers(subject).await.map(Some).map_err(self.layout())
            }
            Store::Growing(_) | Store::Nothing | Store::Chart(_) => Ok(Some(Vec::new())),
        }
    }

    /// What the fallback tag lists, where the place does not list referrers itself.
    pub(crate) async fn tagged_referrers(
        &self,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Failure> {
        match &self.store {
            Store::Registry(remote) => {
                remote.client.referrers_by_tag(subject).await.map_err(self.registry())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Whether a manifest is here. It needs no tag and no entry in any list.
    pub(crate) async fn has_manifest(&self, digest: Digest) -> Result<bool, Failure> {
        match &self.store {
            // An archive that is being written lists only tagged manifests by digest.
            Store::Growing(_) => Ok(self.blob_size(&digest).await?.is_some()),
            _ => Ok(self.resolve(&Selector::Digest(digest)).await?.is_some()),
        }
    }

    /// Writes a list of referrers under its fallback tag, where the place does not list them itself.
    pub(crate) async fn put_list(&self, tag: &Tag, list: &Manifest) -> Result<(), Failure> {
        match &self.store {
            Store::Registry(_) => self.move_tag(tag, list).await,
            // These list referrers themselves.
            Store::Layout(_) | Store::Growing(_) => Ok(()),
            Store::Archive(_) | Store::Nothing | Store::Chart(_) => Err(self.not_writable()),
        }
    }
}
