//! The distribution protocol, client side.
//!
//! A [`Client`] knows how to reach registries: TLS, authentication, pacing, retries. A
//! [`RepositoryClient`] asks one repository for manifests, blobs, tags and referrers, and gives it
//! new ones. What it hands out was checked against its digest; what it does not understand it
//! calls an [`Error`], never "nothing there".
//!
//! The client knows no cloud and no file with passwords: it asks its [`CredentialSource`] when a
//! registry demands to know who we are.

mod answer;
mod auth;
mod blob_part;
mod blob_ranges;
mod blob_read;
mod blob_source;
mod blob_upload;
mod budget;
mod client;
mod content_range;
mod credential;
mod endpoint;
mod error;
mod foreign;
mod gate;
mod learned;
mod link;
mod manifests;
mod pace;
mod probe;
mod profile;
mod range_plan;
mod recognised;
mod redirect;
mod referrers;
mod refusal;
mod repository;
mod request;
mod retry;
mod settings;
mod spans;
mod tags;
mod tls;
mod transport;
mod upload_body;
mod upload_resume;
mod usage;
mod web;
mod window;

pub use blob_read::BlobReader;
pub use blob_upload::{Upload, UploadSession};
pub use budget::PullBudget;
pub use client::Client;
pub use credential::{AnonymousEverywhere, Credential, CredentialError, CredentialSource};
pub use error::{Error, ErrorKind};
pub use manifests::ManifestReceipt;
pub use probe::{
    Budget, ChallengeFacts, Greeting, HeadFacts, Identity, KnownBy, LoginFacts, Probe,
    ProfileFacts, RepositoryFacts,
};
pub use profile::ReferrersApi;
pub use referrers::{Referrers, ReferrersSource};
pub use repository::RepositoryClient;
pub use settings::{
    ClientCertificate, RangePolicy, RegistrySettings, RetryPolicy, Settings, SettingsError,
    Timeouts,
};
pub use spans::SPANS;
pub use tags::TagList;
pub use usage::RegistryUsage;
pub use web::web_client;
