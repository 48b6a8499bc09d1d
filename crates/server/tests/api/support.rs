//! `/v2/`, `/v2/_catalog`, and what is no endpoint.

use oci::Digest;
use serde_json::json;
use server::{Options, router};

use crate::served::Served;

#[tokio::test]
async fn says_that_it_is_a_registry() {
    let served = Served::new();
    for path in ["/v2/", "/v2"] {
        let answer = served.get(path).await.expect(200);
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
        served.head(path).await.expect(200);
    }
}

#[tokio::test]
async fn what_is_no_endpoint_is_not_found() {
    let served = Served::new();
    for path in ["/", "/v1/search", "/v2/a", "/v2/a/x/y", "/v2/a/tags/other"] {
        served.get(path).await.expect_error(404, "UNSUPPORTED");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let served = Served::new();
    let digest = Digest::sha256(b"");
    for (method, path, allowed) in [
        ("POST", "/v2/".to_owned(), "GET, HEAD"),
        ("PUT", "/v2/a/tags/list".to_owned(), "GET"),
        ("POST", "/v2/a/manifests/1".to_owned(), "GET, HEAD, PUT, DELETE"),
        ("PUT", format!("/v2/a/blobs/{digest}"), "GET, HEAD, DELETE"),
        ("GET", "/v2/a/blobs/uploads/".to_owned(), "POST"),
        ("POST", "/v2/a/blobs/uploads/x".to_owned(), "GET, PATCH, PUT, DELETE"),
        ("DELETE", format!("/v2/a/referrers/{digest}"), "GET"),
    ] {
        let answer = served.send(method, &path, &[], b"").await.expect_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), allowed);
    }
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let served = Served::new();
    for name in ["A", "a..b", "a/../b", "%2e%2e/a", "-a", "a//b"] {
        let path = format!("/v2/{name}/manifests/1");
        served.get(&path).await.expect_error(400, "NAME_INVALID");
        let path = format!("/v2/{name}/blobs/uploads/");
        served.send("POST", &path, &[], b"").await.expect_error(400, "NAME_INVALID");
    }
    // Its layout would lie among the blobs of that of `a`.
    let answer = served.send("POST", "/v2/a/blobs/sha256/blobs/uploads/", &[], b"").await;
    answer.expect_error(400, "NAME_INVALID");
    let outside: Vec<_> = std::fs::read_dir(served.folder.path()).unwrap().collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[tokio::test]
async fn the_catalog_lists_repositories_page_by_page() {
    let served = Served::new();
    assert_eq!(served.get("/v2/_catalog").await.expect(200).json(), json!({ "repositories": [] }));
    for name in ["team/b", "a", "team/b/c"] {
        served.push_image(name, "1", b"x").await;
    }
    let all = served.get("/v2/_catalog").await.json();
    assert_eq!(all, json!({ "repositories": ["a", "team/b", "team/b/c"] }));
    let first = served.get("/v2/_catalog?n=2").await;
    assert_eq!(first.json(), json!({ "repositories": ["a", "team/b"] }));
    assert_eq!(first.header("link"), "</v2/_catalog?n=2&last=team%2Fb>; rel=\"next\"");
    let rest = served.get("/v2/_catalog?n=2&last=team%2Fb").await;
    assert_eq!(rest.json(), json!({ "repositories": ["team/b/c"] }));
    assert!(!rest.headers.contains_key("link"));
}

#[tokio::test]
async fn a_folder_that_is_a_layout_is_one_repository_named_like_it() {
    let served = Served::new();
    let image = served.push_image("team/my.app", "1", b"x").await;
    let folder = served.folder.path().join("team/my.app");
    let served = Served { router: router(&folder, Options::default()), ..served };
    let catalog = served.get("/v2/_catalog").await.json();
    assert_eq!(catalog, json!({ "repositories": ["my.app"] }));
    let answer = served.get("/v2/my.app/manifests/1").await.expect(200);
    assert_eq!(answer.body, image.bytes());
    served.get("/v2/other/manifests/1").await.expect_error(404, "NAME_UNKNOWN");
    served
        .send("POST", "/v2/other/blobs/uploads/", &[], b"")
        .await
        .expect_error(404, "NAME_UNKNOWN");
}
