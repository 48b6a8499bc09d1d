//! [`Descriptor`]: a pointer to content, with what is known of it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::{Digest, MediaType, Mismatch, Platform, Verifier};

/// A content descriptor as the image spec defines it. Unknown fields are not kept: what a
/// descriptor came from is pushed as the bytes it was read from, never from this.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: MediaType,
    /// The content's digest.
    pub digest: Digest,
    /// The content's size in bytes.
    pub size: u64,
    /// Other places to fetch the content from (foreign layers).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The content itself, base64, where it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the content runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of artifact the content is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor with nothing but the three fields that each must have.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// Checks the content that the descriptor has in itself, where it has some: it must be what the
    /// digest and the size say (image spec, "Embedded Content").
    ///
    /// # Errors
    /// [`DataError`]
    pub fn check_data(&self) -> Result<(), DataError> {
        let Some(data) = &self.data else { return Ok(()) };
        let content = STANDARD.decode(data).map_err(|_| DataError::Base64)?;
        let mut verifier = Verifier::new(self.digest, Some(self.size));
        verifier.update(&content)?;
        Ok(verifier.finish()?)
    }
}

/// Embedded content that is not what its descriptor says.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Not readable at all.
    #[error("it is not base64")]
    Base64,
    /// Other content.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_content_is_that_of_the_digest() {
        let with = |data: Option<&str>| {
            let mut empty = Descriptor::new(MediaType::OCI_EMPTY, Digest::sha256(b"{}"), 2);
            empty.data = data.map(str::to_owned);
            empty.check_data()
        };
        assert!(with(None).is_ok());
        assert!(with(Some("e30=")).is_ok());
        for (wrong, expected) in [
            ("", "too short"),
            ("e30gIA==", "too long"),
            ("W10=", "other content"),
            ("e30", "no padding"),
            ("{}", "no base64"),
        ] {
            assert!(with(Some(wrong)).is_err(), "{expected}");
        }
    }
}
