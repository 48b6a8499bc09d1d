//! What a layout in a tar archive promises.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test's helper fails")]

mod made;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use layout::{Archive, ArchiveWriter, Error, Layout, Tagged, WriteError};
use made::{image, index, pieces, referrer, tag};
use oci::{Algorithm, Digest, Manifest, Selector};

async fn add(writer: &ArchiveWriter, content: &[u8], name: &str) -> Manifest {
    let digest = Digest::sha256(content);
    writer.write_blob(&digest, None, pieces(content)).await.unwrap();
    let image = image(content, Algorithm::Sha256);
    writer.put_manifest(&image).await.unwrap();
    assert_eq!(writer.tag(&tag(name), &image.descriptor()).await.unwrap(), Tagged::Written);
    image
}

async fn content(archive: &Archive, digest: &Digest) -> Vec<u8> {
    let reader = archive.read_blob(digest, 0).await.unwrap().unwrap();
    reader.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn what_is_written_is_read_again_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.tar");
    assert!(Archive::open(&file).await.unwrap().is_none());

    let writer = ArchiveWriter::create(&file).await.unwrap();
    let one = add(&writer, b"one", "1").await;
    assert!(!file.exists());
    writer.finish().await.unwrap();

    let writer = ArchiveWriter::create(&file).await.unwrap();
    let found = writer.resolve(&Selector::Tag(tag("1"))).await.unwrap();
    assert_eq!(found, Some(one.descriptor()));
    assert_eq!(writer.tags().await.unwrap(), [tag("1")]);
    let two = add(&writer, b"two", "2").await;
    let held = writer.tag(&tag("1"), &two.descriptor()).await.unwrap();
    assert_eq!(held, Tagged::Holds(one.digest()));
    writer.finish().await.unwrap();

    let archive = Archive::open(&file).await.unwrap().unwrap();
    assert_eq!(archive.tags().await.unwrap(), [tag("1"), tag("2")]);
    for (name, manifest, blob) in [("1", &one, b"one"), ("2", &two, b"two")] {
        for selector in [Selector::Tag(tag(name)), Selector::Digest(manifest.digest())] {
            let found = archive.resolve(&selector).await.unwrap();
            assert_eq!(found, Some(manifest.descriptor()));
            assert_eq!(archive.manifest(&selector).await.unwrap().as_ref(), Some(manifest));
        }
        assert_eq!(content(&archive, &Digest::sha256(blob)).await, blob);
        assert_eq!(archive.blob_size(&Digest::sha256(blob)).await.unwrap(), Some(3));
    }
    assert_eq!(archive.blob_size(&Digest::sha256(b"x")).await.unwrap(), None);
    assert_eq!(names(folder.path()), ["x.tar"]);

    // The archive is one for tar as well.
    let mut members: Vec<_> = tar::Archive::new(fs::File::open(&file).unwrap())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(members.first().unwrap(), "oci-layout");
    assert_eq!(members.pop().unwrap(), "index.json");
    assert_eq!(members.len(), 5);
}

#[tokio::test]
async fn a_blob_that_is_given_up_is_not_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.tar");
    let writer = ArchiveWriter::create(&file).await.unwrap();
    let large = vec![1; 1_500_000];
    let digest = Digest::sha256(b"hello");
    let broken = stream::iter([Ok(Bytes::from(large.clone())), Err("cut")]);
    let error = writer.write_blob(&digest, None, broken).await.unwrap_err();
    assert!(matches!(error, WriteError::Content("cut")));
    let wrong = stream::iter([Ok::<_, ()>(Bytes::from(large.clone()))]);
    let error = writer.write_blob(&digest, None, wrong).await.unwrap_err();
    assert!(matches!(error, WriteError::Layout(Error::WrongContent { .. })));
    let image = add(&writer, b"hello", "v").await;
    let large_digest = Digest::sha256(&large);
    let right = stream::iter([Ok::<_, ()>(Bytes::from(large.clone()))]);
    writer.write_blob(&large_digest, Some(large.len() as u64), right).await.unwrap();
    writer.finish().await.unwrap();
    let archive = Archive::open(&file).await.unwrap().unwrap();
    let found = archive.manifest(&Selector::Tag(tag("v"))).await.unwrap();
    assert_eq!(found, Some(image));
    assert_eq!(content(&archive, &digest).await, b"hello");
    assert_eq!(content(&archive, &large_digest).await, large);
}

#[tokio::test]
async fn nothing_is_left_without_finish_and_an_archive_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.tar");
    let writer = ArchiveWriter::create(&file).await.unwrap();
    add(&writer, b"one", "1").await;
    let refused = ArchiveWriter::create(&file).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused}");
    drop(writer);
    assert!(names(folder.path()).is_empty());
    // What a dead writer left is written over.
    fs::write(folder.path().join(".x.tar.partial"), vec![1; 5000]).unwrap();
    let writer = ArchiveWriter::create(&file).await.unwrap();
    add(&writer, b"one", "1").await;
    writer.finish().await.unwrap();
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    let whole = fs::read(&file).unwrap();
    // Nothing new: the archive is not touched.
    let writer = ArchiveWriter::create(&file).await.unwrap();
    let same = image(b"one", Algorithm::Sha256);
    writer.put_manifest(&same).await.unwrap();
    assert_eq!(writer.tag(&tag("1"), &same.descriptor()).await.unwrap(), Tagged::Same);
    writer.finish().await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
    assert_eq!(fs::read(&file).unwrap(), whole);
    assert_eq!(names(folder.path()), ["x.tar"]);
}

#[tokio::test]
async fn an_archive_of_another_tool_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::at(folder.path().join("layout"));
    let one = made::store(&layout, b"one").await;
    let signature = referrer(&one, "a/signature");
    layout.put_manifest(&signature).await.unwrap();
    let root = index(&[&one, &signature]);
    layout.put_tagged(&root, &[tag("v")]).await.unwrap();
    // `tar` puts `./` before each name, and folders among the members.
    let file = folder.path().join("x.tar");
    let mut builder = tar::Builder::new(fs::File::create(&file).unwrap());
    builder.append_dir_all(".", layout.folder()).unwrap();
    builder.finish().unwrap();
    let archive = Archive::open(&file).await.unwrap().unwrap();
    assert_eq!(archive.tags().await.unwrap(), [tag("v")]);
    for manifest in [&one, &signature, &root] {
        let found = archive.manifest(&Selector::Digest(manifest.digest())).await.unwrap();
        assert_eq!(found.as_ref(), Some(manifest));
    }
}

#[tokio::test]
async fn what_is_no_archive_is_told_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.tar");
    for (content, expected) in [
        (&b"\x1f\x8b\x08\x00 and so on"[..], "`gunzip`"),
        (b"\x28\xb5\x2f\xfd and so on", "`unzstd`"),
        (b"<html>", "not a tar archive"),
        (&[0; 1024], "no index.json"),
    ] {
        fs::write(&file, content).unwrap();
        for error in [
            Archive::open(&file).await.map(|_| ()).unwrap_err().to_string(),
            ArchiveWriter::create(&file).await.map(|_| ()).unwrap_err().to_string(),
        ] {
            assert!(error.contains(expected) && error.contains("x.tar"), "{error}");
        }
    }
    assert_eq!(names(folder.path()), ["x.tar"]);
}

#[tokio::test]
async fn referrers_are_found_by_their_subject() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.tar");
    let writer = ArchiveWriter::create(&file).await.unwrap();
    let image = add(&writer, b"one", "1").await;
    let sbom = referrer(&image, "a/sbom");
    writer.put_manifest(&sbom).await.unwrap();
    let of_sbom = referrer(&sbom, "a/signature");
    writer.put_manifest(&of_sbom).await.unwrap();
    writer.finish().await.unwrap();

    let archive = Archive::open(&file).await.unwrap().unwrap();
    let listed = archive.referrers(&image.digest()).await.unwrap();
    assert_eq!(listed, [sbom.as_referrer()]);
    assert_eq!(listed[0].artifact_type.as_deref(), Some("a/sbom"));
    assert_eq!(archive.referrers(&sbom.digest()).await.unwrap(), [of_sbom.as_referrer()]);
    assert_eq!(archive.referrers(&of_sbom.digest()).await.unwrap(), []);
}
