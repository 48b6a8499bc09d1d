//! image-syncer against real registries, judged by tools that are not ours.
//!
//! A suite lies in `tests/`; it starts servers, makes images with buildah and mmdebstrap, runs the
//! built `image-syncer` binary as a user does, and asks crane, skopeo, umoci and regctl what came of it.
//! Nothing here uses a crate of the project, but for keys in key services (`kms`), keyless signatures
//! (`keyless`), repositories of ECR (`ecr`) and charts (`charts_crate`), which are judged beside what
//! others make of the same; the testkit has the servers that no one else has, and the registry behind a
//! cloud's host name (`doors`). Suites need more than Rust, so every test is `#[ignore]`d:
//!
//! ```sh
//! tests/tools/install
//! cargo build -p image-syncer
//! cargo test -p interop -- --ignored
//! ```
//!
//! A test whose tools are missing says `SKIPPED` on standard error and passes; with
//! `IMAGE_SYNCER_REQUIRE_TOOLS=1`, as in `.ci/run`, it fails.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this crate is test code: what goes wrong ends the test, and says where"
)]

mod authority;
mod aws_front;
mod charts;
mod cluster;
mod container;
mod docker;
mod golden;
mod image_syncer;
mod images;
pub mod key_services;
mod layout;
mod listening;
mod log;
mod mirroring;
mod process;
mod server;
mod signing_order;
mod tools;
mod workbench;
mod workflow;

pub use authority::{Authority, Validity};
pub use aws_front::AwsFront;
pub use charts::{ChartServer, Charts, Door, HELMS, SIGNED, UNSIGNED, plain};
pub use cluster::Cluster;
pub use container::{Container, ContainerImage, static_binary};
pub use docker::Docker;
pub use golden::{Golden, Nodes};
pub use image_syncer::{ImageSyncer, Item, Run};
pub use images::Images;
pub use layout::{Layout, digest_of};
pub use listening::Listening;
pub use log::Request;
pub use mirroring::{KEY_PASSWORD, Mirroring, text};
pub use process::{Output, Process, Running};
pub use server::{Kind, Server, Settings};
pub use tools::skip;
pub use workbench::{PASSWORD, USER, Workbench};
pub use workflow::Workflow;
