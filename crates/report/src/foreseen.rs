//! What a plan has foreseen, for people: a paragraph for each item, and what it all costs; and the same
//! in numbers, for the JSON report.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sync::{Foreseen, ForeseenBlob, ItemReport, RunReport, SignatureReport, SignatureState};

use crate::summary::View;
use crate::words::{self, count};
use crate::{Item, Signature};

/// What would be written for an item, in numbers. What it is, by digest, stands in the plan file.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeseenNumbers {
    /// Manifests of the image.
    pub manifests: usize,
    /// Referrers and cosign's tags.
    pub companions: usize,
    /// Blobs of all of these.
    pub blobs: usize,
    /// Those of them that the target lacks.
    pub missing_blobs: usize,
    /// Manifests that would be signed.
    pub signatures: usize,
    /// Statements about the mirroring that would be made.
    #[serde(default)]
    pub statements: usize,
    /// Manifests that may be signed: they have signatures, and the plan does not ask the key service whose.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub unchecked_signatures: usize,
    /// Requests to both sides, at most.
    pub requests: u64,
    /// Bytes that would be sent to the target, at most.
    pub bytes: u64,
    /// Manifests that would be read from a registry, which some count as pulls.
    pub pulls: u64,
}

impl ForeseenNumbers {
    /// Of one item, where that was foreseen.
    pub(crate) fn of_item(item: &ItemReport) -> Option<Self> {
        let foreseen = item.foreseen.as_deref()?;
        let signatures = foreseen.signatures.len();
        let (signatures, unchecked_signatures) =
            if is_unchecked(item) { (0, signatures) } else { (signatures, 0) };
        Some(Self {
            manifests: foreseen.manifests.len(),
            companions: foreseen.companions.len(),
            blobs: foreseen.blobs.len(),
            missing_blobs: missing(foreseen).count(),
            statements: usize::from(foreseen.attests && !is_unchecked(item)),
            signatures,
            unchecked_signatures,
            requests: foreseen.cost.requests,
            bytes: foreseen.cost.bytes,
            pulls: foreseen.cost.pulls,
        })
    }

    /// Of all items; nothing where nothing was foreseen.
    pub(crate) fn of(report: &RunReport) -> Option<Self> {
        report.items.iter().filter_map(Self::of_item).reduce(|sum, one| Self {
            manifests: sum.manifests + one.manifests,
            companions: sum.companions + one.companions,
            blobs: sum.blobs + one.blobs,
            missing_blobs: sum.missing_blobs + one.missing_blobs,
            signatures: sum.signatures + one.signatures,
            statements: sum.statements + one.statements,
            unchecked_signatures: sum.unchecked_signatures + one.unchecked_signatures,
            requests: sum.requests + one.requests,
            bytes: sum.bytes + one.bytes,
            pulls: sum.pulls + one.pulls,
        })
    }
}

/// Whether all of an item that would be signed has signatures, and nobody asked whose.
fn is_unchecked(item: &ItemReport) -> bool {
    item.signature.as_ref().is_some_and(|signature| signature.state == SignatureState::Unchecked)
}

fn is_none_of_them(signatures: &usize) -> bool {
    *signatures == 0
}

/// What would be written for each item; nothing where nothing was foreseen.
pub(crate) fn foreseen(report: &RunReport, view: &View) -> String {
    let mut text = String::new();
    for item in &report.items {
        if let Some(foreseen) = &item.foreseen {
            text.push_str(&paragraph(item, foreseen, view));
        }
    }
    if let Some(all) = ForeseenNumbers::of(report) {
        let pulls = match all.pulls {
            0 => String::new(),
            pulls => {
                format!(", {} read (pulls, where they are counted)", count_of(pulls, "manifest"))
            }
        };
        text.push_str(&format!(
            "at most {}, {} sent{pulls}\n\n",
            count_of(all.requests, "request"),
            words::size(all.bytes)
        ));
    }
    text
}

fn paragraph(item: &ItemReport, foreseen: &Foreseen, view: &View) -> String {
    let (target, is_pending) = (item.wanted.target(), Item::from(item).is_pending());
    let mut text = match (is_pending, is_unchecked(item) && view.verbose) {
        (true, _) => format!("would write: {target}\n"),
        // Where the key is in a service, that is all that has a signature.
        (false, true) => format!("may write: {target}\n"),
        (false, false) => return String::new(),
    };
    let root = words::short_digest(foreseen.root);
    if !foreseen.manifests.is_empty() {
        let children = match foreseen.manifests.len() - 1 {
            0 => String::new(),
            children => format!(", which names {}", count(children, "manifest")),
        };
        text.push_str(&format!("  + tag {root}{children}\n"));
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for companion in &foreseen.companions {
        let tag = companion.tag.as_ref().and_then(|tag| tag.as_str().rsplit_once('.'));
        let kind = tag.map(|(_, kind)| kind).or(companion.artifact_type.as_deref());
        *kinds.entry(kind.unwrap_or("without a type")).or_default() += 1;
    }
    for (kind, number) in kinds {
        text.push_str(&format!("  + {} with it: {kind}\n", count(number, "artifact")));
    }
    if !foreseen.blobs.is_empty() {
        let (lacks, all) = (missing(foreseen).count(), foreseen.blobs.len());
        let size = words::size(missing(foreseen).map(|blob| blob.size).sum());
        text.push_str(&format!("  + {lacks} of {}, {size}\n", count(all, "blob")));
    }
    if let Some(signature) = &item.signature {
        text.push_str(&to_sign(foreseen, signature, is_unchecked(item)));
    }
    if view.verbose {
        text.push_str(&everything(foreseen));
    }
    text.push('\n');
    text
}

/// What would be signed, or may be where a plan does not ask the key service.
fn to_sign(foreseen: &Foreseen, signature: &SignatureReport, is_unchecked: bool) -> String {
    let (number, key) = (foreseen.signatures.len(), &signature.key);
    match (number, foreseen.attests) {
        (0, false) => String::new(),
        _ if is_unchecked => format!("  {}\n", Signature::from(signature).in_words()),
        (0, true) => format!("  + a statement about its mirroring by {key}\n"),
        (_, false) => format!("  + {} by {key}\n", count(number, "signature")),
        (_, true) => format!(
            "  + {} by {key}\n  + a statement about its mirroring by {key}\n",
            count(number, "signature")
        ),
    }
}

/// By digest.
fn everything(foreseen: &Foreseen) -> String {
    let mut text = String::new();
    for manifest in &foreseen.manifests {
        let size = words::size(manifest.size);
        text.push_str(&format!(
            "    manifest {} {size} {}\n",
            manifest.digest, manifest.media_type
        ));
    }
    for companion in &foreseen.companions {
        let tag = companion.tag.as_ref().map(|tag| format!(" {tag}")).unwrap_or_default();
        let kind = companion.artifact_type.as_ref().map(|kind| format!(" {kind}"));
        let digest = companion.digest;
        text.push_str(&format!("    belongs to it: {digest}{tag}{}\n", kind.unwrap_or_default()));
    }
    for blob in &foreseen.blobs {
        let there = if blob.is_missing { "" } else { " (there)" };
        text.push_str(&format!("    blob {} {}{there}\n", blob.digest, words::size(blob.size)));
    }
    for subject in &foreseen.signatures {
        text.push_str(&format!("    signature on {subject}\n"));
    }
    if foreseen.attests {
        text.push_str(&format!("    statement about mirroring {}\n", foreseen.root));
    }
    text
}

fn missing(foreseen: &Foreseen) -> impl Iterator<Item = &ForeseenBlob> {
    foreseen.blobs.iter().filter(|blob| blob.is_missing)
}

fn count_of(number: u64, what: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), what)
}

#[cfg(test)]
mod tests {
    use sync::{Mode, Outcome};

    use super::*;
    use crate::sample;

    #[test]
    fn a_paragraph_for_each_item_and_one_for_all() {
        let mut item = sample::item("nginx:1.27", 3, Outcome::WouldCopy);
        item.foreseen = Some(Box::new(sample::foreseen()));
        let report = sample::report_of(vec![item, sample::item("b:1", 4, Outcome::UpToDate)]);
        let view = View { mode: Mode::Plan, width: None, colour: false, verbose: false };
        let short = foreseen(&report, &view);
        let long = foreseen(&report, &View { verbose: true, ..view });
        insta::assert_snapshot!(format!("{short}---\n{long}"));
    }

    #[test]
    fn a_run_that_foresees_nothing_says_nothing() {
        let report = sample::report_of(vec![sample::item("b:1", 4, Outcome::WouldCopy)]);
        let view = View { mode: Mode::Plan, width: None, colour: false, verbose: true };
        assert_eq!(foreseen(&report, &view), "");
        assert_eq!(ForeseenNumbers::of(&report), None);
    }
}
