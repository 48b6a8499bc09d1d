//! Only a part of a source: some platforms of an index, or the image for one.

use layout::Layout;
use oci::{Algorithm, Digest, Extent, Manifest, MediaType, Platforms, Selector, subset};
use sync::{Class, ItemReport, Mode, Outcome, Side, Wanted};
use testkit::image::{self, MadeImage};

use crate::rig::{Rig, cosign_tag, outcomes, repository_name, tag_name, wish};

fn platforms(texts: &[&str]) -> Platforms {
    Platforms::new(texts.iter().map(|text| text.parse().unwrap())).unwrap()
}

fn only(wanted: Wanted, texts: &[&str]) -> Wanted {
    Wanted { extent: Extent::Platforms(platforms(texts)), ..wanted }
}

fn amd64_only(wanted: Wanted) -> Wanted {
    Wanted { extent: Extent::Image("linux/amd64".parse().unwrap()), ..wanted }
}

/// What the target is to have of an index.
fn part(image: &MadeImage, texts: &[&str]) -> MadeImage {
    below(image, subset::of(image.manifest(), &platforms(texts)).unwrap())
}

/// A root with all that it is made of, taken from an image.
fn below(image: &MadeImage, root: Manifest) -> MadeImage {
    let children: Vec<Digest> = root.manifests().map(|child| child.digest).collect();
    let mut manifests = image.manifests.clone();
    manifests.retain(|manifest| children.contains(&manifest.digest()));
    manifests.push(root);
    let named: Vec<Digest> = manifests.iter().flat_map(Manifest::blobs).map(|b| b.digest).collect();
    let mut blobs = image.blobs.clone();
    blobs.retain(|(blob, _)| named.contains(&blob.digest));
    let root = manifests.last().unwrap().descriptor();
    MadeImage { root, manifests, blobs }
}

/// That the target has nothing of an image beside this part of it.
async fn assert_nothing_else(rig: &Rig, repository: &str, image: &MadeImage, part: &MadeImage) {
    let layout = rig.target.layout(&repository_name(repository));
    let kept = part.digests();
    for digest in image.digests().into_iter().filter(|digest| !kept.contains(digest)) {
        assert_eq!(layout.blob_size(&digest).await.unwrap(), None, "{digest}");
    }
}

fn message(item: &ItemReport) -> (Side, Class, &str) {
    let failure = item.failure.as_ref().unwrap();
    assert!(failure.hint.is_some(), "{failure:?}");
    (failure.side, failure.class, failure.message.as_str())
}

#[tokio::test]
async fn some_platforms_are_copied_once_and_a_second_run_pulls_nothing() {
    let rig = Rig::new().await;
    let two = ["linux/arm64/v8", "linux/amd64"];
    let table = [
        ("index", image::index(1), two.as_slice()),
        ("variant", image::index(2), &["linux/arm"]),
        ("attested", image::with_attestations(3), &["linux/arm64"]),
        ("docker", image::docker(4), &["linux/amd64"]),
    ];
    let mut wanted = Vec::new();
    for (name, image, texts) in &table {
        rig.offer(name, "1", image).await;
        wanted.push(only(rig.wish(&format!("{name}:1"), &format!("mirror/{name}:1")), texts));
    }
    let report = rig.run(wanted.clone()).await;
    for (item, (name, image, texts)) in report.items.iter().zip(&table) {
        let (name, part) = (format!("mirror/{name}"), part(image, texts));
        assert_eq!(item.outcome, Outcome::Copied, "{name}: {:?}", item.failure);
        assert_eq!(item.source_digest, Some(image.digest()));
        assert_eq!(item.target_digest, Some(part.digest()));
        assert_ne!(image.digest(), part.digest());
        assert_eq!(part.manifest().media_type(), image.manifest().media_type());
        assert_eq!(item.notes, [""; 0]);
        rig.assert_holds(&name, "1", &part).await;
        assert_nothing_else(&rig, &name, image, &part).await;
    }
    let attested = part(&table[2].1, table[2].2);
    assert_eq!(attested.manifest().manifests().count(), 2, "its attestation came along");

    // What comes late is looked for as well: there is nothing, and nothing to ask.
    rig.forget();
    let report = rig.run(wanted).await;
    assert!(outcomes(&report).iter().all(|outcome| *outcome == Outcome::UpToDate), "{report:?}");
    for (item, (_, image, texts)) in report.items.iter().zip(&table) {
        assert_eq!(item.source_digest, Some(image.digest()));
        assert_eq!(item.target_digest, Some(part(image, texts).digest()));
    }
    let (source, target) = (rig.source.log(), rig.target.log());
    assert_eq!(source.count("HEAD", "/v2/*/manifests/*"), table.len(), "{source}");
    assert_eq!(target.count("GET", "/v2/mirror/*/manifests/1"), table.len(), "{target}");
    // Beside the one look at `/v2/`.
    assert_eq!(source.requests().len(), table.len() + 1, "{source}");
    assert_eq!(target.requests().len(), table.len() + 1, "{target}");
}

#[tokio::test]
async fn an_index_of_which_nothing_is_left_out_is_copied_as_it_is() {
    let rig = Rig::new().await;
    let image = image::with_attestations(1);
    rig.offer("app", "1", &image).await;
    rig.offer("app", &cosign_tag(&image.digest(), "sig"), &image::artifact(2)).await;
    let wanted = only(rig.wish("app:1", "app:1"), &["linux/amd64", "linux/arm64"]);
    let item = rig.run_one(wanted.clone()).await;
    assert_eq!((item.outcome, item.notes), (Outcome::Copied, Vec::new()));
    rig.assert_holds("app", "1", &image).await;
    // So its signature is right for it as well.
    rig.assert_holds("app", &cosign_tag(&image.digest(), "sig"), &image::artifact(2)).await;
    rig.forget();
    assert_eq!(rig.run_one(wanted).await.outcome, Outcome::UpToDate);
    assert_eq!(rig.source.log().count("GET", "/v2/app/manifests/*"), 0, "{}", rig.source.log());
    assert_eq!(rig.target.log().writes().len(), 0);
}

#[tokio::test]
async fn a_source_that_moved_is_drift_and_its_old_index_is_what_to_pin() {
    let rig = Rig::new().await;
    let (old, new) = (image::index(1), image::index(2));
    let amd64 = ["linux/amd64"];
    rig.offer("app", "1", &old).await;
    let wanted = only(rig.wish("app:1", "app:1"), &amd64);
    assert_eq!(rig.run_one(wanted.clone()).await.outcome, Outcome::Copied);
    new.write_to(&rig.source.layout(&repository_name("app"))).await;
    rig.source.layout(&repository_name("app")).retag(&tag_name("1"), &new.root).await.unwrap();

    rig.forget();
    let item = rig.run_one(wanted).await;
    assert_eq!(item.outcome, Outcome::Drift, "{item:?}");
    assert_eq!(item.source_digest, Some(new.digest()));
    assert_eq!(item.target_digest, Some(part(&old, &amd64).digest()));
    assert_eq!(rig.source.log().count("GET", "/v2/app/manifests/*"), 0, "{}", rig.source.log());
    assert_eq!(rig.target.log().writes().len(), 0);
    let line = format!("- source: \"{}/app:1@{}\"", rig.source.host(), old.digest());
    assert_eq!(item.pin_line(), Some(line));

    // The line does what it promises.
    let pinned = item.pinned().unwrap();
    let target = format!("{}/app:1", rig.target.host());
    let item = rig.run_one(only(wish(&pinned, &target), &amd64)).await;
    assert_eq!(item.outcome, Outcome::SourceMoved, "{item:?}");
    assert_eq!(item.notes.len(), 1, "{:?}", item.notes);
    rig.assert_holds("app", "1", &part(&old, &amd64)).await;
}

#[tokio::test]
async fn a_digest_is_not_asked_for_at_the_source_when_its_part_is_there() {
    let rig = Rig::new().await;
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    let source = format!("app@{}", image.digest());
    let wanted = only(rig.wish(&source, "app:pinned"), &["linux/arm64"]);
    assert_eq!(rig.run_one(wanted.clone()).await.outcome, Outcome::Copied);
    rig.assert_holds("app", "pinned", &part(&image, &["linux/arm64"])).await;
    rig.forget();
    assert_eq!(rig.run_one(wanted).await.outcome, Outcome::UpToDate);
    assert_eq!(rig.source.log().requests().len(), 0, "{}", rig.source.log());
}

#[tokio::test]
async fn what_only_says_to_be_the_part_is_drift() {
    let rig = Rig::new().await;
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    let wanted = only(rig.wish("app:1", "app:1"), &["linux/amd64"]);
    assert_eq!(rig.run_one(wanted.clone()).await.outcome, Outcome::Copied);

    // The right annotations, the right platform, another image.
    let made = part(&image, &["linux/amd64"]);
    let mut evil = image::index_of(6, &["linux/amd64"]);
    let text = std::str::from_utf8(made.manifest().bytes()).unwrap();
    let child = |of: &MadeImage| of.manifests[0].descriptor();
    let (ours, theirs) = (child(&made), child(&evil));
    let text = text
        .replacen(&format!("\"{}\"", ours.digest), &format!("\"{}\"", theirs.digest), 1)
        .replacen(&format!("\"size\":{}", ours.size), &format!("\"size\":{}", theirs.size), 1);
    let forged = Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap();
    assert_eq!(subset::source_of(&forged).map(|it| it.digest()), Some(image.digest()));
    evil.root = forged.descriptor();
    evil.manifests.push(forged);
    let layout = rig.target.layout(&repository_name("app"));
    evil.write_to(&layout).await;
    layout.retag(&tag_name("1"), &evil.root).await.unwrap();

    let item = rig.run_one(wanted).await;
    assert_eq!(item.outcome, Outcome::Drift, "{item:?}");
    assert_eq!(item.target_digest, Some(evil.digest()));
    assert_eq!(item.pin_line(), None);
    rig.assert_holds("app", "1", &evil).await;
}

#[tokio::test]
async fn more_or_other_platforms_than_are_wanted_are_drift_and_said() {
    let rig = Rig::new().await;
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    rig.hold("app", "whole", &image).await;
    let arm64 = only(rig.wish("app:1", "app:part"), &["linux/arm64"]);
    assert_eq!(rig.run_one(arm64).await.outcome, Outcome::Copied);
    let all = "the target has all of what the source has; only a part is wanted";
    let table = [
        (only(rig.wish("app:1", "app:whole"), &["linux/amd64"]), all),
        (amd64_only(rig.wish("app:1", "app:whole")), all),
        (
            only(rig.wish("app:1", "app:part"), &["linux/amd64"]),
            "the target has other platforms of what the source has",
        ),
    ];
    for (wanted, note) in table {
        let item = rig.run_one(wanted).await;
        assert_eq!(item.outcome, Outcome::Drift, "{item:?}");
        assert_eq!(item.notes, [note]);
        assert_eq!(item.pin_line(), None, "no pin makes it what is wanted");
    }
    // And the other way round: a part is not the whole, and is pinned by what the target has.
    let item = rig.run_one(rig.wish("app:1", "app:part")).await;
    assert_eq!(item.outcome, Outcome::Drift);
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_told_with_those_that_are() {
    for mode in [Mode::Sync, Mode::Plan] {
        let rig = Rig::new().await.mode(mode);
        rig.offer("index", "1", &image::with_attestations(1)).await;
        rig.offer("single", "1", &image::single(2)).await;
        rig.offer("chart", "1", &image::artifact(3)).await;
        rig.offer("cache", "1", &image::build_cache(4)).await;
        let nested = image::nested(5);
        rig.offer("nested", "1", &nested).await;
        let wanted = |name: &str| rig.wish(&format!("{name}:1"), &format!("{name}:1"));
        let report = rig
            .run(vec![
                only(wanted("index"), &["linux/amd64", "linux/s390x", "linux/arm"]),
                only(wanted("single"), &["linux/amd64", "linux/arm64"]),
                only(wanted("chart"), &["linux/amd64"]),
                amd64_only(wanted("cache")),
                only(wanted("nested"), &["linux/amd64"]),
            ])
            .await;
        let told: Vec<_> = report.items.iter().map(message).collect();
        let missing = |message| (Side::Source, Class::NotFound, message);
        let inner = nested.manifest().manifests().next().unwrap().digest;
        assert_eq!(
            told,
            [
                missing(
                    "the index has no linux/arm/v7, linux/s390x; it has linux/amd64, linux/arm64"
                ),
                missing("the source is one image, for linux/amd64; it has no linux/arm64"),
                missing("the source is an artifact that names no platform"),
                missing("the index has no linux/amd64; it has nothing that names a platform"),
                (
                    Side::Source,
                    Class::Unsupported,
                    &format!("the index has another index in it, {inner}, that names no platform")
                ),
            ]
        );
        assert!(outcomes(&report).iter().all(|outcome| *outcome == Outcome::Failed));
        assert_eq!(rig.target.log().writes().len(), 0, "{}", rig.target.log());
    }
}

#[tokio::test]
async fn a_single_image_for_the_platform_is_taken_as_it_is() {
    let rig = Rig::new().await;
    let image = image::docker_single(1);
    rig.offer("app", "1", &image).await;
    let wanted = |tag: &str| rig.wish("app:1", &format!("app:{tag}"));
    let list = vec![only(wanted("one"), &["linux/amd64"]), amd64_only(wanted("two"))];
    assert_eq!(outcomes(&rig.run(list.clone()).await), [Outcome::Copied, Outcome::Copied]);
    rig.assert_holds("app", "one", &image).await;
    rig.assert_holds("app", "two", &image).await;
    rig.forget();
    assert_eq!(outcomes(&rig.run(list).await), [Outcome::UpToDate, Outcome::UpToDate]);
    let log = rig.source.log();
    assert_eq!(log.count("GET", "/v2/app/manifests/*"), 0, "{log}");
    assert_eq!(log.count("GET", "/v2/app/blobs/*"), 0, "{log}");
    assert_eq!(rig.target.log().writes().len(), 0);
    // That it is there does not make it what is wanted now.
    let item = rig.run_one(only(wanted("one"), &["linux/arm64"])).await;
    assert_eq!(item.outcome, Outcome::Failed);
    assert_eq!(message(&item).2, "the source is one image, for linux/amd64; it has no linux/arm64");
}

#[tokio::test]
async fn amd64_only_is_the_image_itself() {
    let rig = Rig::new().await;
    for (name, image) in [("oci", image::index(1)), ("docker", image::docker(2))] {
        rig.offer(name, "1", &image).await;
        let child = image.manifests[0].clone();
        let expected = below(&image, child.clone());
        let wanted = amd64_only(rig.wish(&format!("{name}:1"), &format!("{name}:1")));
        for outcome in [Outcome::Copied, Outcome::UpToDate] {
            rig.forget();
            let item = rig.run_one(wanted.clone()).await;
            assert_eq!(item.outcome, outcome, "{item:?}");
            assert_eq!(item.source_digest, Some(image.digest()));
            assert_eq!(item.target_digest, Some(child.digest()));
        }
        rig.assert_holds(name, "1", &expected).await;
        assert_nothing_else(&rig, name, &image, &expected).await;
        // An image cannot say where it is from: this one manifest has to be read on every run.
        let log = rig.source.log();
        let path = format!("/v2/{name}/manifests/*");
        assert_eq!(log.count("GET", &path), 1, "{log}");
        assert_eq!(rig.target.log().writes().len(), 0);
    }
    // When the source moves, the image that the target has can be pinned by its own digest.
    let old = image::index(1).manifests[0].digest();
    let new = image::index(3);
    new.write_to(&rig.source.layout(&repository_name("oci"))).await;
    rig.source.layout(&repository_name("oci")).retag(&tag_name("1"), &new.root).await.unwrap();
    let item = rig.run_one(amd64_only(rig.wish("oci:1", "oci:1"))).await;
    assert_eq!(item.outcome, Outcome::Drift, "{item:?}");
    let pinned = item.pinned().unwrap();
    assert!(pinned.ends_with(&format!("/oci:1@{old}")), "{pinned}");
    let item =
        rig.run_one(amd64_only(wish(&pinned, &format!("{}/oci:1", rig.target.host())))).await;
    assert_eq!(item.outcome, Outcome::SourceMoved, "{item:?}");
}

#[tokio::test]
async fn what_belongs_to_a_kept_child_comes_along_and_what_belongs_to_the_whole_does_not() {
    let rig = Rig::new().await;
    let image = image::index(1);
    let [amd64, arm64, _] = &image.manifests[..3] else { panic!("{image:?}") };
    let of_root = image::referrer_of(&image.root, 2);
    let of_amd64 = image::referrer_of(&amd64.descriptor(), 3);
    let of_arm64 = image::referrer_of(&arm64.descriptor(), 4);
    rig.offer("app", "1", &image).await;
    for artifact in [&of_root, &of_amd64, &of_arm64] {
        rig.attach("app", artifact).await;
    }
    let (root_tag, child_tag) =
        (cosign_tag(&image.digest(), "sig"), cosign_tag(&amd64.digest(), "sig"));
    rig.offer("app", &root_tag, &image::artifact(5)).await;
    rig.offer("app", &child_tag, &image::artifact(6)).await;
    let note = format!(
        "signatures or referrers of the whole index {} are not those of a part of it",
        image.digest()
    );
    let wanted = |to: &str| rig.wish("app:1", &format!("{to}:1"));
    let list = vec![only(wanted("some"), &["linux/amd64"]), amd64_only(wanted("one"))];
    for (item, to) in rig.run(list).await.items.iter().zip(["some", "one"]) {
        assert_eq!(item.outcome, Outcome::Copied, "{item:?}");
        assert_eq!(item.notes, [note.as_str()]);
        rig.assert_refer(to, &amd64.digest(), &[&of_amd64]).await;
        rig.assert_refer(to, &image.digest(), &[]).await;
        rig.assert_refer(to, &arm64.digest(), &[]).await;
        rig.assert_holds(to, &child_tag, &image::artifact(6)).await;
        rig.assert_absent(to, &root_tag).await;
    }
    // Of the image itself, what comes late is copied late.
    let late = image::referrer_of(&amd64.descriptor(), 7);
    rig.attach("app", &late).await;
    let item = rig.run_one(amd64_only(wanted("one"))).await;
    assert_eq!(item.outcome, Outcome::UpToDate);
    rig.assert_refer("one", &amd64.digest(), &[&of_amd64, &late]).await;
}

#[tokio::test]
async fn verify_finds_the_hole_in_a_part() {
    let mut rig = Rig::new().await;
    let image = image::with_attestations(1);
    rig.offer("app", "1", &image).await;
    let wanted = only(rig.wish("app:1", "app:1"), &["linux/arm64"]);
    assert_eq!(rig.run_one(wanted.clone()).await.outcome, Outcome::Copied);
    rig.options.mode = Mode::Verify;
    assert_eq!(rig.run_one(wanted.clone()).await.outcome, Outcome::UpToDate);
    let (lost, _) = part(&image, &["linux/arm64"]).blobs[0].clone();
    let layout = rig.target.layout(&repository_name("app"));
    assert!(layout.delete(&lost.digest).await.unwrap());
    let item = rig.run_one(wanted).await;
    assert_eq!(item.outcome, Outcome::Failed);
    let failure = item.failure.unwrap();
    assert!(failure.message.contains(&lost.digest.to_string()), "{failure:?}");
}

#[tokio::test]
async fn layouts_and_archives_hold_parts_as_well() {
    let rig = Rig::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (from, archive) = (folder.path().join("from"), folder.path().join("to.tar"));
    let to = folder.path().join("to");
    let image = image::index(1);
    let layout = Layout::at(&from);
    image.write_to(&layout).await;
    layout.tag(&tag_name("1"), &image.root).await.unwrap();
    let source = format!("oci:{}:1", from.display());
    let list = vec![
        only(wish(&source, &format!("oci:{}:1", to.display())), &["linux/arm64"]),
        only(wish(&source, &format!("oci-archive:{}:1", archive.display())), &["linux/arm64"]),
        amd64_only(wish(&source, &format!("oci-archive:{}:2", archive.display()))),
    ];
    let report = rig.run(list.clone()).await;
    assert_eq!(outcomes(&report), [Outcome::Copied; 3], "{report:?}");
    let held = Layout::at(&to).resolve(&Selector::Tag(tag_name("1"))).await.unwrap();
    assert_eq!(held.map(|it| it.digest), Some(part(&image, &["linux/arm64"]).digest()));

    let before = std::fs::metadata(&archive).unwrap().modified().unwrap();
    let report = rig.run(list).await;
    assert_eq!(outcomes(&report), [Outcome::UpToDate; 3], "{report:?}");
    assert_eq!(std::fs::metadata(&archive).unwrap().modified().unwrap(), before);
}

#[tokio::test]
async fn parts_of_content_by_sha512_are_known_again() {
    let rig = Rig::new().await;
    let image = image::sha512().index(1);
    image.write_to(&rig.source.layout(&repository_name("app"))).await;
    let source = format!("app@{}", image.digest());
    let list = vec![
        only(rig.wish(&source, "app:some"), &["linux/arm64"]),
        amd64_only(rig.wish(&source, "app:one")),
    ];
    for outcome in [Outcome::Copied, Outcome::UpToDate] {
        rig.forget();
        let report = rig.run(list.clone()).await;
        assert_eq!(outcomes(&report), [outcome; 2], "{report:?}");
    }
    assert_eq!(rig.target.log().writes().len(), 0);
    rig.assert_holds("app", "some", &part(&image, &["linux/arm64"])).await;
}

#[tokio::test]
async fn a_source_that_is_gone_leaves_the_part() {
    let rig = Rig::new().await;
    let image = image::docker(1);
    rig.offer("app", "1", &image).await;
    let wanted = only(rig.wish("app:1", "app:1"), &["linux/arm64"]);
    assert_eq!(rig.run_one(wanted.clone()).await.outcome, Outcome::Copied);
    let layout = rig.source.layout(&repository_name("app"));
    layout.untag(&tag_name("1")).await.unwrap();
    let item = rig.run_one(wanted).await;
    assert_eq!(item.outcome, Outcome::SourceLost);
    let part = part(&image, &["linux/arm64"]);
    assert_eq!(*part.manifest().media_type(), MediaType::DOCKER_LIST);
    assert_eq!(item.target_digest, Some(part.digest()));
}

#[tokio::test]
async fn several_targets_and_extents_of_one_source_read_it_once_each() {
    let rig = Rig::new().await;
    let image = image::index(1);
    rig.offer("app", "1", &image).await;
    let to = |name: &str| rig.wish("app:1", &format!("{name}:1"));
    let list = vec![
        to("whole"),
        only(to("a"), &["linux/amd64"]),
        only(to("b"), &["linux/amd64"]),
        amd64_only(to("c")),
        amd64_only(to("d")),
    ];
    let report = rig.run(list.clone()).await;
    assert_eq!(outcomes(&report), [Outcome::Copied; 5], "{report:?}");
    let amd64 = below(&image, image.manifests[0].clone());
    let part = part(&image, &["linux/amd64"]);
    for (name, expected) in
        [("whole", &image), ("a", &part), ("b", &part), ("c", &amd64), ("d", &amd64)]
    {
        rig.assert_holds(name, "1", expected).await;
    }
    for (blob, _) in &image.blobs {
        let path = format!("/v2/app/blobs/{}", blob.digest);
        assert_eq!(rig.source.log().count("GET", &path), 1, "{}", rig.source.log());
    }
    rig.forget();
    assert_eq!(outcomes(&rig.run(list).await), [Outcome::UpToDate; 5]);
    // The index for the image itself, once for both its targets.
    assert_eq!(rig.source.log().count("GET", "/v2/app/manifests/*"), 1, "{}", rig.source.log());
    assert_eq!(rig.target.log().writes().len(), 0);
}

#[tokio::test]
async fn a_list_of_tags_does_not_hide_what_a_tag_holds() {
    // Enough tags of one repository that its listing answers for those that are not there.
    let rig = Rig::new().await;
    let images: Vec<_> = (1..=4).map(image::index).collect();
    let mut list = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let name = format!("app:{number}");
        rig.offer("app", &number.to_string(), image).await;
        list.push(only(rig.wish(&name, &name), &["linux/arm64"]));
    }
    rig.hold("app", "3", &images[0]).await;
    let mut expected = [Outcome::Copied; 4];
    expected[3] = Outcome::Drift;
    assert_eq!(outcomes(&rig.run(list.clone()).await), expected);
    expected[..3].fill(Outcome::UpToDate);
    assert_eq!(outcomes(&rig.run(list).await), expected);
}
