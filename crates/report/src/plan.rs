//! The plan file: a contract of its own, `schema/plan.schema.json`. What a plan has foreseen, by digest,
//! in JSON that a reviewer can read and `apply` carries out.
//!
//! It holds its own hash. That is no signature: it tells that a plan was edited or cut, not who made it.

mod hash;
mod item;

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use oci::{Digest, Location};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use sync::{RunReport, Wish};

use crate::document::{Origin, Outcome};
use crate::repositories::RepositoryReport;
use crate::{RegistryUse, RunFacts};

pub use hash::PlanError;
pub use item::{
    PlanBlob, PlanCompanion, PlanCost, PlanItem, PlanManifest, PlanRepository, PlanSignatures,
};

/// The name of this contract, the first field of every plan.
const SCHEMA: &str = "image-syncer/plan/v1";

/// What a run would write.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "image-syncer plan")]
pub struct PlanDocument {
    /// The name of this contract.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The hash of all the rest: of this document as compact JSON in the order of its schema, where this
    /// field is empty.
    pub hash: String,
    /// The run that made it.
    pub run: PlanRun,
    /// The sync files that it was made of, in their order.
    pub sync_files: Vec<PlanFile>,
    /// The lock files that it was held to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<PlanFile>,
    /// What flags and variables said of what is wanted.
    pub settings: PlanSettings,
    /// ECR repositories, in the order of the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<PlanRepository>,
    /// One entry for each wanted item, in the order they were wanted.
    pub items: Vec<PlanItem>,
    /// What all of it costs at most.
    pub cost: PlanTotal,
}

/// The run that made a plan.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanRun {
    /// A name that no other run has (a UUID, version 7).
    pub id: String,
    /// The version of image-syncer.
    pub version: String,
    /// When it ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub made_at: Timestamp,
}

/// A file that a plan depends on.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanFile {
    /// Its path as it was given; `<stdin>` for standard input.
    pub path: String,
    /// The SHA-256 of its content, `sha256:…`.
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// What flags and variables said of what is wanted, where it was said. Nothing here is secret: keys are
/// named, never held.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PlanSettings {
    /// What is put before target names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_repo_prefixes: Vec<String>,
    /// The share of the list that was planned, `I/N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The key that signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The keys that signed before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former_keys: Vec<String>,
    /// Whether images are signed that say nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<bool>,
    /// How signatures are written: `legacy`, `bundle`, `both`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_format: Option<String>,
    /// Whether the children of an index are signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_recursively: Option<bool>,
    /// Whether statements about the mirroring are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attest: Option<bool>,
    /// The transparency log that is told of signatures, by its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rekor_url: Option<String>,
    /// The file with the log's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rekor_key: Option<String>,
    /// What travels with an image: `all`, `none`, or artifact types.
    pub referrers: Vec<String>,
    /// Whether an image fails where that cannot be had.
    pub referrers_required: bool,
    /// Whether images that are there are looked at for what came later.
    pub late_referrers: bool,
    /// Whether foreign layers are copied.
    pub foreign_layers: bool,
    /// The account of ECR repositories that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecr_account_id: Option<String>,
    /// The region of ECR repositories that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecr_region: Option<String>,
    /// The file with the lifecycle policy of ECR repositories that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_lifecycle_policy_file: Option<String>,
    /// The file with the permission policy of ECR repositories that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_permission_policy_file: Option<String>,
    /// The file with the tags of all ECR repositories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_resource_tags_file: Option<String>,
    /// Whether policies are removed from ECR repositories that the files do not have.
    pub prune_policies: bool,
}

/// What a whole plan costs at most.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanTotal {
    /// Requests to all registries, without what is tried again and without more ranges of large blobs.
    pub requests: u64,
    /// Bytes that are sent to targets, as if none could be mounted there.
    pub bytes: u64,
    /// Pulls, of each registry that counts them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pulls: BTreeMap<String, u64>,
}

/// What a plan says besides what its run found.
#[derive(Clone, Debug)]
pub struct PlanFacts {
    /// The sync files, in their order.
    pub sync_files: Vec<PlanFile>,
    /// The lock files.
    pub locks: Vec<PlanFile>,
    /// What flags and variables said.
    pub settings: PlanSettings,
}

impl PlanDocument {
    /// The plan of a run that has foreseen everything.
    ///
    /// # Errors
    /// None that a plan can cause; serialisation is fallible by its type.
    pub fn new(
        plan: PlanFacts,
        facts: &RunFacts,
        report: &RunReport,
    ) -> Result<Self, serde_json::Error> {
        let PlanFacts { sync_files, locks, settings } = plan;
        let run = PlanRun {
            id: facts.id.clone(),
            version: facts.version.clone(),
            made_at: facts.finished_at,
        };
        let items = report.items.iter().map(PlanItem::from).collect();
        let repositories = facts.repositories.iter().map(PlanRepository::from).collect();
        let (schema, hash) = (SCHEMA.to_owned(), String::new());
        let cost = total(report, &facts.registries);
        let plan =
            Self { schema, hash, run, sync_files, locks, settings, repositories, items, cost };
        plan.hashed()
    }

    /// The document as indented JSON with a line end.
    ///
    /// # Errors
    /// None that a plan can cause; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

/// The JSON Schema of [`PlanDocument`].
pub fn plan_schema() -> Schema {
    schemars::schema_for!(PlanDocument)
}

/// What all items cost together. Content that several targets want is pulled once.
fn total(report: &RunReport, registries: &[RegistryUse]) -> PlanTotal {
    let counts: HashSet<&str> = registries
        .iter()
        .filter(|one| one.pulls.is_some())
        .map(|one| one.registry.as_str())
        .collect();
    let mut total = PlanTotal::default();
    let mut pulled = HashSet::new();
    for item in &report.items {
        let (Some(foreseen), Wish::Tag(wanted)) = (&item.foreseen, &item.wanted) else { continue };
        total.requests += foreseen.cost.requests;
        total.bytes += foreseen.cost.bytes;
        if let Location::Registry { host, repository } = &wanted.source.location
            && counts.contains(host.to_string().as_str())
            && pulled.insert((host, repository, item.source_digest))
        {
            *total.pulls.entry(host.to_string()).or_default() += foreseen.cost.pulls;
        }
    }
    total
}

impl From<&RepositoryReport> for PlanRepository {
    fn from(report: &RepositoryReport) -> Self {
        Self {
            name: report.name.clone(),
            origin: report.origin.as_ref().map(Origin::from),
            outcome: Outcome::from(report.outcome),
            changes: report.changes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn plan() -> PlanDocument {
        let mut item = sample::item("nginx:1.27", 3, sync::Outcome::WouldCopy);
        item.target_digest = None;
        item.source_digest = Some(sample::SOURCE);
        item.foreseen = Some(Box::new(sample::foreseen()));
        let mut wanted = sync::Wanted::clone(&sample::wanted("nginx:1.27", 3));
        wanted.signatures.sign = Some(sync::SignWith {
            key: "awskms:///alias/mirror".parse().unwrap(),
            former: Vec::new(),
            format: sync::SignatureFormat::Legacy,
            recursively: false,
            attest: true,
            log: None,
        });
        item.wanted = std::sync::Arc::new(wanted).into();
        let mut facts = sample::facts();
        facts.repositories = sample::repositories().into_iter().take(1).collect();
        let report = sample::report_of(vec![item, sample::item("b:1", 9, sync::Outcome::Drift)]);
        let digest = Digest::sha256(b"file");
        let plan = PlanFacts {
            sync_files: vec![PlanFile { path: "images.yaml".into(), digest }],
            locks: vec![PlanFile { path: "images.lock".into(), digest }],
            settings: PlanSettings {
                target_repo_prefixes: vec!["registry.example.com/mirror/".into()],
                referrers: vec!["all".into()],
                ..PlanSettings::default()
            },
        };
        PlanDocument::new(plan, &facts, &report).unwrap()
    }

    #[test]
    fn the_plan_is_what_it_was() {
        insta::assert_snapshot!(plan().to_json().unwrap());
    }

    #[test]
    fn what_is_written_is_read_and_means_the_same() {
        let plan = plan();
        let read = PlanDocument::read(&plan.to_json().unwrap()).unwrap();
        assert_eq!(read, plan);
        assert_eq!(read.items[0].foreseen().unwrap().unwrap(), sample::foreseen());
        assert_eq!(read.items[0].planned().unwrap(), sync::Planned::Copy(sample::SOURCE));
        assert_eq!(read.items[1].planned().unwrap(), sync::Planned::Left);
    }

    #[test]
    fn a_plan_fits_its_schema_and_the_schema_is_the_one_that_lies_there() {
        let schema = serde_json::to_value(plan_schema()).unwrap();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/plan.schema.json");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            std::fs::write(file, text).unwrap();
        }
        let there: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert!(there == schema, "schema/plan.schema.json is old; UPDATE_DOCS=1 writes it anew");
        let plan = serde_json::to_value(plan()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let problems: Vec<String> =
            validator.iter_errors(&plan).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?}");
    }

    /// Every byte of it: what is still read is the same plan, written another way.
    #[test]
    fn a_plan_that_was_edited_is_refused() {
        let (plan, text) = (plan(), plan().to_json().unwrap());
        let mut refused = 0;
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
            let Ok(edited) = String::from_utf8(bytes) else { continue };
            match PlanDocument::read(&edited) {
                Ok(read) => assert_eq!(read, plan, "byte {place}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > text.len() / 2, "{refused} of {}", text.len());
    }
}
