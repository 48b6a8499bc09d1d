//! The statement about the mirroring in plans, in what carries them out, and in verifications.

use std::sync::Arc;

use signing::{Signer, SignerSettings};
use sync::{Class, Fence, Foreseen, ItemReport, Mode, Outcome, SignatureState, Wanted, Wish};
use testkit::image;

use crate::rig::Rig;
use crate::signing::{Keys, bundles, class, state};

fn attested(keys: &Keys, wanted: Wanted) -> Wanted {
    let mut wanted = keys.signed("ours", wanted);
    wanted.signatures.sign.as_mut().unwrap().attest = true;
    wanted
}

fn statement(item: &ItemReport) -> Option<SignatureState> {
    item.signature.as_ref().and_then(|signature| signature.statement)
}

fn fence(item: &ItemReport) -> Option<Arc<Fence>> {
    let target = match &item.wanted {
        Wish::Tag(wanted) => Some(wanted.target.clone()),
        Wish::Selection(_) => None,
    };
    let foreseen = item.foreseen.as_deref().map(|foreseen| (target.unwrap(), foreseen.clone()));
    Some(Arc::new(Fence::new(foreseen)))
}

async fn foreseen(rig: &mut Rig, wanted: &Wanted) -> ItemReport {
    (rig.options.mode, rig.options.foresees) = (Mode::Plan, true);
    let item = rig.run_one(wanted.clone()).await;
    (rig.options.mode, rig.options.foresees) = (Mode::Sync, false);
    item
}

/// A plan names it, what carries the plan out makes it, and nothing else makes one then.
#[tokio::test]
async fn a_statement_that_a_signed_image_lacks_is_planned_made_and_verified() {
    let keys = Keys::new(&["ours"]);
    let mut rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let signed = keys.signed("ours", rig.wish("app:1", "app:1"));
    let unattested = rig.run_one(signed.clone()).await;
    assert_eq!(statement(&unattested), None);
    let signed = foreseen(&mut rig, &signed).await;
    let wanted = attested(&keys, rig.wish("app:1", "app:1"));
    // What carries a plan out goes by digest.
    let pinned = format!("app:1@{}", image.digest());
    let pinned = attested(&keys, rig.wish(&pinned, "app:1"));

    rig.forget();
    let planned = foreseen(&mut rig, &wanted).await;
    assert_eq!(planned.outcome, Outcome::UpToDate);
    assert_eq!(state(&planned), Some(SignatureState::WouldSign), "{planned:?}");
    assert_eq!(statement(&planned), Some(SignatureState::WouldSign));
    let it = planned.foreseen.as_deref().unwrap();
    assert!(it.attests && it.root == image.digest() && it.cost.requests > 10, "{it:?}");
    assert_eq!(it.signatures, []);

    rig.options.mode = Mode::Verify;
    let verified = rig.run_one(wanted.clone()).await;
    assert_eq!((verified.outcome, class(&verified)), (Outcome::Refused, Some(Class::Signature)));
    let failure = verified.failure.unwrap();
    assert!(
        failure.message.starts_with("there is no statement about its mirroring by "),
        "{failure}"
    );
    assert_eq!(failure.hint.as_deref(), Some("`sync` makes it"));

    rig.options.mode = Mode::Sync;
    rig.options.fence = fence(&signed);
    let refused = rig.run_one(pinned.clone()).await;
    assert_eq!((refused.outcome, class(&refused)), (Outcome::Failed, Some(Class::NotPlanned)));
    assert_eq!(statement(&refused), Some(SignatureState::Missing), "{refused:?}");
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());

    rig.options.fence = fence(&planned);
    let made = rig.run_one(pinned.clone()).await;
    assert_eq!((made.outcome, state(&made)), (Outcome::UpToDate, Some(SignatureState::Signed)));
    assert_eq!(statement(&made), Some(SignatureState::Signed));
    assert_eq!(bundles(&rig, "app", image.digest()).await.len(), 1);

    rig.options.fence = None;
    rig.forget();
    for mode in [Mode::Sync, Mode::Plan, Mode::Verify] {
        (rig.options.mode, rig.options.foresees) = (mode, mode == Mode::Plan);
        for wanted in [&wanted, &pinned] {
            let item = rig.run_one(wanted.clone()).await;
            assert_eq!((item.outcome, &item.foreseen), (Outcome::UpToDate, &None), "{item:?}");
            assert_eq!(state(&item), Some(SignatureState::Present));
            assert_eq!(statement(&item), Some(SignatureState::Present));
        }
    }
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn a_plan_of_a_copy_names_its_statement() {
    let keys = Keys::new(&["ours"]);
    let mut rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let wanted = attested(&keys, rig.wish("app:1", "app:1"));
    let planned = foreseen(&mut rig, &wanted).await;
    assert_eq!(planned.outcome, Outcome::WouldCopy);
    assert_eq!(statement(&planned), Some(SignatureState::WouldSign));
    let all = planned.foreseen.as_deref().unwrap();
    assert!(all.attests, "{all:?}");

    let without = Foreseen { attests: false, ..all.clone() };
    let without = ItemReport { foreseen: Some(Box::new(without)), ..planned.clone() };
    rig.options.fence = fence(&without);
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!((item.outcome, class(&item)), (Outcome::Failed, Some(Class::NotPlanned)));
    rig.assert_absent("app", "1").await;
    assert_eq!(bundles(&rig, "app", image.digest()).await.len(), 0);

    rig.options.fence = fence(&planned);
    let item = rig.run_one(wanted).await;
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    assert_eq!(statement(&item), Some(SignatureState::Signed));
    assert_eq!(bundles(&rig, "app", image.digest()).await.len(), 1);
}

/// Nor does it need to where the statements that are there are about something else.
#[tokio::test]
async fn a_plan_asks_no_key_service_whose_a_statement_is() {
    let keys = Keys::new(&["ours"]);
    let mut rig = keys.known_to(Rig::new().await);
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    rig.run_one(attested(&keys, rig.wish("app:1", "app:1"))).await;
    rig.hold("app", "2", &image).await;
    // Nothing says where it is, so whoever asks it fails.
    let service: signing::KeyReference = "hashivault://mirror".parse().unwrap();
    let signer = Signer::new(service.clone(), SignerSettings::from_lookup(|_| None));
    rig.options.keys.insert(service.clone(), Arc::new(signer));
    for (tag, expected) in [("1", SignatureState::Unchecked), ("2", SignatureState::WouldSign)] {
        let mut wanted = attested(&keys, rig.wish("app:1", &format!("app:{tag}")));
        wanted.signatures.sign.as_mut().unwrap().key = service.clone();
        let item = foreseen(&mut rig, &wanted).await;
        assert_eq!((item.outcome, statement(&item)), (Outcome::UpToDate, Some(expected)));
        assert!(item.foreseen.is_some_and(|it| it.attests && it.signatures == [image.digest()]));
    }
}
