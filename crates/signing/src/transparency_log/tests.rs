//! What is believed of a log's answer, by an answer of the public Rekor: its entry 31821305, of
//! `sigstore.js` 2.0.0, as sigstore-go has it in `pkg/testing/data/bundles`. What a Rekor makes of our
//! entries, and cosign of its answers, is tried in `tests/interop/tests/transparency_log.rs`.

use std::collections::BTreeMap;

use super::keys::Untrue;
use super::*;
use crate::bundle::{Bundle, Envelope, pae, signature_statement};
use crate::simple_signing::{SIGNATURE_ANNOTATION, SignatureLayer};
use crate::{PrivateKey, sample};

const ANSWER: &str = include_str!("../../samples/rekor-answer.json");
const KEY: &str = include_str!("../../samples/rekor.pub");

fn answered(text: &str) -> Result<Logged, SigningError> {
    Logged::of_answer(serde_json::from_str::<BTreeMap<_, _>>(text).unwrap())
}

fn keys() -> LogKeys {
    LogKeys::parse(KEY).unwrap()
}

fn p256() -> PublicKey {
    PublicKey::from_pem(sample::P256_PUBLIC).unwrap()
}

fn layer() -> SignatureLayer {
    SignatureLayer {
        payload: sample::PAYLOAD.into(),
        signature: Some(sample::PAYLOAD_SIGNATURE.to_owned()),
        annotations: [(SIGNATURE_ANNOTATION.to_owned(), sample::PAYLOAD_SIGNATURE.to_owned())]
            .into(),
    }
}

fn envelope() -> Envelope {
    let key = PrivateKey::from_pem(&sample::P256_PRIVATE.into(), None, false).unwrap();
    let statement = signature_statement(&sample::SIGNED.parse().unwrap());
    let signature = key.sign(&pae(crate::bundle::STATEMENT_TYPE, &statement)).unwrap();
    Envelope::new(statement, signature)
}

#[test]
fn an_answer_of_the_public_rekor_is_proven() {
    let logged = answered(ANSWER).unwrap();
    let proposal = Proposal::with_body(logged.body());
    assert_eq!(logged.index(), 31_821_305);
    assert!(logged.has_proof());
    keys().prove(&logged, &proposal).unwrap();
    // The entry's name is its leaf, behind the name of its tree.
    assert!(ANSWER.contains(&format!("24296fb24b8ad77a{}", proposal.uuid())));
}

#[test]
fn whatever_is_changed_in_it_is_refused() {
    let proposal = Proposal::with_body(answered(ANSWER).unwrap().body());
    let table = [
        (r#""integratedTime":169237"#, r#""integratedTime":169236"#, Untrue::Promise),
        (r#""logIndex":31821305"#, r#""logIndex":31821306"#, Untrue::Promise),
        (r#""logID":"c0d2"#, r#""logID":"c0d3"#, Untrue::UnknownLog),
        (
            r#""body":"eyJhcGlWZXJzaW9uIjoiMC4wLjIi"#,
            r#""body":"eyJhcGlWZXJzaW9uIjoiMC4wLjMi"#,
            Untrue::AnotherEntry,
        ),
        (r#""rootHash":""#, r#""rootHash":"00"#, Untrue::Inclusion),
        (r#""treeSize":"#, r#""treeSize":1"#, Untrue::Inclusion),
        (
            r#""checkpoint":"rekor.sigstore.dev"#,
            r#""checkpoint":"rekor.sigstore.com"#,
            Untrue::Tree,
        ),
    ];
    for (from, to, untrue) in table {
        let mut changed = ANSWER.replacen(from, to, 1);
        assert_ne!(changed, ANSWER, "{from}");
        if untrue == Untrue::Inclusion && from.contains("rootHash") {
            // Still 32 bytes.
            let at = changed.find(to).unwrap() + to.len();
            changed.replace_range(at..at + 2, "");
        }
        let logged = answered(&changed).unwrap();
        assert_eq!(keys().prove(&logged, &proposal), Err(untrue), "{to}");
    }
    let other = LogKeys::parse(sample::P256_PUBLIC).unwrap();
    let logged = answered(ANSWER).unwrap();
    assert_eq!(other.prove(&logged, &proposal), Err(Untrue::UnknownLog));
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let verification = ANSWER.find(r#""verification""#).unwrap();
    let twice = format!(
        "{},{}",
        &ANSWER.trim()[..ANSWER.trim().len() - 1],
        ANSWER.trim()[1..].replacen("24296fb2", "34296fb2", 1)
    );
    assert!(answered("{}").is_err());
    assert!(answered(&twice).is_err());
    assert!(
        serde_json::from_str::<BTreeMap<String, logged::Answer>>(&format!(
            "{}\"x\":1}}}}",
            &ANSWER[..verification]
        ))
        .is_err()
    );
    assert!(answered(&ANSWER.replacen(r#""body":""#, r#""body":"!"#, 1)).is_err());
}

#[test]
fn a_key_counts_while_it_is_in_use() {
    let root = |from: &str, until: &str| {
        let text = format!(
            r#"{{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[{{"baseUrl":"https://rekor.sigstore.dev","hashAlgorithm":"SHA2_256","publicKey":{{"rawBytes":"{}","keyDetails":"PKIX_ECDSA_P256_SHA_256","validFor":{{"start":"{from}"{until}}}}},"logId":{{"keyId":"wNI9atQGlz+VWfO6LRygH4QUfY/8W4RFwiT5i5WRgB0="}}}}]}}"#,
            KEY.lines().filter(|line| !line.contains("---")).collect::<String>()
        );
        LogKeys::parse(&text).unwrap()
    };
    let logged = answered(ANSWER).unwrap();
    let proposal = Proposal::with_body(logged.body());
    let prove = |keys: LogKeys| keys.prove(&logged, &proposal);
    assert_eq!(prove(root("2021-01-12T11:53:27Z", "")), Ok(()));
    assert_eq!(prove(root("2024-01-12T11:53:27Z", "")), Err(Untrue::UnknownLog));
    let until = r#","end":"2022-01-12T11:53:27Z""#;
    assert_eq!(prove(root("2021-01-12T11:53:27Z", until)), Err(Untrue::UnknownLog));
}

#[test]
fn a_file_without_a_key_says_what_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rekor.pub");
    assert_eq!(LogKeys::read(&path).unwrap_err().kind(), SigningErrorKind::NotFound);
    for text in ["", "{}", r#"{"tlogs":[]}"#, sample::P256_PRIVATE] {
        std::fs::write(&path, text).unwrap();
        let error = LogKeys::read(&path).unwrap_err();
        assert_eq!(error.kind(), SigningErrorKind::Invalid, "{text}: {error}");
        assert!(error.hint().unwrap().contains("trusted root"), "{error}");
    }
}

/// Canonical JSON, by its field order and the hashes of `sha256sum`.
#[test]
fn entries_are_written_as_rekor_keeps_them() {
    let body = |proposal: Proposal| String::from_utf8(proposal.body().to_vec()).unwrap();
    let hashed = body(Proposal::of_layer(&layer(), &p256()).unwrap());
    let hash = oci::Digest::sha256(sample::PAYLOAD.as_bytes()).hex();
    assert!(hashed.starts_with(&format!(
        r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","value":"{hash}"}}}},"signature":{{"content":"{}","publicKey":{{"content":"LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0K"#,
        sample::PAYLOAD_SIGNATURE
    )), "{hashed}");
    let envelope = envelope();
    let proposal = Proposal::of_envelope(&envelope, &p256()).unwrap();
    let sent = proposal.request()["spec"]["proposedContent"]["envelope"].as_str().unwrap();
    let (whole, payload) =
        (oci::Digest::sha256(sent.as_bytes()).hex(), oci::Digest::sha256(envelope.payload()).hex());
    let logged = body(proposal.clone());
    assert!(logged.starts_with(&format!(
        r#"{{"apiVersion":"0.0.1","kind":"dsse","spec":{{"envelopeHash":{{"algorithm":"sha256","value":"{whole}"}},"payloadHash":{{"algorithm":"sha256","value":"{payload}"}},"signatures":[{{"signature":""#
    )), "{logged}");
}

#[test]
fn annotations_and_bundles_keep_what_the_log_said() {
    let logged = answered(ANSWER).unwrap();
    let layer = layer().with_entry(&logged);
    let read = Logged::of_layer(&layer).unwrap();
    assert_eq!((read.body(), read.promised()), (logged.body(), logged.promised()));
    assert_eq!(read.promise(), logged.promise());
    let bundle = Bundle::new(envelope(), &p256(), Some(&logged)).unwrap();
    assert_eq!(bundle.logged(), std::slice::from_ref(&logged));
    let parsed = Bundle::parse(bundle.to_json()).unwrap();
    assert_eq!((&parsed, parsed.logged()), (&bundle, vec![logged]));
    // Without a proof there is no bundle of today's version.
    assert!(Bundle::new(envelope(), &p256(), Some(&read)).is_err());
}

/// An entry of something else beside a signature is no proof that the signature is logged.
#[test]
fn a_signature_is_in_a_log_only_by_an_entry_of_its_own() {
    let log = TransparencyLog::new("https://rekor.sigstore.dev", keys()).unwrap();
    let logged = answered(ANSWER).unwrap();
    let bundle = |logged| Evidence::Bundle(Bundle::new(envelope(), &p256(), logged).unwrap());
    let evidence = [
        Evidence::Layer(layer()),
        Evidence::Layer(layer().with_entry(&logged)),
        bundle(None),
        bundle(Some(&logged)),
    ];
    for evidence in evidence {
        assert!(!log.has(&evidence, &p256()), "{evidence:?}");
    }
}

#[test]
fn what_rekor_and_cosign_do_not_take_is_refused_before_anything_is_signed() {
    use Algorithm as A;
    use LogForm::{Envelope, Payload};
    let table = [
        (Payload, KeyKind::EcdsaP256, A::EcdsaSha256, true),
        (Payload, KeyKind::Rsa, A::RsaPkcs1Sha256, true),
        (Payload, KeyKind::Ed25519, A::Ed25519, false),
        (Payload, KeyKind::EcdsaP384, A::EcdsaSha256, false),
        (Payload, KeyKind::EcdsaP384, A::EcdsaSha384, false),
        (Payload, KeyKind::Rsa, A::RsaPssSha256, false),
        (Envelope, KeyKind::EcdsaP256, A::EcdsaSha256, true),
        (Envelope, KeyKind::EcdsaP384, A::EcdsaSha256, true),
        (Envelope, KeyKind::EcdsaP384, A::EcdsaSha384, false),
        (Envelope, KeyKind::Ed25519, A::Ed25519, true),
        (Envelope, KeyKind::Rsa, A::RsaPkcs1Sha256, true),
        (Envelope, KeyKind::Rsa, A::RsaPssSha256, false),
    ];
    for (form, kind, algorithm, is_taken) in table {
        let told = TransparencyLog::takes(form, kind, algorithm);
        assert_eq!(told.is_ok(), is_taken, "{form:?} {kind:?} {algorithm:?}");
        assert!(told.is_ok() || told.unwrap_err().hint().is_some());
    }
}

#[test]
fn the_url_is_that_of_a_server() {
    let log = |url: &str| TransparencyLog::new(url, keys());
    let entries = |url: &str| log(url).unwrap().entries(Some("ab")).unwrap().to_string();
    assert_eq!(entries("https://r.example"), "https://r.example/api/v1/log/entries/ab");
    assert_eq!(entries("http://r.example:1/x/"), "http://r.example:1/x/api/v1/log/entries/ab");
    assert_eq!(log("https://r.example").unwrap().to_string(), "https://r.example");
    for wrong in ["", "r.example", "file:///r", "https://u:p@r.example", "https://r.example?a"] {
        let error = log(wrong).unwrap_err();
        assert_eq!(error.kind(), SigningErrorKind::Invalid, "{wrong}");
    }
}
