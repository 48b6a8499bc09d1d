//! An OCI image layout (image spec, "OCI Image Layout Specification") as a place to read images
//! from and write images to: a folder ([`Layout`]) or a tar archive ([`Archive`],
//! [`ArchiveWriter`]).
//!
//! One layout is one repository; a tree of them below a folder is a registry. Several processes
//! and tasks may write to one layout at a time. Whatever moment a writer dies at, what is left is
//! a valid layout: a blob appears when it is whole and checked, a tag only after its manifest.
//! Files of ours that the spec does not know begin with a dot and are left out by other tools:
//! `.lock`, which writers of `index.json` hold, and `.uploads/`, where blobs grow. Other tools know
//! nothing of the lock: what they write is seen at once, but one that writes `index.json` in the
//! same moment as we do may undo our change.

mod archive;
mod blob;
mod disk;
mod durable;
mod error;
mod folder;
mod index;
mod referrers;
mod tree;
mod upload;

pub use archive::{Archive, ArchiveWriter};
pub use blob::BlobReader;
pub use error::{Error, WriteError};
pub use folder::Layout;
pub use index::Tagged;
pub use upload::{Upload, UploadId};
