//! What a layout in a folder promises its readers and its writers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test's helper fails")]

mod made;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use layout::{Error, Layout, Tagged, WriteError};
use made::{blob, image, index, pieces, referrer, store, tag};
use oci::{Algorithm, Descriptor, Digest, MediaType, Mismatch, Selector};
use serde_json::{Value, json};

fn layout() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::at(folder.path().join("team/app"));
    (folder, layout)
}

/// The entries of `index.json` as name and digest, sorted.
fn entries(layout: &Layout) -> Vec<(String, String)> {
    let index = fs::read(layout.folder().join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let name = |entry: &Value| {
        let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str();
        name.unwrap_or_default().to_owned()
    };
    let mut entries: Vec<_> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (name(entry), entry["digest"].as_str().unwrap().to_owned()))
        .collect();
    entries.sort();
    entries
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn content(layout: &Layout, digest: &Digest, offset: u64) -> Vec<u8> {
    let reader = layout.read_blob(digest, offset).await.unwrap().unwrap();
    let pieces: Vec<Bytes> = reader.try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test]
async fn what_is_written_is_read_again() {
    let (_folder, layout) = layout();
    assert!(!layout.exists().await.unwrap());
    let image = store(&layout, b"hello").await;
    assert_eq!(layout.tag(&tag("b"), &image.descriptor()).await.unwrap(), Tagged::Written);
    assert_eq!(layout.tag(&tag("a"), &image.descriptor()).await.unwrap(), Tagged::Written);
    assert!(layout.exists().await.unwrap());
    assert_eq!(layout.tags().await.unwrap(), [tag("a"), tag("b")]);
    for selector in [Selector::Tag(tag("a")), Selector::Digest(image.digest())] {
        assert_eq!(layout.resolve(&selector).await.unwrap(), Some(image.descriptor()));
        assert_eq!(layout.manifest(&selector).await.unwrap(), Some(image.clone()));
    }
    let digest = Digest::sha256(b"hello");
    assert_eq!(layout.blob_size(&digest).await.unwrap(), Some(5));
    assert_eq!(content(&layout, &digest, 0).await, b"hello");
    assert_eq!(content(&layout, &digest, 3).await, b"lo");
    assert_eq!(content(&layout, &digest, 9).await, b"");
    let reader = layout.read_blob(&digest, 1).await.unwrap().unwrap();
    assert_eq!(reader.size(), 5);
    let part: Vec<Bytes> = reader.limit(2).try_collect().await.unwrap();
    assert_eq!(part.concat(), b"el");
    assert_eq!(files(layout.folder()), [".lock", ".uploads", "blobs", "index.json", "oci-layout"]);
}

#[tokio::test]
async fn a_layout_that_does_not_exist_has_nothing_and_is_not_made_by_looking() {
    let (folder, layout) = layout();
    let nothing = Digest::sha256(b"");
    assert_eq!(layout.resolve(&Selector::Tag(tag("1"))).await.unwrap(), None);
    assert_eq!(layout.manifest(&Selector::Digest(nothing)).await.unwrap(), None);
    assert!(layout.tags().await.unwrap().is_empty());
    assert!(layout.referrers(&nothing).await.unwrap().is_empty());
    assert!(layout.read_blob(&nothing, 0).await.unwrap().is_none());
    assert!(!layout.untag(&tag("1")).await.unwrap() && !layout.delete(&nothing).await.unwrap());
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn content_that_is_not_what_was_promised_leaves_nothing_behind() {
    let (_folder, layout) = layout();
    let digest = Digest::sha256(b"hello");
    let write = |size, content: &'static [u8]| {
        let layout = layout.clone();
        async move {
            match layout.write_blob(&digest, size, pieces(content)).await {
                Err(WriteError::Layout(Error::WrongContent { source, .. })) => *source,
                other => panic!("{other:?}"),
            }
        }
    };
    assert!(matches!(write(None, b"jello").await, Mismatch::Digest(_)));
    assert_eq!(write(Some(5), b"hell").await, Mismatch::TooShort { expected: 5, actual: 4 });
    assert_eq!(write(Some(5), b"hello!").await, Mismatch::TooLong { expected: 5 });
    let broken = stream::iter([Ok(Bytes::from_static(b"hel")), Err("cut")]);
    let error = layout.write_blob(&digest, Some(5), broken).await.unwrap_err();
    assert!(matches!(error, WriteError::Content("cut")));
    assert_eq!(layout.blob_size(&digest).await.unwrap(), None);
    assert!(files(&layout.folder().join(".uploads")).is_empty());
    assert!(files(&layout.folder().join("blobs")).is_empty());
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_leaves_nothing_behind() {
    let (_folder, layout) = layout();
    let digest = Digest::sha256(b"hello");
    let (reached, reach) = tokio::sync::oneshot::channel();
    let first = stream::once(async move {
        reached.send(()).unwrap();
        Ok::<_, ()>(Bytes::from_static(b"h"))
    });
    tokio::select! {
        _ = layout.write_blob(&digest, None, first.chain(stream::pending())) => unreachable!(),
        arrived = reach => arrived.unwrap(),
    }
    assert!(files(&layout.folder().join(".uploads")).is_empty());
}

#[tokio::test]
async fn what_is_there_is_not_read_again_unless_it_is_cut_short() {
    let (_folder, layout) = layout();
    let digest = Digest::sha256(b"hello");
    layout.write_blob(&digest, None, pieces(b"hello")).await.unwrap();
    let never = stream::iter([Err::<Bytes, _>("it was read")]);
    layout.write_blob(&digest, Some(5), never).await.unwrap();
    let path = layout.folder().join("blobs/sha256").join(digest.hex());
    fs::write(&path, b"hel").unwrap();
    layout.write_blob(&digest, Some(5), pieces(b"hello")).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"hello");
}

#[tokio::test]
async fn a_tag_never_moves_unless_that_is_asked_for() {
    let (_folder, layout) = layout();
    let (one, two) = (store(&layout, b"one").await, store(&layout, b"two").await);
    layout.tag(&tag("v"), &one.descriptor()).await.unwrap();
    assert_eq!(layout.tag(&tag("v"), &one.descriptor()).await.unwrap(), Tagged::Same);
    let held = layout.tag(&tag("v"), &two.descriptor()).await.unwrap();
    assert_eq!(held, Tagged::Holds(one.digest()));
    let found = layout.resolve(&Selector::Tag(tag("v"))).await.unwrap();
    assert_eq!(found, Some(one.descriptor()));
    layout.retag(&tag("v"), &two.descriptor()).await.unwrap();
    let found = layout.resolve(&Selector::Tag(tag("v"))).await.unwrap();
    assert_eq!(found, Some(two.descriptor()));
    // What it pointed at is still in the layout, for other tools too.
    let mut expected =
        [(String::new(), one.digest().to_string()), ("v".to_owned(), two.digest().to_string())];
    expected.sort();
    assert_eq!(entries(&layout), expected);
}

#[tokio::test]
async fn no_tag_without_its_manifest() {
    let (_folder, layout) = layout();
    let missing = image(b"x", Algorithm::Sha256).descriptor();
    for error in [
        layout.tag(&tag("v"), &missing).await.unwrap_err(),
        layout.retag(&tag("v"), &missing).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Missing { digest, .. } if digest == missing.digest));
    }
    assert!(layout.tags().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_index_has_one_entry_and_its_children_are_found_by_digest() {
    let (_folder, layout) = layout();
    let (one, two) = (store(&layout, b"one").await, store(&layout, b"two").await);
    let root = index(&[&one, &two]);
    layout.put_manifest(&root).await.unwrap();
    layout.tag(&tag("v"), &root.descriptor()).await.unwrap();
    assert_eq!(entries(&layout), [("v".to_owned(), root.digest().to_string())]);
    for manifest in [&one, &two, &root] {
        let selector = Selector::Digest(manifest.digest());
        assert_eq!(layout.resolve(&selector).await.unwrap(), Some(manifest.descriptor()));
        assert_eq!(layout.manifest(&selector).await.unwrap().as_ref(), Some(manifest));
    }
    // A layer is no manifest.
    let layer = Selector::Digest(Digest::sha256(b"one"));
    assert_eq!(layout.resolve(&layer).await.unwrap(), None);
}

#[tokio::test]
async fn a_layout_of_another_tool_is_read() {
    let (_folder, layout) = layout();
    let blobs = layout.folder().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |content: String| {
        let digest = Digest::sha256(content.as_bytes());
        fs::write(blobs.join(digest.hex()), &content).unwrap();
        (digest, content.len())
    };
    // A config looks a bit like a manifest; an old manifest has no media type.
    let config = put(json!({ "architecture": "amd64", "config": { "Env": [] } }).to_string());
    let manifest = put(json!({
        "schemaVersion": 2, "layers": [],
        "config": Descriptor::new(MediaType::OCI_CONFIG, config.0, config.1 as u64),
    })
    .to_string());
    let index = json!({ "schemaVersion": 2, "manifests": [
        { "mediaType": "x/y", "digest": "sha256:nonsense", "size": 1 },
        { "mediaType": MediaType::OCI_MANIFEST, "digest": manifest.0, "size": manifest.1,
          "platform": { "os": "linux" },
          "annotations": { "org.opencontainers.image.ref.name": "latest", "n": 1 } },
        { "mediaType": MediaType::OCI_MANIFEST, "digest": manifest.0, "size": manifest.1,
          "annotations": { "org.opencontainers.image.ref.name": "docker.io/library/x:1" } },
    ]});
    fs::write(layout.folder().join("index.json"), index.to_string()).unwrap();
    fs::write(layout.folder().join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    assert_eq!(layout.tags().await.unwrap(), [tag("latest")]);
    let found = layout.manifest(&Selector::Tag(tag("latest"))).await.unwrap().unwrap();
    assert_eq!((found.digest(), found.media_type()), (manifest.0, &MediaType::OCI_MANIFEST));
    assert_eq!(layout.resolve(&Selector::Digest(config.0)).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_damaged_is_named() {
    let (_folder, layout) = layout();
    let image = store(&layout, b"hello").await;
    layout.tag(&tag("v"), &image.descriptor()).await.unwrap();
    let selector = Selector::Tag(tag("v"));
    let path = layout.folder().join("blobs/sha256").join(image.digest().hex());
    fs::write(&path, b"{}").unwrap();
    let error = layout.manifest(&selector).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt { path: named, .. } if *named == path), "{error}");
    fs::remove_file(&path).unwrap();
    assert_eq!(layout.manifest(&selector).await.unwrap(), None);
    assert_eq!(layout.resolve(&selector).await.unwrap(), None);
    for (file, content, expected) in [
        ("index.json", "{", "index.json is damaged: it is not JSON"),
        ("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#, "oci-layout is damaged: its version"),
    ] {
        let path = layout.folder().join(file);
        let right = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        // An instance of its own: what was read before may be remembered for a while.
        let error = Layout::at(layout.folder()).tags().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let error = layout.tag(&tag("w"), &image.descriptor()).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        fs::write(&path, right).unwrap();
    }
}

#[tokio::test]
async fn what_others_write_is_seen_at_once() {
    let (_folder, layout) = layout();
    let (one, two) = (store(&layout, b"one").await, store(&layout, b"two").await);
    let other = Layout::at(layout.folder());
    for round in 0..50 {
        let (manifest, elsewhere) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        other.retag(&tag("v"), &manifest.descriptor()).await.unwrap();
        let found = layout.resolve(&Selector::Tag(tag("v"))).await.unwrap();
        assert_eq!(found, Some(manifest.descriptor()), "not {}", elsewhere.digest());
    }
    // And when the file has rested long enough to be remembered.
    let path = layout.folder().join("index.json");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(10);
    fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    assert_eq!(layout.tags().await.unwrap(), [tag("v")]);
    other.tag(&tag("w"), &one.descriptor()).await.unwrap();
    assert_eq!(layout.tags().await.unwrap(), [tag("v"), tag("w")]);
}

#[tokio::test]
async fn sha512_works_like_sha256() {
    let (_folder, layout) = layout();
    let digest = Digest::of(Algorithm::Sha512, b"hello");
    layout.write_blob(&digest, Some(5), pieces(b"hello")).await.unwrap();
    let image = image(b"hello", Algorithm::Sha512);
    layout.put_manifest(&image).await.unwrap();
    layout.tag(&tag("v"), &image.descriptor()).await.unwrap();
    let found = layout.manifest(&Selector::Tag(tag("v"))).await.unwrap().unwrap();
    assert_eq!((found.digest(), found.bytes()), (image.digest(), image.bytes()));
    assert!(layout.folder().join("blobs/sha512").join(digest.hex()).is_file());
}

#[tokio::test]
async fn blobs_are_taken_over_by_link() {
    let (_folder, layout) = layout();
    let donor = Layout::at(layout.folder().with_file_name("donor"));
    let digest = Digest::sha256(b"hello");
    assert!(!layout.link_blob(&donor, &digest).await.unwrap());
    donor.write_blob(&digest, None, pieces(b"hello")).await.unwrap();
    assert!(layout.link_blob(&donor, &digest).await.unwrap());
    assert!(layout.link_blob(&donor, &digest).await.unwrap());
    assert_eq!(content(&layout, &digest, 0).await, b"hello");
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let path = layout.folder().join("blobs/sha256").join(digest.hex());
        assert_eq!(fs::metadata(path).unwrap().nlink(), 2);
    }
    assert!(donor.delete(&digest).await.unwrap());
    assert_eq!(content(&layout, &digest, 0).await, b"hello");
}

#[tokio::test]
async fn untagging_leaves_the_manifest_and_deleting_takes_its_tags() {
    let (_folder, layout) = layout();
    let image = store(&layout, b"hello").await;
    let selector = Selector::Digest(image.digest());
    layout.put_tagged(&image, &[tag("a"), tag("b")]).await.unwrap();
    assert!(layout.untag(&tag("a")).await.unwrap() && !layout.untag(&tag("a")).await.unwrap());
    assert_eq!(layout.tags().await.unwrap(), [tag("b")]);
    layout.untag(&tag("b")).await.unwrap();
    assert_eq!(layout.manifest(&selector).await.unwrap(), Some(image.clone()));
    assert_eq!(entries(&layout), [(String::new(), image.digest().to_string())]);
    layout.tag(&tag("c"), &image.descriptor()).await.unwrap();
    assert!(layout.delete(&image.digest()).await.unwrap());
    assert!(!layout.delete(&image.digest()).await.unwrap());
    assert_eq!(layout.manifest(&selector).await.unwrap(), None);
    assert!(layout.tags().await.unwrap().is_empty() && entries(&layout).is_empty());
}

#[tokio::test]
async fn referrers_are_found_wherever_they_are() {
    let (_folder, layout) = layout();
    let subject = store(&layout, b"hello").await;
    let [pushed, tagged, in_index, in_list] =
        ["a/pushed", "a/tagged", "a/index", "a/list"].map(|kind| referrer(&subject, kind));
    for manifest in [&pushed, &tagged, &in_index] {
        layout.put_manifest(manifest).await.unwrap();
    }
    layout.tag(&tag("sig"), &tagged.descriptor()).await.unwrap();
    layout.put_manifest(&index(&[&in_index])).await.unwrap();
    // As clients of registries without the referrers API keep them.
    let list = index(&[&in_list, &pushed]);
    layout.put_manifest(&list).await.unwrap();
    layout.put_manifest(&in_list).await.unwrap();
    let fallback = tag(&format!("sha256-{}", subject.digest().hex()));
    layout.tag(&fallback, &list.descriptor()).await.unwrap();
    let found = layout.referrers(&subject.digest()).await.unwrap();
    let kinds: Vec<_> = found.iter().map(|found| found.artifact_type.clone().unwrap()).collect();
    assert_eq!(kinds, ["a/pushed", "a/tagged", "a/index", "a/list"]);
    assert_eq!(found[0].annotations["of"], "a/pushed");
    assert_eq!(found[0].digest, pushed.digest());
    layout.delete(&pushed.digest()).await.unwrap();
    assert_eq!(layout.referrers(&subject.digest()).await.unwrap().len(), 3);
    assert!(layout.referrers(&pushed.digest()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_tree_keeps_its_repositories_apart() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "a/b", "blobs/c", "d/e.f/g"];
    for name in names {
        let layout = Layout::below(folder.path(), &name.parse().unwrap()).unwrap();
        store(&layout, b"x").await;
    }
    fs::create_dir_all(folder.path().join("empty/one")).unwrap();
    let found = Layout::repositories(folder.path()).await.unwrap();
    assert_eq!(found.iter().map(oci::Repository::as_str).collect::<Vec<_>>(), names);
    for name in ["a/blobs", "a/blobs/sha256", "a/index.json", "x/oci-layout/y"] {
        let error = Layout::below(folder.path(), &name.parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_left() {
    let (_folder, layout) = layout();
    let digest = Digest::sha256(b"hello world");
    let mut upload = layout.start_upload(Algorithm::Sha256).await.unwrap();
    let broken = stream::iter([Ok(Bytes::from_static(b"hello")), Err("cut")]);
    upload.append(broken).await.unwrap_err();
    assert_eq!(upload.size(), 5);
    let id = upload.id();
    assert!(matches!(layout.open_upload(id).await, Err(Error::Busy { .. })));
    drop(upload);
    let mut upload = Layout::at(layout.folder()).open_upload(id).await.unwrap().unwrap();
    upload.append(pieces(b" world")).await.unwrap();
    upload.finish(&digest).await.unwrap();
    assert_eq!(content(&layout, &digest, 0).await, b"hello world");
    assert!(layout.open_upload(id).await.unwrap().is_none());
    assert!(files(&layout.folder().join(".uploads")).is_empty());
}

#[tokio::test]
async fn an_upload_may_end_with_a_digest_of_another_algorithm_but_not_with_a_wrong_one() {
    let (_folder, layout) = layout();
    let large = vec![7; 1_300_000];
    let mut upload = layout.start_upload(Algorithm::Sha256).await.unwrap();
    upload.append(stream::iter([Ok::<_, ()>(Bytes::from(large.clone()))])).await.unwrap();
    let digest = Digest::of(Algorithm::Sha512, &large);
    upload.finish(&digest).await.unwrap();
    assert_eq!(content(&layout, &digest, 0).await, large);
    let mut upload = layout.start_upload(Algorithm::Sha256).await.unwrap();
    let id = upload.id();
    upload.append(pieces(b"hello")).await.unwrap();
    let error = upload.finish(&Digest::sha256(b"other")).await.unwrap_err();
    assert!(matches!(error, Error::WrongContent { .. }), "{error}");
    assert!(layout.open_upload(id).await.unwrap().is_none());
    let upload = layout.start_upload(Algorithm::Sha256).await.unwrap();
    let id = upload.id();
    upload.cancel();
    assert!(layout.open_upload(id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_dead_writers_left_is_cleared_away_and_nothing_else() {
    let (_folder, layout) = layout();
    store(&layout, b"x").await;
    let uploads = layout.folder().join(".uploads");
    let hour = std::time::Duration::from_secs(60 * 60);
    let put = |name: &str, hours: u32| {
        let file = fs::File::create(uploads.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - hour * hours).unwrap();
        file
    };
    put("blob-dead", 1);
    put("blob-new", 0);
    put("session-dead", 25);
    put("session-resting", 23);
    put("of-another-tool", 99);
    let alive = put("blob-alive", 2);
    alive.lock().unwrap();
    // The first write of another process.
    store(&Layout::at(layout.folder()), b"y").await;
    assert_eq!(files(&uploads), ["blob-alive", "blob-new", "of-another-tool", "session-resting"]);
}

#[tokio::test]
async fn a_blob_that_shrinks_while_it_is_read_is_an_error() {
    let (_folder, layout) = layout();
    let large = vec![7; 1_000_000];
    let descriptor = blob(&large, Algorithm::Sha256);
    let whole = stream::iter([Ok::<_, ()>(Bytes::from(large))]);
    layout.write_blob(&descriptor.digest, None, whole).await.unwrap();
    let mut reader = layout.read_blob(&descriptor.digest, 0).await.unwrap().unwrap();
    reader.next().await.unwrap().unwrap();
    let path = layout.folder().join("blobs/sha256").join(descriptor.digest.hex());
    fs::File::options().write(true).open(path).unwrap().set_len(10).unwrap();
    let rest: Vec<_> = reader.collect().await;
    assert!(matches!(rest.last(), Some(Err(Error::Io { .. }))), "{rest:?}");
}
