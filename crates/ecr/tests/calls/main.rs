//! The calls that ECR gets from us, and what is made of its answers, against a server that answers as a
//! test says. What a real implementation makes of them is looked at in `tests/interop/tests/ecr.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "test code")]

mod endpoints;
mod fake;
mod observing;
mod writing;
