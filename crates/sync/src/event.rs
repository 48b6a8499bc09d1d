//! [`Event`]: what happens during a run, as it happens, for whoever listens.

use std::sync::Arc;

use oci::Digest;

use crate::{Decision, ItemReport, TagSelection, Wanted, Way};

/// An item's number within its run, from 0 in the order wanted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ItemId(pub usize);

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Rules have selected tags; the run begins when all have.
    Selected {
        /// The rules, and what they are for.
        selection: Arc<TagSelection>,
        /// How many tags the source has.
        tags: usize,
        /// How many of them are wanted.
        selected: usize,
    },
    /// What should have been selected was not: an item ends before the run begins.
    NotSelected {
        /// What became of it.
        report: Arc<ItemReport>,
    },
    /// The run begins.
    RunStarted {
        /// How many items are wanted.
        items: usize,
    },
    /// An item's turn has come.
    ItemStarted {
        /// Which item.
        item: ItemId,
        /// What is wanted.
        wanted: Arc<Wanted>,
    },
    /// Both sides were looked at.
    Decided {
        /// Which item.
        item: ItemId,
        /// What is to be done.
        decision: Decision,
    },
    /// A copy begins: its manifests are read, its blobs are known.
    CopyStarted {
        /// Which item.
        item: ItemId,
        /// How many different blobs it has.
        blobs: usize,
        /// Their sizes together, in bytes.
        bytes: u64,
    },
    /// What belongs to the image was found, and comes as well.
    CopyGrew {
        /// Which item.
        item: ItemId,
        /// How many more blobs it has.
        blobs: usize,
        /// Their sizes together, in bytes.
        bytes: u64,
    },
    /// Bytes of a blob have passed through.
    BlobProgress {
        /// Which item.
        item: ItemId,
        /// Which blob.
        digest: Digest,
        /// How many bytes since the last such event.
        bytes: u64,
    },
    /// A blob is at the target.
    BlobFinished {
        /// Which item.
        item: ItemId,
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// How it came there.
        way: Way,
    },
    /// A transfer broke and begins again.
    BlobRetried {
        /// Which item.
        item: ItemId,
        /// Which blob.
        digest: Digest,
        /// Bytes that had passed and do not count any more.
        lost: u64,
        /// Why, in one line.
        reason: String,
    },
    /// An item is done.
    ItemFinished {
        /// Which item.
        item: ItemId,
        /// What became of it.
        report: Arc<ItemReport>,
    },
}

/// Someone who wants to know what happens. Called from many tasks at once; must not block.
pub trait Listener: Send + Sync {
    /// Takes note of an event.
    fn hear(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Listener for F {
    fn hear(&self, event: &Event) {
        self(event);
    }
}

/// Several who want to know.
pub struct Listeners(pub Vec<Arc<dyn Listener>>);

impl Listener for Listeners {
    fn hear(&self, event: &Event) {
        self.0.iter().for_each(|listener| listener.hear(event));
    }
}
