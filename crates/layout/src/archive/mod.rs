//! An OCI image layout in one tar archive.

mod reader;
mod writer;

pub use reader::Archive;
pub use writer::ArchiveWriter;
