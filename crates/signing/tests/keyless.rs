//! What a Sigstore signed well and badly, and the verdicts on it. The files below `keyless/` are what
//! `tests/tools/virtual-sigstore` wrote once; their keys are gone, and as everything is judged at its
//! own time, they never get old. To make them anew:
//!
//! ```sh
//! tests/tools/install virtual-sigstore
//! make="$HOME/.cache/image-syncer/tools/virtual-sigstore -digest sha256:$(printf a%.0s {1..64})"
//! $make -subject https://github.com/example/app/.github/workflows/release.yml@refs/tags/v1 \
//!     -issuer https://token.actions.githubusercontent.com -out crates/signing/tests/keyless
//! other="$(mktemp -d)" && $make -subject a@example.com -issuer https://example.com -out "$other"
//! cp "$other/trusted_root.json" crates/signing/tests/keyless/other_trusted_root.json
//! ```
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::Digest;
use proptest::prelude::*;
use serde_json::{Value, json};
use signing::bundle::{Envelope, SIGNATURE_PREDICATE_TYPE};
use signing::keyless::{
    Check, Expected, Identity, InvalidTrustedRoot, Refusal, TrustedRoot, VerifiedIdentity,
    verify_bundle, verify_envelope, verify_layer,
};
use signing::simple_signing::{SIGNATURE_ANNOTATION, SignatureLayer};

const SUBJECT: &str = "https://github.com/example/app/.github/workflows/release.yml@refs/tags/v1";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const ATTESTATION: &str = "https://slsa.dev/provenance/v1";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keyless").join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(file(name)).unwrap()).unwrap()
}

fn root(name: &str) -> TrustedRoot {
    TrustedRoot::read(&file(name)).unwrap()
}

fn digest(digit: char) -> Digest {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}

fn exactly(subject: &str, issuer: &str) -> Vec<Identity> {
    let [subject, issuer] = [subject, issuer].map(|name| Expected::exact(name).unwrap());
    vec![Identity { issuer, subject }]
}

/// The verdict on a bundle where all but the bundle is as it should be.
fn judge(bundle: &Value) -> Result<VerifiedIdentity, Refusal> {
    let root = root("trusted_root.json");
    let bundle = bundle.to_string();
    verify_bundle(
        bundle.as_bytes(),
        &digest('a'),
        &root,
        &exactly(SUBJECT, ISSUER),
        SIGNATURE_PREDICATE_TYPE,
    )
}

fn check(verdict: Result<VerifiedIdentity, Refusal>) -> Option<Check> {
    verdict.err().map(|refusal| refusal.check())
}

#[test]
fn what_was_signed_well_is_accepted() {
    for name in ["bundle.json", "timestamped.json"] {
        let verified = judge(&read(name)).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(verified.signer.subject.as_deref(), Some(SUBJECT), "{name}");
        assert_eq!(verified.signer.issuer.as_deref(), Some(ISSUER), "{name}");
        let entry = &read(name)["verificationMaterial"]["tlogEntries"][0];
        let logged: i64 = entry["integratedTime"].as_str().unwrap().parse().unwrap();
        assert!((verified.signed_at.as_second() - logged).abs() < 60, "{name}: {verified:?}");
    }
}

#[test]
fn a_bundle_of_rekor_2_is_accepted() {
    let (root, bundle) = (root("rekor2_trusted_root.json"), read("rekor2.json").to_string());
    let identities = exactly(SUBJECT, ISSUER);
    let verify = |digest| {
        verify_bundle(bundle.as_bytes(), &digest, &root, &identities, SIGNATURE_PREDICATE_TYPE)
    };
    verify(digest('a')).unwrap();
    assert_eq!(check(verify(digest('b'))), Some(Check::Digest));
}

#[test]
fn what_was_signed_badly_is_refused() {
    let table = [
        ("unpromised.json", Check::Time),
        ("unlogged.json", Check::Log),
        ("untimed.json", Check::Log),
        ("late.json", Check::Certificate),
        ("uncertified.json", Check::Certificate),
        ("attestation.json", Check::Predicate),
        // Of an authority that only rekor2_trusted_root.json has.
        ("rekor2.json", Check::Certificate),
        ("layer.json", Check::Form),
        ("trusted_root.json", Check::Form),
    ];
    for (name, expected) in table {
        let verdict = judge(&read(name));
        assert_eq!(check(verdict.clone()), Some(expected), "{name}: {verdict:?}");
    }
}

/// What was changed after it was signed, or put together from the parts of two signatures.
#[test]
fn what_was_changed_is_refused() {
    type Change = fn(&mut Value, &Value);
    let table: [(&str, Check, Change); 8] = [
        ("the statement", Check::Signature, |bundle, _| {
            bundle["dsseEnvelope"]["payload"] =
                read("attestation.json")["dsseEnvelope"]["payload"].clone();
        }),
        ("the statement's type", Check::Form, |bundle, _| {
            bundle["dsseEnvelope"]["payloadType"] = json!("application/json");
        }),
        ("the signature", Check::Signature, |bundle, other| {
            bundle["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"].clone();
        }),
        ("the certificate", Check::Signature, |bundle, other| {
            bundle["verificationMaterial"]["certificate"] =
                other["verificationMaterial"]["certificate"].clone();
        }),
        ("the log's entry", Check::Log, |bundle, other| {
            bundle["verificationMaterial"]["tlogEntries"] =
                other["verificationMaterial"]["tlogEntries"].clone();
        }),
        ("the time", Check::Log, |bundle, _| {
            bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] =
                json!("1700000000");
        }),
        ("the proof", Check::Log, |bundle, other| {
            let other = &other["verificationMaterial"]["tlogEntries"][0];
            bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"] =
                other["inclusionProof"].clone();
        }),
        ("a key in the certificate's place", Check::Form, |bundle, _| {
            let material = bundle["verificationMaterial"].as_object_mut().unwrap();
            material.remove("certificate");
            material.insert("publicKey".to_owned(), json!({ "hint": "a" }));
        }),
    ];
    let other = read("timestamped.json");
    for (what, expected, change) in table {
        let mut bundle = read("bundle.json");
        change(&mut bundle, &other);
        let verdict = judge(&bundle);
        assert_eq!(check(verdict.clone()), Some(expected), "{what}: {verdict:?}");
    }
}

#[test]
fn another_digest_root_or_statement_is_refused() {
    let bundle = read("bundle.json").to_string();
    let verify = |digest, root: &str, predicate| {
        let root = self::root(root);
        let identities = exactly(SUBJECT, ISSUER);
        check(verify_bundle(bundle.as_bytes(), &digest, &root, &identities, predicate))
    };
    let ours = "trusted_root.json";
    assert_eq!(verify(digest('a'), ours, SIGNATURE_PREDICATE_TYPE), None);
    assert_eq!(verify(digest('b'), ours, SIGNATURE_PREDICATE_TYPE), Some(Check::Digest));
    assert_eq!(
        verify(Digest::Sha512([0xaa; 64]), ours, SIGNATURE_PREDICATE_TYPE),
        Some(Check::Digest)
    );
    assert_eq!(verify(digest('a'), ours, ATTESTATION), Some(Check::Predicate));
    let other = "other_trusted_root.json";
    assert_eq!(verify(digest('a'), other, SIGNATURE_PREDICATE_TYPE), Some(Check::Log));
}

#[test]
fn only_the_identities_asked_for_count() {
    let pattern = |pattern| Expected::pattern(pattern).unwrap();
    let exact = |name| Expected::exact(name).unwrap();
    let table = [
        (vec![], false),
        (exactly(SUBJECT, ISSUER), true),
        (exactly("a@example.com", ISSUER), false),
        (exactly(SUBJECT, "https://accounts.google.com"), false),
        ([exactly("a@example.com", ISSUER), exactly(SUBJECT, ISSUER)].concat(), true),
        // The subject of one and the issuer of the other make no identity.
        (
            [exactly(SUBJECT, "https://example.com"), exactly("a@example.com", ISSUER)].concat(),
            false,
        ),
        (
            vec![Identity {
                issuer: exact(ISSUER),
                subject: pattern("https://github[.]com/example/.*"),
            }],
            true,
        ),
        (vec![Identity { issuer: exact(ISSUER), subject: pattern("github[.]com/example") }], false),
        (vec![Identity { issuer: pattern(".*"), subject: pattern(".*") }], true),
    ];
    let (bundle, layer) = (read("bundle.json").to_string(), Layer::read("layer.json"));
    let root = root("trusted_root.json");
    for (identities, allowed) in table {
        let verdict = verify_bundle(
            bundle.as_bytes(),
            &digest('a'),
            &root,
            &identities,
            SIGNATURE_PREDICATE_TYPE,
        );
        assert_eq!(check(verdict), (!allowed).then_some(Check::Identity), "{identities:?}");
        let verdict = layer.judge(&digest('a'), &root, &identities);
        assert_eq!(check(verdict), (!allowed).then_some(Check::Identity), "{identities:?}");
    }
}

#[test]
fn a_refusal_says_who_signed_and_when() {
    let root = root("trusted_root.json");
    let bundle = read("bundle.json").to_string();
    let identities = exactly("a@example.com", ISSUER);
    let verdict = verify_bundle(
        bundle.as_bytes(),
        &digest('a'),
        &root,
        &identities,
        SIGNATURE_PREDICATE_TYPE,
    );
    let signed_at = judge(&read("bundle.json")).unwrap().signed_at;
    assert_eq!(
        verdict.unwrap_err().to_string(),
        format!(
            "{SUBJECT} (issuer {ISSUER}), who signed it, is not allowed to: on {signed_at}; wanted: \
             a@example.com (issuer {ISSUER})"
        )
    );
    let untimed = judge(&read("untimed.json")).unwrap_err().to_string();
    assert_eq!(
        untimed,
        format!(
            "the transparency log does not vouch for it: it has no proof that it is in a log; its \
             certificate names {SUBJECT} (issuer {ISSUER})"
        )
    );
    let late = judge(&read("late.json")).unwrap_err().to_string();
    assert!(late.starts_with("its certificate is not trusted: "), "{late}");
    assert!(
        late.ends_with(&format!("its certificate names {SUBJECT} (issuer {ISSUER})")),
        "{late}"
    );
}

/// A layer of cosign's first form.
#[derive(Clone)]
struct Layer {
    payload: String,
    annotations: BTreeMap<String, String>,
}

impl Layer {
    fn read(name: &str) -> Self {
        let layer = read(name);
        Self {
            payload: layer["payload"].as_str().unwrap().to_owned(),
            annotations: serde_json::from_value(layer["annotations"].clone()).unwrap(),
        }
    }

    fn judge(
        &self,
        digest: &Digest,
        root: &TrustedRoot,
        identities: &[Identity],
    ) -> Result<VerifiedIdentity, Refusal> {
        let layer = SignatureLayer {
            payload: self.payload.clone().into(),
            signature: self.annotations.get(SIGNATURE_ANNOTATION).cloned(),
            annotations: self.annotations.clone(),
        };
        verify_layer(&layer, digest, root, identities)
    }

    fn check(&self, digest: &Digest, root: &str) -> Option<Check> {
        check(self.judge(digest, &self::root(root), &exactly(SUBJECT, ISSUER)))
    }
}

#[test]
fn a_layer_of_the_first_form_is_judged_as_a_bundle_is() {
    const BUNDLE: &str = "dev.sigstore.cosign/bundle";
    let (layer, ours, same) = (Layer::read("layer.json"), "trusted_root.json", digest('a'));
    assert_eq!(layer.check(&same, ours), None);
    assert_eq!(layer.check(&digest('b'), ours), Some(Check::Digest));
    assert_eq!(layer.check(&same, "other_trusted_root.json"), Some(Check::Log));

    // A payload for other content, under the signature for this one.
    let [this, other] = ["a", "b"].map(|digit| digit.repeat(64));
    let moved = Layer { payload: layer.payload.replace(&this, &other), ..layer.clone() };
    assert_eq!(moved.check(&digest('b'), ours), Some(Check::Signature));

    // The certificate of the same signer's other key.
    let mut changed = layer.clone();
    let certificate =
        read("bundle.json")["verificationMaterial"]["certificate"]["rawBytes"].clone();
    let certificate = certificate.as_str().unwrap();
    changed.annotations.insert(
        "dev.sigstore.cosign/certificate".to_owned(),
        format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"),
    );
    assert_eq!(changed.check(&same, ours), Some(Check::Signature));

    let without = |name: &str| {
        let mut layer = layer.clone();
        layer.annotations.remove(name).unwrap();
        layer.check(&same, ours)
    };
    assert_eq!(without(SIGNATURE_ANNOTATION), Some(Check::Form));
    assert_eq!(without("dev.sigstore.cosign/certificate"), Some(Check::Form));
    assert_eq!(without(BUNDLE), Some(Check::Log));
    // The trusted root has the chain.
    assert_eq!(without("dev.sigstore.cosign/chain"), None);

    let mut layer = layer;
    let mut logged: Value = serde_json::from_str(&layer.annotations[BUNDLE]).unwrap();
    logged["Payload"]["integratedTime"] = json!(1_700_000_000);
    layer.annotations.insert(BUNDLE.to_owned(), logged.to_string());
    assert_eq!(layer.check(&same, ours), Some(Check::Log));
    layer.annotations.insert(BUNDLE.to_owned(), "{}".to_owned());
    assert_eq!(layer.check(&same, ours), Some(Check::Form));
}

#[test]
fn an_envelope_of_the_first_form_is_judged_as_a_bundle_is() {
    let attached = Layer::read("envelope.json");
    let judge = |attached: &Layer, digest, root: &str, predicate| {
        check(verify_envelope(
            &Envelope::parse(attached.payload.as_bytes()).unwrap(),
            &attached.annotations,
            &digest,
            &self::root(root),
            &exactly(SUBJECT, ISSUER),
            predicate,
        ))
    };
    let ours = "trusted_root.json";
    assert_eq!(judge(&attached, digest('a'), ours, ATTESTATION), None);
    assert_eq!(judge(&attached, digest('b'), ours, ATTESTATION), Some(Check::Digest));
    assert_eq!(
        judge(&attached, digest('a'), ours, SIGNATURE_PREDICATE_TYPE),
        Some(Check::Predicate)
    );
    let other = "other_trusted_root.json";
    assert_eq!(judge(&attached, digest('a'), other, ATTESTATION), Some(Check::Log));

    // The log's promise for the envelope is none for another one, and the signature neither.
    let mut changed = attached.clone();
    let mut envelope = read("attestation.json")["dsseEnvelope"].clone();
    changed.payload = envelope.to_string();
    assert_eq!(judge(&changed, digest('a'), ours, ATTESTATION), Some(Check::Signature));
    envelope["payload"] = read("bundle.json")["dsseEnvelope"]["payload"].clone();
    changed.payload = envelope.to_string();
    assert_eq!(
        judge(&changed, digest('a'), ours, SIGNATURE_PREDICATE_TYPE),
        Some(Check::Signature)
    );
    let unlogged = Layer { annotations: BTreeMap::new(), ..attached };
    assert_eq!(judge(&unlogged, digest('a'), ours, ATTESTATION), Some(Check::Form));
}

#[test]
fn what_a_trusted_root_names_is_demanded() {
    let judge_by = |root: &Value, name: &str| {
        let root = TrustedRoot::from_json(&root.to_string()).unwrap();
        let (bundle, identities) = (read(name).to_string(), exactly(SUBJECT, ISSUER));
        check(verify_bundle(
            bundle.as_bytes(),
            &digest('a'),
            &root,
            &identities,
            SIGNATURE_PREDICATE_TYPE,
        ))
    };
    let without = |name: &str| {
        let mut root = read("trusted_root.json");
        root.as_object_mut().unwrap().remove(name).unwrap();
        root
    };
    let unlogged = without("tlogs");
    assert_eq!(judge_by(&unlogged, "unlogged.json"), None);
    assert_eq!(judge_by(&unlogged, "untimed.json"), Some(Check::Time));
    // A promise of a log that is not known proves nothing.
    assert_eq!(judge_by(&unlogged, "bundle.json"), Some(Check::Log));
    assert_eq!(judge_by(&without("ctlogs"), "uncertified.json"), None);
    assert_eq!(judge_by(&without("timestampAuthorities"), "timestamped.json"), Some(Check::Time));
}

#[test]
fn one_root_serves_all_threads() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&root("trusted_root.json"));
}

#[test]
fn a_root_that_nothing_can_be_judged_by_is_refused() {
    let read_without = |names: &[&str]| {
        let mut root = read("trusted_root.json");
        for name in names {
            root.as_object_mut().unwrap().remove(*name).unwrap();
        }
        TrustedRoot::from_json(&root.to_string()).unwrap_err()
    };
    assert!(matches!(
        read_without(&["certificateAuthorities"]),
        InvalidTrustedRoot::NoCertificateAuthority
    ));
    assert!(matches!(read_without(&["tlogs", "timestampAuthorities"]), InvalidTrustedRoot::NoTime));
    for text in ["", "{}", "[]", "{\"mediaType\": 1}"] {
        assert!(TrustedRoot::from_json(text).is_err(), "{text}");
    }
    let missing = TrustedRoot::read(&file("missing.json")).unwrap_err().to_string();
    assert!(missing.contains("missing.json"), "{missing}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_bundle_of_any_bytes_is_judged(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut bundle = read("bundle.json").to_string().into_bytes();
        let at = at.index(bundle.len());
        if cut {
            bundle.truncate(at);
        } else {
            bundle[at] = byte;
        }
        let root = root("trusted_root.json");
        let identities = exactly(SUBJECT, ISSUER);
        let verdict = verify_bundle(&bundle, &digest('a'), &root, &identities, SIGNATURE_PREDICATE_TYPE);
        prop_assert!(!cut || verdict.is_err());
    }
}
