//! Referrers and signatures from and to every kind of registry.

use sync::Outcome;
use testkit::{Auth, Personality, Registry, image};

use crate::family::Family;
use crate::rig::{Rig, cosign_tag, repository_name};

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
