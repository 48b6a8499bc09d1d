//! What single kinds of registries do, and what proxies in front of them do; the list of all that
//! is known is in `docs/registries.md`.

use std::net::SocketAddr;

use bytes::Bytes;
use oci::{Algorithm, Digest, Manifest, MediaType, RegistryKind, Selector};
use registry::{ErrorKind, ReferrersSource, RegistrySettings, RepositoryClient, Upload};
use testkit::{Fault, Personality, Registry, image, path};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::uploads::upload;
use crate::{Known, by_tag, client, open, repository, settings, settings_for, tag};

/// A repository of a registry that is said to be of a kind, for nobody in particular.
fn open_as(kind: RegistryKind, registry: &Registry, name: &str) -> RepositoryClient {
    let settings =
        settings_for(registry, RegistrySettings { kind: Some(kind), ..Default::default() });
    client(settings, Known::nobody()).repository(&registry.host(), &repository(name))
}

/// A server that gives each connection the next of these answers, whatever it is asked, and the
/// last one to all that follow.
async fn canned(answers: Vec<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answers.get(number).or(answers.last()).unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
            let _gone = stream.write_all(answer).await;
        }
    });
    address
}

fn plain_http(address: SocketAddr, attempts: u32) -> RepositoryClient {
    let host: oci::Host = address.to_string().parse().unwrap();
    let of_it = RegistrySettings { plain_http: Some(true), ..Default::default() };
    let registries = [(host.clone(), of_it)].into();
    let settings = registry::Settings { registries, attempts, ..settings() };
    client(settings, Known::nobody()).repository(&host, &repository("a"))
}

#[tokio::test]
async fn a_registry_is_recognised_by_its_first_answer() {
    let faults = Personality::artifactory().faults;
    let registry =
        Registry::builder().personality(Personality { faults, ..Personality::default() });
    let registry = registry.start().await;
    open(&registry, "a").tags().await.unwrap();
    // What its settings say goes before that.
    open_as(RegistryKind::Generic, &registry, "a").tags().await.unwrap();
    let queries: Vec<_> =
        registry.log().matching("GET", path::TAGS).iter().map(|one| one.query.clone()).collect();
    assert_eq!(queries, [Some("n=10000".to_owned()), Some("n=1000".to_owned())]);
}

#[tokio::test]
async fn a_refused_login_comes_with_the_way_of_that_kind() {
    let registry = Registry::builder().personality(Personality::harbor()).start().await;
    let a = client(settings(), Known::user("wrong")).repository(&registry.host(), &repository("a"));
    let error = a.start_upload(&Digest::sha256(b""), None).await.err().unwrap();
    let hint = error.hint().unwrap();
    assert!(hint.starts_with("check the password of `robot`"), "{hint}");
    assert!(hint.ends_with("use a robot account of the project, `robot$NAME`"), "{hint}");
}

#[tokio::test]
async fn parts_are_as_long_as_the_registry_wants() {
    let mebibyte = 1 << 20;
    let too_large = Fault::status(413)
        .on("PUT", path::UPLOADS)
        .when(|request| request.headers.get("content-length").is_some_and(|length| length != "0"));
    let smallest = Fault::answer_header("oci-chunk-min-length", "9437184");
    let registry = Registry::builder()
        .fault(too_large)
        .fault(smallest.on("POST", path::UPLOADS))
        .start()
        .await;
    let a = open(&registry, "a");
    let content = Bytes::from(vec![7; 20 * mebibyte]);
    let digest = Digest::sha256(&content);
    assert!(upload(&a, digest, content.clone()).await.unwrap_err().is_temporary());
    upload(&a, digest, content).await.unwrap();
    let parts: Vec<u64> = registry
        .log()
        .matching("PATCH", path::UPLOADS)
        .iter()
        .map(|part| part.bytes_in / mebibyte as u64)
        .collect();
    assert_eq!(parts, [9, 9, 2]);
}

#[tokio::test]
async fn no_parts_where_they_are_not_taken() {
    for kind in [RegistryKind::Ecr, RegistryKind::EcrPublic, RegistryKind::Google] {
        let registry =
            Registry::builder().fault(Fault::status(413).on("PUT", path::UPLOADS)).start().await;
        let a = open_as(kind, &registry, "a");
        for _ in 0..2 {
            let content = Bytes::from_static(b"content");
            let error = upload(&a, Digest::sha256(&content), content).await.unwrap_err();
            assert!(!error.is_temporary(), "{kind}: {error}");
        }
        assert_eq!(registry.log().count("PATCH", path::UPLOADS), 0, "{kind}");
    }
}

#[tokio::test]
async fn a_mount_says_mount_and_from_and_nothing_else() {
    let registry = Registry::start().await;
    let single = image::single(1);
    registry.add(&repository("from"), &tag("1"), &single).await;
    let layer = single.layers()[0].digest;
    let mounted = open(&registry, "to").start_upload(&layer, Some(&repository("from"))).await;
    assert!(matches!(mounted.unwrap(), Upload::Mounted));
    let posts = registry.log().matching("POST", path::UPLOADS);
    let expected = format!("mount=sha256%3A{}&from=from", layer.hex());
    assert_eq!(posts[0].query.as_deref(), Some(expected.as_str()));
}

#[tokio::test]
async fn a_cancel_that_is_refused_does_no_harm() {
    for status in [401, 403, 404, 405] {
        let fault = Fault::status(status).on("DELETE", path::UPLOADS);
        let registry = Registry::builder().fault(fault).start().await;
        let a = open(&registry, "a");
        match a.start_upload(&Digest::sha256(b"x"), None).await.unwrap() {
            Upload::Session(session) => session.cancel().await,
            Upload::Mounted => panic!("nothing was to be mounted"),
        }
        let content = Bytes::from_static(b"x");
        upload(&a, Digest::sha256(&content), content).await.unwrap();
        assert_eq!(registry.log().count("DELETE", path::UPLOADS), 1, "{status}");
    }
}

#[tokio::test]
async fn a_rate_limit_in_lines_without_carriage_returns_is_one() {
    let limited = b"HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 0\n\n";
    let a = plain_http(
        canned(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", limited])
            .await,
        1,
    );
    let error = a.resolve(&by_tag("1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(60)));
}

#[tokio::test]
async fn an_answer_in_another_protocol_is_asked_for_again() {
    // The frames that an HTTP/2 server begins with: SETTINGS, then WINDOW_UPDATE.
    let frames = b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x08\0\0\0\0\0\0\x0f\0\x01";
    let welcome = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let a = plain_http(canned(vec![welcome, frames, missing]).await, 2);
    assert!(a.resolve(&by_tag("1")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_broken_http2_connection_is_followed_by_http1() {
    let registry = Registry::builder().tls().start().await;
    registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
    registry.inject(Fault::drop_connection().on("HEAD", path::MANIFESTS).once());
    let trusting = RegistrySettings { ca_file: registry.ca_file(), ..Default::default() };
    let client = client(settings_for(&registry, trusting), Known::nobody());
    let a = client.repository(&registry.host(), &repository("a"));
    assert!(a.resolve(&by_tag("1")).await.unwrap().is_some());
    // HTTP/2 has no `Host`.
    let heads = registry.log().matching("HEAD", path::MANIFESTS);
    let versions: Vec<bool> = heads.iter().map(|one| one.header("host").is_some()).collect();
    assert_eq!(versions, [false, true], "{}", registry.log());
}

#[tokio::test]
async fn an_index_of_two_families_is_refused_in_clear_words() {
    let registry = Registry::builder()
        .personality(Personality { auth: testkit::Auth::Open, ..Personality::quay() })
        .start()
        .await;
    let docker = image::docker_single(1);
    registry.add_untagged(&repository("a"), &docker).await;
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [docker.root],
    });
    let index = Manifest::parse(index.to_string().into(), None, Algorithm::Sha256).unwrap();
    let error = open(&registry, "a").put_manifest(&by_tag("1"), &index).await.unwrap_err();
    assert_eq!(error.code(), Some("MANIFEST_INVALID"));
    assert!(error.hint().unwrap().contains("mixes manifests of Docker and of OCI"), "{error:?}");
}

#[tokio::test]
async fn a_child_that_comes_later_is_waited_for() {
    let single = image::single(1);
    let child = Selector::from(single.digest());
    for (kind, comes, gets) in [(RegistryKind::Ecr, true, 3), (RegistryKind::Generic, false, 1)] {
        let registry = Registry::builder()
            .fault(Fault::status(404).on("GET", path::MANIFESTS).times(2))
            .start()
            .await;
        registry.add(&repository("a"), &tag("1"), &single).await;
        let found = open_as(kind, &registry, "a").manifest(&child).await.unwrap();
        assert_eq!(found.is_some(), comes, "{kind}");
        assert_eq!(registry.log().count("GET", path::MANIFESTS), gets, "{kind}");
    }
    // A tag that is not there is not waited for anywhere.
    let registry = Registry::start().await;
    let ecr = open_as(RegistryKind::Ecr, &registry, "a");
    assert!(ecr.manifest(&by_tag("1")).await.unwrap().is_none());
    assert_eq!(registry.log().count("GET", path::MANIFESTS), 1);
}

#[tokio::test]
async fn what_is_known_of_the_referrers_api_is_heeded() {
    let subjects = [Digest::sha256(b"1"), Digest::sha256(b"2")];
    let table = [
        (RegistryKind::Distribution2, 0),
        // Not asked again once one answer said that there is none.
        (RegistryKind::Generic, 1),
        // An error is about the one that was asked for (aws/containers-roadmap#2783).
        (RegistryKind::Ecr, 2),
    ];
    for (kind, asked) in table {
        let fault = Fault::status(405).on("GET", path::REFERRERS);
        let registry = Registry::builder().fault(fault).start().await;
        let a = open_as(kind, &registry, "a");
        for subject in &subjects {
            let listed = a.referrers(subject).await.unwrap();
            assert_eq!(listed.source, ReferrersSource::Tag, "{kind}");
        }
        assert_eq!(registry.log().count("GET", path::REFERRERS), asked, "{kind}");
    }
}

#[tokio::test]
async fn googles_tag_lists_answer_for_a_whole_repository() {
    let gar = Personality { auth: testkit::Auth::Open, ..Personality::gar() };
    let registry = Registry::builder().personality(gar).start().await;
    let (one, two) = (image::single(1), image::single(2));
    for (name, image) in [("1", &one), ("1.0", &one), ("2", &two)] {
        registry.add(&repository("a"), &tag(name), image).await;
    }
    let list = open(&registry, "a").tags().await.unwrap().unwrap();
    let told = [(tag("1"), one.digest()), (tag("1.0"), one.digest()), (tag("2"), two.digest())];
    assert_eq!(list.digests, told.into());
    assert_eq!(registry.log().count("*", path::TAGS), 1);
    assert_eq!(registry.log().count("*", path::MANIFESTS), 0);
}
