//! What belongs to an image travels with it: referrers, and what cosign keeps in tags.

use layout::Layout;
use oci::{Digest, Selector};
use sync::{Class, Outcome, Referrers, Side, WhichReferrers};
use testkit::image::{self, MadeImage};
use testkit::{Fault, Registry};

use crate::family::{Family, without_api};
use crate::rig::{Rig, cosign_tag, outcomes, referrers_list, repository_name, tag_name, wish};

const SBOM: &str = "application/vnd.example.sbom.v1+json";

fn types(types: &[&str]) -> WhichReferrers {
    WhichReferrers::Types(types.iter().map(|&one| one.to_owned()).collect())
}

#[tokio::test]
async fn referrers_travel_between_registries_with_the_api_and_without() {
    for (source_lists, target_lists) in [(true, true), (true, false), (false, true), (false, false)]
    {
        let rig = Rig::between(
            if source_lists { Registry::start().await } else { without_api().await },
            if target_lists { Registry::start().await } else { without_api().await },
        );
        let family = Family::new();
        family.offer(&rig).await;
        if !source_lists {
            family.list(&rig).await;
        }
        let item = rig.run_one(rig.wish("app:1", "copy:1")).await;
        assert_eq!(item.outcome, Outcome::Copied, "{source_lists} {target_lists}: {item:?}");
        assert_eq!(item.notes, [] as [String; 0]);
        family.assert_arrived(&rig, "copy").await;
        let lists = rig.target.log().count("PUT", "/v2/copy/manifests/sha256-*");
        assert_eq!(lists, if target_lists { 0 } else { 3 }, "{}", rig.target.log());

        rig.forget();
        let item = rig.run_one(rig.wish("app:1", "copy:1")).await;
        assert_eq!(item.outcome, Outcome::UpToDate);
        assert_eq!(item.notes, [] as [String; 0]);
        assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
    }
}

#[tokio::test]
async fn the_entries_of_a_fallback_tag_are_as_the_spec_has_them() {
    let rig = Rig::between(Registry::start().await, without_api().await);
    let family = Family::new();
    family.offer(&rig).await;
    rig.run_one(rig.wish("app:1", "app:1")).await;
    let layout = rig.target.layout(&repository_name("app"));
    let tag = image::referrers_tag(&family.image.digest());
    let list = layout.manifest(&Selector::Tag(tag)).await.unwrap().unwrap();
    let entries: Vec<_> = list.manifests().cloned().collect();
    assert_eq!(entries, [family.of_root.manifest().as_referrer()]);
    assert_eq!(entries[0].artifact_type.as_deref(), Some(SBOM));
}

#[tokio::test]
async fn cosigns_tags_travel_for_the_root_and_its_children() {
    let rig = Rig::new().await;
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    let child = image.manifests[0].digest();
    let signature = image::artifact(10);
    let expected = [
        (cosign_tag(&image.digest(), "sig"), signature.clone()),
        (cosign_tag(&image.digest(), "att"), image::artifact(11)),
        (cosign_tag(&child, "sig"), image::artifact(12)),
        (cosign_tag(&child, "sbom"), image::artifact(13)),
        // A signature of the signature.
        (cosign_tag(&signature.digest(), "sig"), image::artifact(14)),
    ];
    for (tag, artifact) in &expected {
        rig.offer("app", tag, artifact).await;
    }
    let other = cosign_tag(&Digest::sha256(b"another image"), "sig");
    rig.offer("app", &other, &image::artifact(15)).await;
    let item = rig.run_one(rig.wish("app:1", "copy:1")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    for (tag, artifact) in &expected {
        rig.assert_holds("copy", tag, artifact).await;
    }
    rig.assert_absent("copy", &other).await;
    assert_eq!(rig.source.log().count("GET", "/v2/app/tags/list"), 1, "{}", rig.source.log());
}

#[tokio::test]
async fn blobs_then_manifests_then_what_belongs_to_them_then_the_tag() {
    for target in [Registry::start().await, without_api().await] {
        let rig = Rig::between(Registry::start().await, target);
        let family = Family::new();
        family.offer(&rig).await;
        let signature = cosign_tag(&family.image.digest(), "sig");
        rig.offer("app", &signature, &image::artifact(10)).await;
        rig.run_one(rig.wish("app:1", "app:1")).await;
        let puts: Vec<String> = rig
            .target
            .log()
            .matching("PUT", "/v2/app/manifests/*")
            .iter()
            .map(|request| request.path.rsplit('/').next().unwrap().to_owned())
            .collect();
        let place = |name: &str| {
            assert_eq!(puts.iter().filter(|put| *put == name).count(), 1, "{name} in {puts:?}");
            puts.iter().position(|put| put == name).unwrap()
        };
        let root = place(&family.image.digest().to_string());
        for child in &family.image.manifests[..3] {
            assert!(place(&child.digest().to_string()) < root);
        }
        let of_root = place(&family.of_root.digest().to_string());
        assert!(root < of_root);
        assert!(of_root < place(&family.of_referrer.digest().to_string()));
        assert!(root < place(&signature));
        assert_eq!(place("1"), puts.len() - 1, "{puts:?}");
        assert_eq!(rig.target.log().writes().last().unwrap().path, "/v2/app/manifests/1");
    }
}

#[tokio::test]
async fn denied_is_never_none() {
    let denials = [
        ("referrers", Fault::deny_referrers()),
        ("tags", Fault::error(403, "DENIED", "no").on("GET", "/v2/app/tags/list")),
        ("a referrer", Fault::status(404).on("GET", "/v2/app/manifests/*").after(4)),
    ];
    for (name, fault) in denials {
        for required in [true, false] {
            let mut rig = Rig::new().await;
            rig.options.referrers.required = required;
            Family::new().offer(&rig).await;
            let fault = rig.source.inject(fault.clone());
            let item = rig.run_one(rig.wish("app:1", "app:1")).await;
            assert!(fault.hits() > 0, "{name}");
            if required {
                assert_eq!(item.outcome, Outcome::Failed, "{name}");
                let failure = item.failure.unwrap();
                assert_eq!(failure.side, Side::Source, "{name}: {failure:?}");
                assert!(matches!(failure.class, Class::Denied | Class::Content), "{failure:?}");
                assert!(failure.hint.is_some());
                assert_eq!(rig.target.log().writes().len(), 0, "{name}: {}", rig.target.log());
            } else {
                assert_eq!(item.outcome, Outcome::Copied, "{name}: {item:?}");
                assert_eq!(item.notes.len(), 1, "{name}: {:?}", item.notes);
            }
        }
    }
}

#[tokio::test]
async fn what_the_target_does_not_take_is_a_failure_or_a_note() {
    for required in [true, false] {
        let mut rig = Rig::new().await;
        rig.options.referrers.required = required;
        let family = Family::new();
        family.offer(&rig).await;
        let path = format!("/v2/app/manifests/{}", family.of_root.digest());
        rig.target.inject(Fault::status(405).on("PUT", &path));
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        if required {
            assert_eq!(item.outcome, Outcome::Failed);
            assert_eq!(item.failure.unwrap().side, Side::Target);
            rig.assert_absent("app", "1").await;
        } else {
            assert_eq!(item.outcome, Outcome::Copied);
            assert!(item.notes[0].contains(&family.of_root.digest().to_string()), "{item:?}");
            rig.assert_refer("app", &family.image.manifests[0].digest(), &[&family.of_child]).await;
        }
    }
}

#[tokio::test]
async fn what_is_listed_and_does_not_refer_is_not_believed() {
    // As GitLab does: the children of an index stand in the list of its referrers.
    let rig = Rig::between(without_api().await, Registry::start().await);
    let family = Family::new();
    family.offer(&rig).await;
    let child = image::single(9);
    rig.offer("app", "child", &child).await;
    let tag = image::referrers_tag(&family.image.digest());
    rig.offer("app", tag.as_str(), &referrers_list(&[&child, &family.of_root])).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    rig.assert_refer("app", &family.image.digest(), &[&family.of_root]).await;
    assert_eq!(rig.target.missing(&repository_name("app"), &child).await.len(), 4);

    // And the subject itself under its fallback tag.
    rig.offer("app", tag.as_str(), &family.image).await;
    let item = rig.run_one(rig.wish("app:1", "second:1")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    rig.assert_refer("second", &family.image.digest(), &[]).await;
}

#[tokio::test]
async fn a_registry_that_lists_nothing_is_asked_by_tag() {
    let rig = Rig::new().await;
    rig.source.inject(Fault::empty_referrers());
    let family = Family::new();
    family.offer(&rig).await;
    family.list(&rig).await;
    rig.run_one(rig.wish("app:1", "app:1")).await;
    family.assert_arrived(&rig, "app").await;
}

#[tokio::test]
async fn items_with_one_subject_do_not_lose_each_others_entries() {
    let sources = [Registry::start().await, Registry::start().await, Registry::start().await];
    let rig = Rig::between(Registry::start().await, without_api().await);
    let image = image::single(1);
    // One was there before, by someone else.
    let before = image::referrer_of(&image.root, 100);
    rig.hold("app", "before", &before).await;
    let tag = image::referrers_tag(&image.digest());
    rig.hold("app", tag.as_str(), &referrers_list(&[&before])).await;
    let mut artifacts = vec![before];
    let mut wanted = Vec::new();
    for (seed, source) in (2..).zip(&sources) {
        source.add(&repository_name("app"), &tag_name("1"), &image).await;
        let artifact = image::referrer_of(&image.root, seed);
        artifact.write_to(&source.layout(&repository_name("app"))).await;
        artifacts.push(artifact);
        let target = format!("{}/app:{seed}", rig.target.host());
        wanted.push(wish(&format!("{}/app:1", source.host()), &target));
    }
    let report = rig.run(wanted).await;
    assert_eq!(outcomes(&report), [Outcome::Copied; 3], "{report:?}");
    let artifacts: Vec<&MadeImage> = artifacts.iter().collect();
    rig.assert_refer("app", &image.digest(), &artifacts).await;
}

#[tokio::test]
async fn a_list_that_someone_else_overwrites_is_written_again() {
    let rig = Rig::between(Registry::start().await, without_api().await);
    let image = image::single(1);
    let (ours, theirs) = (image::referrer_of(&image.root, 2), image::referrer_of(&image.root, 3));
    rig.offer("app", "1", &image).await;
    rig.attach("app", &ours).await;
    rig.hold("app", "theirs", &theirs).await;
    let tag = image::referrers_tag(&image.digest());
    // Between our writing and our reading again.
    let layout = rig.target.layout(&repository_name("app"));
    let (list, name) = (referrers_list(&[&theirs]), tag.clone());
    let hook = move || {
        let (layout, list, name) = (layout.clone(), list.clone(), name.clone());
        async move {
            list.write_to(&layout).await;
            layout.retag(&name, &list.root).await.unwrap();
        }
    };
    let path = format!("/v2/app/manifests/{tag}");
    let hook = rig.target.inject(Fault::hook(hook).on("GET", &path).nth(2));
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(hook.hits(), 1);
    assert_eq!((item.outcome, item.notes), (Outcome::Copied, Vec::new()));
    rig.assert_refer("app", &image.digest(), &[&ours, &theirs]).await;
}

#[tokio::test]
async fn a_signature_tag_that_holds_something_else_stays() {
    let mut rig = Rig::new().await;
    rig.options.referrers.required = true;
    let image = image::single(1);
    let tag = cosign_tag(&image.digest(), "sig");
    let (ours, theirs) = (image::artifact(2), image::artifact(3));
    rig.offer("app", "1", &image).await;
    rig.offer("app", &tag, &ours).await;
    rig.hold("app", &tag, &theirs).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    assert!(item.notes[0].contains(&theirs.digest().to_string()), "{:?}", item.notes);
    rig.assert_holds("app", &tag, &theirs).await;
}

#[tokio::test]
async fn only_the_types_that_are_wanted_travel() {
    let image = image::single(1);
    let sbom = image::referrer_of(&image.root, 2);
    let maker = image::Maker::new(oci::Algorithm::Sha256);
    let other = maker.typed_referrer_of(&image.root, "application/other", 3);
    let signature = cosign_tag(&image.digest(), "sig");
    let cosign = "application/vnd.dev.cosign.artifact.sig.v1+json";
    let table = [
        (WhichReferrers::All, vec![&sbom, &other], true),
        (types(&[SBOM]), vec![&sbom], false),
        (types(&["application/other", cosign]), vec![&other], true),
        (WhichReferrers::None, vec![], false),
    ];
    for (which, expected, signed) in table {
        let mut rig = Rig::new().await;
        rig.options.referrers = Referrers { which: which.clone(), required: true };
        rig.offer("app", "1", &image).await;
        rig.offer("app", &signature, &image::artifact(4)).await;
        rig.attach("app", &sbom).await;
        rig.attach("app", &other).await;
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        assert_eq!(item.outcome, Outcome::Copied, "{which:?}");
        rig.assert_refer("app", &image.digest(), &expected).await;
        let held = rig.target.resolve(&repository_name("app"), &tag_name(&signature)).await;
        assert_eq!(held.is_some(), signed, "{which:?}");
        if which == WhichReferrers::None {
            assert_eq!(rig.source.log().count("GET", "/v2/app/referrers/*"), 0);
            assert_eq!(rig.source.log().count("GET", "/v2/app/tags/list"), 0);
        }
    }
}

#[tokio::test]
async fn a_copied_referrer_is_listed_at_its_subject() {
    let rig = Rig::between(Registry::start().await, without_api().await);
    let image = image::single(1);
    let sbom = image::referrer_of(&image.root, 2);
    rig.offer("app", "sbom", &sbom).await;
    let item = rig.run_one(rig.wish("app:sbom", "app:sbom")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    rig.assert_holds("app", "sbom", &sbom).await;
    rig.assert_refer("app", &image.digest(), &[&sbom]).await;
    assert_eq!(rig.target.log().writes().last().unwrap().path, "/v2/app/manifests/sbom");
}

#[tokio::test]
async fn through_a_layout_and_an_archive_and_back_to_a_registry() {
    let rig = Rig::new().await;
    let family = Family::new();
    family.offer(&rig).await;
    let signature = cosign_tag(&family.image.digest(), "sig");
    rig.offer("app", &signature, &image::artifact(10)).await;
    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}:1", folder.path().join("layout").display());
    let archive = format!("oci-archive:{}:1", folder.path().join("archive.tar").display());
    let source = format!("{}/app:1", rig.source.host());
    for (from, to) in [
        (source.as_str(), layout.as_str()),
        (&layout, &archive),
        (&archive, &format!("{}/copy:1", rig.target.host())),
    ] {
        for outcome in [Outcome::Copied, Outcome::UpToDate] {
            let item = rig.run_one(wish(from, to)).await;
            assert_eq!(item.outcome, outcome, "{to}: {item:?}");
            assert_eq!(item.notes, [] as [String; 0], "{to}");
        }
    }
    let held = Layout::at(folder.path().join("layout"));
    let listed = held.referrers(&family.image.digest()).await.unwrap();
    assert_eq!(listed, [family.of_root.manifest().as_referrer()]);
    family.assert_arrived(&rig, "copy").await;
    rig.assert_holds("copy", &signature, &image::artifact(10)).await;
}
