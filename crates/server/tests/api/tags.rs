//! `/v2/<name>/tags/list`.

use serde_json::json;

use crate::served::Served;

#[tokio::test]
async fn sorted_and_page_by_page() {
    let served = Served::new();
    served.get("/v2/a/tags/list").await.expect_error(404, "NAME_UNKNOWN");
    served.push_blob("a", b"x").await;
    let empty = served.get("/v2/a/tags/list").await.expect(200);
    assert_eq!(empty.json(), json!({ "name": "a", "tags": [] }));
    let image = served.push_image("a", "b", b"x").await;
    for tag in ["c", "a", "B", "1.10", "1.9"] {
        served.push("a", tag, &image).await.expect(201);
    }
    let all = served.get("/v2/a/tags/list").await.expect(200);
    assert_eq!(all.header("content-type"), "application/json");
    assert_eq!(all.json(), json!({ "name": "a", "tags": ["1.10", "1.9", "B", "a", "b", "c"] }));
    assert!(!all.headers.contains_key("link"));

    let mut path = "/v2/a/tags/list?n=4".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = served.get(&path).await.expect(200);
        seen.extend(page.json()["tags"].as_array().unwrap().clone());
        let Some(link) = page.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(json!(seen), all.json()["tags"]);

    for (query, tags) in [
        ("?n=0", json!([])),
        ("?last=a", json!(["b", "c"])),
        ("?n=1&last=B", json!(["a"])),
        ("?last=not-there", json!([])),
        ("?n=100", all.json()["tags"].clone()),
    ] {
        let page = served.get(&format!("/v2/a/tags/list{query}")).await.expect(200);
        assert_eq!(page.json()["tags"], tags, "{query}");
    }
    assert!(!served.get("/v2/a/tags/list?n=0").await.headers.contains_key("link"));
    served.get("/v2/a/tags/list?n=many").await.expect_error(400, "UNSUPPORTED");
}
