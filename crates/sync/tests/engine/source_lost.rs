//! What the source has lost is looked at as everything else is that the target has.

use sync::{Class, Mode, Outcome, SignatureState, Wanted};
use testkit::Fault;
use testkit::image::{self, MadeImage};

use crate::rig::{Rig, repository_name, tag_name};
use crate::signing::{Keys, class, layers, state};

/// An image that only the target has.
async fn lost(keys: &Keys) -> (Rig, MadeImage, Wanted) {
    let rig = keys.known_to(Rig::new().await);
    rig.offer("app", "other", &image::single(2)).await;
    let image = image::single(1);
    rig.hold("app", "1", &image).await;
    let wanted = keys.signed("ours", rig.wish("app:1", "app:1"));
    (rig, image, wanted)
}

#[tokio::test]
async fn it_is_signed_and_its_signature_is_verified() {
    let keys = Keys::new(&["ours"]);
    let (mut rig, image, wanted) = lost(&keys).await;
    rig.options.mode = Mode::Verify;
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Refused, Some(Class::Signature)));
    (rig.options.mode, rig.options.foresees) = (Mode::Plan, true);
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!(
        (item.outcome, state(&item)),
        (Outcome::SourceLost, Some(SignatureState::WouldSign))
    );
    assert_eq!(item.foreseen.unwrap().signatures, [image.digest()]);
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
    rig.options.mode = Mode::Sync;
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::SourceLost, Some(SignatureState::Signed)));
    assert_eq!(layers(&rig.target, "app", image.digest()).await.len(), 1);
    rig.forget();
    for mode in [Mode::Sync, Mode::Plan, Mode::Verify] {
        rig.options.mode = mode;
        let item = rig.run_one(wanted.clone()).await;
        let expected = (Outcome::SourceLost, Some(SignatureState::Present));
        assert_eq!((item.outcome, state(&item)), expected, "{mode:?} {item:?}");
    }
    // Only whether it has the tag is asked of the source.
    let log = rig.source.log();
    assert_eq!(
        (log.count("*", "/v2/app/**"), log.count("*", "/v2/app/manifests/1")),
        (3, 3),
        "{log}"
    );
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn a_hole_in_it_is_found() {
    let keys = Keys::new(&["ours"]);
    let (mut rig, image, _) = lost(&keys).await;
    let wanted = rig.wish("app:1", "app:1");
    rig.options.mode = Mode::Verify;
    assert_eq!(rig.run_one(wanted.clone()).await.outcome, Outcome::SourceLost);
    let layout = rig.target.layout(&repository_name("app"));
    assert!(layout.delete(&image.blobs[0].0.digest).await.unwrap());
    let item = rig.run_one(wanted).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Failed, Some(Class::Content)));
}

/// What came with it from the source cannot be told from what strangers made, once the source has neither.
#[tokio::test]
async fn signatures_of_strangers_are_refused_and_a_source_that_fails_says_so() {
    let keys = Keys::new(&["ours", "strange"]);
    let (mut rig, image, wanted) = lost(&keys).await;
    keys.attach("strange", &rig.target, "app", &image).await;
    for mode in [Mode::Sync, Mode::Plan, Mode::Verify] {
        rig.options.mode = mode;
        let item = rig.run_one(wanted.clone()).await;
        assert_eq!((item.outcome, class(&item)), (Outcome::Refused, Some(Class::Signature)));
        let hint = item.failure.unwrap().hint.unwrap();
        assert!(hint.contains("the source has lost the image"), "{hint}");
    }
    rig.options.mode = Mode::Sync;
    let denied = Fault::error(403, "DENIED", "no").on("GET", "/v2/app/manifests/sha256-*");
    rig.source.inject(denied.once());
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Failed, Some(Class::Denied)), "{item:?}");
    let failure = item.failure.unwrap();
    assert!(failure.message.starts_with("whose the signatures there are"), "{failure}");
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
    // What came along counts as long as the source has it.
    let rig = keys.known_to(Rig::new().await);
    rig.offer("app", "1", &image).await;
    keys.attach("strange", &rig.source, "app", &image).await;
    let unsigned = rig.wish("app:1", "app:1");
    assert_eq!(rig.run_one(unsigned.clone()).await.outcome, Outcome::Copied);
    let layout = rig.source.layout(&repository_name("app"));
    layout.untag(&tag_name("1")).await.unwrap();
    let item = rig.run_one(keys.signed("ours", unsigned)).await;
    assert_eq!((item.outcome, state(&item)), (Outcome::SourceLost, Some(SignatureState::Signed)));
}

/// What the source had is said in a statement that was made before; later, nobody knows.
#[tokio::test]
async fn a_statement_about_it_counts_and_none_is_made() {
    let keys = Keys::new(&["ours"]);
    let attested = |mut wanted: Wanted| {
        wanted.signatures.sign.as_mut().unwrap().attest = true;
        wanted
    };
    let statement = |item: &sync::ItemReport| item.signature.as_ref().unwrap().statement;
    let (mut rig, _, wanted) = lost(&keys).await;
    let wanted = attested(wanted);
    for mode in [Mode::Sync, Mode::Plan] {
        rig.options.mode = mode;
        let item = rig.run_one(wanted.clone()).await;
        assert_eq!(item.outcome, Outcome::SourceLost, "{item:?}");
        assert_eq!(statement(&item), Some(SignatureState::Missing));
        assert!(item.notes.iter().any(|note| note.contains("none can be made")), "{item:?}");
    }
    rig.options.mode = Mode::Verify;
    let item = rig.run_one(wanted).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Refused, Some(Class::Signature)));

    let mut rig = keys.known_to(Rig::new().await);
    rig.offer("app", "1", &image::single(1)).await;
    let wanted = attested(keys.signed("ours", rig.wish("app:1", "app:1")));
    assert_eq!(rig.run_one(wanted.clone()).await.outcome, Outcome::Copied);
    let layout = rig.source.layout(&repository_name("app"));
    layout.untag(&tag_name("1")).await.unwrap();
    rig.forget();
    for mode in [Mode::Sync, Mode::Plan, Mode::Verify] {
        rig.options.mode = mode;
        let item = rig.run_one(wanted.clone()).await;
        assert_eq!(item.outcome, Outcome::SourceLost, "{item:?}");
        assert_eq!(statement(&item), Some(SignatureState::Present), "{mode:?} {item:?}");
    }
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}
