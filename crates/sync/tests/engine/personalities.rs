//! Referrers and signatures from and to every kind of registry.

use http::StatusCode;
use oci::{Algorithm, Manifest, MediaType};
use sync::Outcome;
use testkit::image::MadeImage;
use testkit::personality::Rule;
use testkit::{Auth, Fault, Personality, Registry, image};

use crate::family::Family;
use crate::rig::{Rig, cosign_tag, repository_name, tag_name};

#[tokio::test]
async fn every_kind_of_registry_takes_them_or_the_report_says_what_is_missing() {
    for personality in Personality::all() {
        let name = personality.name;
        let target = Registry::builder().personality(personality).auth(Auth::Open).start().await;
        target.create_repository(&repository_name("app"));
        let rig = Rig::between(Registry::start().await, target);
        let family = Family::new();
        family.offer(&rig).await;
        let signature = cosign_tag(&family.image.digest(), "sig");
        rig.offer("app", &signature, &image::artifact(10)).await;
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        assert_eq!(item.outcome, Outcome::Copied, "{name}: {item:?}");
        rig.assert_holds("app", "1", &family.image).await;
        rig.assert_holds("app", &signature, &image::artifact(10)).await;
        for artifact in family.artifacts() {
            let missing = rig.target.missing(&repository_name("app"), artifact).await;
            assert!(missing.is_empty(), "{name}: {missing:?}");
        }
        match name {
            // They are taken there, and nobody can list them.
            "gitlab" => assert!(item.notes[0].contains("not listed"), "{:?}", item.notes),
            "quay" => {}
            _ => {
                assert_eq!(item.notes, [] as [String; 0], "{name}");
                family.assert_arrived(&rig, "app").await;
            }
        }
        rig.forget();
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        assert_eq!(item.outcome, Outcome::UpToDate, "{name}: {item:?}");
        assert_eq!(rig.target.log().writes().len(), 0, "{name}: {}", rig.target.log());
    }
}

#[tokio::test]
async fn every_kind_of_registry_gives_them() {
    for personality in Personality::all() {
        let name = personality.name;
        let source = Registry::builder().personality(personality).auth(Auth::Open).start().await;
        let rig = Rig::between(source, Registry::start().await);
        let family = Family::new();
        family.offer(&rig).await;
        family.list(&rig).await;
        let signature = cosign_tag(&family.image.digest(), "sig");
        rig.offer("app", &signature, &image::artifact(10)).await;
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        assert_eq!(item.outcome, Outcome::Copied, "{name}: {item:?}");
        rig.assert_holds("app", &signature, &image::artifact(10)).await;
        // It has no list that could be read.
        if name != "gitlab" {
            family.assert_arrived(&rig, "app").await;
        }
    }
}

#[tokio::test]
async fn a_fallback_list_that_may_not_change_is_said() {
    let mut gar = Personality { auth: Auth::Open, ..Personality::gar() };
    gar.rules.push(Rule::ImmutableTags { status: StatusCode::BAD_REQUEST, code: "TAG_INVALID" });
    let target = Registry::builder().personality(gar).start().await;
    let rig = Rig::between(Registry::start().await, target);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let (early, late) = (image::referrer_of(&image.root, 2), image::referrer_of(&image.root, 3));
    rig.attach("app", &early).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!((item.outcome, item.notes), (Outcome::Copied, Vec::new()));
    rig.attach("app", &late).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::UpToDate, "{item:?}");
    assert!(item.notes.iter().any(|note| note.contains("immutable")), "{item:?}");
    rig.assert_holds("app", "1", &image).await;
    // What could be listed still is.
    rig.assert_refer("app", &image.digest(), &[&early]).await;
}

#[tokio::test]
async fn an_immutable_tag_that_someone_else_set_just_before_is_drift() {
    for personality in [Personality::ecr(), Personality::harbor()] {
        let name = personality.name;
        let personality = Personality { auth: Auth::Open, ..personality };
        let target = Registry::builder().personality(personality).start().await;
        target.create_repository(&repository_name("app"));
        let rig = Rig::between(Registry::start().await, target);
        let (ours, theirs) = (image::single(1), image::single(2));
        rig.offer("app", "1", &ours).await;
        // After our last look at the tag and before our PUT of it.
        let (layout, image) = (rig.target.layout(&repository_name("app")), theirs.clone());
        let hook = move || {
            let (layout, image) = (layout.clone(), image.clone());
            async move {
                image.write_to(&layout).await;
                layout.retag(&tag_name("1"), &image.root).await.unwrap();
            }
        };
        let hook = rig.target.inject(Fault::hook(hook).on("PUT", "/v2/app/manifests/1").once());
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        assert_eq!(hook.hits(), 1, "{name}");
        assert_eq!(item.outcome, Outcome::Drift, "{name}: {item:?}");
        assert_eq!(item.target_digest, Some(theirs.digest()), "{name}");
        rig.assert_holds("app", "1", &theirs).await;
    }
}

#[tokio::test]
async fn an_index_that_refers_to_its_own_child_is_no_loop() {
    let rig = Rig::new().await;
    let child = image::single(1);
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX,
        "manifests": [child.root], "subject": child.root,
    });
    let index = Manifest::parse(index.to_string().into(), None, Algorithm::Sha256).unwrap();
    let (root, mut manifests) = (index.descriptor(), child.manifests.clone());
    manifests.push(index);
    let image = MadeImage { root, manifests, blobs: child.blobs.clone() };
    rig.offer("app", "1", &image).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    rig.assert_holds("app", "1", &image).await;
    rig.assert_refer("app", &child.digest(), &[&image]).await;
}
