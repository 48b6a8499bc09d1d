//! Which manifests of a layout refer to a given one.
//!
//! Image layouts have no place for that, so each manifest that `index.json` lists is asked once
//! for its subject. Clients of registries without the referrers API keep a list under a tag
//! instead (distribution spec, "Referrers Tag Schema"); what stands there is found as well.

use std::sync::PoisonError;

use oci::{Descriptor, Digest, Manifest};

use crate::disk::Disk;
use crate::{Error, Layout};

/// How many manifests' subjects are remembered; a few MB.
const REMEMBERED: usize = 65_536;

impl Layout {
    /// The descriptors of the manifests whose subject has this digest, as the distribution spec
    /// lists them: with artifact type and annotations.
    ///
    /// # Errors
    /// Where the layout cannot be read or is damaged.
    pub async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let subject = *subject;
        self.read(move |disk| disk.referrers(&subject)).await
    }
}

impl Disk {
    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let contents = self.contents()?;
        let mut candidates = contents.manifests.clone();
        if let Some(list) = fallback_tag(subject).and_then(|tag| contents.tags.get(&tag))
            && let Some(list) = self.manifest(&list.digest, Some(&list.media_type))?
        {
            candidates.extend(list.manifests().cloned());
        }
        let mut referrers: Vec<Descriptor> = Vec::new();
        for candidate in candidates {
            if referrers.iter().any(|known| known.digest == candidate.digest)
                || self.subject(&candidate)? != Some(*subject)
            {
                continue;
            }
            if let Some(manifest) = self.readable(&candidate)? {
                referrers.push(manifest.as_referrer());
            }
        }
        Ok(referrers)
    }

    /// The digest of a manifest's subject, if it has one.
    pub(crate) fn subject(&self, manifest: &Descriptor) -> Result<Option<Digest>, Error> {
        let known = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(subject) = known.get(&manifest.digest) {
            return Ok(*subject);
        }
        drop(known);
        let Some(content) = self.readable(manifest)? else { return Ok(None) };
        let subject = content.subject().map(|subject| subject.digest);
        self.remember_subject(manifest.digest, subject);
        Ok(subject)
    }

    pub(crate) fn remember_subject(&self, manifest: Digest, subject: Option<Digest>) {
        let mut known = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(manifest, subject);
    }

    /// A listed manifest, or `None` where it is missing or nothing that is understood here: one
    /// odd entry must not hide the referrers of all others.
    fn readable(&self, descriptor: &Descriptor) -> Result<Option<Manifest>, Error> {
        match self.manifest(&descriptor.digest, Some(&descriptor.media_type)) {
            Ok(manifest) => Ok(manifest),
            Err(Error::Manifest { .. } | Error::TooLarge { .. } | Error::Corrupt { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The tag under which clients keep the list of a manifest's referrers where the registry does
/// not: `sha256-<hex>`, the hex cut to 64 digits.
fn fallback_tag(subject: &Digest) -> Option<oci::Tag> {
    let hex = subject.hex();
    format!("{}-{}", subject.algorithm(), hex.get(..64)?).parse().ok()
}

/// Whether a tag may hold such a list.
pub(crate) fn is_fallback_tag(tag: &oci::Tag) -> bool {
    tag.as_str().split_once('-').is_some_and(|(algorithm, hex)| {
        matches!(algorithm, "sha256" | "sha512")
            && hex.len() == 64
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
