//! A statement about the mirroring itself: what was copied from where, by which file and program, and
//! what was verified before. Signed by the key that signs the copy, at most one of the same content.
//!
//! Plans and verifications look for the same statement that a sync would make ([`look`]).

use jiff::Timestamp;
use oci::{Digest, Selection, Source};
use serde::{Deserialize, Serialize};
use signing::bundle;
use signing::judge::{self, Evidence};

use super::SignatureState;
use super::found::Found;
use super::ours::{Subject, failed, is_in_a_service};
use super::publish::{self, Publisher};
use crate::act::ActKind;
use crate::item::Item;
use crate::place::Place;
use crate::walk::Walk;
use crate::{Class, Failure, Mode, Provenance, Side};

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

/// Makes the statement about an item's copy, unless it is there.
pub(super) async fn mirrored(
    walk: &Walk,
    item: &Item,
    publisher: &Publisher<'_>,
    target: &Place,
    root: &Subject,
) -> Result<SignatureState, Failure> {
    let Provenance { version, sync_files } = &walk.options.provenance;
    let state = look(walk, item, publisher, target, root.digest).await?;
    let Matter { source, source_digest: Some(digest), target: copy, verified } =
        Matter::of(item, root.digest)
    else {
        return Ok(state);
    };
    if state == SignatureState::Present {
        return Ok(state);
    }
    if let Some(fence) = &walk.options.fence {
        fence.check_statement(&item.wanted.target, root.digest)?;
    }
    let said = Mirroring {
        source: Named { name: source, digest },
        target: copy,
        verified,
        time: Timestamp::now(),
        tool: Tool { name: "image-syncer".to_owned(), version: version.clone() },
        sync_files: sync_files.clone(),
    };
    let written = serde_json::value::to_raw_value(&said).and_then(|said| {
        bundle::statement(&publish::name_of(target), &root.digest, MIRRORING, &said)
    });
    let statement = written.map_err(|error| {
        let message = format!("the statement about the copy cannot be written: {error}");
        Failure::new(Side::Target, Class::Key, message)
    })?;
    let root = root.descriptor(target).await?;
    let kind = ActKind::AttestationMade;
    publish::statement_about(walk, publisher, target, &root, kind, statement).await?;
    Ok(SignatureState::Signed)
}

/// Whether a statement about an item's copy is there, or would be made. None can be about what the source
/// has lost: what it had, nobody knows any more.
pub(super) async fn look(
    walk: &Walk,
    item: &Item,
    publisher: &Publisher<'_>,
    target: &Place,
    root: Digest,
) -> Result<SignatureState, Failure> {
    let Publisher { signer, log } = publisher;
    let matter = Matter::of(item, root);
    let found = Found::of_type(target, root, MIRRORING).await?;
    let is_same = |one: &&Evidence| one.predicate().is_some_and(|said| matter.is_of(&said));
    let same: Vec<&Evidence> = found.evidence.iter().filter(is_same).collect();
    let missing = match matter.source_digest {
        Some(_) => SignatureState::WouldSign,
        None => SignatureState::Missing,
    };
    if same.is_empty() {
        return Ok(missing);
    }
    // A plan does not ask a service for its key.
    if walk.options.mode == Mode::Plan && is_in_a_service(signer.reference()) {
        return Ok(SignatureState::Unchecked);
    }
    let public = signer.public_key().await;
    let public = public.map_err(|error| failed(Side::Target, signer.reference(), &error))?;
    let keys = std::slice::from_ref(&public);
    let is_there = same.into_iter().any(|one| {
        judge::attestation(one, MIRRORING, &root, keys).is_ok()
            && log.is_none_or(|log| log.has(one, &public))
    });
    Ok(if is_there { SignatureState::Present } else { missing })
}

/// What a statement about an item's copy is about. This decides whether it was made already, not when, by
/// which version and because of which files.
struct Matter {
    source: String,
    /// None where the source has lost it.
    source_digest: Option<Digest>,
    target: Named,
    verified: Vec<String>,
}

impl Matter {
    fn of(item: &Item, root: Digest) -> Self {
        let report = item.report();
        Self {
            source: name(&item.wanted.source),
            source_digest: report.source_digest,
            target: Named { name: item.wanted.target.to_string(), digest: root },
            verified: report.verified.clone(),
        }
    }

    /// Whether a statement is about the same. Of what the source has lost, neither its digest nor who
    /// signed it can be compared.
    fn is_of(&self, said: &Mirroring) -> bool {
        let is_same_source = self
            .source_digest
            .is_none_or(|digest| digest == said.source.digest && self.verified == said.verified);
        is_same_source && self.source == said.source.name && self.target == said.target
    }
}

/// What a source is called: the same whether its tag is pinned, by a lock file or by the plan that is carried
/// out, or not. Its digest is said beside it.
fn name(source: &Source) -> String {
    match &source.selection {
        Selection::Pinned { tag, .. } => format!("{}:{tag}", source.location),
        Selection::Tag(_) | Selection::Digest(_) => source.to_string(),
    }
}
