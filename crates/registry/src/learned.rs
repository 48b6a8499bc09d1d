//! [`Learned`]: what a registry turned out to do. It goes before what its profile says.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};

use oci::{Digest, Repository};
use tokio::sync::OnceCell;

/// What a registry turned out to do.
#[derive(Default)]
pub(crate) struct Learned {
    /// How many mounts failed with an error since the last that did not.
    pub(crate) failed_mounts: AtomicU32,
    /// How many broken uploads in a row could not be taken up again.
    pub(crate) failed_resumes: AtomicU32,
    /// The way it takes blobs; see `blob_upload`.
    pub(crate) upload_way: AtomicU8,
    /// Whether the registry may have the referrers API, as the first request of it told.
    pub(crate) referrers_api: OnceCell<bool>,
    /// Repositories without the referrers API.
    pub(crate) no_referrers_api: Mutex<HashSet<Repository>>,
    /// Whether it said one thing and gave another when asked for ranges.
    pub(crate) no_ranges: AtomicBool,
    /// How many requests at once turned out to be worth it for a large blob.
    pub(crate) width: AtomicUsize,
    /// Blobs that it gave wrong bytes for.
    pub(crate) wrong_blobs: Mutex<HashSet<Digest>>,
}
