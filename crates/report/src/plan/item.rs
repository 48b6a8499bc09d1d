//! [`PlanItem`]: what a plan has of one item, in JSON and back.
//!
//! It begins as the report's item does, and is a type of its own all the same: who reads a report passes over
//! fields that came later, and a plan with a field that is not known must not be carried out.

use oci::{Digest, MediaType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sync::{
    Cost, Foreseen, ForeseenBlob, ForeseenCompanion, ForeseenManifest, ItemReport, Planned,
    SignatureFormat, Wish,
};

use super::PlanError;
use crate::document::{Kind, Origin, Outcome};

/// One wanted item. What is empty is left out.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanItem {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Where the content comes from.
    pub source: String,
    /// The source as its author wrote it.
    pub written: String,
    /// The tag that is to hold it.
    pub target: String,
    /// The only platforms that are wanted of the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// The place in a sync file that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What would become of it. `would-copy` is copied; where the target has it already, at most what
    /// stands below is added; everything else is left alone.
    pub outcome: Outcome,
    /// What the source has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_digest: Option<String>,
    /// What the target's tag holds now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_digest: Option<String>,
    /// What the target's tag will hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The manifests that are copied: the root and everything below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<PlanManifest>,
    /// Referrers and cosign's tags that are copied with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<PlanCompanion>,
    /// The blobs of all of these, the largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<PlanBlob>,
    /// The signatures that are made, and the statement about the mirroring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<PlanSignatures>,
    /// What it costs at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<PlanCost>,
    /// Why nothing can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What a reader should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A manifest that is copied.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanManifest {
    /// Its digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Its type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A referrer, or what cosign keeps under a tag.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanCompanion {
    /// The digest of its manifest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The tag that it is found by; a referrer has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What kind of artifact it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// 0 where it belongs to the image, 1 where it belongs to something that does, and so on.
    pub ring: usize,
    /// All its manifests, its own among them.
    #[schemars(with = "Vec<String>")]
    pub manifests: Vec<Digest>,
}

/// A blob.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanBlob {
    /// Its digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the target lacks it. It may be mounted there from another repository.
    pub missing: bool,
}

/// What the key signs.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanSignatures {
    /// The key, as it was named.
    pub key: String,
    /// How they are written: `legacy`, `bundle`, `both`.
    pub format: String,
    /// Whether a statement about the mirroring is made, of the item's digest.
    pub attest: bool,
    /// What signatures are made of; nothing where there is a statement to make alone.
    #[schemars(with = "Vec<String>")]
    pub subjects: Vec<Digest>,
}

/// What one item costs at most, as if it were alone.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanCost {
    /// Requests to both sides, without what is tried again and without more ranges of large blobs.
    pub requests: u64,
    /// Bytes that are sent to the target.
    pub bytes: u64,
    /// Manifests that are read from a registry; some count them as pulls.
    pub pulls: u64,
}

/// An ECR repository.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanRepository {
    /// Its name in references, `HOST/NAME`.
    pub name: String,
    /// The place in a sync file that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What would become of it.
    pub outcome: Outcome,
    /// What is changed, each as lines: `+` for what comes and `-` for what goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

impl From<&ItemReport> for PlanItem {
    fn from(item: &ItemReport) -> Self {
        let wanted = match &item.wanted {
            Wish::Tag(wanted) => Some(wanted),
            Wish::Selection(_) => None,
        };
        let written = match &item.wanted {
            Wish::Tag(wanted) => wanted.written.clone(),
            Wish::Selection(selection) => selection.written.clone(),
        };
        let foreseen = item.foreseen.as_deref();
        let with = wanted.and_then(|wanted| wanted.signatures.sign.as_ref());
        let subjects = foreseen.map(|it| it.signatures.clone()).unwrap_or_default();
        let attest = foreseen.is_some_and(|foreseen| foreseen.attests);
        let with = with.filter(|_| attest || !subjects.is_empty());
        let signatures = with.map(|with| PlanSignatures {
            key: with.key.to_string(),
            format: format_word(with.format).to_owned(),
            attest,
            subjects,
        });
        let all = |foreseen: &Foreseen| {
            let manifests = foreseen.manifests.iter().map(|one| PlanManifest {
                digest: one.digest,
                media_type: one.media_type.to_string(),
                size: one.size,
            });
            let companions = foreseen.companions.iter().map(|one| PlanCompanion {
                digest: one.digest,
                tag: one.tag.as_ref().map(ToString::to_string),
                artifact_type: one.artifact_type.clone(),
                ring: one.ring,
                manifests: one.manifests.clone(),
            });
            let blobs = foreseen.blobs.iter().map(|one| PlanBlob {
                digest: one.digest,
                size: one.size,
                missing: one.is_missing,
            });
            (manifests.collect(), companions.collect(), blobs.collect())
        };
        let (manifests, companions, blobs) = foreseen.map(all).unwrap_or_default();
        Self {
            kind: Kind::of(item),
            source: item.wanted.source(),
            written,
            target: item.wanted.target(),
            platforms: item.wanted.extent().platforms().map(ToString::to_string).collect(),
            origin: item.wanted.origin().map(Origin::from),
            outcome: item.outcome.into(),
            source_digest: item.source_digest.map(|digest| digest.to_string()),
            target_digest: item.target_digest.map(|digest| digest.to_string()),
            digest: foreseen.map(|foreseen| foreseen.root.to_string()),
            manifests,
            companions,
            blobs,
            signatures,
            cost: foreseen.map(|foreseen| PlanCost::from(foreseen.cost)),
            error: item.failure.as_ref().map(|failure| failure.message.clone()),
            notes: item.notes.clone(),
        }
    }
}

impl From<Cost> for PlanCost {
    fn from(Cost { requests, bytes, pulls }: Cost) -> Self {
        Self { requests, bytes, pulls }
    }
}

impl PlanItem {
    /// What is to be done about it.
    ///
    /// # Errors
    /// Where it lacks a digest that it needs.
    pub fn planned(&self) -> Result<Planned, PlanError> {
        let digest = |text: &Option<String>| match text {
            Some(text) => Ok(text.parse::<Digest>()?),
            None => Err(PlanError::Lacking(self.target.clone())),
        };
        match self.outcome {
            Outcome::WouldCopy => digest(&self.digest).map(Planned::Copy),
            Outcome::UpToDate | Outcome::SourceMoved | Outcome::SourceLost => {
                digest(&self.target_digest).map(Planned::There)
            }
            _ => Ok(Planned::Left),
        }
    }

    /// What was foreseen of it; nothing where nothing would be written.
    ///
    /// # Errors
    /// Where something in it is no name.
    pub fn foreseen(&self) -> Result<Option<Foreseen>, PlanError> {
        let (Some(digest), Some(cost)) = (&self.digest, self.cost) else { return Ok(None) };
        let manifests = self.manifests.iter().map(|one| ForeseenManifest {
            digest: one.digest,
            media_type: MediaType::new(&one.media_type),
            size: one.size,
        });
        let companions = self.companions.iter().map(|one| {
            Ok::<_, PlanError>(ForeseenCompanion {
                digest: one.digest,
                tag: one.tag.as_deref().map(str::parse).transpose()?,
                artifact_type: one.artifact_type.clone(),
                ring: one.ring,
                manifests: one.manifests.clone(),
            })
        });
        let blobs = self.blobs.iter().map(|one| ForeseenBlob {
            digest: one.digest,
            size: one.size,
            is_missing: one.missing,
        });
        Ok(Some(Foreseen {
            root: digest.parse()?,
            manifests: manifests.collect(),
            companions: companions.collect::<Result<_, _>>()?,
            blobs: blobs.collect(),
            signatures: self
                .signatures
                .as_ref()
                .map(|signatures| signatures.subjects.clone())
                .unwrap_or_default(),
            attests: self.signatures.as_ref().is_some_and(|signatures| signatures.attest),
            cost: Cost { requests: cost.requests, bytes: cost.bytes, pulls: cost.pulls },
        }))
    }
}

fn format_word(format: SignatureFormat) -> &'static str {
    match format {
        SignatureFormat::Legacy => "legacy",
        SignatureFormat::Bundle => "bundle",
        SignatureFormat::Both => "both",
    }
}
