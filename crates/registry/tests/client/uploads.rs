//! Blobs, up: one PUT, mounts, Locations of all kinds, and the ways for registries that refuse.

use std::io;

use bytes::Bytes;
use futures::stream;
use oci::Digest;
use registry::{Error, ErrorKind, RepositoryClient, Upload, UploadSession};
use testkit::{Auth, Fault, LocationForm, Personality, Registry, image, path};

use crate::{Known, asked, client, open, repository, settings, tag};

pub(crate) async fn start(to: &RepositoryClient, digest: Digest) -> Result<UploadSession, Error> {
    match to.start_upload(&digest, None).await? {
        Upload::Session(session) => Ok(session),
        Upload::Mounted => panic!("nothing was to be mounted"),
    }
}

/// Uploads a blob in pieces of 1000 bytes.
pub(crate) async fn upload(
    to: &RepositoryClient,
    digest: Digest,
    content: Bytes,
) -> Result<(), Error> {
    let size = content.len() as u64;
    let pieces: Vec<_> =
        content.chunks(1000).map(|piece| io::Result::Ok(Bytes::copy_from_slice(piece))).collect();
    let mut session = start(to, digest).await?;
    let done = session.put(size, stream::iter(pieces)).await;
    if done.is_err() {
        session.cancel().await;
    }
    done
}

pub(crate) fn made(size: usize) -> (Digest, Bytes) {
    let content: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
    (Digest::sha256(&content), content.into())
}

pub(crate) async fn is_there(registry: &Registry, name: &str, digest: &Digest) -> bool {
    registry.layout(&repository(name)).blob_size(digest).await.unwrap().is_some()
}

#[tokio::test]
async fn one_post_and_one_put_of_known_length() {
    let registry = Registry::start().await;
    let (digest, content) = made(100_000);
    upload(&open(&registry, "a/b"), digest, content).await.unwrap();
    assert!(is_there(&registry, "a/b", &digest).await);
    let uploads = registry.log().matching("*", path::UPLOADS);
    assert_eq!(uploads.len(), 2, "{}", registry.log());
    assert_eq!(uploads[1].header("content-length"), Some("100000"));
    assert_eq!(uploads[1].header("transfer-encoding"), None);
    assert_eq!(uploads[1].bytes_in, 100_000);
}

#[tokio::test]
async fn locations_of_all_kinds() {
    for form in [LocationForm::Relative, LocationForm::Absolute, LocationForm::Cdn] {
        let fault = Fault::location(form.clone()).on("POST", path::UPLOADS);
        let registry = Registry::builder()
            .personality(Personality {
                rules: Personality::distribution2().rules,
                ..Personality::default()
            })
            .cdn()
            .fault(fault)
            .start()
            .await;
        let (digest, content) = made(1000);
        let result = upload(&open(&registry, "a"), digest, content).await;
        assert!(result.is_ok(), "{form:?}: {result:?}\n{}", registry.log());
        assert!(is_there(&registry, "a", &digest).await, "{form:?}");
    }
}

#[tokio::test]
async fn a_foreign_upload_server_does_not_see_our_token() {
    let fault = Fault::location(LocationForm::Cdn).on("POST", path::UPLOADS);
    let registry =
        Registry::builder().auth(Auth::bearer("robot", "secret")).cdn().fault(fault).start().await;
    let a =
        client(settings(), Known::user("secret")).repository(&registry.host(), &repository("a"));
    let (digest, content) = made(1000);
    upload(&a, digest, content).await.unwrap();
    let cdn = registry.cdn().unwrap().log().requests();
    assert_eq!(cdn.len(), 1);
    assert_eq!(cdn[0].authorization, None);
}

#[tokio::test]
async fn uploads_do_not_go_everywhere() {
    for location in ["http://169.254.169.254/x", "ftp://127.0.0.1/x", "http://u:p@127.0.0.1/x"] {
        let form = LocationForm::Exactly(location.into());
        let registry = Registry::builder()
            .fault(Fault::location(form).on("POST", path::UPLOADS))
            .start()
            .await;
        let error = start(&open(&registry, "a"), Digest::sha256(b"")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(!error.to_string().contains("u:p"), "{error}");
    }
    let registry =
        Registry::builder().fault(Fault::no_location().on("POST", path::UPLOADS)).start().await;
    let error = start(&open(&registry, "a"), Digest::sha256(b"")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn mounted_or_uploaded_after_all() {
    let cases = [
        (None, true, 1),
        (Some(Fault::refuse_mount()), false, 1),
        (Some(Fault::mount_error(400)), false, 2),
        (Some(Fault::mount_error(500)), false, 2),
    ];
    for (fault, mounted, posts) in cases {
        let shown = format!("{fault:?}");
        let builder = fault.into_iter().fold(Registry::builder(), testkit::Builder::fault);
        let registry = builder.start().await;
        let single = image::single(1);
        registry.add(&repository("from"), &tag("1"), &single).await;
        let layer = single.layers()[0].digest;
        let upload = open(&registry, "to").start_upload(&layer, Some(&repository("from"))).await;
        assert_eq!(matches!(upload.unwrap(), Upload::Mounted), mounted, "{shown}");
        assert_eq!(registry.log().count("POST", path::UPLOADS), posts, "{shown}");
    }
}

#[tokio::test]
async fn a_registry_that_cannot_mount_is_not_asked_forever() {
    let registry = Registry::builder().fault(Fault::mount_error(405)).start().await;
    let to = open(&registry, "to");
    for _ in 0..5 {
        let upload = to.start_upload(&Digest::sha256(b"x"), Some(&repository("from"))).await;
        assert!(matches!(upload.unwrap(), Upload::Session(_)));
    }
    assert_eq!(registry.log().count("POST", path::UPLOADS), 3 + 5);
}

#[tokio::test]
async fn wrong_content_never_becomes_a_blob() {
    let registry = Registry::start().await;
    let a = open(&registry, "a");
    let (_, content) = made(1000);
    let other = Digest::sha256(b"other");
    let error = upload(&a, other, content).await.unwrap_err();
    assert_eq!(error.code(), Some("DIGEST_INVALID"), "{error}");
    assert!(!is_there(&registry, "a", &other).await);
    assert_eq!(registry.log().count("DELETE", path::UPLOADS), 1, "the session was given up");
}

#[tokio::test]
async fn content_that_breaks_is_told_from_a_registry_that_does() {
    let registry = Registry::start().await;
    let a = open(&registry, "a");
    let (digest, content) = made(2000);
    let half = content.slice(..1000);
    let cases: [Vec<io::Result<Bytes>>; 3] = [
        vec![Ok(half.clone()), Err(io::Error::other("the disk broke"))],
        vec![Ok(half.clone())],
        vec![Ok(content.clone()), Ok(half)],
    ];
    let words = ["the disk broke", "ended after 1000 of 2000 bytes", "more than 2000 bytes"];
    for (pieces, words) in cases.into_iter().zip(words) {
        let mut session = start(&a, digest).await.unwrap();
        let result = session.put(2000, stream::iter(pieces)).await;
        if words.starts_with("more") && result.is_ok() {
            // All that was promised had been sent; nobody asked for more.
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Content, "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(words), "{source}");
    }
}

#[tokio::test]
async fn a_broken_upload_is_temporary() {
    let faults = [
        Fault::status(500).on("PUT", path::UPLOADS).once(),
        Fault::drop_connection().on("PUT", path::UPLOADS).once(),
        Fault::error(404, "BLOB_UPLOAD_UNKNOWN", "gone").on("PUT", path::UPLOADS).once(),
        Fault::status(416).on("PUT", path::UPLOADS).once(),
    ];
    for fault in faults {
        let shown = format!("{fault:?}");
        let registry = Registry::builder().fault(fault).start().await;
        let a = open(&registry, "a");
        let (digest, content) = made(1000);
        let error = upload(&a, digest, content.clone()).await.unwrap_err();
        assert!(error.is_temporary(), "{shown}: {error}");
        upload(&a, digest, content).await.unwrap();
        assert_eq!(registry.log().count("PATCH", path::UPLOADS), 0, "{shown}");
    }
}

#[tokio::test]
async fn a_token_that_expires_before_the_put_makes_it_temporary() {
    let registry = Registry::builder().auth(Auth::bearer("robot", "secret")).start().await;
    let a =
        client(settings(), Known::user("secret")).repository(&registry.host(), &repository("a"));
    let (digest, content) = made(1000);
    let mut session = start(&a, digest).await.unwrap();
    registry.revoke_tokens();
    let error =
        session.put(1000, stream::iter([io::Result::Ok(content.clone())])).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    upload(&a, digest, content).await.unwrap();
}

#[tokio::test]
async fn registries_that_refuse_one_put_get_patches() {
    let too_large = |limit: u64| {
        Fault::status(413).on("PUT|PATCH", path::UPLOADS).when(move |request| {
            let length = request.headers.get("content-length").and_then(|v| v.to_str().ok());
            length.is_some_and(|length| length.parse::<u64>().unwrap() > limit)
        })
    };
    let artifactory = Personality { auth: Auth::Open, ..Personality::artifactory() };
    let cases = [
        (Registry::builder().personality(artifactory), 1),
        (Registry::builder().fault(too_large(9 << 20)), 2),
    ];
    for (builder, patches) in cases {
        let registry = builder.start().await;
        let a = open(&registry, "a");
        let (digest, content) = made(10 << 20);
        let error = upload(&a, digest, content.clone()).await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
        registry.log().clear();
        upload(&a, digest, content).await.unwrap();
        assert!(is_there(&registry, "a", &digest).await);
        assert_eq!(registry.log().count("PATCH", path::UPLOADS), patches, "{:?}", asked(&registry));
        let (small, content) = made(10);
        upload(&a, small, content).await.unwrap();
        assert!(is_there(&registry, "a", &small).await);
    }
}

#[tokio::test]
async fn uploads_that_are_refused_at_the_same_time_take_one_step_together() {
    let artifactory = Personality { auth: Auth::Open, ..Personality::artifactory() };
    let registry = Registry::builder().personality(artifactory).start().await;
    let (fault, held) = Fault::stall();
    registry.inject(fault.on("PUT", path::UPLOADS));
    let a = open(&registry, "a");
    let blobs = [10, 20, 30].map(made);
    let uploads = blobs.iter().map(|(digest, content)| upload(&a, *digest, content.clone()));
    let (refused, ()) = futures::join!(futures::future::join_all(uploads), async {
        held.reached(3).await;
        held.release();
    });
    for error in refused {
        assert!(error.unwrap_err().is_temporary());
    }
    for (digest, content) in blobs {
        upload(&a, digest, content).await.unwrap();
        assert!(is_there(&registry, "a", &digest).await);
    }
}

#[tokio::test]
async fn cancelled_uploads_are_deleted() {
    let registry = Registry::start().await;
    start(&open(&registry, "a"), Digest::sha256(b"x")).await.unwrap().cancel().await;
    let deletes = registry.log().matching("DELETE", path::UPLOADS);
    assert_eq!(deletes.len(), 1);
    assert_eq!(deletes[0].status.unwrap().as_u16(), 204);
}

#[tokio::test]
async fn sha512_blobs() {
    let registry = Registry::start().await;
    let content = Bytes::from_static(b"content");
    let digest = Digest::of(oci::Algorithm::Sha512, &content);
    upload(&open(&registry, "a"), digest, content).await.unwrap();
    assert!(is_there(&registry, "a", &digest).await);
}
