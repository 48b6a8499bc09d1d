//! Names and content of the OCI world, as types that cannot be wrong.
//!
//! A name is parsed once ([`Reference`], [`Host`], [`Repository`], [`Tag`], [`Digest`],
//! [`Platform`]); what was parsed needs no further check. A [`Manifest`] keeps the bytes it was
//! read from, and only those bytes are ever pushed; the one that is made here is a part of an index
//! ([`subset`]). Nothing here does I/O.

mod astray;
mod chart_location;
mod descriptor;
mod digest;
mod ecr_registry;
mod extent;
mod host;
mod manifest;
mod media_type;
mod mirror;
mod name;
mod platform;
mod reference;
mod registry_kind;
mod repository;
pub mod subset;
mod tag;
mod wanted;
mod zone;

pub use astray::{Astray, shown_url};
pub use chart_location::ChartLocation;
pub use descriptor::{DataError, Descriptor};
pub use digest::{Algorithm, Digest, Hasher, Mismatch, Verifier};
pub use ecr_registry::EcrRegistry;
pub use extent::{Extent, Platforms};
pub use host::Host;
pub use manifest::{Content, Image, Index, MANIFEST_SIZE_LIMIT, Manifest, ManifestError};
pub use media_type::MediaType;
pub use mirror::Mirror;
pub use name::InvalidName;
pub use platform::Platform;
pub use reference::{Location, Reference, Selector, Written};
pub use registry_kind::RegistryKind;
pub use repository::Repository;
pub use subset::SubsetError;
pub use tag::Tag;
pub use wanted::{Selection, Source, Target};
