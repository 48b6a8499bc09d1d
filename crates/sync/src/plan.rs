//! A plan: what a run would write, found out without writing, and held to later.
//!
//! What a plan knows of an item is in `foreseen`, how it is found out in `foresee`. When it is carried
//! out, everything is looked at anew; `compare` says in one table whether the world is still as the
//! plan has it, and `fence` keeps everything else from being written.

mod compare;
pub(crate) mod fence;
pub(crate) mod foresee;
mod foreseen;

pub use compare::{Moved, Planned, compare};
pub use fence::Fence;
pub use foreseen::{Cost, Foreseen, ForeseenBlob, ForeseenCompanion, ForeseenManifest};
