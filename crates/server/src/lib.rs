//! The OCI distribution spec, server side, over image layouts: what `image-syncer serve` is.
//!
//! The folder that is served is a tree of layouts: repository `team/app` is the layout in
//! `FOLDER/team/app`, made by the first push. A folder that is a layout itself (it has a file
//! `oci-layout`) is served as one repository that is named like the folder, made lower case and
//! with `-` for what a repository's name cannot have.
//!
//! All state is in the layouts, upload sessions among it: a server can be stopped at any moment,
//! and other tools and other servers can work on the same folder at the same time.

mod answer;
mod blobs;
mod errors;
mod htpasswd;
mod listings;
mod manifests;
mod range;
mod referrers;
mod registry;
mod route;
mod router;
mod serve;
mod tls;
mod uploads;

pub use htpasswd::{Htpasswd, HtpasswdError};
pub use router::{Options, router};
pub use serve::{Error, serve};
pub use tls::{Tls, TlsError};
