//! The program as its users meet it: the real binary, its whole output, its exit code.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod audit;
mod deadline;
mod doctor;
mod documents;
mod doors;
mod drift;
mod ecr_sync;
mod forged_signatures;
mod help;
mod kill;
mod kyma;
mod lock;
mod notices;
mod output;
mod pending;
mod plan;
mod platforms;
mod program;
mod referrers;
mod reports;
mod secrets;
mod serve;
mod signals;
mod signing;
mod sync_file;
mod tags;
mod usage;
mod walk;
mod watch;
