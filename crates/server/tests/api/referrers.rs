//! `/v2/<name>/referrers/<digest>`.

use oci::{Algorithm, Digest, Manifest, MediaType};
use serde_json::{Value, json};

use crate::made::{descriptor, image_json, index, parsed};
use crate::served::{Answer, Served};

async fn list(served: &Served, subject: &Digest, query: &str) -> Answer {
    let answer = served.get(&format!("/v2/a/referrers/{subject}{query}")).await.expect(200);
    assert_eq!(answer.header("content-type"), MediaType::OCI_INDEX.as_str());
    let json = answer.json();
    assert_eq!(
        (&json["schemaVersion"], &json["mediaType"]),
        (&json!(2), &json!(MediaType::OCI_INDEX))
    );
    answer
}

fn digests(answer: &Answer) -> Vec<Value> {
    let manifests = answer.json()["manifests"].as_array().unwrap().clone();
    manifests.iter().map(|manifest| manifest["digest"].clone()).collect()
}

/// An artifact that refers to `subject`, changed as its maker likes.
fn artifact(subject: &Manifest, change: impl FnOnce(&mut Value)) -> Manifest {
    let mut json = image_json(b"");
    json["layers"] = json!([]);
    json["subject"] = json!(subject.descriptor());
    change(&mut json);
    parsed(&json, Algorithm::Sha256)
}

#[tokio::test]
async fn lists_what_refers_with_type_and_annotations() {
    let served = Served::new();
    // Before anything is there: never 404.
    assert!(digests(&list(&served, &Digest::sha256(b""), "").await).is_empty());
    let subject = served.push_image("a", "v", b"x").await;
    let typed = artifact(&subject, |json| {
        json["artifactType"] = json!("a/sbom");
        json["annotations"] = json!({ "key": "value" });
    });
    let untyped = artifact(&subject, |_| {});
    let of_list = parsed(
        &json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [],
            "subject": subject.descriptor(), "annotations": { "of": "index" },
        }),
        Algorithm::Sha256,
    );
    for (reference, manifest) in
        [(typed.digest().to_string(), &typed), ("tagged".to_owned(), &untyped)]
    {
        let answer = served.push("a", &reference, manifest).await.expect(201);
        assert_eq!(answer.header("oci-subject"), subject.digest().to_string());
    }
    served.push("a", &of_list.digest().to_string(), &of_list).await.expect(201);

    let expected = |manifest: &Manifest| {
        json!({
            "mediaType": manifest.media_type(),
            "digest": manifest.digest(),
            "size": manifest.bytes().len(),
        })
    };
    let mut expected = [&typed, &untyped, &of_list].map(expected);
    expected[0]["artifactType"] = json!("a/sbom");
    expected[0]["annotations"] = json!({ "key": "value" });
    expected[1]["artifactType"] = json!(MediaType::OCI_CONFIG);
    expected[2]["annotations"] = json!({ "of": "index" });
    let answer = list(&served, &subject.digest(), "").await;
    assert_eq!(answer.json()["manifests"], json!(expected));
    assert!(!answer.headers.contains_key("oci-filters-applied"));

    let answer = list(&served, &subject.digest(), "?artifactType=a/sbom").await;
    assert_eq!(answer.header("oci-filters-applied"), "artifactType");
    assert_eq!(digests(&answer), [json!(typed.digest())]);
    let answer = list(&served, &subject.digest(), "?artifactType=a/other").await;
    assert!(digests(&answer).is_empty());
    assert_eq!(answer.header("oci-filters-applied"), "artifactType");

    // Still there in another process, and not any more when it is deleted.
    let served = served.restarted(server::Options::default());
    assert_eq!(digests(&list(&served, &subject.digest(), "").await).len(), 3);
    served.delete(&format!("/v2/a/manifests/{}", typed.digest())).await.expect(202);
    assert_eq!(digests(&list(&served, &subject.digest(), "").await).len(), 2);
}

#[tokio::test]
async fn the_subject_may_be_missing_or_come_later() {
    let served = Served::new();
    let subject = crate::made::image(b"x");
    served.push_blob("a", b"{}").await;
    let artifact = artifact(&subject, |_| {});
    served.push("a", &artifact.digest().to_string(), &artifact).await.expect(201);
    assert_eq!(digests(&list(&served, &subject.digest(), "").await), [json!(artifact.digest())]);
    served.push_image("a", "v", b"x").await;
    assert_eq!(digests(&list(&served, &subject.digest(), "").await), [json!(artifact.digest())]);
}

#[tokio::test]
async fn what_clients_listed_under_the_fallback_tag_is_found() {
    let served = Served::new();
    let subject = served.push_image("a", "v", b"x").await;
    let artifact = artifact(&subject, |_| {});
    served.push("a", &artifact.digest().to_string(), &artifact).await.expect(201);
    let list_manifest = index(&[&artifact]);
    let tag = format!("sha256-{}", subject.digest().hex());
    served.push("a", &tag, &list_manifest).await.expect(201);
    assert_eq!(digests(&list(&served, &subject.digest(), "").await), [json!(artifact.digest())]);
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let served = Served::new();
    let subject = served.push_image("a", "v", b"x").await;
    let long = "x".repeat(900_000);
    for number in 0..4 {
        let artifact = artifact(&subject, |json| {
            json["artifactType"] = json!("a/b");
            json["annotations"] = json!({ "long": long, "number": number.to_string() });
        });
        served.push("a", &artifact.digest().to_string(), &artifact).await.expect(201);
    }
    let mut path = format!("/v2/a/referrers/{}?artifactType=a%2Fb", subject.digest());
    let mut pages = Vec::new();
    loop {
        let page = served.get(&path).await.expect(200);
        assert!(page.body.len() < 4 * 1024 * 1024);
        assert_eq!(page.header("oci-filters-applied"), "artifactType");
        pages.push(digests(&page));
        let Some(link) = page.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(pages.len(), 2);
    let mut all = pages.concat();
    all.sort_by_key(ToString::to_string);
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[tokio::test]
async fn a_digest_that_is_none_is_refused() {
    let served = Served::new();
    served.get("/v2/a/referrers/sha256:bad").await.expect_error(400, "DIGEST_INVALID");
    served.get("/v2/a/referrers/tag").await.expect_error(400, "DIGEST_INVALID");
    let digest = descriptor(MediaType::OCI_CONFIG, b"").digest;
    served.send("POST", &format!("/v2/a/referrers/{digest}"), &[], b"").await.expect(405);
}
