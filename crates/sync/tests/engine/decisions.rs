//! What is decided, and that what must not change does not.

use sync::{Mode, Outcome};
use testkit::{Fault, image};

use crate::rig::{Rig, outcomes, repository_name, tag_name};

#[tokio::test]
async fn a_tag_that_moved_stays_as_it_was_and_the_others_are_done() {
    for mode in [Mode::Sync, Mode::Plan] {
        let rig = Rig::new().await.mode(mode);
        let (old, new) = (image::single(1), image::single(2));
        rig.hold("app", "1", &old).await;
        rig.offer("app", "1", &new).await;
        rig.offer("other", "1", &image::index(3)).await;
        rig.forget();
        let wanted = vec![rig.wish("app:1", "app:1"), rig.wish("other:1", "other:1")];
        let report = rig.run(wanted).await;
        let second = if mode == Mode::Sync { Outcome::Copied } else { Outcome::WouldCopy };
        assert_eq!(outcomes(&report), [Outcome::Drift, second]);
        let drift = &report.items[0];
        assert_eq!(drift.source_digest, Some(new.digest()));
        assert_eq!(drift.target_digest, Some(old.digest()));
        let line = format!("- source: \"{}/app:1@{}\"", rig.source.host(), old.digest());
        assert_eq!(drift.pin_line(), Some(line));
        rig.assert_holds("app", "1", &old).await;
        if mode == Mode::Plan {
            assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
            rig.assert_absent("other", "1").await;
        }
    }
}

#[tokio::test]
async fn an_index_against_its_own_child_is_drift() {
    let rig = Rig::new().await;
    let index = image::index(1);
    rig.offer("app", "1", &index).await;
    rig.hold("app", "index", &index).await;
    let child = index.manifests[0].clone();
    let layout = rig.target.layout(&repository_name("app"));
    layout.retag(&tag_name("1"), &child.descriptor()).await.unwrap();
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Drift);
    assert_eq!(item.target_digest, Some(child.digest()));
}

#[tokio::test]
async fn a_digest_that_the_target_has_is_not_asked_for_at_the_source() {
    let mut rig = Rig::new().await;
    rig.options.late_referrers = false;
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let wish = rig.wish(&format!("app@{}", image.digest()), "app:pinned");
    assert_eq!(rig.run_one(wish.clone()).await.outcome, Outcome::Copied);
    rig.assert_holds("app", "pinned", &image).await;
    rig.forget();
    assert_eq!(rig.run_one(wish).await.outcome, Outcome::UpToDate);
    assert_eq!(rig.source.log().requests().len(), 0, "{}", rig.source.log());
}

#[tokio::test]
async fn a_pin_decides_when_its_tag_has_moved() {
    let rig = Rig::new().await;
    let (pinned, newer) = (image::single(1), image::single(2));
    rig.offer("app", "old", &pinned).await;
    rig.offer("app", "1", &newer).await;
    let wish = rig.wish(&format!("app:1@{}", pinned.digest()), "app:1");
    for _ in 0..2 {
        let item = rig.run_one(wish.clone()).await;
        assert_eq!(item.outcome, Outcome::SourceMoved);
        assert!(item.notes[0].contains(&newer.digest().to_string()), "{:?}", item.notes);
        rig.assert_holds("app", "1", &pinned).await;
    }
    assert_eq!(rig.target.log().count("PUT", "/v2/app/manifests/1"), 1);
}

#[tokio::test]
async fn what_the_source_lacks_is_missing_or_lost() {
    let rig = Rig::new().await;
    rig.offer("app", "1", &image::single(1)).await;
    rig.hold("app", "gone", &image::single(2)).await;
    let absent = image::single(9).digest();
    let report = rig
        .run(vec![
            rig.wish("app:nope", "app:nope"),
            rig.wish("app:gone", "app:gone"),
            rig.wish(&format!("app@{absent}"), "app:pin"),
            rig.wish("no/such/repository:1", "app:repository"),
        ])
        .await;
    let missing = Outcome::SourceMissing;
    assert_eq!(outcomes(&report), [missing, Outcome::SourceLost, missing, missing]);
    assert!(report.items[0].failure.as_ref().is_some_and(|failure| failure.hint.is_some()));
}

#[tokio::test]
async fn a_tag_set_by_someone_else_meanwhile_is_drift() {
    let rig = Rig::new().await;
    let (ours, theirs) = (image::single(1), image::single(2));
    rig.offer("app", "1", &ours).await;
    // As the first blob arrives, someone else sets the tag.
    let layout = rig.target.layout(&repository_name("app"));
    let image = theirs.clone();
    let hook = move || {
        let (layout, image) = (layout.clone(), image.clone());
        async move {
            image.write_to(&layout).await;
            layout.retag(&tag_name("1"), &image.root).await.unwrap();
        }
    };
    let hook = rig.target.inject(Fault::hook(hook).on("PUT", "/v2/app/blobs/uploads/*").once());
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(hook.hits(), 1);
    assert_eq!(item.outcome, Outcome::Drift, "{item:?}");
    assert_eq!(item.target_digest, Some(theirs.digest()));
    rig.assert_holds("app", "1", &theirs).await;
}

#[tokio::test]
async fn verify_finds_the_hole_in_a_copy() {
    let rig = Rig::new().await.mode(Mode::Verify);
    let image = image::with_attestations(1);
    rig.offer("app", "1", &image).await;
    rig.hold("app", "1", &image).await;
    let wish = rig.wish("app:1", "app:1");
    assert_eq!(rig.run_one(wish.clone()).await.outcome, Outcome::UpToDate);
    let (lost, _) = &image.blobs[0];
    let layout = rig.target.layout(&repository_name("app"));
    assert!(layout.delete(&lost.digest).await.unwrap());
    let item = rig.run_one(wish).await;
    assert_eq!(item.outcome, Outcome::Failed);
    let message = item.failure.unwrap().message;
    assert!(message.contains(&lost.digest.to_string()), "{message}");
    assert_eq!(rig.target.log().writes().len(), 0);
}
