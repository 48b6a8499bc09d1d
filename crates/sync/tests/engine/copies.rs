//! What is copied, byte for byte, and what it costs.

use sync::{Outcome, Way};
use testkit::image;

use crate::rig::{Rig, outcomes};

#[tokio::test]
async fn every_kind_of_image_arrives_whole_and_a_second_run_writes_nothing() {
    let mut rig = Rig::new().await;
    let images = [
        ("single", image::single(1)),
        ("index", image::index(2)),
        ("attested", image::with_attestations(3)),
        ("nested", image::nested(4)),
        ("docker", image::docker(5)),
        ("docker-single", image::docker_single(6)),
        ("artifact", image::artifact(7)),
        ("cache", image::build_cache(8)),
    ];
    let mut wanted = Vec::new();
    for (name, image) in &images {
        rig.offer(name, "1", image).await;
        wanted.push(rig.wish(&format!("{name}:1"), &format!("mirror/{name}:1")));
    }

    let report = rig.run(wanted.clone()).await;
    for (item, (name, image)) in report.items.iter().zip(&images) {
        assert_eq!(item.outcome, Outcome::Copied, "{name}: {:?}", item.failure);
        assert_eq!(item.source_digest, Some(image.digest()));
        assert_eq!(item.target_digest, Some(image.digest()));
        rig.assert_holds(&format!("mirror/{name}"), "1", image).await;
    }

    // What looking for late referrers costs is said in `late`.
    rig.options.late_referrers = false;
    rig.forget();
    let report = rig.run(wanted).await;
    assert!(outcomes(&report).iter().all(|outcome| *outcome == Outcome::UpToDate), "{report:?}");
    let (source, target) = (rig.source.log(), rig.target.log());
    assert_eq!(target.writes().len(), 0, "{target}");
    for log in [source, target] {
        // Beside the one look at `/v2/` that tells how the registry wants to be spoken to.
        assert_eq!(log.count("GET", "/v2/*/**"), 0, "{log}");
        assert_eq!(log.count("HEAD", "/v2/*/manifests/*"), images.len(), "{log}");
        assert_eq!(log.requests().len(), images.len() + 1, "{log}");
    }
}

#[tokio::test]
async fn the_tag_comes_last_and_is_put_once() {
    let rig = Rig::new().await;
    rig.offer("app", "1", &image::nested(1)).await;
    rig.run(vec![rig.wish("app:1", "app:1")]).await;
    let writes = rig.target.log().writes();
    let (last, before) = writes.split_last().unwrap();
    assert_eq!(last.path, "/v2/app/manifests/1");
    assert!(before.iter().all(|request| request.path != last.path));
}

#[tokio::test]
async fn a_blob_moves_once_for_a_registry_and_is_mounted_elsewhere() {
    let rig = Rig::new().await;
    let images = image::shared_base(1, 5);
    let mut wanted = Vec::new();
    for (number, image) in images.iter().enumerate() {
        rig.offer(&format!("app{number}"), "1", image).await;
        wanted.push(rig.wish(&format!("app{number}:1"), &format!("app{number}:1")));
    }
    let report = rig.run(wanted).await;
    for (number, image) in images.iter().enumerate() {
        assert_eq!(report.items[number].outcome, Outcome::Copied);
        rig.assert_holds(&format!("app{number}"), "1", image).await;
    }
    let mut different: Vec<_> =
        images.iter().flat_map(|image| &image.blobs).map(|(blob, _)| blob.digest).collect();
    let all = different.len();
    different.sort_unstable();
    different.dedup();
    assert!(different.len() < all, "the images share blobs");
    let (source, target) = (rig.source.log(), rig.target.log());
    assert_eq!(source.count("GET", "/v2/*/blobs/*"), different.len(), "{source}");
    assert_eq!(target.count("PUT", "/v2/*/blobs/uploads/*"), different.len(), "{target}");
    let mounted = report.items.iter().filter(|item| item.transferred.mounted > 0).count();
    assert!(mounted >= 4, "{report:?}");
}

#[tokio::test]
async fn one_tag_twice_in_a_repository_costs_no_blob_again() {
    let rig = Rig::new().await;
    rig.offer("app", "1", &image::index(1)).await;
    let wanted = vec![rig.wish("app:1", "app:1"), rig.wish("app:1", "app:stable")];
    let report = rig.run(wanted).await;
    assert_eq!(outcomes(&report), [Outcome::Copied, Outcome::Copied]);
    let blobs = image::index(1).blobs.len();
    assert_eq!(rig.source.log().count("GET", "/v2/*/blobs/*"), blobs);
    let ways: Vec<Way> = rig
        .heard()
        .iter()
        .filter_map(|event| match event {
            sync::Event::BlobFinished { way, .. } => Some(*way),
            _ => None,
        })
        .collect();
    assert_eq!(ways.iter().filter(|way| **way == Way::Copied).count(), blobs);
    assert_eq!(ways.iter().filter(|way| **way == Way::Present).count(), blobs);
}

#[tokio::test]
async fn blobs_that_are_there_are_not_sent() {
    let rig = Rig::new().await;
    let image = image::single(1);
    rig.offer("app", "1", &image).await;
    rig.hold("app", "other", &image).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    assert_eq!((item.transferred.copied, item.transferred.mounted), (0, 0));
    assert!(item.transferred.present > 0);
    assert_eq!(rig.source.log().count("GET", "/v2/*/blobs/*"), 0);
}
