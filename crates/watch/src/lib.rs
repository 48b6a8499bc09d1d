//! The long-running mode: when runs begin, who may make them, and the doors to ask and to tell.
//!
//! What a run *is* stands elsewhere: whoever uses this crate gives a [`Runner`], which loads sync files
//! and makes runs. Here is what goes on around them:
//!
//! - `agenda`: which files are due, and which pushes wait: pure, told what time it is;
//! - `watcher`: the event loop: files that change, slots that come, pushes, the lease, the end;
//! - `moved`: what was pushed, and what that concerns;
//! - `hooks`: what registries send, who believes them;
//! - `lease`: of several replicas one makes the runs;
//! - `web`: health, metrics, the last report, the hooks, as an [`axum::Router`].

mod agenda;
mod hooks;
pub mod lease;
mod moved;
mod status;
mod watcher;
mod web;

pub use agenda::{Request, WatchedFile};
pub use hooks::authentication::Secret;
pub use hooks::{Kind, Unreadable, parse};
pub use moved::Moved;
pub use status::{FileStatus, Status};
pub use watcher::{Clock, Ended, Halt, Inbox, Prints, Runner, Settings, doors, run};
pub use web::{Page, Pages, Text, router};
