//! What comes to belong to an image after it was copied is copied later.

use sync::{LateArrivals, Mode, Outcome};
use testkit::image::{self, MadeImage};
use testkit::{Fault, Registry};

use crate::family::without_api;
use crate::rig::{Rig, cosign_tag, outcomes, referrers_list, repository_name, wish};

/// Copies an image, and then gives it a referrer and a signature at the source.
async fn signed_late(rig: &Rig) -> (MadeImage, MadeImage, MadeImage) {
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    assert_eq!(rig.run_one(rig.wish("app:1", "app:1")).await.outcome, Outcome::Copied);
    let (sbom, signature) = (image::referrer_of(&image.root, 2), image::artifact(3));
    rig.attach("app", &sbom).await;
    let list = image::referrers_tag(&image.digest());
    rig.offer("app", list.as_str(), &referrers_list(&[&sbom])).await;
    rig.offer("app", &cosign_tag(&image.digest(), "sig"), &signature).await;
    rig.forget();
    (image, sbom, signature)
}

#[tokio::test]
async fn what_came_late_is_copied_and_said() {
    for (source_lists, target_lists) in [(true, true), (true, false), (false, true), (false, false)]
    {
        let rig = Rig::between(
            if source_lists { Registry::start().await } else { without_api().await },
            if target_lists { Registry::start().await } else { without_api().await },
        );
        let (image, sbom, signature) = signed_late(&rig).await;
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        assert_eq!(item.outcome, Outcome::UpToDate, "{item:?}");
        assert_eq!(item.notes, ["2 referrers or signatures came late and were copied"]);
        assert_eq!(item.late, Some(LateArrivals::Copied(2)));
        assert!(item.transferred.copied > 0, "{item:?}");
        rig.assert_refer("app", &image.digest(), &[&sbom]).await;
        rig.assert_holds("app", &cosign_tag(&image.digest(), "sig"), &signature).await;
        assert_eq!(rig.target.log().count("PUT", "/v2/app/manifests/1"), 0);

        rig.forget();
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        assert_eq!((item.outcome, item.notes), (Outcome::UpToDate, Vec::new()));
        assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
        // Without the API, the source's list must be read to know what stands in it.
        let gets = usize::from(!source_lists);
        assert_eq!(rig.source.log().count("GET", "/v2/app/manifests/*"), gets);
        assert_eq!(rig.source.log().count("GET", "/v2/app/blobs/*"), 0);
    }
}

#[tokio::test]
async fn a_plan_says_so_and_writes_nothing() {
    let mut rig = Rig::new().await;
    signed_late(&rig).await;
    rig.options.mode = Mode::Plan;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::UpToDate);
    assert_eq!(item.notes, ["2 referrers or signatures came late and would be copied"]);
    assert_eq!(item.late, Some(LateArrivals::WouldCopy(2)));
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn nobody_looks_where_that_is_not_wanted() {
    let mut rig = Rig::new().await;
    signed_late(&rig).await;
    rig.options.late_referrers = false;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!((item.outcome, item.notes), (Outcome::UpToDate, Vec::new()));
    for log in [rig.source.log(), rig.target.log()] {
        assert_eq!(log.count("*", "/v2/app/**"), 1, "{log}");
    }
}

#[tokio::test]
async fn a_second_run_asks_little() {
    const TAGS: usize = 10;
    // Whether each registry has the API, and whether the images have referrers.
    for (lists, referred) in [(true, false), (true, true), (false, false), (false, true)] {
        let start = || async { if lists { Registry::start().await } else { without_api().await } };
        let rig = Rig::between(start().await, start().await);
        let mut wanted = Vec::new();
        for seed in 1..=TAGS as u64 {
            let (tag, image) = (seed.to_string(), image::single(seed));
            rig.offer("app", &tag, &image).await;
            wanted.push(rig.wish(&format!("app:{tag}"), &format!("app:{tag}")));
            if referred {
                let sbom = image::referrer_of(&image.root, 100 + seed);
                rig.attach("app", &sbom).await;
                if !lists {
                    let list = image::referrers_tag(&image.digest());
                    rig.offer("app", list.as_str(), &referrers_list(&[&sbom])).await;
                }
            }
        }
        let report = rig.run(wanted.clone()).await;
        assert_eq!(outcomes(&report), [Outcome::Copied; TAGS], "{report:?}");
        rig.forget();
        let report = rig.run(wanted).await;
        assert_eq!(outcomes(&report), [Outcome::UpToDate; TAGS], "{report:?}");
        let count = |method: &str, path: &str| {
            let logs = [rig.source.log(), rig.target.log()];
            logs.map(|log| log.count(method, path)).iter().sum::<usize>()
        };
        let all = count("*", "/v2/app/**");
        // For the repository there are two lists of tags at most, and one look for the API a side,
        // which as many as are under way at once may take before it is known.
        let once = count("GET", "/v2/app/tags/list");
        assert!(once <= 2);
        let vain = if lists { 0 } else { count("GET", "/v2/app/referrers/*") };
        assert!(all - once - vain <= 4 * TAGS, "{lists} {referred}: {all} requests");
        if !referred {
            assert_eq!(rig.source.log().count("GET", "/v2/app/manifests/*"), 0);
        }
        assert_eq!(rig.target.log().writes().len(), 0);
    }
}

#[tokio::test]
async fn a_target_that_never_lists_what_it_has_is_not_written_to_again_and_again() {
    let rig = Rig::new().await;
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    rig.attach("app", &image::referrer_of(&image.root, 2)).await;
    rig.target.inject(Fault::empty_referrers());
    rig.run_one(rig.wish("app:1", "app:1")).await;
    rig.forget();
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!((item.outcome, item.notes), (Outcome::UpToDate, Vec::new()));
    assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
}

#[tokio::test]
async fn denied_is_a_failure_or_a_note() {
    for required in [true, false] {
        let mut rig = Rig::new().await;
        signed_late(&rig).await;
        rig.options.referrers.required = required;
        rig.source.inject(Fault::deny_referrers());
        let item = rig.run_one(rig.wish("app:1", "app:1")).await;
        if required {
            assert_eq!(item.outcome, Outcome::Failed);
        } else {
            assert_eq!(item.outcome, Outcome::UpToDate);
            assert!(item.notes.iter().any(|note| note.contains("referrers")), "{:?}", item.notes);
        }
    }
}

#[tokio::test]
async fn into_a_layout_and_an_archive() {
    let rig = Rig::new().await;
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{}/app:1", rig.source.host());
    let layout = format!("oci:{}:1", folder.path().join("layout").display());
    let archive = format!("oci-archive:{}:1", folder.path().join("archive.tar").display());
    let wanted = vec![wish(&source, &layout), wish(&source, &archive)];
    assert_eq!(outcomes(&rig.run(wanted.clone()).await), [Outcome::Copied; 2]);
    let sbom = image::referrer_of(&image.root, 2);
    rig.attach("app", &sbom).await;
    for notes in [1, 0] {
        let report = rig.run(wanted.clone()).await;
        assert_eq!(outcomes(&report), [Outcome::UpToDate; 2], "{report:?}");
        assert!(report.items.iter().all(|item| item.notes.len() == notes), "{report:?}");
    }
    for place in [layout, archive] {
        let target = format!("{}/{}:1", rig.target.host(), place.len());
        let item = rig.run_one(wish(&place, &target)).await;
        assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
        rig.assert_refer(&place.len().to_string(), &image.digest(), &[&sbom]).await;
    }
    assert!(rig.target.resolve(&repository_name("x"), &"1".parse().unwrap()).await.is_none());
}

#[tokio::test]
async fn a_list_that_lost_an_entry_is_mended() {
    let rig = Rig::between(Registry::start().await, without_api().await);
    let image = image::single(1);
    let (ours, theirs) = (image::referrer_of(&image.root, 2), image::referrer_of(&image.root, 3));
    rig.offer("app", "1", &image).await;
    rig.attach("app", &ours).await;
    rig.run_one(rig.wish("app:1", "app:1")).await;
    rig.assert_refer("app", &image.digest(), &[&ours]).await;
    rig.hold("app", "theirs", &theirs).await;
    let list = referrers_list(&[&theirs]);
    let layout = rig.target.layout(&repository_name("app"));
    list.write_to(&layout).await;
    layout.retag(&image::referrers_tag(&image.digest()), &list.root).await.unwrap();
    rig.assert_refer("app", &image.digest(), &[&theirs]).await;

    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::UpToDate);
    assert_eq!(item.transferred.copied, 0);
    rig.assert_refer("app", &image.digest(), &[&ours, &theirs]).await;
}
