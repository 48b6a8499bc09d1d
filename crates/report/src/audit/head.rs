//! [`Head`]: what the last line of an audit log vouches for, small enough to be signed and kept apart.
//! Only that proves that no whole run was removed at the log's end.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of this contract.
const SCHEMA: &str = "image-syncer/audit-head/v1";

/// The media type of a head as a layer of an artifact.
pub const HEAD_TYPE: &str = "application/vnd.image-syncer.audit.head.v1+json";

/// The last line of an audit log at the end of a run.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Head {
    /// The name of this contract.
    pub schema: String,
    /// The run that wrote it.
    pub run: String,
    /// When it was written.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// Its number.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

impl Head {
    pub(super) fn new(run: String, time: Timestamp, sequence: u64, hash: String) -> Self {
        Self { schema: SCHEMA.to_owned(), run, time, sequence, hash }
    }

    /// As JSON with a line end: the bytes that are signed.
    ///
    /// # Errors
    /// None that a head can cause; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|json| json + "\n")
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let head: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match head.schema == SCHEMA {
            true => Ok(head),
            false => Err(format!("its schema is `{}`, not `{SCHEMA}`", head.schema.escape_debug())),
        }
    }
}
