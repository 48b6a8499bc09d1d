//! What the signatures of a source must prove before it is copied.

use std::sync::Arc;

use oci::Digest;
use signing::bundle::SIGNATURE_PREDICATE_TYPE;
use signing::judge::{self, Evidence};
use signing::{PublicKey, keyless};

use super::found::Found;
use super::{Demand, Keyless, ours};
use crate::place::Place;
use crate::walk::Walk;
use crate::{Failure, Side};

/// What a look at a source's signatures came to.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// Why it is not to be copied.
    pub(crate) refused: Option<String>,
    /// What a rule only remarks on.
    pub(crate) remarks: Vec<String>,
    /// By whom it is signed, for each demand that is met; each once.
    pub(crate) verified: Vec<String>,
}

/// Whether the source's signatures of `digest` meet all demands. They are read once for all of them.
///
/// Fails where that cannot be known: a registry that does not answer, a key that cannot be had.
pub(crate) async fn check(
    walk: &Walk,
    source: &Place,
    digest: Digest,
    demands: &[Arc<Demand>],
) -> Result<Trust, Failure> {
    let mut trust = Trust::default();
    if demands.is_empty() {
        return Ok(trust);
    }
    let wants_attestations = demands.iter().any(|demand| !demand.attestations.is_empty());
    let found = match wants_attestations {
        true => Found::all_at(source, digest).await?,
        false => Found::at(source, digest).await?,
    };
    for demand in demands {
        let mut trusted = Trusted { keys: Vec::new(), keyless: demand.keyless.as_ref() };
        for key in &demand.keys {
            let signer = ours::signer(walk, key, Side::Source)?;
            let public = signer.public_key().await;
            let public = public.map_err(|error| ours::failed(Side::Source, key, &error))?;
            trusted.keys.push(public);
        }
        let problem = match signed_by(&found, digest, &trusted, &demand.attestations) {
            Ok(by) if trust.verified.contains(&by) => continue,
            Ok(by) => {
                trust.verified.push(by);
                continue;
            }
            Err(problem) => format!("{problem} ({})", demand.rule),
        };
        if demand.is_required {
            trust.refused.get_or_insert(problem);
        } else {
            trust.remarks.push(problem);
        }
    }
    Ok(trust)
}

/// Whose signatures count.
struct Trusted<'a> {
    keys: Vec<Arc<PublicKey>>,
    keyless: Option<&'a Keyless>,
}

impl Trusted<'_> {
    /// Whose signature of the image it is, or why it is of none of them.
    fn signature(&self, evidence: &Evidence, digest: &Digest) -> Result<String, String> {
        let by_key = judge::signature(evidence, digest, &self.keys);
        self.or_keyless(by_key, evidence, digest, SIGNATURE_PREDICATE_TYPE)
    }

    /// Whose attestation about the image it is, or why it is of none of them.
    fn attestation(
        &self,
        evidence: &Evidence,
        predicate_type: &str,
        digest: &Digest,
    ) -> Result<String, String> {
        let by_key = judge::attestation(evidence, predicate_type, digest, &self.keys);
        self.or_keyless(by_key, evidence, digest, predicate_type)
    }

    fn or_keyless(
        &self,
        by_key: Result<judge::Valid<'_>, judge::Refusal>,
        evidence: &Evidence,
        digest: &Digest,
        predicate_type: &str,
    ) -> Result<String, String> {
        let refusal = match by_key {
            Ok(valid) => return Ok(format!("key {}", valid.key.fingerprint())),
            Err(refusal) => refusal,
        };
        let Some(Keyless { trusted_root, identities }) = self.keyless else {
            return Err(refusal.to_string());
        };
        let verified = match evidence {
            Evidence::Layer(layer) => {
                keyless::verify_layer(layer, digest, trusted_root, identities)
            }
            Evidence::Bundle(bundle) => keyless::verify_bundle(
                &bundle.to_json(),
                digest,
                trusted_root,
                identities,
                predicate_type,
            ),
            Evidence::Envelope { envelope, annotations } => keyless::verify_envelope(
                envelope,
                annotations,
                digest,
                trusted_root,
                identities,
                predicate_type,
            ),
        };
        match (verified, self.keys.is_empty()) {
            (Ok(identity), _) => Ok(identity.signer.to_string()),
            (Err(keyless), true) => Err(keyless.to_string()),
            (Err(keyless), false) => Err(format!("{refusal}; {keyless}")),
        }
    }
}

/// Who signed it, of those that are trusted; or what is missing of a valid signature, and of an
/// attestation of each type.
fn signed_by(
    found: &Found,
    digest: Digest,
    trusted: &Trusted<'_>,
    attestations: &[String],
) -> Result<String, String> {
    let signatures = found.evidence.iter().filter(|evidence| evidence.is_signature());
    let judged: Vec<_> = signatures.map(|one| trusted.signature(one, &digest)).collect();
    let Some(by) = judged.iter().find_map(|one| one.as_ref().ok().cloned()) else {
        let refused = judged.into_iter().filter_map(Result::err);
        let reasons: Vec<String> = found.unreadable.iter().cloned().chain(refused).collect();
        return Err(match reasons.as_slice() {
            [] => format!("{digest} has no signature"),
            reasons => {
                let reasons = reasons.join("; ");
                format!("{digest} has no signature by somebody trusted: {reasons}")
            }
        });
    };
    let lacking = attestations.iter().find_map(|wanted| {
        let of_type =
            |evidence: &&Evidence| evidence.predicate_type().is_some_and(|found| found == *wanted);
        let judged = found.evidence.iter().filter(of_type);
        let judged: Vec<_> = judged.map(|one| trusted.attestation(one, wanted, &digest)).collect();
        if judged.iter().any(Result::is_ok) {
            return None;
        }
        let why = judged.into_iter().find_map(Result::err).map(|why| format!(": {why}"));
        let why = why.unwrap_or_default();
        Some(format!("{digest} has no attestation `{wanted}` by somebody trusted{why}"))
    });
    lacking.map_or(Ok(by), Err)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use signing::bundle::Envelope;
    use signing::keyless::{Expected, Identity, TrustedRoot};
    use signing::simple_signing::{SIGNATURE_ANNOTATION, SignatureLayer};

    use super::*;

    const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
    const SUBJECT: &str =
        "https://github.com/example/app/.github/workflows/release.yml@refs/tags/v1";

    /// What crate `signing` tests its own verdicts with.
    macro_rules! sample {
        ($name:literal) => {
            concat!(env!("CARGO_MANIFEST_DIR"), "/../signing/tests/keyless/", $name)
        };
    }

    /// A layer of cosign's tags: its content and annotations.
    fn layer(text: &str) -> (String, BTreeMap<String, String>) {
        let layer: serde_json::Value = serde_json::from_str(text).unwrap();
        let annotations = layer["annotations"].as_object().unwrap().iter();
        let annotations = annotations.map(|(name, value)| {
            let value = value.as_str().unwrap();
            (name.clone(), value.to_owned())
        });
        (layer["payload"].as_str().unwrap().to_owned(), annotations.collect())
    }

    /// Both under cosign's tags, as keyless signing was before bundles.
    #[test]
    fn an_identity_vouches_for_attestations_under_the_tag_too() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let (payload, annotations) = layer(include_str!(sample!("layer.json")));
        let signature = annotations.get(SIGNATURE_ANNOTATION).cloned();
        let signature = SignatureLayer { payload: payload.into(), signature, annotations };
        let (envelope, annotations) = layer(include_str!(sample!("envelope.json")));
        let envelope = Envelope::parse(envelope.as_bytes()).unwrap();
        let attestation = Evidence::Envelope { envelope, annotations };
        let found =
            Found { evidence: vec![Evidence::Layer(signature), attestation], ..Found::default() };
        let judged = |subject: &str, wanted: &str| {
            let keyless = Keyless {
                trusted_root: TrustedRoot::read(sample!("trusted_root.json").as_ref()).unwrap(),
                identities: vec![Identity {
                    issuer: Expected::exact("https://token.actions.githubusercontent.com").unwrap(),
                    subject: Expected::exact(subject).unwrap(),
                }],
            };
            let trusted = Trusted { keys: Vec::new(), keyless: Some(&keyless) };
            signed_by(&found, digest, &trusted, &[wanted.to_owned()])
        };
        assert!(judged(SUBJECT, PROVENANCE).unwrap().contains(SUBJECT));
        let lacking = judged(SUBJECT, "https://cyclonedx.org/bom").unwrap_err();
        assert!(lacking.contains("no attestation `https://cyclonedx.org/bom`"), "{lacking}");
        assert!(judged("somebody@example.com", PROVENANCE).is_err());
    }
}
