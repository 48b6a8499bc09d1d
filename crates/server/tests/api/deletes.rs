//! Deleting tags, manifests and blobs.

use oci::Digest;
use serde_json::json;

use crate::served::Served;

#[tokio::test]
async fn a_tag_goes_and_its_manifest_stays() {
    let served = Served::new();
    let image = served.push_image("a", "v", b"x").await;
    served.push("a", "w", &image).await.expect(201);
    served.delete("/v2/a/manifests/v").await.expect(202);
    served.get("/v2/a/manifests/v").await.expect_error(404, "MANIFEST_UNKNOWN");
    served.delete("/v2/a/manifests/v").await.expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(served.get("/v2/a/tags/list").await.json()["tags"], json!(["w"]));
    served.delete("/v2/a/manifests/w").await.expect(202);
    served.get(&format!("/v2/a/manifests/{}", image.digest())).await.expect(200);
}

#[tokio::test]
async fn a_manifest_goes_with_its_tags() {
    let served = Served::new();
    let image = served.push_image("a", "v", b"x").await;
    served.push("a", "w", &image).await.expect(201);
    let path = format!("/v2/a/manifests/{}", image.digest());
    served.delete(&path).await.expect(202);
    served.delete(&path).await.expect_error(404, "MANIFEST_UNKNOWN");
    for path in [path.as_str(), "/v2/a/manifests/v", "/v2/a/manifests/w"] {
        served.get(path).await.expect_error(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(served.get("/v2/a/tags/list").await.json()["tags"], json!([]));
    // It can be pushed again.
    served.push("a", "v", &image).await.expect(201);
    served.get(&path).await.expect(200);
}

#[tokio::test]
async fn a_blob_goes_and_is_no_manifest_to_be_deleted() {
    let served = Served::new();
    let digest = served.push_blob("a", b"x").await;
    let path = format!("/v2/a/blobs/{digest}");
    served.delete(&format!("/v2/a/manifests/{digest}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    served.delete(&path).await.expect(202);
    served.delete(&path).await.expect_error(404, "BLOB_UNKNOWN");
    served.get(&path).await.expect_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_blob_that_was_mounted_stays_where_it_was_not_deleted() {
    let served = Served::new();
    let digest = served.push_blob("a", b"x").await;
    served
        .send("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"")
        .await
        .expect(201);
    served.delete(&format!("/v2/a/blobs/{digest}")).await.expect(202);
    assert_eq!(served.get(&format!("/v2/b/blobs/{digest}")).await.expect(200).body, "x");
}

#[tokio::test]
async fn what_is_not_there_is_not_made_by_deleting() {
    let served = Served::new();
    let digest = Digest::sha256(b"");
    served.delete("/v2/a/manifests/v").await.expect(404);
    served.delete(&format!("/v2/a/manifests/{digest}")).await.expect(404);
    served.delete(&format!("/v2/a/blobs/{digest}")).await.expect(404);
    assert!(!served.folder.path().join("a").exists());
}
