//! Pushing blobs: at once, in chunks, as a stream, resumed, mounted, cancelled.

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Request;
use oci::{Algorithm, Digest};
use server::Options;

use crate::served::{Answer, Served};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

async fn start(served: &Served, query: &str) -> Answer {
    let path = format!("/v2/a/blobs/uploads/{query}");
    let answer = served.send("POST", &path, &[("content-length", "0")], b"").await.expect(202);
    assert_eq!(answer.header("range"), "0-0");
    assert!(answer.header("location").ends_with(answer.header("docker-upload-uuid")));
    answer
}

async fn expect_blob(served: &Served, repository: &str, digest: &Digest, content: &[u8]) {
    let answer = served.get(&format!("/v2/{repository}/blobs/{digest}")).await.expect(200);
    assert_eq!(answer.body, content);
}

fn expect_created(answer: Answer, digest: &Digest) {
    let answer = answer.expect(201);
    assert_eq!(answer.header("location"), format!("/v2/a/blobs/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
}

/// What lies in the hidden folder of repository `a`.
fn left_over(served: &Served) -> usize {
    std::fs::read_dir(served.folder.path().join("a/.uploads")).unwrap().count()
}

#[tokio::test]
async fn in_one_post() {
    for algorithm in ALGORITHMS {
        let served = Served::new();
        for content in [&b"hello"[..], b""] {
            let digest = Digest::of(algorithm, content);
            let path = format!("/v2/a/blobs/uploads/?digest={digest}");
            expect_created(served.send("POST", &path, &[], content).await, &digest);
            expect_blob(&served, "a", &digest, content).await;
        }
    }
}

#[tokio::test]
async fn with_post_and_put() {
    for algorithm in ALGORITHMS {
        let served = Served::new();
        let digest = Digest::of(algorithm, b"hello");
        for query in [String::new(), format!("?digest-algorithm={algorithm}")] {
            let location = start(&served, &query).await.header("location").to_owned();
            let answer =
                served.send("PUT", &format!("{location}?digest={digest}"), &[], b"hello").await;
            expect_created(answer, &digest);
            expect_blob(&served, "a", &digest, b"hello").await;
            served.get(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
}

#[tokio::test]
async fn in_chunks() {
    for algorithm in ALGORITHMS {
        for put_last in [true, false] {
            let served = Served::new();
            let digest = Digest::of(algorithm, b"hello world");
            let query = format!("?digest-algorithm={algorithm}");
            let mut location = start(&served, &query).await.header("location").to_owned();
            let chunks: &[(&str, &[u8])] = if put_last {
                &[("0-4", b"hello")]
            } else {
                &[("0-4", b"hello"), ("5-10", b" world")]
            };
            for (range, chunk) in chunks {
                let answer =
                    served.send("PATCH", &location, &[("content-range", range)], chunk).await;
                let answer = answer.expect(202);
                let end = range.split_once('-').unwrap().1;
                assert_eq!(answer.header("range"), format!("0-{end}"));
                location = answer.header("location").to_owned();
                let status = served.get(&location).await.expect(204);
                assert_eq!(status.header("range"), format!("0-{end}"));
                assert_eq!(status.header("location"), location);
            }
            let path = format!("{location}?digest={digest}");
            let answer = if put_last {
                served.send("PUT", &path, &[("content-range", "5-10")], b" world").await
            } else {
                served.send("PUT", &path, &[], b"").await
            };
            expect_created(answer, &digest);
            expect_blob(&served, "a", &digest, b"hello world").await;
        }
    }
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on() {
    let served = Served::new();
    let digest = Digest::sha256(b"hello world");
    let location = start(&served, "").await.header("location").to_owned();
    let patch = |range: &'static str, chunk: &'static [u8]| {
        let (served, location) = (&served, &location);
        async move { served.send("PATCH", location, &[("content-range", range)], chunk).await }
    };
    patch("5-10", b" world").await.expect_error(416, "BLOB_UPLOAD_INVALID");
    patch("0-4", b"hello").await.expect(202);
    for range in ["0-4", "4-9", "6-11"] {
        let answer = patch(range, b"-----").await;
        let answer = answer.expect_error(416, "BLOB_UPLOAD_INVALID");
        assert_eq!((answer.header("range"), answer.header("location")), ("0-4", &*location));
    }
    let path = format!("{location}?digest={digest}");
    let answer = served.send("PUT", &path, &[("content-range", "7-10")], b"orld").await;
    answer.expect_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(served.get(&location).await.expect(204).header("range"), "0-4");
    let answer = served.send("PUT", &path, &[("content-range", "5-10")], b" world").await;
    expect_created(answer, &digest);
}

#[tokio::test]
async fn a_chunk_that_is_not_as_long_as_its_range_is_refused() {
    let served = Served::new();
    let location = start(&served, "").await.header("location").to_owned();
    let headers = [("content-range", "0-9"), ("content-length", "5")];
    served.send("PATCH", &location, &headers, b"hello").await.expect_error(400, "SIZE_INVALID");
    assert_eq!(served.get(&location).await.header("range"), "0-0");
    for range in ["x", "5-1", "0-", "bytes"] {
        let answer = served.send("PATCH", &location, &[("content-range", range)], b"hello").await;
        answer.expect_error(400, "BLOB_UPLOAD_INVALID");
    }
    served.send("PATCH", &location, &[("content-range", "0-9")], b"hello").await.expect(400);
}

#[tokio::test]
async fn as_a_stream_without_ranges() {
    let served = Served::new();
    let content: Vec<u8> = (0..500_000u32).flat_map(u32::to_be_bytes).collect();
    let digest = Digest::sha256(&content);
    let location = start(&served, "").await.header("location").to_owned();
    for half in content.chunks(content.len() / 2) {
        served.send("PATCH", &location, &[], half).await.expect(202);
    }
    let answer = served.send("PUT", &format!("{location}?digest={digest}"), &[], b"").await;
    expect_created(answer, &digest);
    expect_blob(&served, "a", &digest, &content).await;
}

#[tokio::test]
async fn an_upload_outlives_the_server_and_a_body_that_is_cut_off() {
    let served = Served::new();
    let digest = Digest::sha256(b"hello world");
    let location = start(&served, "").await.header("location").to_owned();
    let cut = stream::iter([Ok(Bytes::from_static(b"hello")), Err("cut")]);
    let request = Request::patch(&location).body(Body::from_stream(cut)).unwrap();
    served.send_request(request).await.expect_error(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(served.get(&location).await.expect(204).header("range"), "0-4");
    let served = served.restarted(Options::default());
    assert_eq!(served.get(&location).await.expect(204).header("range"), "0-4");
    served.send("PATCH", &location, &[("content-range", "5-9")], b" worl").await.expect(202);
    let served = served.restarted(Options::default());
    let answer = served.send("PUT", &format!("{location}?digest={digest}"), &[], b"d").await;
    expect_created(answer, &digest);
    expect_blob(&served, "a", &digest, b"hello world").await;
}

#[tokio::test]
async fn a_request_that_is_given_up_does_not_hold_the_upload() {
    let served = Served::new();
    let digest = Digest::sha256(b"hello");
    let location = start(&served, "").await.header("location").to_owned();
    let (reached, reach) = tokio::sync::oneshot::channel();
    let endless = stream::once(async move {
        reached.send(()).unwrap();
        Ok::<_, &str>(Bytes::from_static(b"he"))
    });
    let request = Request::patch(&location)
        .body(Body::from_stream(endless.chain(stream::pending())))
        .unwrap();
    tokio::select! {
        answer = served.send_request(request) => panic!("{answer:?}"),
        arrived = reach => arrived.unwrap(),
    }
    let status = served.get(&location).await.expect(204);
    assert_eq!(status.header("range"), "0-0");
    let answer = served.send("PUT", &format!("{location}?digest={digest}"), &[], b"hello").await;
    expect_created(answer, &digest);
}

#[tokio::test]
async fn wrong_digests_are_refused_and_nothing_is_stored() {
    for algorithm in ALGORITHMS {
        let served = Served::new();
        let digest = Digest::of(algorithm, b"other");
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        served.send("POST", &path, &[], b"hello").await.expect_error(400, "DIGEST_INVALID");
        let location = start(&served, "").await.header("location").to_owned();
        let path = format!("{location}?digest={digest}");
        served.send("PUT", &path, &[], b"hello").await.expect_error(400, "DIGEST_INVALID");
        served.head(&format!("/v2/a/blobs/{digest}")).await.expect(404);
        assert_eq!(left_over(&served), 0);
    }
    let served = Served::new();
    for digest in ["sha256:bad", "md5:d41d8cd98f00b204e9800998ecf8427e", "x"] {
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        served.send("POST", &path, &[], b"hello").await.expect_error(400, "DIGEST_INVALID");
        let location = start(&served, "").await.header("location").to_owned();
        let path = format!("{location}?digest={digest}");
        served.send("PUT", &path, &[], b"hello").await.expect_error(400, "DIGEST_INVALID");
        served.send("PUT", &location, &[], b"hello").await.expect_error(400, "DIGEST_INVALID");
    }
    let path = "/v2/a/blobs/uploads/?digest-algorithm=md5";
    served.send("POST", path, &[], b"").await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn mounted() {
    for algorithm in ALGORITHMS {
        let served = Served::new();
        let digest = Digest::of(algorithm, b"hello");
        let path = format!("/v2/b/c/blobs/uploads/?digest={digest}");
        served.send("POST", &path, &[], b"hello").await.expect(201);
        // From where the client says, from anywhere, and from itself.
        let path = format!("/v2/a/blobs/uploads/?mount={digest}&from=b%2Fc");
        expect_created(served.send("POST", &path, &[], b"").await, &digest);
        expect_blob(&served, "a", &digest, b"hello").await;
        let path = format!("/v2/d/blobs/uploads/?mount={digest}");
        served.send("POST", &path, &[], b"").await.expect(201);
        expect_blob(&served, "d", &digest, b"hello").await;
        served.send("POST", &path, &[], b"").await.expect(201);
    }
}

#[tokio::test]
async fn what_cannot_be_mounted_is_to_be_pushed() {
    let served = Served::new();
    let digest = Digest::sha256(b"hello");
    for from in ["&from=b/c", "&from=NOT+A+NAME", ""] {
        let location = start(&served, &format!("?mount={digest}{from}")).await;
        let path = format!("{}?digest={digest}", location.header("location"));
        expect_created(served.send("PUT", &path, &[], b"hello").await, &digest);
        served.delete(&format!("/v2/a/blobs/{digest}")).await.expect(202);
    }
    let answer =
        served.send("POST", "/v2/a/blobs/uploads/?mount=sha256:bad&from=b", &[], b"").await;
    answer.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn cancelled() {
    let served = Served::new();
    let location = start(&served, "").await.header("location").to_owned();
    served.send("PATCH", &location, &[], b"hello").await.expect(202);
    served.delete(&location).await.expect(204);
    served.get(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    served.delete(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(left_over(&served), 0);
}

#[tokio::test]
async fn uploads_that_are_none() {
    let served = Served::new();
    let location = start(&served, "").await.header("location").to_owned();
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    let digest = Digest::sha256(b"");
    for path in [
        "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000",
        "/v2/a/blobs/uploads/nothing",
        "/v2/a/blobs/uploads/..%2Findex.json",
        &elsewhere,
    ] {
        for (method, path) in [
            ("GET", path.to_owned()),
            ("PATCH", path.to_owned()),
            ("PUT", format!("{path}?digest={digest}")),
            ("DELETE", path.to_owned()),
        ] {
            let answer = served.send(method, &path, &[], b"").await;
            assert!([404, 400].contains(&answer.status.as_u16()), "{method} {path}: {answer:?}");
        }
    }
    served.get(&location).await.expect(204);
}
