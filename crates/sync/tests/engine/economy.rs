//! What copies cost: how often a source is read, and what a target is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use oci::Selector;
use sync::{Mode, Outcome};
use testkit::image::{self, MadeImage};
use testkit::{Auth, Fault, Personality, Registry, Release, path};

use crate::rig::{Rig, client, cosign_tag, outcomes, repository_name, tag_name, wish};

fn different_blobs<'a>(images: impl IntoIterator<Item = &'a MadeImage>) -> usize {
    let blobs = images.into_iter().flat_map(|image| &image.blobs);
    blobs.map(|(blob, _)| blob.digest).collect::<BTreeSet<_>>().len()
}

#[tokio::test]
async fn a_source_with_several_targets_is_read_once() {
    let rig = Rig::new().await;
    let others = [Registry::start().await, Registry::start().await];
    let image = image::with_attestations(1);
    rig.offer("app", "1", &image).await;
    let mut wanted = vec![rig.wish("app:1", "app:1"), rig.wish("app:1", "elsewhere/app:1")];
    for other in &others {
        let source = format!("{}/app:1", rig.source.host());
        wanted.push(wish(&source, &format!("{}/app:1", other.host())));
    }
    let report = rig.run(wanted).await;
    assert_eq!(outcomes(&report), [Outcome::Copied; 4], "{report:?}");
    rig.assert_holds("app", "1", &image).await;
    rig.assert_holds("elsewhere/app", "1", &image).await;
    for other in &others {
        assert!(other.missing(&repository_name("app"), &image).await.is_empty());
    }
    let log = rig.source.log();
    assert_eq!(log.count("GET", "/v2/app/blobs/*"), different_blobs([&image]), "{log}");
    assert_eq!(log.count("GET", "/v2/app/manifests/*"), image.manifests.len(), "{log}");
    assert_eq!(log.count("HEAD", "/v2/**"), 0, "what is to be copied is read at once: {log}");
    let sizes: u64 = image.blobs.iter().map(|(blob, _)| blob.size).sum();
    let moved = |item: &sync::ItemReport| item.transferred.copied + item.transferred.mounted;
    assert!(report.items.iter().all(|item| moved(item) == sizes), "{report:?}");
    assert_eq!(rig.target.log().count("PUT", "/v2/**/blobs/uploads/*"), image.blobs.len());
}

/// Their roots name the blobs and are pushed last, so none of them can wait for another one's.
#[tokio::test]
async fn images_without_an_index_go_to_several_repositories_of_one_registry() {
    let rig = Rig::new().await;
    let images = image::shared_base(1, 2);
    let signature = image::single(9);
    for (tag, image) in ["1", "2"].into_iter().zip(&images) {
        rig.offer("app", tag, image).await;
        rig.offer("app", &cosign_tag(&image.digest(), "sig"), &signature).await;
    }
    let targets = [("1", "a"), ("2", "b"), ("2", "a"), ("1", "b")];
    let wanted =
        targets.map(|(tag, to)| rig.wish(&format!("app:{tag}"), &format!("{to}/app:{tag}")));
    let report = rig.run(wanted.into()).await;
    assert_eq!(outcomes(&report), [Outcome::Copied; 4], "{report:?}");
    for (tag, to) in targets {
        let image = if tag == "1" { &images[0] } else { &images[1] };
        rig.assert_holds(&format!("{to}/app"), tag, image).await;
    }
    let all = different_blobs(images.iter().chain([&signature]));
    assert_eq!(rig.target.log().count("PUT", "/v2/**/blobs/uploads/*"), all);
}

#[tokio::test]
async fn a_target_that_fails_does_not_keep_the_others() {
    let rig = Rig::new().await;
    let broken = Registry::start().await;
    broken.inject(Fault::cut_request(100).on("PUT", "/v2/app/blobs/**"));
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    let source = format!("{}/app:1", rig.source.host());
    let wanted =
        vec![wish(&source, &format!("{}/app:1", broken.host())), rig.wish("app:1", "app:1")];
    let report = rig.run(wanted).await;
    assert_eq!(outcomes(&report), [Outcome::Failed, Outcome::Copied], "{report:?}");
    rig.assert_holds("app", "1", &image).await;
    assert_eq!(broken.resolve(&repository_name("app"), &tag_name("1")).await, None);
}

/// The floor: one GET a source manifest and blob; POST and PUT, or one mount, a target blob; one PUT
/// a manifest. Beside it: `/v2/` once a side; a listing of each source repository, where cosign's
/// tags would be, and whether there is a referrers API; at the target a look at the first tag, a
/// listing, and for each tag a look before it is set and one after.
#[tokio::test]
async fn a_cold_copy_costs_little_more_than_the_content() {
    let source = Registry::builder().personality(Personality::distribution2()).start().await;
    let target = Registry::builder().personality(Personality::distribution2()).start().await;
    let rig = Rig::between(source, target);
    let (repositories, tags) = (3, 4);
    let images = image::shared_base(1, repositories * tags);
    let mut wanted = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let name = format!("app{}:{}", number % repositories, number / repositories);
        let (repository, tag) = name.split_once(':').unwrap();
        rig.offer(repository, tag, image).await;
        wanted.push(rig.wish(&name, &name));
    }
    let report = rig.run(wanted).await;
    assert!(outcomes(&report).iter().all(|it| *it == Outcome::Copied), "{report:?}");
    let manifests: usize = images.iter().map(|image| image.manifests.len()).sum();
    let moved = different_blobs(&images);
    let in_repositories: usize = (0..repositories)
        .map(|repository| different_blobs(images.iter().skip(repository).step_by(repositories)))
        .sum();
    let (source, target) = (rig.source.log(), rig.target.log());
    assert_eq!(source.count("GET", "/v2/*/manifests/*"), manifests, "{source}");
    assert_eq!(source.count("GET", "/v2/*/blobs/*"), moved, "{source}");
    // `/v2/`, the listing, and a look for the referrers API.
    assert!(source.requests().len() <= manifests + moved + 1 + 2 * repositories, "{source}");

    assert_eq!(target.count("PUT", "/v2/*/blobs/uploads/*"), moved, "{target}");
    assert_eq!(target.count("POST", "/v2/*/blobs/uploads/*"), in_repositories, "{target}");
    assert_eq!(target.count("HEAD", "/v2/*/blobs/*"), 0, "{target}");
    assert_eq!(target.count("PUT", "/v2/*/manifests/*"), manifests, "{target}");
    let floor = moved + in_repositories + manifests;
    let looks = 2 * images.len() + 2 * repositories + 1;
    assert!(target.requests().len() <= floor + looks, "{target}");
}

/// One manifest read says what would be three questions.
#[tokio::test]
async fn what_an_older_tag_names_is_not_asked_for() {
    let rig = Rig::new().await;
    let images = image::shared_base(1, 2);
    rig.hold("app", "1.0", &images[0]).await;
    rig.offer("app", "1.1", &images[1]).await;
    let report = rig.run_one(rig.wish("app:1.1", "app:1.1")).await;
    assert_eq!(report.outcome, Outcome::Copied, "{report:?}");
    rig.assert_holds("app", "1.1", &images[1]).await;
    let log = rig.target.log();
    assert_eq!(log.count("GET", "/v2/app/manifests/1.0"), 1, "{log}");
    let own = different_blobs(&images) - different_blobs([&images[0]]);
    assert_eq!(log.count("HEAD", "/v2/app/blobs/*"), own, "{log}");
    assert_eq!(log.count("POST", "/v2/app/blobs/uploads/*"), own, "{log}");
    assert_eq!(rig.source.log().count("GET", "/v2/app/blobs/*"), own, "{log}");
}

/// A manifest whose blob is gone is no reason to fail: the registry says so, and it is sent.
#[tokio::test]
async fn an_older_tag_that_lost_a_blob_is_not_believed_for_long() {
    let rig = Rig::new().await;
    let images = image::shared_base(1, 2);
    rig.hold("app", "1.0", &images[0]).await;
    let layout = rig.target.layout(&repository_name("app"));
    for (blob, _) in &images[0].blobs {
        let file = layout.folder().join("blobs/sha256").join(blob.digest.hex());
        std::fs::remove_file(file).unwrap();
    }
    rig.offer("app", "1.1", &images[1]).await;
    let report = rig.run_one(rig.wish("app:1.1", "app:1.1")).await;
    assert_eq!(report.outcome, Outcome::Copied, "{report:?}");
    rig.assert_holds("app", "1.1", &images[1]).await;
}

/// ECR mounts only what a manifest of the other repository names (aws/containers-roadmap#2860), and
/// each refused mount would cost an upload.
#[tokio::test]
async fn what_is_mounted_was_committed_first() {
    let target = Registry::builder()
        .personality(Personality::ecr_with_mounts())
        .auth(Auth::Open)
        .start()
        .await;
    let rig = Rig::between(Registry::start().await, target);
    let images = image::shared_base(1, 8);
    let mut wanted = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let name = format!("app{number}");
        rig.target.create_repository(&repository_name(&name));
        rig.offer(&name, "1", image).await;
        wanted.push(rig.wish(&format!("{name}:1"), &format!("{name}:1")));
    }
    let report = rig.run(wanted).await;
    assert!(outcomes(&report).iter().all(|it| *it == Outcome::Copied), "{report:?}");
    let log = rig.target.log();
    assert_eq!(log.count("PUT", "/v2/*/blobs/uploads/*"), different_blobs(&images), "{log}");
}

/// Both copies of a single image are committed together, so one mounts from the other too early. That
/// it was refused says nothing of mounts from what is committed.
#[tokio::test]
async fn a_mount_that_came_too_early_says_nothing_of_others() {
    let target = Registry::builder()
        .personality(Personality::ecr_with_mounts())
        .auth(Auth::Open)
        .start()
        .await;
    let rig = Rig::between(Registry::start().await, target);
    let images = image::shared_base(1, 2);
    for (name, image) in ["one", "two"].into_iter().zip(&images) {
        rig.offer(name, "1", image).await;
    }
    for name in ["a", "b", "c"] {
        rig.target.create_repository(&repository_name(name));
    }
    let first = vec![rig.wish("one:1", "a:1"), rig.wish("one:1", "b:1")];
    let wanted = [first, vec![rig.wish("two:1", "c:1")]].concat();
    let report = rig.run(wanted).await;
    assert_eq!(outcomes(&report), [Outcome::Copied; 3], "{report:?}");
    let log = rig.target.log();
    assert!(report.transferred().mounted > 0, "{log}");
    assert_eq!(log.count("HEAD", "/v2/*/blobs/*"), 0, "a realm that refuses is asked first: {log}");
}

/// Each image has a layer that the other one brings. If each waited for the other's manifest, both
/// would wait for ever.
#[tokio::test]
async fn images_that_wait_for_each_other_end() {
    let rig = Rig::new().await;
    let images = image::shared_base(1, 2);
    for repository in ["a", "b"] {
        let layout = rig.source.layout(&repository_name(repository));
        for image in &images {
            image.write_to(&layout).await;
        }
    }
    let wanted: Vec<_> = ["a", "b"]
        .into_iter()
        .enumerate()
        .flat_map(|(number, name)| {
            let (first, second) = (images[number].digest(), images[1 - number].digest());
            [
                rig.wish(&format!("{name}@{first}"), &format!("{name}:first")),
                rig.wish(&format!("{name}@{second}"), &format!("{name}:second")),
            ]
        })
        .collect();
    let report = rig.run(wanted).await;
    assert!(outcomes(&report).iter().all(|it| *it == Outcome::Copied), "{report:?}");
    assert_eq!(
        rig.target.log().count("PUT", "/v2/*/blobs/uploads/*"),
        different_blobs(&images),
        "{}",
        rig.target.log()
    );
}

#[tokio::test]
async fn a_plan_asks_all_targets_of_an_image_at_once() {
    let mut rig = Rig::new().await.mode(Mode::Plan);
    rig.options.foresees = true;
    let other = Registry::start().await;
    rig.offer("app", "2", &image::single(2)).await;
    let mut stalled = Vec::new();
    for target in [&rig.target, &other] {
        // What was empty lacks everything, and is not asked.
        target.add(&repository_name("app"), &tag_name("1"), &image::single(1)).await;
        let (stall, release) = Fault::stall();
        target.inject(stall.on("HEAD", path::BLOBS));
        stalled.push(release);
    }
    let source = format!("{}/app:2", rig.source.host());
    let wanted =
        vec![rig.wish("app:2", "app:2"), wish(&source, &format!("{}/app:2", other.host()))];
    let both_asked = async {
        for release in &stalled {
            release.reached(1).await;
        }
        stalled.iter().for_each(Release::release);
    };
    let run = futures::future::join(rig.run(wanted), both_asked);
    let (report, ()) = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap();
    assert_eq!(outcomes(&report), [Outcome::WouldCopy; 2], "{report:?}");
}

#[tokio::test]
async fn a_manifest_that_is_there_vouches_for_what_it_is_made_of() {
    let rig = Rig::new().await;
    let image = image::with_attestations(1);
    rig.offer("app", "1", &image).await;
    rig.hold("app", "other", &image).await;
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(item.outcome, Outcome::Copied);
    let log = rig.target.log();
    assert_eq!(log.count("*", "/v2/app/blobs/**"), 0, "{log}");
    assert_eq!(log.writes().len(), 1, "{log}");
    assert_eq!(
        item.transferred.present,
        image.blobs.iter().map(|(blob, _)| blob.size).sum::<u64>()
    );
}

#[tokio::test]
async fn a_manifest_that_vouches_wrongly_is_found_out_and_mended() {
    let rig = Rig::new().await;
    let image = image::with_attestations(1);
    rig.offer("app", "1", &image).await;
    // The target has the children, one of them without its layer, and refuses the index.
    for manifest in &image.manifests {
        if *manifest != *image.manifest() {
            rig.target.layout(&repository_name("app")).put_manifest(manifest).await.unwrap();
        }
    }
    rig.hold("app", "other", &image::single(9)).await;
    let refusal = Fault::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown");
    let refused = rig.target.inject(refusal.on("PUT", "/v2/app/manifests/1").once());
    let item = rig.run_one(rig.wish("app:1", "app:1")).await;
    assert_eq!(refused.hits(), 1);
    assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
    rig.assert_holds("app", "1", &image).await;
}

#[tokio::test]
async fn a_listing_answers_for_all_tags_that_are_not_there() {
    let rig = Rig::new().await;
    let image = image::single(1);
    rig.hold("app", "there", &image).await;
    let mut wanted = Vec::new();
    for tag in ["there", "a", "b", "c", "d", "e"] {
        rig.offer("app", tag, &image).await;
        wanted.push(rig.wish(&format!("app:{tag}"), &format!("app:{tag}")));
    }
    wanted.rotate_left(1);
    let report = rig.run(wanted).await;
    assert_eq!(report.count(Outcome::Copied), 5);
    assert_eq!(report.count(Outcome::UpToDate), 1);
    let log = rig.target.log();
    let looks = |tag: &str| log.count("HEAD", &format!("/v2/app/manifests/{tag}"));
    // The first is looked at to see whether a listing is worth while; each is looked at before it is
    // set and after it.
    let all = ["a", "b", "c", "d", "e", "there"].map(looks);
    assert_eq!(all.iter().sum::<usize>(), 5 * 2 + 1 + 1, "{log}");
    assert_eq!(looks("there"), 1, "{log}");
    assert_eq!(log.count("GET", "/v2/app/tags/list"), 1, "{log}");
    let client = client().repository(&rig.target.host(), &repository_name("app"));
    let e: Selector = tag_name("e").into();
    assert_eq!(client.resolve(&e).await.unwrap().unwrap().digest, image.digest());
}

#[tokio::test]
async fn a_listing_that_tells_digests_answers_for_both_sides() {
    let google = || Registry::builder().personality(Personality::gar()).auth(Auth::Open).start();
    let mut rig = Rig::between(google().await, google().await);
    rig.kind = Some(oci::RegistryKind::Google);
    rig.options.late_referrers = false;
    let image = image::index(1);
    let mut wanted = Vec::new();
    for tag in ["a", "b", "c", "d"] {
        rig.offer("app", tag, &image).await;
        rig.hold("app", tag, &image).await;
        wanted.push(rig.wish(&format!("app:{tag}"), &format!("app:{tag}")));
    }
    let report = rig.run(wanted).await;
    assert_eq!(report.count(Outcome::UpToDate), 4, "{report:?}");
    for log in [rig.source.log(), rig.target.log()] {
        assert_eq!(log.count("GET", "/v2/app/tags/list"), 1, "{log}");
        assert_eq!(log.count("*", "/v2/app/manifests/*"), 0, "{log}");
    }
}
