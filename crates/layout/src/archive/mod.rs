//! An OCI image layout in one tar archive.

mod reader;
mod referrers;
mod writer;

pub use reader::Archive;
pub use writer::ArchiveWriter;
