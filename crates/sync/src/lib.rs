//! The heart: wanted → observed → decision → transfer → outcome.
//!
//! [`Engine::run`] takes what is wanted and returns one [`ItemReport`] for each item. Items flow
//! through their stages one by one, many at once (`walk`); what to do is decided by one pure
//! table ([`decide()`]); a blob moves once per target registry (`blobs`). The engine knows no
//! screen: it emits [`Event`]s, and listeners make of them what they like. What it does to a target it
//! hands to a [`Witness`].

mod act;
mod artifact;
mod blobs;
mod carry;
mod charts;
mod closure;
mod companions;
mod copy;
mod decide;
mod destination;
mod engine;
mod event;
mod expand;
mod failure;
mod fallback_tag;
mod foreign_layers;
mod groups;
mod item;
mod late;
mod lock;
mod needed;
mod neighbour;
mod observe;
mod outcome;
mod place;
mod plan;
mod referrers;
mod resolve;
mod schedule;
mod shard;
mod signatures;
mod spans;
mod subset;
mod tag_lists;
mod tee;
mod transfer;
mod turns;
mod verify;
mod waits;
mod walk;
mod wanted;

pub use act::{Act, ActKind, Evidence, Room, Unrecorded, Witness};
pub use artifact::Artifact;
pub use charts::Charts;
pub use decide::{Decision, SourceState, TargetState, decide};
pub use engine::{Engine, Mode, Options, Stop};
pub use event::{Event, ItemId, Listener, Listeners};
pub use expand::tags;
pub use failure::{Class, Failure, Side};
pub use foreign_layers::ForeignLayers;
pub use lock::{Change, Lock, LockError, LockProblem, Locked, Locks, Looked, Seen, locked_name};
pub use outcome::{ItemReport, LateArrivals, Outcome, RunReport, Transferred, Way};
pub use plan::{
    Cost, Fence, Foreseen, ForeseenBlob, ForeseenCompanion, ForeseenManifest, Moved, Planned,
    compare,
};
pub use referrers::{Referrers, WhichReferrers};
pub use resolve::{Resolved, ResolvedTags};
pub use shard::Shard;
pub use signatures::{
    Demand, Judged, Keyless, Keys, MIRRORING, Provenance, SignWith, SignatureFormat,
    SignatureReport, SignatureState, SyncFileFacts, WantedSignatures,
};
pub use wanted::{Choice, Origin, TagSelection, Wanted, Wish};
