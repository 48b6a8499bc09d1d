//! Which tags of a repository are wanted: rules go in with a list of tags, and out come verdicts
//! that say of each tag which rule kept or dropped it.
//!
//! Pure: no network, no clock. [`Rules`] are made of [`Range`]s of versions and [`Pattern`]s of
//! names; [`judge()`] applies them, [`select()`] keeps to their limits as
//! well. A tag is read as a
//! [`Version`] where it can be; what image tags have more than versions (`v`, two numbers,
//! `-alpine`) is decided there and in `judge`, once for all.

mod judge;
mod pattern;
mod range;
mod rules;
mod select;
mod verdict;
mod version;
mod whole_regex;

pub use judge::judge;
pub use pattern::{InvalidPattern, Pattern};
pub use range::{InvalidRange, Range};
pub use rules::{InvalidPart, Latest, Rules};
pub use select::{SelectionError, check, select};
pub use verdict::{Dropped, Judged, Kept, Rank, Rule, Verdict};
pub use version::{Part, Version};
pub use whole_regex::WholeRegex;
