//! A statement about the mirroring itself: what was copied from where, by which file and program, and
//! what was verified before. Signed by the key that signs the copy, at most one of the same content.

use jiff::Timestamp;
use oci::Digest;
use serde::{Deserialize, Serialize};
use signing::bundle;
use signing::judge;

use super::found::Found;
use super::ours::{Subject, failed};
use super::publish::{self, Publisher};
use crate::act::ActKind;
use crate::item::Item;
use crate::place::Place;
use crate::walk::Walk;
use crate::{Class, Failure, Provenance, Side};

/// What kind of statement it is.
pub const MIRRORING: &str = "urn:image-syncer:mirroring:v1";

/// What is said.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mirroring {
    source: Named,
    target: Named,
    /// By whom the source was signed, of those that the sync file demanded.
    verified: Vec<String>,
    time: Timestamp,
    tool: Tool,
    sync_files: Vec<SyncFileFacts>,
}

#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Named {
    name: String,
    digest: Digest,
}

#[derive(Debug, Deserialize, Serialize)]
struct Tool {
    name: String,
    version: String,
}

/// A sync file that a run goes by.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SyncFileFacts {
    /// As it was given.
    pub path: String,
    /// Of its content.
    pub digest: Digest,
    /// The git revision that it stands in; none where it stands in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// Makes the statement about an item's copy, unless one of the same content and by the same key is
/// there. What it is about counts for that, not when and by which version it was said.
pub(super) async fn mirrored(
    walk: &Walk,
    item: &Item,
    publisher: &Publisher<'_>,
    target: &Place,
    root: &Subject,
) -> Result<(), Failure> {
    let Provenance { version, sync_files } = &walk.options.provenance;
    let Publisher { signer, log } = publisher;
    let key = signer.reference();
    let (source_digest, verified) = {
        let report = item.report();
        (report.source_digest.unwrap_or(root.digest), report.verified.clone())
    };
    let said = Mirroring {
        source: Named { name: item.wanted.source.to_string(), digest: source_digest },
        target: Named { name: item.wanted.target.to_string(), digest: root.digest },
        verified,
        time: Timestamp::now(),
        tool: Tool { name: "image-syncer".to_owned(), version: version.clone() },
        sync_files: sync_files.clone(),
    };
    let public = signer.public_key().await.map_err(|error| failed(Side::Target, key, &error))?;
    let found = Found::of_type(target, root.digest, MIRRORING).await?;
    let is_there = found.evidence.iter().any(|evidence| {
        let keys = std::slice::from_ref(&public);
        let is_ours = judge::attestation(evidence, MIRRORING, &root.digest, keys).is_ok();
        is_ours
            && log.is_none_or(|log| log.has(evidence, &public))
            && evidence.predicate::<Mirroring>().is_some_and(|there| {
                (&there.source, &there.target, &there.verified)
                    == (&said.source, &said.target, &said.verified)
            })
    });
    if is_there {
        return Ok(());
    }
    let written = serde_json::value::to_raw_value(&said).and_then(|said| {
        bundle::statement(&publish::name_of(target), &root.digest, MIRRORING, &said)
    });
    let statement = written.map_err(|error| {
        let message = format!("the statement about the copy cannot be written: {error}");
        Failure::new(Side::Target, Class::Key, message)
    })?;
    let root = root.descriptor(target).await?;
    let kind = ActKind::AttestationMade;
    publish::statement_about(walk, publisher, target, &root, kind, statement).await
}
