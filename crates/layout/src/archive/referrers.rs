//! Which manifests of an archive refer to a given one. As in a layout, each manifest that
//! `index.json` lists is asked for its subject, and fallback tags' lists are looked into; an
//! archive does not change, so once is enough.

use std::collections::{HashMap, HashSet};

use oci::{Descriptor, Digest};

use super::reader::{Archive, Inner};
use crate::Error;
use crate::durable::blocking;
use crate::referrers::is_fallback_tag;

/// The referrers of each subject that has any.
pub(super) type BySubject = HashMap<Digest, Vec<Descriptor>>;

impl Archive {
    /// The descriptors of the manifests whose subject has this digest, as the distribution spec
    /// lists them: with artifact type and annotations.
    ///
    /// # Errors
    /// Where the archive cannot be read.
    pub async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let inner = std::sync::Arc::clone(&self.inner);
        let referrers =
            self.inner.referrers.get_or_try_init(|| blocking(move || inner.all())).await?;
        Ok(referrers.get(subject).cloned().unwrap_or_default())
    }
}

impl Inner {
    fn all(&self) -> Result<BySubject, Error> {
        let mut candidates = self.contents.manifests.clone();
        for (_, list) in self.contents.tags.iter().filter(|(tag, _)| is_fallback_tag(tag)) {
            if let Some(list) = self.readable(list)? {
                candidates.extend(list.manifests().cloned());
            }
        }
        let mut seen = HashSet::new();
        let mut found = BySubject::new();
        for candidate in candidates {
            if !seen.insert(candidate.digest) {
                continue;
            }
            let Some(manifest) = self.readable(&candidate)? else { continue };
            if let Some(subject) = manifest.subject() {
                found.entry(subject.digest).or_default().push(manifest.as_referrer());
            }
        }
        Ok(found)
    }

    /// A listed manifest, or `None` where it is missing or nothing that is understood here.
    fn readable(&self, entry: &Descriptor) -> Result<Option<oci::Manifest>, Error> {
        match self.table.manifest(&self.file, &entry.digest, Some(&entry.media_type)) {
            Err(Error::Manifest { .. } | Error::TooLarge { .. } | Error::Corrupt { .. }) => {
                Ok(None)
            }
            result => result,
        }
    }
}
