//! What the tests of the house are made with: registries that go wrong in every way the field
//! knows, a log of what they were asked, and made-up images. For tests only: what cannot go on
//! panics.
//!
//! What a test needs:
//!
//! | for | there is |
//! |---|---|
//! | a registry on a real port | [`Registry::start`], [`Registry::builder`] with `.auth(…)`, `.personality(…)`, `.fault(…)`, `.tls()`, `.certificate(…)`, `.cdn()` |
//! | its name and files | [`Registry::host`], [`Registry::url`], [`Registry::folder`], [`Registry::ca_file`] |
//! | an image in it | [`image`]`::{single, index, with_attestations, nested, docker, artifact, referrer_of, build_cache, shared_base, big, sha512}` and [`Registry::add`], [`Registry::add_untagged`], [`Registry::add_big`] |
//! | what came out | [`Registry::resolve`], [`Registry::missing`], [`Registry::layout`] |
//! | what was asked | [`Registry::log`]: [`RequestLog::count`], [`RequestLog::matching`], [`RequestLog::writes`], [`RequestLog::peak`], [`RequestLog::wait_until`]; `{log}` in a message is a listing |
//! | going wrong | [`Registry::inject`] with a [`Fault`], narrowed by [`Fault::on`], [`Fault::once`], [`Fault::nth`] …; [`Injected::hits`] says whether it happened |
//! | waiting without a clock | [`Fault::stall`] and its [`Release`] |
//! | credentials | [`Auth::basic`], [`Auth::bearer`], [`Bearer`] for everything else; [`Registry::revoke_tokens`], [`Registry::token_requests`] |
//! | nobody there | [`ClosedPort`] |
//! | a kind of registry | [`Personality`]; its own auth takes [`personality::USERNAME`] and [`personality::PASSWORD`] |
//! | a key that signs | [`KeyPair`] |
//! | going wrong below HTTP | [`Proxy`] |
//! | a Helm chart, and a classic repository of charts | [`MadeChart`], [`chart_repository`] served by [`Builder::serve`] |
//! | keys of Google Cloud KMS and Azure Key Vault | [`KeyService`], served by [`Builder::serve`] |
//!
//! ```
//! use testkit::{Auth, Fault, Registry, RetryAfter, image, path};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let source = Registry::start().await;
//! let target = Registry::builder().auth(Auth::bearer("robot", "secret")).start().await;
//!
//! let repository = "team/app".parse().unwrap();
//! let tag = "1.0".parse().unwrap();
//! let image = image::with_attestations(1);
//! source.add(&repository, &tag, &image).await;
//! let limit = source.inject(
//!     Fault::too_many_requests(RetryAfter::Seconds(1)).on("GET", path::MANIFESTS).once(),
//! );
//!
//! // … copy from `source.host()` to `target.host()` …
//! # target.add(&repository, &tag, &image).await;
//!
//! assert_eq!(target.resolve(&repository, &tag).await, Some(image.digest()));
//! assert_eq!(target.missing(&repository, &image).await, []);
//! assert_eq!(source.log().writes().len(), 0, "a source is only read:\n{}", source.log());
//! # assert_eq!(limit.hits(), 0);
//! # });
//! ```
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed; nothing here is in a product"
)]

mod answer;
mod auth;
mod cdn;
mod certificate;
mod chart;
mod closed_port;
mod fault;
pub mod image;
mod key;
mod key_service;
mod listener;
mod log;
mod pattern;
pub mod personality;
mod proxy;
mod registry;
mod rule;

pub use auth::{Auth, Bearer, Expired, Realm, TokenField, User};
pub use certificate::{Certificate, ClientIdentity};
pub use chart::{MadeChart, chart_repository};
pub use closed_port::ClosedPort;
pub use fault::{ContentLength, Fault, Injected, LocationForm, RateLimit, Release, RetryAfter};
pub use key::KeyPair;
pub use key_service::{KeyService, KeyType};
pub use log::{Request, RequestLog};
pub use pattern::path;
pub use personality::Personality;
pub use proxy::{Direction, Proxy};
pub use registry::{Builder, Cdn, Registry};
