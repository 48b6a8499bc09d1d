//! Uploads that broke, taken up again.

use std::io;

use bytes::Bytes;
use futures::{Stream, stream};
use oci::Digest;
use registry::{ErrorKind, UploadSession};
use testkit::{Fault, Personality, Registry, path};

use crate::open;
use crate::uploads::{is_there, made, start, upload};

/// The content from an offset on, in pieces of 1000 bytes.
fn from(content: &Bytes, offset: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let rest = content.slice(usize::try_from(offset).unwrap()..);
    let pieces: Vec<_> = rest.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

/// A session whose first `put` broke after `came` bytes.
async fn broken(registry: &Registry, came: u64) -> (UploadSession, Digest, Bytes) {
    let (digest, content) = made(10_000);
    let fault = registry.inject(Fault::break_request(came).on("PUT|PATCH", path::UPLOADS).once());
    let mut session = start(&open(registry, "a"), digest).await.unwrap();
    let error = session.put(10_000, from(&content, 0)).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert_eq!(fault.hits(), 1);
    (session, digest, content)
}

#[tokio::test]
async fn only_the_rest_is_sent_again() {
    let registry = Registry::start().await;
    let (mut session, digest, content) = broken(&registry, 6000).await;
    assert_eq!(session.received().await.unwrap(), Some(6000));
    session.put_rest(6000, 10_000, from(&content, 6000)).await.unwrap();
    assert!(is_there(&registry, "a", &digest).await);
    let uploads = registry.log().matching("*", path::UPLOADS);
    let methods: Vec<_> = uploads.iter().map(|request| request.method.as_str()).collect();
    // It is asked until it says the same twice.
    assert_eq!(methods, ["POST", "PUT", "GET", "GET", "PATCH", "PUT"], "{}", registry.log());
    assert_eq!(uploads[4].header("content-range"), Some("6000-9999"));
    assert_eq!(uploads[4].header("content-length"), Some("4000"));
    assert_eq!(uploads[4].bytes_in, 4000);
}

#[tokio::test]
async fn as_often_as_it_breaks() {
    let registry = Registry::start().await;
    let (mut session, digest, content) = broken(&registry, 6000).await;
    registry.inject(Fault::break_request(1500).on("PATCH", path::UPLOADS).once());
    registry.inject(Fault::drop_connection().on("GET", path::UPLOADS).once());
    session.put_rest(6000, 10_000, from(&content, 6000)).await.unwrap_err();
    assert_eq!(session.received().await.unwrap(), Some(7500));
    session.put_rest(7500, 10_000, from(&content, 7500)).await.unwrap();
    assert!(is_there(&registry, "a", &digest).await);
}

#[tokio::test]
async fn where_all_has_come_only_the_end_is_sent() {
    let registry = Registry::start().await;
    let (mut session, digest, content) = broken(&registry, 10_000).await;
    assert_eq!(session.received().await.unwrap(), Some(10_000));
    session.put_rest(10_000, 10_000, from(&content, 10_000)).await.unwrap();
    assert!(is_there(&registry, "a", &digest).await);
    assert_eq!(registry.log().count("PATCH", path::UPLOADS), 0);
}

#[tokio::test]
async fn a_source_that_broke_leaves_a_session_to_go_on_with() {
    let registry = Registry::start().await;
    let (digest, content) = made(10_000);
    let mut session = start(&open(&registry, "a"), digest).await.unwrap();
    let came = registry.log().clone();
    let pieces = stream::unfold(0, move |step| {
        let (log, piece) = (came.clone(), Bytes::copy_from_slice(&made(10_000).1[..4000]));
        async move {
            if step == 0 {
                return Some((Ok(piece), 1));
            }
            let has_come = |log: &testkit::RequestLog| {
                log.matching("PUT", path::UPLOADS).iter().any(|put| put.bytes_in == 4000)
            };
            log.wait_until(has_come).await;
            Some((Err(io::Error::other("the source broke")), 2))
        }
    });
    let error = session.put(10_000, pieces).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Content, "{error}");
    assert_eq!(session.received().await.unwrap(), Some(4000));
    session.put_rest(4000, 10_000, from(&content, 4000)).await.unwrap();
    assert!(is_there(&registry, "a", &digest).await);
}

#[tokio::test]
async fn a_session_whose_state_is_in_its_location() {
    let rules = Personality::distribution2().rules;
    let personality = Personality { rules, ..Personality::default() };
    let registry = Registry::builder().personality(personality).start().await;
    let (mut session, digest, content) = broken(&registry, 6000).await;
    assert_eq!(session.received().await.unwrap(), Some(6000));
    session.put_rest(6000, 10_000, from(&content, 6000)).await.unwrap();
    assert!(is_there(&registry, "a", &digest).await);
}

#[tokio::test]
async fn a_registry_that_takes_chunks_gets_the_rest_in_chunks() {
    let registry = Registry::start().await;
    let (digest, content) = made(10_000);
    let a = open(&registry, "a");
    registry.inject(Fault::status(413).on("PUT", path::UPLOADS).once());
    let mut session = start(&a, digest).await.unwrap();
    session.put(10_000, from(&content, 0)).await.unwrap_err();
    // The session has nothing; what was learned of the registry holds for the next.
    assert_eq!(session.received().await.unwrap(), None);
    registry.inject(Fault::break_request(6000).on("PATCH", path::UPLOADS).once());
    let mut session = start(&a, digest).await.unwrap();
    session.put(10_000, from(&content, 0)).await.unwrap_err();
    assert_eq!(session.received().await.unwrap(), Some(6000));
    session.put_rest(6000, 10_000, from(&content, 6000)).await.unwrap();
    assert!(is_there(&registry, "a", &digest).await);
}

#[tokio::test]
async fn what_cannot_be_taken_up_again() {
    let get = |fault: Fault| fault.on("GET", path::UPLOADS);
    let faults = [
        // Our registry and distribution 2 (of a session whose size is not what its state says).
        get(Fault::error(404, "BLOB_UPLOAD_UNKNOWN", "gone")),
        // go-containerregistry's registry
        get(Fault::error(400, "NAME_INVALID", "invalid digest")),
        get(Fault::status(405)),
        get(Fault::status(416)),
        get(Fault::answer_header("range", "0-0")),
        get(Fault::answer_header("range", "0-10000")),
        get(Fault::answer_header("range", "bytes=500-6000")),
    ];
    for fault in faults {
        let shown = format!("{fault:?}");
        let registry = Registry::start().await;
        let (mut session, ..) = broken(&registry, 6000).await;
        registry.inject(fault);
        assert_eq!(session.received().await.unwrap(), None, "{shown}");
        session.cancel().await;
    }
    let registry = Registry::start().await;
    let (mut session, ..) = broken(&registry, 6000).await;
    registry.inject(get(Fault::status(503)));
    assert!(session.received().await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn a_refused_rest_is_temporary() {
    let registry = Registry::start().await;
    let (mut session, _, content) = broken(&registry, 6000).await;
    registry.inject(Fault::status(405).on("PATCH", path::UPLOADS));
    let error = session.put_rest(6000, 10_000, from(&content, 6000)).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    // And says nothing of how to send what is whole.
    let (digest, content) = made(100);
    upload(&open(&registry, "a"), digest, content).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_never_goes_on_is_not_asked_forever() {
    let registry = Registry::start().await;
    registry.inject(Fault::status(404).on("GET", path::UPLOADS));
    registry.inject(Fault::break_request(10).on("PUT", path::UPLOADS));
    let a = open(&registry, "a");
    let (digest, content) = made(1000);
    for _ in 0..5 {
        let mut session = start(&a, digest).await.unwrap();
        session.put(1000, from(&content, 0)).await.unwrap_err();
        assert_eq!(session.received().await.unwrap(), None);
    }
    assert_eq!(registry.log().count("GET", path::UPLOADS), 3);
    assert!(!is_there(&registry, "a", &digest).await);
}
