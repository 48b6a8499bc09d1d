//! Manifests, tags and referrers.

use oci::{Algorithm, Digest, MediaType, Selector};
use registry::{ErrorKind, Referrers, ReferrersSource, TagList};
use testkit::{Auth, Fault, Registry, image, path};

use crate::{asked, by_tag, open, repository, tag};

#[tokio::test]
async fn resolving_is_one_head() {
    let registry = Registry::start().await;
    let index = image::index(1);
    registry.add(&repository("a"), &tag("1"), &index).await;
    let a = open(&registry, "a");
    assert_eq!(a.resolve(&by_tag("1")).await.unwrap(), Some(index.root.clone()));
    let by_digest = Selector::from(index.root.digest);
    assert_eq!(a.resolve(&by_digest).await.unwrap(), Some(index.root));
    assert_eq!(a.resolve(&by_tag("2")).await.unwrap(), None);
    assert_eq!(a.resolve(&Digest::sha256(b"").into()).await.unwrap(), None);
    assert_eq!(registry.log().count("HEAD", path::MANIFESTS), 4);
    assert_eq!(registry.log().count("GET", path::MANIFESTS), 0);
}

#[tokio::test]
async fn where_a_head_is_not_enough_the_manifest_is_read() {
    let faults = [
        Fault::head_unsupported(),
        Fault::no_content_digest().on("HEAD", path::MANIFESTS),
        Fault::content_type(None).on("HEAD", path::MANIFESTS),
        Fault::content_type(Some("text/plain")).on("*", path::MANIFESTS),
        Fault::status(403).on("HEAD", path::MANIFESTS),
    ];
    for fault in faults {
        let shown = format!("{fault:?}");
        let registry = Registry::builder().fault(fault).start().await;
        let single = image::single(1);
        registry.add(&repository("a"), &tag("1"), &single).await;
        let found = open(&registry, "a").resolve(&by_tag("1")).await.unwrap();
        assert_eq!(found, Some(single.root), "{shown}");
        assert_eq!(registry.log().count("GET", path::MANIFESTS), 1, "{shown}");
    }
}

#[tokio::test]
async fn manifests_come_as_the_bytes_they_are() {
    let registry = Registry::start().await;
    let docker = image::docker(1);
    registry.add(&repository("a"), &tag("1"), &docker).await;
    let a = open(&registry, "a");
    let manifest = a.manifest(&by_tag("1")).await.unwrap().unwrap();
    assert_eq!(&manifest, docker.manifest());
    assert_eq!(*manifest.media_type(), MediaType::DOCKER_LIST);
    assert_eq!(a.manifest(&by_tag("2")).await.unwrap(), None);
}

#[tokio::test]
async fn wrong_manifests_are_refused() {
    let faults = [
        Fault::wrong_content_digest().on("GET", path::MANIFESTS),
        Fault::flip_byte(30).on("GET", path::MANIFESTS),
        Fault::status(200).body("<html>").on("GET", path::MANIFESTS),
        Fault::status(200).body("x".repeat(5 << 20)).on("GET", path::MANIFESTS),
    ];
    for fault in faults {
        let shown = format!("{fault:?}");
        let registry = Registry::builder().fault(fault).start().await;
        registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
        let error = open(&registry, "a").manifest(&by_tag("1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Content, "{shown}: {error}");
        assert_eq!(registry.log().count("GET", path::MANIFESTS), 1, "{shown}");
    }
}

#[tokio::test]
async fn schema_1_is_refused_in_clear_words() {
    let body = r#"{"schemaVersion":1,"fsLayers":[],"signatures":[]}"#;
    let media_type = MediaType::DOCKER_SCHEMA1_SIGNED;
    let fault = Fault::status(200)
        .header("content-type", media_type.as_str())
        .body(body)
        .on("*", path::MANIFESTS);
    let registry = Registry::builder().fault(fault).start().await;
    let a = open(&registry, "a");
    let resolved = a.resolve(&by_tag("1")).await.unwrap_err();
    let read = a.manifest(&by_tag("1")).await.unwrap_err();
    for error in [resolved, read] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("schema 1"), "{error}");
    }
}

#[tokio::test]
async fn a_manifest_that_breaks_off_is_read_again() {
    let fault = Fault::shorten(20, testkit::ContentLength::Whole).on("GET", path::MANIFESTS).once();
    let registry = Registry::builder().fault(fault).start().await;
    let single = image::single(1);
    registry.add(&repository("a"), &tag("1"), &single).await;
    let manifest = open(&registry, "a").manifest(&by_tag("1")).await.unwrap().unwrap();
    assert_eq!(manifest.digest(), single.root.digest);
    assert_eq!(registry.log().count("GET", path::MANIFESTS), 2);
}

#[tokio::test]
async fn pushed_and_deleted() {
    let registry = Registry::start().await;
    let single = image::single(1);
    let a = open(&registry, "a");
    for (blob, content) in &single.blobs {
        crate::uploads::upload(&a, blob.digest, content.clone()).await.unwrap();
    }
    let by_digest = Selector::from(single.root.digest);
    let receipt = a.put_manifest(&by_digest, single.manifest()).await.unwrap();
    assert!(!receipt.subject_accepted);
    a.put_manifest(&by_tag("1"), single.manifest()).await.unwrap();
    assert_eq!(registry.resolve(&repository("a"), &tag("1")).await, Some(single.root.digest));
    let referrer = image::referrer_of(&single.root, 2);
    for (blob, content) in &referrer.blobs {
        crate::uploads::upload(&a, blob.digest, content.clone()).await.unwrap();
    }
    let by_digest = Selector::from(referrer.root.digest);
    assert!(a.put_manifest(&by_digest, referrer.manifest()).await.unwrap().subject_accepted);
    a.delete_manifest(&by_tag("1")).await.unwrap();
    a.delete_manifest(&by_tag("1")).await.unwrap();
    assert_eq!(a.resolve(&by_tag("1")).await.unwrap(), None);
}

#[tokio::test]
async fn a_manifest_with_missing_parts_keeps_the_registrys_code() {
    let registry = Registry::start().await;
    let error = open(&registry, "a")
        .put_manifest(&by_tag("1"), image::single(1).manifest())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("MANIFEST_BLOB_UNKNOWN"), "{error}");
}

#[tokio::test]
async fn sha512_digests_go_through() {
    let registry = Registry::start().await;
    let single = image::sha512().single(1);
    registry.add(&repository("a"), &tag("1"), &single).await;
    let selector = Selector::from(single.root.digest);
    let manifest = open(&registry, "a").manifest(&selector).await.unwrap().unwrap();
    assert_eq!(manifest.digest(), single.root.digest);
    assert_eq!(manifest.digest().algorithm(), Algorithm::Sha512);
}

#[tokio::test]
async fn a_tag_is_addressed_by_sha512_where_the_registry_can() {
    let single = image::sha512().single(1);
    let a_registry = || async {
        let registry = Registry::start().await;
        registry.add_untagged(&repository("a"), &single).await;
        registry
    };
    let registry = a_registry().await;
    open(&registry, "a").put_manifest(&by_tag("1"), single.manifest()).await.unwrap();
    assert_eq!(registry.resolve(&repository("a"), &tag("1")).await, Some(single.root.digest));
    let puts = registry.log().matching("PUT", path::MANIFESTS);
    assert_eq!(puts.len(), 1, "{}", registry.log());

    // One that leaves the tag out of its answer, and one that does not take such a digest.
    let by_digest = "/v2/a/manifests/sha512:*";
    for fault in [
        Fault::status(201).on("PUT", by_digest),
        Fault::error(400, "DIGEST_INVALID", "no").on("PUT", by_digest),
    ] {
        let registry = a_registry().await;
        registry.inject(fault);
        let a = open(&registry, "a");
        a.put_manifest(&by_tag("1"), single.manifest()).await.unwrap();
        let there = a.resolve(&by_tag("1")).await.unwrap().unwrap().digest;
        assert_eq!(there.algorithm(), Algorithm::Sha256);
        assert!(single.manifest().has_digest(&there));
    }
}

#[tokio::test]
async fn tags_of_all_pages() {
    let registry = Registry::builder().fault(Fault::tag_pages(2)).start().await;
    let names = ["3.10", "1", "2", "latest", "a"];
    for name in names {
        registry.add(&repository("a"), &tag(name), &image::single(1)).await;
    }
    let mut expected = names.map(tag).to_vec();
    expected.sort();
    assert_eq!(open(&registry, "a").tags().await.unwrap().map(|list| list.tags), Some(expected));
    assert_eq!(registry.log().count("GET", path::TAGS), 3);
    assert_eq!(open(&registry, "b").tags().await.unwrap(), None);
}

#[tokio::test]
async fn a_list_without_an_end_is_not_followed_forever() {
    let fault = Fault::status(200)
        .header("link", "</v2/a/tags/list?n=1000>; rel=\"next\"")
        .body(r#"{"name":"a","tags":["1"]}"#)
        .on("GET", path::TAGS);
    let registry = Registry::builder().fault(fault).start().await;
    let error = open(&registry, "a").tags().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let null = Fault::status(200).body(r#"{"name":"a","tags":null}"#).on("GET", path::TAGS);
    let registry = Registry::builder().fault(null).start().await;
    assert_eq!(open(&registry, "a").tags().await.unwrap(), Some(TagList::default()));
}

#[tokio::test]
async fn the_next_page_is_not_asked_of_a_stranger() {
    let fault = Fault::status(200)
        .header("link", "<http://169.254.169.254/v2/a/tags/list>; rel=\"next\"")
        .body(r#"{"name":"a","tags":["1"]}"#)
        .on("GET", path::TAGS);
    let registry = Registry::builder().fault(fault).start().await;
    let error = open(&registry, "a").tags().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn referrers_from_the_api_and_from_the_fallback_tag() {
    let registry = Registry::start().await;
    let single = image::single(1);
    let referrer = image::referrer_of(&single.root, 2);
    registry.add(&repository("a"), &tag("1"), &single).await;
    registry.add_untagged(&repository("a"), &referrer).await;
    let a = open(&registry, "a");
    let Referrers { manifests, source } = a.referrers(&single.root.digest).await.unwrap();
    let digests: Vec<_> = manifests.iter().map(|one| one.digest).collect();
    assert_eq!((digests, source), (vec![referrer.root.digest], ReferrersSource::Api));
    let none = a.referrers(&Digest::sha256(b"")).await.unwrap();
    assert_eq!(none, Referrers { manifests: vec![], source: ReferrersSource::Api });

    registry.inject(Fault::no_referrers());
    registry.log().clear();
    let none = a.referrers(&single.root.digest).await.unwrap();
    assert_eq!(none, Referrers { manifests: vec![], source: ReferrersSource::Tag });
    let index = image::index(3);
    registry.add(&repository("a"), &oci::Tag::of_referrers(&single.root.digest), &index).await;
    let listed = a.referrers(&single.root.digest).await.unwrap();
    assert_eq!(listed.manifests.len(), index.manifest().manifests().count());
    assert_eq!(registry.log().count("GET", path::REFERRERS), 1, "{:?}", asked(&registry));
}

#[tokio::test]
async fn denied_is_never_none() {
    let denied_tag = Fault::error(403, "DENIED", "no").on("*", "/v2/*/manifests/sha256-*");
    for faults in [vec![Fault::deny_referrers()], vec![Fault::no_referrers(), denied_tag]] {
        let registry = Registry::start().await;
        for fault in faults {
            registry.inject(fault);
        }
        let error = open(&registry, "a").referrers(&Digest::sha256(b"")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn a_web_page_is_no_list_of_referrers() {
    let redirect = Fault::redirect_referrers(303, "http://127.0.0.1:1/-/v2/packages");
    let page = Fault::status(200)
        .header("content-type", "text/html")
        .body("<html></html>")
        .on("GET", path::REFERRERS);
    for fault in [redirect, page] {
        let registry = Registry::builder().fault(fault).start().await;
        let listed = open(&registry, "a").referrers(&Digest::sha256(b"")).await.unwrap();
        assert_eq!(listed, Referrers { manifests: vec![], source: ReferrersSource::Tag });
    }
}

#[tokio::test]
async fn an_error_names_what_was_asked_of_whom_and_what_came() {
    let registry = Registry::builder().auth(Auth::Open).start().await;
    registry
        .inject(Fault::error(400, "NAME_INVALID", "bad\u{1b}[31m name").on("*", path::MANIFESTS));
    let error = open(&registry, "team/app").manifest(&by_tag("1")).await.unwrap_err();
    let host = registry.host();
    let expected = format!(
        "reading the manifest `{host}/team/app:1`: `{host}` answered 400 Bad Request: \
         NAME_INVALID: bad [31m name"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.kind(), ErrorKind::Rejected);
}
