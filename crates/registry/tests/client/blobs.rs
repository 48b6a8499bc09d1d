//! Blobs, down: cut, wrong, redirected.

use bytes::Bytes;
use futures::StreamExt;
use oci::{Descriptor, Digest};
use registry::{ErrorKind, Settings};
use testkit::{Auth, ContentLength, Fault, Registry, image, path};

use crate::{Known, client, content, open, repository, settings, tag};

/// A registry with one image, and its largest blob.
async fn with_blob(builder: testkit::Builder) -> (Registry, Descriptor, Bytes) {
    let registry = builder.start().await;
    let single = image::single(7);
    registry.add(&repository("a"), &tag("1"), &single).await;
    let (blob, content) = single.blobs.iter().max_by_key(|(blob, _)| blob.size).unwrap().clone();
    assert!(blob.size > 100, "{}", blob.size);
    (registry, blob, content)
}

#[tokio::test]
async fn a_blob_is_read_in_one_request() {
    let (registry, blob, expected) = with_blob(Registry::builder()).await;
    let a = open(&registry, "a");
    for size in [Some(blob.size), None] {
        let reader = a.read_blob(&blob.digest, size).await.unwrap();
        assert_eq!(reader.as_ref().unwrap().size(), Some(blob.size));
        assert_eq!(content(reader).await.unwrap(), expected);
    }
    assert_eq!(registry.log().count("GET", path::BLOBS), 2);
    assert_eq!(a.blob_size(&blob.digest).await.unwrap(), Some(blob.size));
    assert_eq!(registry.log().count("HEAD", path::BLOBS), 1);
    assert_eq!(a.blob_size(&Digest::sha256(b"no")).await.unwrap(), None);
    assert!(a.read_blob(&Digest::sha256(b"no"), None).await.unwrap().is_none());
}

#[tokio::test]
async fn a_cut_blob_goes_on_where_it_broke_off() {
    let cut = || Fault::shorten(40, ContentLength::Whole).on("GET", path::BLOBS).once();
    let cases: [(&str, Vec<Fault>); 6] = [
        ("cut", vec![cut()]),
        (
            "cut without a word",
            vec![Fault::shorten(40, ContentLength::Unsaid).on("GET", path::BLOBS).once()],
        ),
        (
            "cut twice",
            vec![Fault::shorten(40, ContentLength::Whole).on("GET", path::BLOBS).times(2)],
        ),
        ("no ranges", vec![cut(), Fault::ignore_range().on("GET", path::BLOBS)]),
        ("another range", vec![cut(), Fault::wrong_content_range().on("GET", path::BLOBS)]),
        ("a range without a name", vec![cut(), Fault::no_content_range().on("GET", path::BLOBS)]),
    ];
    for (name, faults) in cases {
        let builder = faults.into_iter().fold(Registry::builder(), testkit::Builder::fault);
        let (registry, blob, expected) = with_blob(builder).await;
        let reader = open(&registry, "a").read_blob(&blob.digest, Some(blob.size)).await.unwrap();
        let read = content(reader).await;
        assert_eq!(read.unwrap(), expected, "{name}:\n{}", registry.log());
        let ranges: Vec<_> = registry
            .log()
            .requests()
            .iter()
            .filter_map(|request| request.header("range").map(str::to_owned))
            .collect();
        assert_eq!(ranges[0], "bytes=40-", "{name}");
    }
}

#[tokio::test]
async fn a_blob_that_always_breaks_off_is_given_up() {
    let cut = Fault::shorten(0, ContentLength::Whole).on("GET", path::BLOBS);
    let (registry, blob, _) = with_blob(Registry::builder().fault(cut)).await;
    let a = client(Settings { attempts: 3, ..settings() }, Known::nobody())
        .repository(&registry.host(), &repository("a"));
    let reader = a.read_blob(&blob.digest, Some(blob.size)).await.unwrap();
    let error = content(reader).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    assert!(error.is_temporary());
    assert_eq!(registry.log().count("GET", path::BLOBS), 3);
}

#[tokio::test]
async fn wrong_content_is_refused_before_its_last_piece() {
    let faults =
        [Fault::flip_byte(50), Fault::shorten(50, ContentLength::Sent), Fault::lengthen(5)];
    for fault in faults {
        let shown = format!("{fault:?}");
        let (registry, blob, expected) =
            with_blob(Registry::builder().fault(fault.on("GET", path::BLOBS))).await;
        for size in [Some(blob.size), None] {
            let a = open(&registry, "a");
            let reader = match a.read_blob(&blob.digest, size).await {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Content, "{shown}: {error}");
                    continue;
                }
                Ok(reader) => reader.unwrap(),
            };
            let items: Vec<_> = reader.collect().await;
            let (last, rest) = items.split_last().unwrap();
            let error = last.as_ref().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Content, "{shown}: {error}");
            let given: usize = rest.iter().map(|item| item.as_ref().unwrap().len()).sum();
            assert!(given < expected.len(), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_blob_without_a_length_is_checked_as_well() {
    let fault = Fault::no_content_length().on("*", path::BLOBS);
    let (registry, blob, expected) = with_blob(Registry::builder().fault(fault)).await;
    let a = open(&registry, "a");
    let reader = a.read_blob(&blob.digest, None).await.unwrap();
    assert_eq!(content(reader).await.unwrap(), expected);
    assert_eq!(a.blob_size(&blob.digest).await.unwrap(), Some(blob.size), "{}", registry.log());
}

#[tokio::test]
async fn a_redirected_blob_is_read_without_our_token() {
    let builder = Registry::builder()
        .auth(Auth::bearer("robot", "secret"))
        .cdn()
        .fault(Fault::redirect_to_cdn());
    let (registry, blob, expected) = with_blob(builder).await;
    let a =
        client(settings(), Known::user("secret")).repository(&registry.host(), &repository("a"));
    let reader = a.read_blob(&blob.digest, Some(blob.size)).await.unwrap();
    assert_eq!(content(reader).await.unwrap(), expected);
    let cdn = registry.cdn().unwrap().log().requests();
    assert_eq!(cdn.len(), 1);
    assert_eq!(cdn[0].authorization, None);
    assert_eq!(cdn[0].header("referer"), None);
    let own = registry.log().matching("GET", path::BLOBS);
    assert_eq!(own[0].authorization.as_deref(), Some("Bearer"));
}

#[tokio::test]
async fn a_cut_at_the_cdn_asks_the_registry_again() {
    let builder = Registry::builder().cdn().fault(Fault::redirect_to_cdn());
    let (registry, blob, expected) = with_blob(builder).await;
    let cdn = registry.cdn().unwrap();
    cdn.inject(Fault::shorten(40, ContentLength::Whole).on("GET", path::BLOBS).once());
    let reader = open(&registry, "a").read_blob(&blob.digest, Some(blob.size)).await.unwrap();
    assert_eq!(content(reader).await.unwrap(), expected);
    assert_eq!(registry.log().count("GET", path::BLOBS), 2);
    assert_eq!(cdn.log().count("GET", path::BLOBS), 2);
}

#[tokio::test]
async fn redirects_are_not_followed_everywhere() {
    for location in ["http://169.254.169.254/x", "file:///etc/passwd", "/v2/a/blobs/sha256:loop"] {
        let fault = Fault::status(307).header("location", location).on("GET", "/v2/a/blobs/*");
        let (registry, blob, _) = with_blob(Registry::builder().fault(fault)).await;
        let error = open(&registry, "a").read_blob(&blob.digest, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(registry.log().count("GET", "/v2/a/blobs/*") <= 6, "{location}");
    }
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let registry = Registry::start().await;
    let a = open(&registry, "a");
    let empty = Digest::sha256(b"");
    crate::uploads::upload(&a, empty, Bytes::new()).await.unwrap();
    assert_eq!(a.blob_size(&empty).await.unwrap(), Some(0));
    let reader = a.read_blob(&empty, Some(0)).await.unwrap();
    assert_eq!(content(reader).await.unwrap(), Bytes::new());
}
