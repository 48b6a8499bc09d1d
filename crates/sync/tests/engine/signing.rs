//! What the mirror publishes is signed, and what it copies was signed by whom it should.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use oci::{Algorithm, Digest, Manifest, Selector};
use signing::bundle::Bundle;
use signing::judge::{self, Evidence};
use signing::simple_signing::{self, SignatureLayer};
use signing::{KeyReference, PrivateKey, PublicKey, Signer, SignerSettings};
use sync::{
    Class, Demand, MIRRORING, Mode, Outcome, SignWith, SignatureFormat, SignatureState, Wanted,
    WantedSignatures,
};
use testkit::image::{self, MadeImage};
use testkit::{Fault, KeyPair, Registry};

use crate::family::without_api;
use crate::rig::{Rig, cosign_tag, outcomes, repository_name, tag_name, wish};

/// Keys in files, by name, and the rig that knows them.
pub(crate) struct Keys {
    folder: tempfile::TempDir,
    pairs: BTreeMap<&'static str, KeyPair>,
}

impl Keys {
    pub(crate) fn new(names: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pairs: BTreeMap<_, _> = names.iter().map(|name| (*name, KeyPair::new())).collect();
        for (name, pair) in &pairs {
            std::fs::write(folder.path().join(name), &pair.private).unwrap();
            std::fs::write(folder.path().join(format!("{name}.pub")), &pair.public).unwrap();
        }
        Self { folder, pairs }
    }

    pub(crate) fn reference(&self, name: &str) -> KeyReference {
        KeyReference::File(self.folder.path().join(name))
    }

    pub(crate) fn public(&self, name: &str) -> PublicKey {
        PublicKey::from_pem(&self.pairs[name].public).unwrap()
    }

    /// Makes all keys known to a rig's engine.
    pub(crate) fn known_to(&self, mut rig: Rig) -> Rig {
        for name in self.pairs.keys() {
            for name in [(*name).to_owned(), format!("{name}.pub")] {
                let reference = self.reference(&name);
                let settings = SignerSettings::from_lookup(|_| None);
                let signer = Arc::new(Signer::new(reference.clone(), settings));
                rig.options.keys.insert(reference, signer);
            }
        }
        rig
    }

    pub(crate) fn signed(&self, name: &str, wanted: Wanted) -> Wanted {
        let format = SignatureFormat::Legacy;
        let sign = Some(SignWith {
            key: self.reference(name),
            former: Vec::new(),
            format,
            recursively: false,
            attest: false,
            log: None,
        });
        Wanted { signatures: WantedSignatures { sign, ..wanted.signatures }, ..wanted }
    }

    /// Signed by one key, after others.
    fn rotated(&self, name: &str, former: &[&str], wanted: Wanted) -> Wanted {
        let mut wanted = self.signed(name, wanted);
        let former = former.iter().map(|name| self.reference(name)).collect();
        wanted.signatures.sign.as_mut().unwrap().former = former;
        wanted
    }

    fn demanding(&self, names: &[&str], is_required: bool, wanted: Wanted) -> Wanted {
        let keys = names.iter().map(|name| self.reference(&format!("{name}.pub"))).collect();
        let demand = Demand {
            rule: "images.yaml:7".into(),
            keys,
            keyless: None,
            is_required,
            attestations: Vec::new(),
        };
        let mut signatures = wanted.signatures.clone();
        signatures.demands.push(Arc::new(demand));
        Wanted { signatures, ..wanted }
    }

    /// Signs in cosign's first form, as somebody else would.
    pub(crate) async fn attach(
        &self,
        name: &str,
        registry: &Registry,
        repository: &str,
        image: &MadeImage,
    ) {
        let key = PrivateKey::from_pem(&self.pairs[name].private.as_str().into(), None, false);
        let payload = simple_signing::payload("example.com/theirs", &image.digest());
        let signature = key.unwrap().sign(&payload).unwrap();
        let made = simple_signing::append(None, &SignatureLayer::new(payload, &signature)).unwrap();
        let layout = registry.layout(&repository_name(repository));
        for blob in made.blobs {
            let content = stream::iter([Ok::<_, std::io::Error>(blob.clone())]);
            layout.write_blob(&Digest::sha256(&blob), None, content).await.unwrap();
        }
        let manifest = Manifest::parse(made.manifest, None, Algorithm::Sha256).unwrap();
        layout.put_manifest(&manifest).await.unwrap();
        let tag = tag_name(&cosign_tag(&image.digest(), "sig"));
        layout.retag(&tag, &manifest.descriptor()).await.unwrap();
    }
}

/// The signatures in cosign's first form that a registry has.
pub(crate) async fn layers(registry: &Registry, repository: &str, digest: Digest) -> Vec<Evidence> {
    let layout = registry.layout(&repository_name(repository));
    let tag: Selector = tag_name(&cosign_tag(&digest, "sig")).into();
    let Some(manifest) = layout.manifest(&tag).await.unwrap() else { return Vec::new() };
    let mut payloads = BTreeMap::new();
    for layer in simple_signing::layers(&manifest) {
        let file = layout.folder().join("blobs/sha256").join(layer.digest.hex());
        payloads.insert(layer.digest, Bytes::from(std::fs::read(file).unwrap()));
    }
    simple_signing::read(&manifest, &payloads).into_iter().map(Evidence::Layer).collect()
}

/// The bundles that the target lists.
pub(crate) async fn bundles(rig: &Rig, repository: &str, digest: Digest) -> Vec<Evidence> {
    let layout = rig.target.layout(&repository_name(repository));
    let mut bundles = Vec::new();
    for referrer in rig.referrers(repository, &digest).await {
        let manifest = layout.manifest(&referrer.into()).await.unwrap().unwrap();
        let layer = manifest.blobs().nth(1).unwrap();
        let file = layout.folder().join("blobs/sha256").join(layer.digest.hex());
        bundles.push(Evidence::Bundle(Bundle::parse(std::fs::read(file).unwrap()).unwrap()));
    }
    bundles
}

pub(crate) fn state(item: &sync::ItemReport) -> Option<SignatureState> {
    item.signature.as_ref().map(|signature| signature.state)
}

pub(crate) fn class(item: &sync::ItemReport) -> Option<Class> {
    item.failure.as_ref().map(|failure| failure.class)
}

#[tokio::test]
async fn a_copy_is_signed_before_its_tag_is_set_and_once() {
    let keys = Keys::new(&["ours"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::with_attestations(1);
    rig.offer("app", "1", &image).await;
    let wanted = keys.signed("ours", rig.wish("app:1", "app:1"));
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::Copied, Some(SignatureState::Signed)));
    let found = layers(&rig.target, "app", image.digest()).await;
    assert_eq!(found.len(), 1);
    judge::signature(&found[0], &image.digest(), &[keys.public("ours")]).unwrap();
    let Evidence::Layer(layer) = &found[0] else { panic!("{found:?}") };
    let repository = format!("{}/app", rig.target.host());
    assert!(String::from_utf8_lossy(&layer.payload).contains(&repository), "{layer:?}");

    let log = rig.target.log();
    let number = |path: &str| log.matching("PUT", path).first().unwrap().number;
    let signed = number(&format!("/v2/app/manifests/{}", cosign_tag(&image.digest(), "sig")));
    assert!(number(&format!("/v2/app/manifests/{}", image.digest())) < signed, "{log}");
    assert!(signed < number("/v2/app/manifests/1"), "{log}");

    rig.forget();
    let item = rig.run_one(wanted).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::UpToDate, Some(SignatureState::Present)));
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn a_bundle_is_a_referrer_with_the_api_and_without() {
    for has_api in [true, false] {
        let keys = Keys::new(&["ours"]);
        let target = if has_api { Registry::start().await } else { without_api().await };
        let rig = keys.known_to(Rig::between(Registry::start().await, target));
        let image = image::index(1);
        rig.offer("app", "1", &image).await;
        let mut wanted = keys.signed("ours", rig.wish("app:1", "app:1"));
        wanted.signatures.sign.as_mut().unwrap().format = SignatureFormat::Bundle;
        let item = rig.run_one(wanted.clone()).await;
        assert_eq!(state(&item), Some(SignatureState::Signed), "{has_api}: {item:?}");
        assert_eq!(layers(&rig.target, "app", image.digest()).await, []);
        let found = bundles(&rig, "app", image.digest()).await;
        assert_eq!(found.len(), 1);
        judge::signature(&found[0], &image.digest(), &[keys.public("ours")]).unwrap();

        rig.forget();
        let item = rig.run_one(wanted).await;
        assert_eq!(state(&item), Some(SignatureState::Present), "{has_api}: {item:?}");
        assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
    }
}

#[tokio::test]
async fn a_statement_about_the_mirroring_is_made_once() {
    let keys = Keys::new(&["ours"]);
    let mut rig = keys.known_to(Rig::new().await);
    rig.options.provenance.version = "1.2.3".into();
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let mut wanted = keys.signed("ours", rig.wish("app:1", "copy:1"));
    wanted.signatures.sign.as_mut().unwrap().attest = true;
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    let found = bundles(&rig, "copy", image.digest()).await;
    assert_eq!(found.len(), 1);
    judge::attestation(&found[0], MIRRORING, &image.digest(), &[keys.public("ours")]).unwrap();
    let said: serde_json::Value = found[0].predicate().unwrap();
    assert_eq!(said["source"]["name"], format!("{}/app:1", rig.source.host()));
    assert_eq!(said["source"]["digest"], image.digest().to_string());
    assert_eq!(said["target"]["name"], format!("{}/copy:1", rig.target.host()));
    assert_eq!(said["tool"]["version"], "1.2.3");

    rig.forget();
    rig.options.provenance.version = "1.2.4".into();
    let item = rig.run_one(wanted).await;
    assert_eq!(state(&item), Some(SignatureState::Present));
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

/// Who was verified is said of those who were: not of a rule that was not met, and not by where a
/// rule stands in its file.
#[tokio::test]
async fn a_statement_about_the_mirroring_names_who_was_verified() {
    let keys = Keys::new(&["ours", "theirs", "nobodys"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    keys.attach("theirs", &rig.source, "app", &image).await;
    let asked = |line: usize| {
        let mut wanted = keys.signed("ours", rig.wish("app:1", "copy:1"));
        for (names, is_required) in [(["nobodys"], false), (["theirs"], true), (["theirs"], true)] {
            wanted = keys.demanding(&names, is_required, wanted);
        }
        for demand in &mut wanted.signatures.demands {
            Arc::get_mut(demand).unwrap().rule = format!("images.yaml:{line}");
        }
        wanted.signatures.sign.as_mut().unwrap().attest = true;
        wanted
    };
    let item = rig.run_one(asked(7)).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    let theirs = format!("key {}", keys.public("theirs").fingerprint());
    assert_eq!(item.verified, [theirs.as_str()]);
    let found = bundles(&rig, "copy", image.digest()).await;
    let said: serde_json::Value = found[0].predicate().unwrap();
    assert_eq!(said["verified"], serde_json::json!([theirs]));
    rig.forget();
    rig.run_one(asked(9)).await;
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

/// An upload that breaks is no reason to leave an image unsigned.
#[tokio::test]
async fn a_signature_whose_upload_breaks_is_sent_again() {
    let keys = Keys::new(&["ours"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    rig.hold("app", "1", &image).await;
    let broken = rig.target.inject(Fault::cut_request(20).on("PUT", "/v2/app/blobs/**").once());
    let item = rig.run_one(keys.signed("ours", rig.wish("app:1", "app:1"))).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::UpToDate, Some(SignatureState::Signed)));
    assert_eq!(broken.hits(), 1);
    assert_eq!(layers(&rig.target, "app", image.digest()).await.len(), 1);
}

/// What is signed is not read again: its digest is enough to look for signatures.
#[tokio::test]
async fn a_signed_tag_that_is_up_to_date_is_not_read() {
    let keys = Keys::new(&["ours"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let wanted = keys.signed("ours", rig.wish("app:1", "app:1"));
    rig.run_one(wanted.clone()).await;
    rig.forget();
    let item = rig.run_one(wanted).await;
    assert_eq!(item.outcome, Outcome::UpToDate, "{item:?}");
    let read = format!("/v2/app/manifests/{}", image.digest());
    assert_eq!(rig.target.log().count("GET", &read), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn every_manifest_is_signed_where_that_is_wanted() {
    let keys = Keys::new(&["ours"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    let mut wanted = keys.signed("ours", rig.wish("app:1", "app:1"));
    wanted.signatures.sign.as_mut().unwrap().recursively = true;
    let item = rig.run_one(wanted).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    for manifest in &image.manifests {
        let found = layers(&rig.target, "app", manifest.digest()).await;
        assert_eq!(found.len(), 1, "{}", manifest.digest());
    }
}

#[tokio::test]
async fn what_was_there_unsigned_is_signed_and_two_tags_share_a_signature() {
    let keys = Keys::new(&["ours"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    for tag in ["1", "2"] {
        rig.offer("app", tag, &image).await;
        rig.hold("app", tag, &image).await;
    }
    let wanted = ["app:1", "app:2"].map(|name| keys.signed("ours", rig.wish(name, name)));
    let report = rig.run(wanted.into()).await;
    assert_eq!(outcomes(&report), [Outcome::UpToDate; 2]);
    let mut states: Vec<_> = report.items.iter().map(state).collect();
    states.sort_unstable();
    assert_eq!(states, [Some(SignatureState::Present), Some(SignatureState::Signed)]);
    assert_eq!(layers(&rig.target, "app", image.digest()).await.len(), 1);
}

/// Signatures of the source travel along and stay; ours is appended to them.
#[tokio::test]
async fn a_signature_that_came_along_stays_beside_ours() {
    let keys = Keys::new(&["ours", "theirs"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    keys.attach("theirs", &rig.source, "app", &image).await;
    let upstream = layers(&rig.source, "app", image.digest()).await;
    let wanted = keys.signed("ours", rig.wish("app:1", "app:1"));
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::Copied, Some(SignatureState::Signed)));
    let found = layers(&rig.target, "app", image.digest()).await;
    assert_eq!(found[..1], upstream);
    judge::signature(&found[1], &image.digest(), &[keys.public("ours")]).unwrap();
    let item = rig.run_one(wanted).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::UpToDate, Some(SignatureState::Present)));
    assert_eq!(item.notes, [] as [String; 0]);
}

#[tokio::test]
async fn a_strangers_signature_at_the_target_is_refused() {
    let keys = Keys::new(&["ours", "strange"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    keys.attach("strange", &rig.target, "app", &image).await;
    let wanted = keys.signed("ours", rig.wish("app:1", "app:1"));
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Refused, Some(Class::Signature)));
    assert_eq!(state(&item), Some(SignatureState::Missing));
    rig.assert_absent("app", "1").await;
    assert_eq!(layers(&rig.target, "app", image.digest()).await.len(), 1);

    // The same where the image is there already, in every mode that looks.
    rig.hold("app", "1", &image).await;
    for mode in [Mode::Sync, Mode::Plan, Mode::Verify] {
        let mut rig = keys.known_to(Rig::between(Registry::start().await, Registry::start().await));
        rig.options.mode = mode;
        rig.offer("app", "1", &image).await;
        rig.hold("app", "1", &image).await;
        keys.attach("strange", &rig.target, "app", &image).await;
        let item = rig.run_one(keys.signed("ours", rig.wish("app:1", "app:1"))).await;
        assert_eq!((item.outcome, class(&item)), (Outcome::Refused, Some(Class::Signature)));
        assert_eq!(rig.target.log().writes().len(), 0, "{mode:?}: {}", rig.target.log());
    }
}

/// Whoever verifies with today's key must succeed, and whoever still has the former one as well.
#[tokio::test]
async fn after_a_rotation_what_the_former_key_signed_is_signed_anew_once() {
    for format in [SignatureFormat::Legacy, SignatureFormat::Bundle] {
        let keys = Keys::new(&["former", "today"]);
        let mut rig = keys.known_to(Rig::new().await);
        let image = image::single(1);
        rig.offer("app", "1", &image).await;
        let in_format = |mut wanted: Wanted| {
            wanted.signatures.sign.as_mut().unwrap().format = format;
            wanted
        };
        rig.run_one(in_format(keys.signed("former", rig.wish("app:1", "app:1")))).await;
        let wanted = in_format(keys.rotated("today", &["former.pub"], rig.wish("app:1", "app:1")));

        for (mode, expected) in [
            (Mode::Plan, (Outcome::UpToDate, Some(SignatureState::WouldSign))),
            (Mode::Verify, (Outcome::Refused, Some(SignatureState::Missing))),
            (Mode::Sync, (Outcome::UpToDate, Some(SignatureState::Signed))),
            (Mode::Sync, (Outcome::UpToDate, Some(SignatureState::Present))),
            (Mode::Verify, (Outcome::UpToDate, Some(SignatureState::Present))),
        ] {
            rig.options.mode = mode;
            rig.forget();
            let item = rig.run_one(wanted.clone()).await;
            assert_eq!((item.outcome, state(&item)), expected, "{mode:?}: {item:?}");
            let signs = expected.1 == Some(SignatureState::Signed);
            assert_eq!(!rig.target.log().writes().is_empty(), signs, "{}", rig.target.log());
            if let Some(failure) = item.failure {
                let said = &failure.message;
                assert!(said.contains("signed by a former key of the mirror"), "{said}");
                assert_eq!(failure.hint.as_deref(), Some("`sync` signs it anew"));
            }
            // What is known by its key needs no look at the source.
            assert_eq!(rig.source.log().count("*", "/v2/app/manifests/sha256-*"), 0, "{mode:?}");
        }
        let mut found = layers(&rig.target, "app", image.digest()).await;
        found.extend(bundles(&rig, "app", image.digest()).await);
        let by = |name: &str| {
            let keys = [keys.public(name)];
            let valid =
                found.iter().filter(|one| judge::signature(one, &image.digest(), &keys).is_ok());
            valid.count()
        };
        assert_eq!((found.len(), by("former"), by("today")), (2, 1, 1), "{found:?}");
    }
}

/// What no key that is named made is a stranger's; but nobody is called one before all of them are known.
#[tokio::test]
async fn a_key_that_is_not_named_stays_a_strangers_and_one_that_cannot_be_had_is_told() {
    let keys = Keys::new(&["first", "second", "today"]);
    let mut rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    rig.run_one(keys.signed("first", rig.wish("app:1", "app:1"))).await;
    let wanted = |former: &[&str]| keys.rotated("today", former, rig.wish("app:1", "app:1"));
    let [unnamed, unreadable, named] =
        [&["second"][..], &["gone"], &["second", "first"]].map(wanted);

    let item = rig.run_one(unnamed).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Refused, Some(Class::Signature)));
    let hint = item.failure.unwrap().hint.unwrap();
    assert!(hint.contains("name it in `formerKeys`"), "{hint}");

    let gone = keys.reference("gone");
    let signer = Signer::new(gone.clone(), SignerSettings::from_lookup(|_| None));
    rig.options.keys.insert(gone, Arc::new(signer));
    let item = rig.run_one(unreadable).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Failed, Some(Class::Key)), "{item:?}");

    let item = rig.run_one(named).await;
    assert_eq!(state(&item), Some(SignatureState::Signed), "{item:?}");
}

/// A statement vouches as a signature does.
#[tokio::test]
async fn after_a_rotation_the_statement_about_the_mirroring_is_made_anew_once() {
    let keys = Keys::new(&["former", "today"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let attested = |mut wanted: Wanted| {
        wanted.signatures.sign.as_mut().unwrap().attest = true;
        wanted
    };
    rig.run_one(attested(keys.signed("former", rig.wish("app:1", "app:1")))).await;
    let wanted = attested(keys.rotated("today", &["former"], rig.wish("app:1", "app:1")));
    rig.run_one(wanted.clone()).await;
    let found = bundles(&rig, "app", image.digest()).await;
    for name in ["former", "today"] {
        let keys = [keys.public(name)];
        let valid =
            |one: &&Evidence| judge::attestation(one, MIRRORING, &image.digest(), &keys).is_ok();
        assert_eq!(found.iter().filter(valid).count(), 1, "{name}: {found:?}");
    }
    rig.forget();
    rig.run_one(wanted).await;
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn a_plan_says_what_would_be_signed_and_verify_that_it_is_not() {
    let keys = Keys::new(&["ours"]);
    let image = image::single(1);
    for (mode, held, expected) in [
        (Mode::Plan, false, (Outcome::WouldCopy, Some(SignatureState::WouldSign))),
        (Mode::Plan, true, (Outcome::UpToDate, Some(SignatureState::WouldSign))),
        (Mode::Verify, true, (Outcome::Refused, Some(SignatureState::Missing))),
    ] {
        let rig = keys.known_to(Rig::new().await).mode(mode);
        rig.offer("app", "1", &image).await;
        if held {
            rig.hold("app", "1", &image).await;
        }
        let item = rig.run_one(keys.signed("ours", rig.wish("app:1", "app:1"))).await;
        assert_eq!((item.outcome, state(&item)), expected, "{mode:?} {held}: {item:?}");
        assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
    }
}

/// Whose they are, a key service would have to be asked.
#[tokio::test]
async fn a_plan_leaves_signatures_unchecked_where_the_key_is_in_a_service() {
    let keys = Keys::new(&["ours"]);
    let service: KeyReference = "awskms:///alias/mirror".parse().unwrap();
    let image = image::single(1);
    for (is_signed, foresees, expected) in [
        (true, false, SignatureState::Unchecked),
        (true, true, SignatureState::Unchecked),
        (false, true, SignatureState::WouldSign),
    ] {
        let mut rig = keys.known_to(Rig::new().await).mode(Mode::Plan);
        // An address where nobody answers: the service is not asked.
        let settings = SignerSettings::from_lookup(|name| {
            (name == "AWS_ENDPOINT_URL").then(|| "http://127.0.0.1:9".into())
        });
        let signer = Arc::new(Signer::new(service.clone(), settings));
        rig.options.keys.insert(service.clone(), signer);
        rig.options.foresees = foresees;
        rig.offer("app", "1", &image).await;
        rig.hold("app", "1", &image).await;
        if is_signed {
            keys.attach("ours", &rig.target, "app", &image).await;
        }
        let mut wanted = keys.signed("ours", rig.wish("app:1", "app:1"));
        wanted.signatures.sign.as_mut().unwrap().key = service.clone();
        let item = rig.run_one(wanted).await;
        assert_eq!((item.outcome, state(&item)), (Outcome::UpToDate, Some(expected)), "{item:?}");
        let signatures = item.foreseen.map(|foreseen| foreseen.signatures);
        // Where it turns out that none is by the key, `apply` may sign.
        assert_eq!(signatures, foresees.then(|| vec![image.digest()]));
        assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
    }
}

/// An image whose signature cannot be made is not published; the next run completes it.
#[tokio::test]
async fn a_key_that_cannot_be_used_fails_what_needs_it() {
    let keys = Keys::new(&["ours"]);
    let mut rig = keys.known_to(Rig::new().await);
    let gone = keys.reference("gone");
    let settings = SignerSettings::from_lookup(|_| None);
    let signer = Arc::new(Signer::new(gone.clone(), settings));
    rig.options.keys.insert(gone, signer);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    rig.offer("other", "1", &image::single(2)).await;
    let wanted =
        vec![keys.signed("gone", rig.wish("app:1", "app:1")), rig.wish("other:1", "other:1")];
    let report = rig.run(wanted).await;
    assert_eq!(outcomes(&report), [Outcome::Failed, Outcome::Copied]);
    assert_eq!(class(&report.items[0]), Some(Class::Key), "{report:?}");
    assert_eq!(state(&report.items[0]), Some(SignatureState::Missing));
    rig.assert_absent("app", "1").await;
    let item = rig.run_one(keys.signed("ours", rig.wish("app:1", "app:1"))).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::Copied, Some(SignatureState::Signed)));
    rig.assert_holds("app", "1", &image).await;
}

#[tokio::test]
async fn a_folder_is_signed_as_a_registry_is() {
    let keys = Keys::new(&["ours", "theirs"]);
    let rig = keys.known_to(Rig::new().await);
    let folder = tempfile::tempdir().unwrap();
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    keys.attach("theirs", &rig.source, "app", &image).await;
    let target = format!("oci:{}:1", folder.path().join("app").display());
    let source = format!("{}/app:1", rig.source.host());
    let wanted = keys.signed("ours", wish(&source, &target));
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!(state(&item), Some(SignatureState::Signed), "{item:?}");
    let item = rig.run_one(wanted).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::UpToDate, Some(SignatureState::Present)));
}

#[tokio::test]
async fn what_is_not_signed_by_a_trusted_key_is_not_copied() {
    let keys = Keys::new(&["good", "bad"]);
    let rig = keys.known_to(Rig::new().await);
    let (signed, unsigned, by_another) = (image::single(1), image::single(2), image::single(3));
    let moved = image::single(4);
    rig.offer("signed", "1", &signed).await;
    rig.offer("unsigned", "1", &unsigned).await;
    rig.offer("another", "1", &by_another).await;
    rig.offer("moved", "1", &moved).await;
    keys.attach("good", &rig.source, "signed", &signed).await;
    keys.attach("bad", &rig.source, "another", &by_another).await;
    // A signature of another image, under the tag of this one.
    keys.attach("good", &rig.source, "moved", &signed).await;
    let layout = rig.source.layout(&repository_name("moved"));
    let from: Selector = tag_name(&cosign_tag(&signed.digest(), "sig")).into();
    let signature = layout.resolve(&from).await.unwrap().unwrap();
    layout.retag(&tag_name(&cosign_tag(&moved.digest(), "sig")), &signature).await.unwrap();

    let table = [
        ("signed", Outcome::Copied, None),
        ("unsigned", Outcome::Refused, Some("has no signature (images.yaml:7)")),
        ("another", Outcome::Refused, Some("no signature by somebody trusted: by")),
        ("moved", Outcome::Refused, Some("it is for sha256:")),
    ];
    let wanted = table.map(|(name, _, _)| {
        let name = format!("{name}:1");
        keys.demanding(&["good"], true, rig.wish(&name, &name))
    });
    let report = rig.run(wanted.into()).await;
    for (item, (name, outcome, message)) in report.items.iter().zip(table) {
        assert_eq!(item.outcome, outcome, "{name}: {item:?}");
        let said = item.failure.as_ref().map(|failure| failure.message.as_str());
        assert_eq!(said.is_some(), message.is_some(), "{item:?}");
        assert!(said.unwrap_or("").contains(message.unwrap_or("")), "{name}: {said:?}");
        if outcome == Outcome::Refused {
            rig.assert_absent(name, "1").await;
        }
    }
    assert_eq!(rig.source.log().count("GET", "/v2/unsigned/blobs/*"), 0);
}

#[tokio::test]
async fn a_rule_may_only_warn_and_all_rules_must_hold() {
    let keys = Keys::new(&["good", "bad"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    keys.attach("good", &rig.source, "app", &image).await;
    let warned = keys.demanding(&["bad"], false, rig.wish("app:1", "warned:1"));
    let item = rig.run_one(warned).await;
    assert_eq!(item.outcome, Outcome::Copied);
    assert!(item.notes[0].contains("no signature by somebody trusted"), "{item:?}");
    let both = keys.demanding(&["good"], true, rig.wish("app:1", "both:1"));
    let both = keys.demanding(&["bad"], true, both);
    assert_eq!(rig.run_one(both).await.outcome, Outcome::Refused);
    let either = keys.demanding(&["bad", "good"], true, rig.wish("app:1", "either:1"));
    assert_eq!(rig.run_one(either).await.outcome, Outcome::Copied);
}

/// "Denied" is not "unsigned".
#[tokio::test]
async fn signatures_that_cannot_be_read_are_a_failure_and_no_verdict() {
    let keys = Keys::new(&["good"]);
    let rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    keys.attach("good", &rig.source, "app", &image).await;
    rig.source.inject(Fault::error(403, "DENIED", "no").on("GET", "/v2/app/manifests/sha256-*"));
    let item = rig.run_one(keys.demanding(&["good"], true, rig.wish("app:1", "app:1"))).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Failed, Some(Class::Denied)), "{item:?}");
    rig.assert_absent("app", "1").await;
}
