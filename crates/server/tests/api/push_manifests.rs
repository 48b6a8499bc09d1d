//! Pushing manifests: by tag, by digest, with tags as parameters, and what is refused.

use oci::{Algorithm, Digest, MediaType};
use serde_json::{Value, json};
use server::Options;

use crate::made::{descriptor, image, image_json, index, parsed};
use crate::served::{Answer, Served};

async fn put(served: &Served, reference: &str, content_type: &str, body: &[u8]) -> Answer {
    let path = format!("/v2/a/manifests/{reference}");
    served.send("PUT", &path, &[("content-type", content_type)], body).await
}

async fn put_json(served: &Served, json: &Value) -> Answer {
    put(served, "v", MediaType::OCI_MANIFEST.as_str(), json.to_string().as_bytes()).await
}

#[tokio::test]
async fn by_tag_and_by_digest_in_the_exact_bytes() {
    let served = Served::new();
    served.push_blob("a", b"{}").await;
    served.push_blob("a", b"x").await;
    let text = serde_json::to_string_pretty(&image_json(b"x")).unwrap() + "\n \n";
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, text.as_bytes());
        let mut references = vec![digest.to_string()];
        if algorithm == Algorithm::Sha256 {
            references.push("v1.0_x".to_owned());
        }
        for reference in references {
            let kind = MediaType::OCI_MANIFEST;
            let answer = put(&served, &reference, kind.as_str(), text.as_bytes()).await.expect(201);
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            assert_eq!(answer.header("location"), format!("/v2/a/manifests/{digest}"));
            let got = served.get(&format!("/v2/a/manifests/{reference}")).await.expect(200);
            assert_eq!(got.body, text);
            served.get(answer.header("location")).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_tag_is_moved_and_what_it_pointed_at_stays() {
    let served = Served::new();
    let one = served.push_image("a", "v", b"one").await;
    let two = served.push_image("a", "v", b"two").await;
    let answer = served.get("/v2/a/manifests/v").await.expect(200);
    assert_eq!(answer.body, two.bytes());
    served.get(&format!("/v2/a/manifests/{}", one.digest())).await.expect(200);
}

#[tokio::test]
async fn tags_may_come_as_parameters() {
    let served = Served::new();
    served.push_blob("a", b"{}").await;
    served.push_blob("a", b"x").await;
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let image = parsed(&image_json(b"x"), algorithm);
        let tags: Vec<_> = (0..12).map(|n| format!("{algorithm}-{n}")).collect();
        let query = tags.iter().map(|tag| format!("tag={tag}")).collect::<Vec<_>>().join("&");
        let reference = format!("{}?{query}", image.digest());
        let answer = served.push("a", &reference, &image).await.expect(201);
        let set: Vec<_> = answer.headers.get_all("oci-tag").iter().collect();
        assert_eq!(set, tags.iter().collect::<Vec<_>>());
        for tag in &tags {
            let answer = served.head(&format!("/v2/a/manifests/{tag}")).await.expect(200);
            assert_eq!(answer.header("docker-content-digest"), image.digest().to_string());
        }
    }
    let image = image(b"x");
    let answer = served.push("a", &format!("{}?tag=.x", image.digest()), &image).await;
    answer.expect_error(400, "MANIFEST_INVALID");
}

#[tokio::test]
async fn what_it_names_must_be_there_but_for_its_subject() {
    let served = Served::new();
    served.push_blob("a", b"{}").await;
    let answer = served.push("a", "v", &image(b"x")).await;
    let answer = answer.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    let missing = Digest::sha256(b"x").to_string();
    assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains(&missing));
    let answer = served.push("a", "v", &index(&[&image(b"x"), &image(b"y")])).await;
    let answer = answer.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 2);
    served.head("/v2/a/manifests/v").await.expect(404);

    let mut json = image_json(b"x");
    json["layers"] = json!([]);
    json["subject"] = json!(descriptor(MediaType::OCI_MANIFEST, b"to come"));
    let answer = put_json(&served, &json).await.expect(201);
    assert_eq!(answer.header("oci-subject"), Digest::sha256(b"to come").to_string());
    assert!(!served.push_image("a", "w", b"x").await.bytes().is_empty());

    json["layers"] = json!([descriptor(
        MediaType::new("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        b"elsewhere",
    )]);
    put_json(&served, &json).await.expect(201);
}

#[tokio::test]
async fn a_sparse_registry_takes_what_is_not_complete() {
    let served = Served::with(Options { sparse: true, ..Options::default() });
    served.push("a", "v", &image(b"x")).await.expect(201);
    served.push("a", "w", &index(&[&image(b"x"), &image(b"y")])).await.expect(201);
}

#[tokio::test]
async fn without_a_content_type_its_own_is_believed_and_another_is_refused() {
    let served = Served::new();
    let image = served.push_image("a", "v", b"x").await;
    let bytes = image.bytes();
    served.send("PUT", "/v2/a/manifests/w", &[], bytes).await.expect(201);
    let kind = format!("{}; charset=utf-8", MediaType::OCI_MANIFEST);
    put(&served, "x", &kind, bytes).await.expect(201);
    let answer = served.head("/v2/a/manifests/x").await;
    assert_eq!(answer.header("content-type"), MediaType::OCI_MANIFEST.as_str());
    let answer = put(&served, "y", MediaType::DOCKER_MANIFEST.as_str(), bytes).await;
    answer.expect_error(400, "MANIFEST_INVALID");
    // One that does not say what it is gets back what it came with.
    let mut json = image_json(b"x");
    json.as_object_mut().unwrap().remove("mediaType");
    let kind = MediaType::DOCKER_MANIFEST;
    put(&served, "z", kind.as_str(), json.to_string().as_bytes()).await.expect(201);
    for answer in [served.get("/v2/a/manifests/z").await, served.head("/v2/a/manifests/z").await] {
        assert_eq!(answer.header("content-type"), kind.as_str());
    }
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let served = Served::new();
    let image = served.push_image("a", "v", b"x").await;
    let kind = MediaType::OCI_MANIFEST;
    for body in [&b""[..], b"{", b"[]", b"{}", br#"{"schemaVersion":1,"fsLayers":[]}"#] {
        put(&served, "w", kind.as_str(), body).await.expect_error(400, "MANIFEST_INVALID");
    }
    for reference in ["sha256:baddigeststring".to_owned(), Digest::sha256(b"other").to_string()] {
        let answer = served.push("a", &reference, &image).await;
        answer.expect_error(400, "DIGEST_INVALID");
    }
    served.push("a", ".bad", &image).await.expect_error(400, "MANIFEST_INVALID");
    served.head("/v2/a/manifests/w").await.expect(404);
}

#[tokio::test]
async fn four_mebibytes_are_taken_and_no_more() {
    let served = Served::new();
    served.push_blob("a", b"{}").await;
    served.push_blob("a", b"x").await;
    let mut json = image_json(b"x");
    let rest = 4 * 1024 * 1024 - json.to_string().len();
    let filled = |length: usize| {
        let mut text = json.to_string();
        text.push_str(&" ".repeat(length));
        text
    };
    let kind = MediaType::OCI_MANIFEST;
    put(&served, "v", kind.as_str(), filled(rest).as_bytes()).await.expect(201);
    let too_large = filled(rest + 1);
    put(&served, "w", kind.as_str(), too_large.as_bytes())
        .await
        .expect_error(413, "MANIFEST_INVALID");
    // As a stream, so that its size is not known before.
    let body = axum::body::Body::from_stream(futures::stream::iter([Ok::<_, String>(too_large)]));
    let request = http::Request::put("/v2/a/manifests/w").body(body).unwrap();
    served.send_request(request).await.expect_error(413, "MANIFEST_INVALID");
    json["x"] = json!(1);
    put_json(&served, &json).await.expect(201);
}
