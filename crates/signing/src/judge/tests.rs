//! Every way in which something found is, or is not, a valid signature or attestation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::bundle::{STATEMENT_TYPE, pae, signature_statement, statement};
use crate::simple_signing::{SIGNATURE_ANNOTATION, payload};
use crate::{PrivateKey, sample};

const PREDICATE: &str = "https://example.com/scan/v1";

fn image() -> Digest {
    sample::SIGNED.parse().unwrap()
}

fn another_image() -> Digest {
    Digest::sha256(b"another image")
}

fn private(text: &str) -> PrivateKey {
    PrivateKey::from_pem(&text.into(), None, false).unwrap()
}

fn public(text: &str) -> PublicKey {
    PublicKey::from_pem(text).unwrap()
}

/// By the P-256 sample key, as cosign wrote it.
fn cosign_layer() -> SignatureLayer {
    SignatureLayer::new(sample::PAYLOAD, &STANDARD.decode(sample::PAYLOAD_SIGNATURE).unwrap())
}

fn cosign_bundle() -> Bundle {
    Bundle::parse(sample::BUNDLE).unwrap()
}

fn layer_for(digest: &Digest, key: &PrivateKey) -> SignatureLayer {
    let payload = payload("host/app", digest);
    let signature = key.sign(&payload).unwrap();
    SignatureLayer::new(payload, &signature)
}

fn bundle_of(statement: Vec<u8>, key: &PrivateKey) -> Bundle {
    let signature = key.sign(&pae(STATEMENT_TYPE, &statement)).unwrap();
    Bundle::new(Envelope::new(statement, signature), key.public_key(), None).unwrap()
}

fn scan_of(digest: &Digest) -> Vec<u8> {
    let predicate = RawValue::from_string("{}".to_owned()).unwrap();
    statement("host/app", digest, PREDICATE, &predicate).unwrap()
}

/// A bundle as text with one part replaced.
fn changed(bundle: &Bundle, from: &str, to: &str) -> Bundle {
    let json = String::from_utf8(bundle.to_json().to_vec()).unwrap();
    assert!(json.contains(from), "{from}");
    Bundle::parse(json.replacen(from, to, 1)).unwrap()
}

fn att_layer(bundle: &Bundle) -> Evidence {
    let json: serde_json::Value = serde_json::from_slice(&bundle.to_json()).unwrap();
    let envelope = Envelope::parse(json["dsseEnvelope"].to_string().as_bytes()).unwrap();
    Evidence::Envelope { envelope, annotations: BTreeMap::new() }
}

#[test]
fn each_kind_of_key_in_each_form() {
    let keys = [
        sample::P256_PRIVATE,
        sample::P384_PRIVATE,
        sample::P521_PRIVATE,
        sample::RSA_PRIVATE,
        sample::ED25519_PRIVATE,
    ]
    .map(private);
    let trusted: Vec<&PublicKey> = keys.iter().map(PrivateKey::public_key).collect();
    for key in &keys {
        let layer = Evidence::Layer(layer_for(&image(), key));
        let bundle = Evidence::Bundle(bundle_of(signature_statement(&image()), key));
        for evidence in [layer, bundle] {
            let valid = signature(&evidence, &image(), &trusted).unwrap();
            assert_eq!((valid.key, valid.algorithm), (key.public_key(), key.algorithm()));
            let others: Vec<_> = trusted.iter().filter(|other| **other != valid.key).collect();
            let others: Vec<&PublicKey> = others.into_iter().copied().collect();
            let refusal = signature(&evidence, &image(), &others).unwrap_err();
            assert!(matches!(refusal, Refusal::AnotherKey(_)), "{refusal}");
            assert!(signature::<PublicKey>(&evidence, &image(), &[]).is_err());
        }
    }
}

#[test]
fn what_cosign_signed_is_valid() {
    let keys = [public(sample::ED25519_PUBLIC), public(sample::P256_PUBLIC)];
    for evidence in [Evidence::Layer(cosign_layer()), Evidence::Bundle(cosign_bundle())] {
        assert!(evidence.is_signature());
        let valid = signature(&evidence, &image(), &keys).unwrap();
        assert_eq!(valid, Valid { key: &keys[1], algorithm: Algorithm::EcdsaSha256 });
    }
}

#[test]
fn a_layer_is_refused_for_its_reason() {
    use Refusal as R;
    let key = private(sample::P256_PRIVATE);
    let trusted = [key.public_key()];
    let good = layer_for(&image(), &key);
    let with_payload = |payload: &str| {
        let signature = key.sign(payload.as_bytes()).unwrap();
        SignatureLayer::new(Bytes::copy_from_slice(payload.as_bytes()), &signature)
    };
    let text = String::from_utf8(good.payload.to_vec()).unwrap();
    let unsigned = SignatureLayer { signature: None, ..good.clone() };
    let broken = SignatureLayer { signature: Some("!".into()), ..good.clone() };
    let empty = SignatureLayer { signature: Some(String::new()), ..good.clone() };
    let by_another = layer_for(&image(), &private(sample::ED25519_PRIVATE));
    let mut with_certificate = by_another.clone();
    with_certificate
        .annotations
        .insert("dev.sigstore.cosign/certificate".into(), sample::CERTIFICATE.into());
    let changed = SignatureLayer { payload: text.replace("host/app", "host/ape").into(), ..good };
    let table = [
        (unsigned, R::Unsigned),
        (broken, R::Unsigned),
        (empty, R::Unsigned),
        (by_another, R::AnotherKey(Claimant::Unknown)),
        (changed, R::AnotherKey(Claimant::Unknown)),
        (
            with_certificate,
            R::AnotherKey(Claimant::Certificate {
                subject: "https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1"
                    .into(),
                issuer: Some("https://token.actions.githubusercontent.com".into()),
            }),
        ),
        (layer_for(&another_image(), &key), R::AnotherImage(Some(another_image().to_string()))),
        (with_payload(&text.replace("sha256:", "md5:")), R::AnotherImage(None)),
        (with_payload("{}"), R::Unreadable("not one of cosign's payloads")),
        (
            with_payload(&text.replace("cosign container", "atomic container")),
            R::Unreadable("not one of cosign's payloads"),
        ),
    ];
    for (layer, expected) in table {
        let refusal = signature(&Evidence::Layer(layer), &image(), &trusted).unwrap_err();
        assert_eq!(refusal, expected);
    }
}

#[test]
fn a_bundle_is_refused_for_its_reason() {
    use Refusal as R;
    let key = private(sample::P256_PRIVATE);
    let trusted = [key.public_key().clone()];
    let good = bundle_of(signature_statement(&image()), &key);
    let other = private(sample::ED25519_PRIVATE);
    let hint = |key: &PrivateKey| format!(r#""hint":"{}""#, key.public_key().hint());
    let by_other = bundle_of(signature_statement(&image()), &other);
    let other_name = other.public_key().fingerprint();
    let other_statement = String::from_utf8(signature_statement(&image())).unwrap();
    let other_statement = other_statement.replace("annotations", "annotationz");
    let changed_payload = changed(
        &good,
        &STANDARD.encode(signature_statement(&image())),
        &STANDARD.encode(&other_statement),
    );
    let certificate = STANDARD.encode(pem::parse(sample::CERTIFICATE).unwrap().contents());
    let keyless = changed(
        &by_other,
        &format!(r#""publicKey":{{{}}}"#, hint(&other)),
        &format!(r#""certificate":{{"rawBytes":"{certificate}"}}"#),
    );
    let table = [
        (by_other.clone(), R::AnotherKey(Claimant::Key(other_name))),
        (changed(&by_other, &hint(&other), &hint(&key)), R::Changed(trusted[0].fingerprint())),
        (changed_payload, R::Changed(trusted[0].fingerprint())),
        (changed(&by_other, &hint(&other), r#""hint":"""#), R::AnotherKey(Claimant::Unknown)),
        (
            bundle_of(signature_statement(&another_image()), &key),
            R::AnotherImage(Some(another_image().to_string())),
        ),
        (
            bundle_of(scan_of(&image()), &key),
            R::AnotherType { found: PREDICATE.into(), wanted: SIGNATURE_PREDICATE_TYPE.into() },
        ),
        (bundle_of(b"{}".to_vec(), &key), R::Unreadable("not an in-toto statement")),
        (
            changed(&good, STATEMENT_TYPE, "application/json"),
            R::Unreadable("not an in-toto statement"),
        ),
    ];
    for (bundle, expected) in table {
        let refusal = signature(&Evidence::Bundle(bundle), &image(), &trusted).unwrap_err();
        assert_eq!(refusal, expected);
    }
    let refusal = signature(&Evidence::Bundle(keyless), &image(), &trusted).unwrap_err();
    assert!(refusal.to_string().starts_with("by https://github.com/org/app/"), "{refusal}");
}

#[test]
fn an_ed25519_key_that_is_named_may_have_signed_in_another_way() {
    let key = private(sample::ED25519_PRIVATE);
    let by_other = bundle_of(signature_statement(&image()), &private(sample::P256_PRIVATE));
    let other_hint = public(sample::P256_PUBLIC).hint();
    let naming = changed(&by_other, &other_hint, &key.public_key().hint());
    let trusted = [key.public_key()];
    let refusal = signature(&Evidence::Bundle(naming), &image(), &trusted).unwrap_err();
    assert_eq!(refusal, Refusal::ChangedOrPrehashed(key.public_key().fingerprint()));
}

#[test]
fn the_hint_is_not_believed() {
    let key = private(sample::P256_PRIVATE);
    let good = bundle_of(signature_statement(&image()), &key);
    let hidden = changed(&good, &key.public_key().hint(), "somebody else");
    let keys = [key.public_key()];
    assert!(signature(&Evidence::Bundle(hidden), &image(), &keys).is_ok());
}

#[test]
fn attestations_in_both_forms() {
    let key = private(sample::P384_PRIVATE);
    let trusted = [key.public_key()];
    let bundle = bundle_of(scan_of(&image()), &key);
    for evidence in [att_layer(&bundle), Evidence::Bundle(bundle.clone())] {
        assert!(!evidence.is_signature());
        assert_eq!(evidence.predicate_type().as_deref(), Some(PREDICATE));
        let judged = |predicate_type: &str, digest: &Digest| {
            attestation(&evidence, predicate_type, digest, &trusted).map(|valid| valid.key)
        };
        assert_eq!(judged(PREDICATE, &image()), Ok(key.public_key()));
        let refusal = judged("https://example.com/other", &image()).unwrap_err();
        assert!(matches!(refusal, Refusal::AnotherType { .. }), "{refusal}");
        let refusal = judged(PREDICATE, &another_image()).unwrap_err();
        assert!(matches!(refusal, Refusal::AnotherImage(Some(_))), "{refusal}");
    }
    let layer = Evidence::Layer(layer_for(&image(), &key));
    let refusal = attestation(&layer, PREDICATE, &image(), &trusted).unwrap_err();
    assert!(matches!(refusal, Refusal::AnotherType { .. }), "{refusal}");
}

#[test]
fn an_envelope_without_signatures_is_unsigned() {
    let envelope = format!(
        r#"{{"payloadType":"{STATEMENT_TYPE}","payload":"{}","signatures":[]}}"#,
        STANDARD.encode(scan_of(&image()))
    );
    let envelope = Envelope::parse(envelope.as_bytes()).unwrap();
    let evidence = Evidence::Envelope { envelope, annotations: BTreeMap::new() };
    let keys = [public(sample::P256_PUBLIC)];
    let refusal = attestation(&evidence, PREDICATE, &image(), &keys).unwrap_err();
    assert_eq!(refusal, Refusal::Unsigned);
}

proptest! {
    #[test]
    fn a_changed_byte_is_never_accepted(
        at in any::<prop::sample::Index>(), flip in 1..=u8::MAX, in_signature in any::<bool>()
    ) {
        let keys = [public(sample::P256_PUBLIC)];
        let change = |bytes: &mut Vec<u8>| {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        };

        let mut layer = cosign_layer();
        let mut payload = layer.payload.to_vec();
        let mut signed = layer.signature_bytes().unwrap();
        change(if in_signature { &mut signed } else { &mut payload });
        layer = SignatureLayer::new(payload, &signed);
        prop_assert_eq!(&layer.annotations[SIGNATURE_ANNOTATION], &STANDARD.encode(&signed));
        prop_assert!(signature(&Evidence::Layer(layer), &image(), &keys).is_err());

        let bundle = cosign_bundle();
        let json: serde_json::Value = serde_json::from_slice(&bundle.to_json()).unwrap();
        let envelope = &json["dsseEnvelope"];
        let part = if in_signature { &envelope["signatures"][0]["sig"] } else { &envelope["payload"] };
        let part = part.as_str().unwrap();
        let mut bytes = STANDARD.decode(part).unwrap();
        change(&mut bytes);
        let bundle = changed(&bundle, part, &STANDARD.encode(bytes));
        prop_assert!(signature(&Evidence::Bundle(bundle), &image(), &keys).is_err());
    }
}
