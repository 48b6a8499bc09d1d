//! ECR repositories as desired state: what is there, what differs, and how it is put right.
//!
//! ```text
//! Wanted ─ check ─ Client::observe ─ diff ─ Difference ─ Writer::apply ─ Applied
//!         (limits)   (reads only)   (pure)              (writes only what differs)
//! ```
//!
//! A [`Client`] has no call that writes. A dry run is one that never makes a [`Writer`] of it.
//!
//! What a [`Wanted`] does not name is not looked after: it is left as it is, or as AWS makes it. A policy
//! that a repository has and its file has not is a [`Note`]; it is removed only where that was asked for.
//! Policies are compared by what they mean ([`policy`], [`lifecycle`]), so the spelling that AWS gives them
//! is no change. Nothing else is ever deleted.

mod actions;
mod change;
mod check;
mod client;
mod diff;
mod encryption;
mod error;
pub mod lifecycle;
mod note;
mod observe;
mod observed;
mod pace;
pub mod policy;
mod registry_setting;
mod text_diff;
mod wanted;
mod write;

pub use change::{Change, TagChange};
pub use check::{Problem, check};
pub use client::{Client, Options};
pub use diff::{Difference, diff};
pub use error::{Error, ErrorClass};
pub use note::{Note, PolicyKind};
pub use observed::{Observed, ObservedEncryption, Seen};
pub use registry_setting::{BlobMounting, Conflict, wanted_blob_mounting};
pub use wanted::{Encryption, Mutability, Wanted};
pub use write::{Applied, Incomplete, Writer};
