//! Pulling: `GET` and `HEAD` of manifests and blobs.

use oci::{Digest, MediaType, Selector};

use crate::made::index;
use crate::served::Served;

#[tokio::test]
async fn manifests_by_tag_and_by_digest() {
    let served = Served::new();
    let image = served.push_image("a/b", "v1", b"layer").await;
    for reference in ["v1".to_owned(), image.digest().to_string()] {
        let path = format!("/v2/a/b/manifests/{reference}");
        let (got, head) =
            (served.get(&path).await.expect(200), served.head(&path).await.expect(200));
        assert_eq!(got.body, image.bytes());
        assert!(head.body.is_empty());
        assert_eq!(head.header("content-length"), image.bytes().len().to_string());
        for answer in [&got, &head] {
            assert_eq!(answer.header("content-type"), MediaType::OCI_MANIFEST.as_str());
            assert_eq!(answer.header("docker-content-digest"), image.digest().to_string());
        }
    }
}

#[tokio::test]
async fn a_digest_may_be_percent_encoded() {
    let served = Served::new();
    let image = served.push_image("a", "v1", b"layer").await;
    let digest = image.digest().to_string().replace(':', "%3A");
    served.get(&format!("/v2/a/manifests/{digest}")).await.expect(200);
}

#[tokio::test]
async fn children_of_an_index_by_digest() {
    let served = Served::new();
    let one = served.push_image("a", &image_digest(b"one"), b"one").await;
    let two = served.push_image("a", &image_digest(b"two"), b"two").await;
    served.push("a", "v", &index(&[&one, &two])).await.expect(201);
    // Another process sees them too, without an entry in `index.json`.
    let served = served.restarted(server::Options::default());
    for child in [&one, &two] {
        let answer = served.get(&format!("/v2/a/manifests/{}", child.digest())).await.expect(200);
        assert_eq!(answer.header("content-type"), MediaType::OCI_MANIFEST.as_str());
        assert_eq!(answer.body, child.bytes());
    }
}

fn image_digest(layer: &[u8]) -> String {
    crate::made::image(layer).digest().to_string()
}

#[tokio::test]
async fn missing_manifests() {
    let served = Served::new();
    served.push_image("a", "v1", b"layer").await;
    let digest = Digest::sha256(b"nothing");
    for path in
        ["/v2/a/manifests/v2", "/v2/other/manifests/v1", &format!("/v2/a/manifests/{digest}")]
    {
        served.get(path).await.expect_error(404, "MANIFEST_UNKNOWN");
        served.head(path).await.expect(404);
    }
    // A layer is no manifest.
    let layer = Digest::sha256(b"layer");
    served.get(&format!("/v2/a/manifests/{layer}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    served.get("/v2/a/manifests/sha256:bad").await.expect_error(400, "DIGEST_INVALID");
    served.get("/v2/a/manifests/md5:0").await.expect_error(400, "DIGEST_INVALID");
    served.get("/v2/a/manifests/.x").await.expect_error(400, "MANIFEST_INVALID");
}

#[tokio::test]
async fn what_others_write_into_the_layout_is_served() {
    let served = Served::new();
    let image = served.push_image("a", "v1", b"layer").await;
    let layout = layout::Layout::at(served.folder.path().join("a"));
    layout.tag(&"v2".parse().unwrap(), &image.descriptor()).await.unwrap();
    served.get("/v2/a/manifests/v2").await.expect(200);
    let selector = Selector::Tag("v1".parse().unwrap());
    assert_eq!(layout.resolve(&selector).await.unwrap(), Some(image.descriptor()));
}

#[tokio::test]
async fn blobs() {
    let served = Served::new();
    let content: Vec<u8> = (0..700_000u32).flat_map(u32::to_be_bytes).collect();
    for content in [&content[..], b"small", b""] {
        let digest = served.push_blob("a", content).await;
        let path = format!("/v2/a/blobs/{digest}");
        let (got, head) =
            (served.get(&path).await.expect(200), served.head(&path).await.expect(200));
        assert_eq!(got.body, content);
        assert!(head.body.is_empty());
        for answer in [&got, &head] {
            assert_eq!(answer.header("content-length"), content.len().to_string());
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            assert_eq!(answer.header("content-type"), "application/octet-stream");
            assert_eq!(answer.header("accept-ranges"), "bytes");
        }
    }
    let missing = format!("/v2/a/blobs/{}", Digest::sha256(b"nothing"));
    served.get(&missing).await.expect_error(404, "BLOB_UNKNOWN");
    served.head(&missing).await.expect(404);
    served.get("/v2/a/blobs/sha256:bad").await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn parts_of_blobs() {
    let served = Served::new();
    let content: Vec<u8> = (0..2000u32).map(|n| n.to_be_bytes()[3]).collect();
    let path = format!("/v2/a/blobs/{}", served.push_blob("a", &content).await);
    for (range, first, last) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 1999),
        ("bytes=-500", 1500, 1999),
        ("bytes=1999-5000", 1999, 1999),
        ("bytes=0-0", 0, 0),
    ] {
        let answer = served.send("GET", &path, &[("range", range)], b"").await.expect(206);
        assert_eq!(answer.body, &content[first..=last], "{range}");
        assert_eq!(answer.header("content-length"), (last - first + 1).to_string());
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/2000"));
    }
    for range in ["bytes=2000-", "bytes=500-0", "bytes=5000-10000"] {
        let answer = served.send("GET", &path, &[("range", range)], b"").await;
        let answer = answer.expect_error(416, "SIZE_INVALID");
        assert_eq!(answer.header("content-range"), "bytes */2000");
    }
    // What is not understood is passed over (RFC 9110, section 14.2).
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes"] {
        let answer = served.send("GET", &path, &[("range", range)], b"").await.expect(200);
        assert_eq!(answer.body, content);
    }
}
