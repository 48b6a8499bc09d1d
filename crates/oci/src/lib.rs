//! Names and content of the OCI world, as types that cannot be wrong.
//!
//! A name is parsed once ([`Reference`], [`Host`], [`Repository`], [`Tag`], [`Digest`],
//! [`Platform`]); what was parsed needs no further check. A [`Manifest`] keeps the bytes it was
//! read from, and only those bytes are ever pushed. Nothing here does I/O.

mod descriptor;
mod digest;
mod host;
mod manifest;
mod media_type;
mod name;
mod platform;
mod reference;
mod registry_kind;
mod repository;
mod tag;
mod wanted;

pub use descriptor::{DataError, Descriptor};
pub use digest::{Algorithm, Digest, Hasher, Mismatch, Verifier};
pub use host::Host;
pub use manifest::{Content, Image, Index, MANIFEST_SIZE_LIMIT, Manifest, ManifestError};
pub use media_type::MediaType;
pub use name::InvalidName;
pub use platform::Platform;
pub use reference::{Location, Reference, Selector, Written};
pub use registry_kind::RegistryKind;
pub use repository::Repository;
pub use tag::Tag;
pub use wanted::{Selection, Source, Target};
