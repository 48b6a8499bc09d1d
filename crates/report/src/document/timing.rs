//! [`Timing`]: when things happened to an item.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When things happened to an item, in seconds since the run began.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// Its turn came.
    pub started: f64,
    /// Both sides had been looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<f64>,
    /// Its copy began: its manifests were read, its blobs known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copying: Option<f64>,
    /// It was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<f64>,
    /// Its blobs by the way they came to the target.
    pub blobs: Blobs,
    /// How many transfers broke and were begun again.
    pub retries: usize,
}

/// Numbers of blobs by the way they came to the target.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blobs {
    /// Moved through the program.
    pub copied: usize,
    /// Taken over from another repository of the target.
    pub mounted: usize,
    /// Already there.
    pub present: usize,
}
