//! One entry of `charts`: a Helm chart in some versions, and where it goes.

use oci::Location;
use tagrules::Range;
use url::Url;

use crate::signing::Signing;
use crate::sync_file::Origin;

/// A Helm chart in some versions, and where it goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chart {
    /// Where it comes from: the first of these that has it. At least one; there are two where an entry
    /// of `repositories` does not tell whether its URL ends with the chart's name or without it.
    pub sources: Vec<ChartSource>,
    /// The source as it stands in the file.
    pub written: String,
    /// Which versions.
    pub versions: ChartVersions,
    /// Where they go, at least one place, each version under its own tag.
    pub targets: Vec<Location>,
    /// Whether a plan lists the images that the chart names.
    pub list_images: bool,
    /// Whether and how each is signed at its targets.
    pub signing: Signing,
    /// Where it is asked for.
    pub origin: Origin,
}

/// Where a chart comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChartSource {
    /// A repository with an `index.yaml`.
    Repository {
        /// The folder of the `index.yaml`, https or http; without a slash at its end, a query, a fragment
        /// or a user.
        url: Url,
        /// The chart's name.
        chart: String,
    },
    /// A repository of an OCI registry that holds this chart alone.
    Registry(Location),
}

/// Which versions of a chart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChartVersions {
    /// These, each once and at least one, as the chart has them: with `+`, not `_`.
    Exact(Vec<String>),
    /// Every version in this range.
    Range(Range),
}
