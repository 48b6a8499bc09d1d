//! Classic Helm chart repositories, and a chart of one as an OCI image.
//!
//! A [`ChartRepository`] is read once for all charts that are wanted of it ([`Index`]); of what it
//! lists, versions are picked, and each is fetched as a [`Chart`]: its archive, checked against the
//! index and against itself, and its provenance file. [`Chart::image`] makes of it what `helm push`
//! would write, but the same on every run. All is in memory, and all that comes from outside is
//! bounded: what an index says, where it sends us, and what is in an archive.
//!
//! The files, in the order of a chart's way: `repository` and `request` (HTTP), `index` and `yaml`
//! (what a repository has), `version`, `archive` and `metadata` (what is in a chart), `image` (what
//! is made of it), `suggestions` (the images that it names).

mod archive;
mod chart;
mod error;
mod go_json;
mod image;
mod index;
mod metadata;
mod name;
mod repository;
mod request;
mod scalar;
mod suggestions;
mod version;
mod yaml;

pub use chart::Chart;
pub use error::{Error, ErrorKind};
pub use image::{ChartImage, chart_layer, lacks_provenance, pull_name_problem};
pub use index::{Entry, Index};
pub use name::{ChartName, InvalidChartName};
pub use repository::{ChartRepository, Login, Patience};
pub use suggestions::Suggested;
pub use version::version_tag;
