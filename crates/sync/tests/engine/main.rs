//! The engine against real registries on loopback: what it promises, seen in the request log.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod acts;
mod charts;
mod closure;
mod copies;
mod decisions;
mod economy;
mod family;
mod faults;
mod late;
mod pacing;
mod personalities;
mod places;
mod platforms;
mod referrers;
mod rig;
mod selection;
mod signing;
mod source_lost;
mod statements;
mod stopping;
