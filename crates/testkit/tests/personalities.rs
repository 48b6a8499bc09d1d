//! Each personality does what it is known for, seen by a plain HTTP client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use oci::Digest;
use reqwest::{Client, RequestBuilder, Response};
use support::{ask, client, following_client, header, repository, tag};
use testkit::image::{self, MadeImage};
use testkit::personality::{PASSWORD, Rule, USERNAME};
use testkit::{Auth, Personality, Registry, path};

/// A registry of this kind without its auth, and a client.
async fn open(personality: Personality) -> (Registry, Client) {
    let registry = Registry::builder().personality(personality).auth(Auth::Open).start().await;
    let client = client(&registry);
    (registry, client)
}

fn base(registry: &Registry) -> String {
    format!("{}/v2/team/app", registry.url())
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

async fn get(client: &Client, url: &str) -> Response {
    send(client.get(url)).await
}

async fn put_manifest(
    client: &Client,
    registry: &Registry,
    image: &MadeImage,
    name: &str,
) -> Response {
    let manifest = image.manifest();
    let request = client.put(format!("{}/manifests/{name}", base(registry)));
    let request = request.header("content-type", manifest.media_type().as_str());
    send(request.body(manifest.bytes().clone())).await
}

/// Starts an upload; the absolute URL to go on at.
async fn start_upload(client: &Client, registry: &Registry) -> String {
    let answer = send(client.post(format!("{}/blobs/uploads/", base(registry)))).await;
    assert_eq!(answer.status(), 202);
    location(registry, &answer)
}

fn location(registry: &Registry, answer: &Response) -> String {
    let location = header(answer, "location").unwrap();
    reqwest::Url::parse(&registry.url()).unwrap().join(location).unwrap().into()
}

/// The URL that ends an upload.
fn with_digest(url: &str, content: &[u8]) -> String {
    let digest = Digest::sha256(content).to_string();
    let mut url = reqwest::Url::parse(url).unwrap();
    url.query_pairs_mut().append_pair("digest", &digest);
    url.into()
}

fn mount(registry: &Registry, image: &MadeImage, from: &str) -> String {
    format!("{}/blobs/uploads/?mount={}{from}", base(registry), image.blobs[0].0.digest)
}

#[tokio::test]
async fn every_personality_lets_in_its_user_and_nobody_else() {
    for personality in Personality::all() {
        let (name, auth) = (personality.name, personality.auth.clone());
        let registry = Registry::builder().personality(personality).start().await;
        registry.add(&repository("team/app"), &tag("1"), &image::single(1)).await;
        let client = client(&registry);
        let url = format!("{}/manifests/1", base(&registry));
        let refused = get(&client, &url).await;
        let good = match auth {
            Auth::Open => refused,
            Auth::Basic { username, password } => {
                assert_eq!(refused.status(), 401, "{name}");
                send(client.get(&url).basic_auth(username, Some(password))).await
            }
            Auth::Bearer(bearer) => {
                assert_eq!(refused.status(), 401, "{name}");
                let realm = format!("{}{}", registry.url(), bearer.path);
                let challenge = header(&refused, "www-authenticate").unwrap();
                assert!(challenge.contains(&realm), "{name}: {challenge}");
                let tokens = format!("{realm}?scope=repository:team/app:pull");
                let answer = send(client.get(tokens).basic_auth(USERNAME, Some(PASSWORD))).await;
                let answer: serde_json::Value = answer.json().await.unwrap();
                let token = answer["token"].as_str().unwrap();
                assert_eq!(registry.token_requests(), 1, "{name}");
                send(client.get(&url).bearer_auth(token)).await
            }
        };
        assert_eq!(good.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn docker_hub_counts_pulls_and_sends_blobs_elsewhere() {
    let mut personality = Personality::docker_hub();
    personality.rules = vec![Rule::PullLimit(2)];
    let (registry, client) = open(personality).await;
    let image = image::single(1);
    registry.add(&repository("team/app"), &tag("1"), &image).await;
    let url = format!("{}/manifests/1", base(&registry));
    for left in ["1;w=21600", "0;w=21600"] {
        let head = ask(&client, "HEAD", url.clone()).await.unwrap();
        assert_eq!(head.status(), 200, "HEAD does not count");
        let pull = get(&client, &url).await;
        assert_eq!(
            (pull.status().as_u16(), header(&pull, "ratelimit-remaining")),
            (200, Some(left))
        );
    }
    let limited = get(&client, &url).await;
    assert_eq!(limited.status(), 429);
    assert_eq!(header(&limited, "retry-after"), None);
    assert!(limited.text().await.unwrap().contains("pull rate limit"));

    let (blob, content) = &image.blobs[0];
    let follower = following_client(&registry);
    let request = follower.get(format!("{}/blobs/{}", base(&registry), blob.digest));
    let answer = send(request.bearer_auth("token")).await;
    assert_eq!(answer.bytes().await.unwrap(), content);
    let cdn = registry.cdn().unwrap();
    assert_eq!(cdn.log().requests()[0].authorization, None);
}

#[tokio::test]
async fn ecr_wants_repositories_and_keeps_tags() {
    let (registry, client) = open(Personality::ecr()).await;
    let post = || send(client.post(format!("{}/blobs/uploads/", base(&registry))));
    let missing = post().await;
    assert_eq!(missing.status(), 404);
    assert!(missing.text().await.unwrap().contains("NAME_UNKNOWN"));
    registry.create_repository(&repository("team/app"));
    assert_eq!(post().await.status(), 202);

    let part = vec![b'a'; 5 << 20];
    let mut next = start_upload(&client, &registry).await;
    let mut ranges = Vec::new();
    for (range, part) in [("0-5242879", part.as_slice()), ("5242880-5242882", b"abc")] {
        let patch = client.patch(&next).header("content-range", range).body(part.to_vec());
        let patch = send(patch).await;
        assert_eq!(patch.status(), 201, "not 202");
        ranges.push(header(&patch, "range").unwrap().to_owned());
        next = location(&registry, &patch);
    }
    assert_eq!(ranges, ["0-5242879", "0-5242879"], "the second is stale");
    let put = send(client.put(with_digest(&next, &[&part, b"abc".as_slice()].concat()))).await;
    assert_eq!(put.status(), 201, "and yet all of it is there");

    let mut next = start_upload(&client, &registry).await;
    let mut statuses = Vec::new();
    for range in ["0-2", "3-5"] {
        let patch = send(client.patch(&next).header("content-range", range).body("abc")).await;
        statuses.push(patch.status().as_u16());
        if patch.status() == 201 {
            next = location(&registry, &patch);
        }
    }
    assert_eq!(statuses, [201, 400], "a part that is not the last one has 5 MiB");

    let image = image::single(1);
    registry.add_untagged(&repository("team/app"), &image).await;
    let first = put_manifest(&client, &registry, &image, "1").await;
    assert_eq!((first.status().as_u16(), header(&first, "location")), (201, None));
    let digest = image.digest().to_string();
    assert_eq!(put_manifest(&client, &registry, &image, &digest).await.status(), 201);
    let again = put_manifest(&client, &registry, &image, "1").await;
    assert_eq!(again.status(), 400, "also the same digest");
    assert!(again.text().await.unwrap().contains("TAG_INVALID"));

    registry.add(&repository("other"), &tag("1"), &image::single(2)).await;
    let mount = mount(&registry, &image::single(2), "&from=other");
    assert_eq!(send(client.post(mount)).await.status(), 202);
    let list = format!("{}/tags/list", base(&registry));
    assert_eq!(get(&client, &format!("{list}?n=1001")).await.status(), 400);
    assert_eq!(get(&client, &format!("{list}?n=1000")).await.status(), 200);
}

#[tokio::test]
async fn ecr_mounts_what_a_manifest_names() {
    let (registry, client) = open(Personality::ecr_with_mounts()).await;
    registry.create_repository(&repository("team/app"));
    let other = registry.layout(&repository("other"));
    let image = image::single(1);
    let (blob, content) = image.blobs[0].clone();
    let content = futures::stream::iter([Ok::<_, std::io::Error>(content)]);
    other.write_blob(&blob.digest, Some(blob.size), content).await.unwrap();
    let mount = || send(client.post(mount(&registry, &image, "&from=other")));
    assert_eq!(mount().await.status(), 202, "the blob alone is not enough");
    registry.add_untagged(&repository("other"), &image).await;
    assert_eq!(mount().await.status(), 201);
}

#[tokio::test]
async fn ghcr_sends_referrers_to_a_web_page() {
    let (registry, client) = open(Personality::ghcr()).await;
    let digest = image::single(1).digest();
    let answer = get(&client, &format!("{}/referrers/{digest}", base(&registry))).await;
    assert_eq!(answer.status(), 303);
    let location = header(&answer, "location").unwrap();
    assert!(!location.starts_with(&registry.url()) && !location.contains(&digest.hex()));
    let page = get(&client, location).await;
    assert_eq!((page.status().as_u16(), header(&page, "content-type")), (404, Some("text/html")));
}

#[tokio::test]
async fn quay_mounts_only_from_somewhere_and_mixes_no_families() {
    let (registry, client) = open(Personality::quay()).await;
    let image = image::single(1);
    registry.add(&repository("other"), &tag("1"), &image).await;
    assert_eq!(send(client.post(mount(&registry, &image, ""))).await.status(), 400);
    assert_eq!(send(client.post(mount(&registry, &image, "&from=other"))).await.status(), 201);

    let mixed = {
        let child = image::docker_single(1);
        registry.add_untagged(&repository("team/app"), &child).await;
        serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [child.root],
        })
    };
    let put = client.put(format!("{}/manifests/1", base(&registry)));
    let put = put.header("content-type", "application/vnd.oci.image.index.v1+json");
    let put = send(put.body(mixed.to_string())).await;
    assert_eq!(put.status(), 400);
    assert!(put.text().await.unwrap().contains("MANIFEST_INVALID"));
    let docker = image::docker(1);
    registry.add_untagged(&repository("team/app"), &docker).await;
    assert_eq!(put_manifest(&client, &registry, &docker, "1").await.status(), 201);

    registry.add_untagged(&repository("team/app"), &image::referrer_of(&docker.root, 1)).await;
    let list = get(&client, &format!("{}/referrers/{}", base(&registry), docker.digest())).await;
    assert!(list.text().await.unwrap().contains("\"manifests\":[]"));
}

#[tokio::test]
async fn gitlab_reads_a_referrers_tag_as_a_digest_and_wants_whole_indexes() {
    let (registry, client) = open(Personality::gitlab()).await;
    let image = image::index(1);
    let name = repository("team/app");
    for (blob, content) in &image.blobs {
        let content = futures::stream::iter([Ok::<_, std::io::Error>(content.clone())]);
        let layout = registry.layout(&name);
        layout.write_blob(&blob.digest, Some(blob.size), content).await.unwrap();
    }
    let partial = put_manifest(&client, &registry, &image, "1").await;
    assert_eq!(partial.status(), 400);
    assert!(partial.text().await.unwrap().contains("MANIFEST_BLOB_UNKNOWN"));
    registry.add_untagged(&name, &image).await;
    assert_eq!(put_manifest(&client, &registry, &image, "1").await.status(), 201);

    let fallback = image::referrers_tag(&image.digest());
    let answer = get(&client, &format!("{}/manifests/{fallback}", base(&registry))).await;
    assert_eq!(answer.bytes().await.unwrap(), image.manifest().bytes());
    let api = get(&client, &format!("{}/referrers/{}", base(&registry), image.digest())).await;
    assert_eq!(api.status(), 404);
}

#[tokio::test]
async fn harbor_refuses_an_immutable_tag_with_412() {
    let (registry, client) = open(Personality::harbor()).await;
    let image = image::single(1);
    registry.add(&repository("team/app"), &tag("1"), &image).await;
    let put = put_manifest(&client, &registry, &image, "1").await;
    assert_eq!(put.status(), 412);
    assert_eq!(put_manifest(&client, &registry, &image, "2").await.status(), 201);
}

#[tokio::test]
async fn artifactory_wants_a_patch_before_the_put() {
    let (registry, client) = open(Personality::artifactory()).await;
    let url = start_upload(&client, &registry).await;
    let monolithic = send(client.put(with_digest(&url, b"abc")).body("abc")).await;
    assert_eq!(monolithic.status(), 404);
    assert!(monolithic.text().await.unwrap().contains("BLOB_UNKNOWN"));

    let url = start_upload(&client, &registry).await;
    let patch = send(client.patch(&url).body("abc")).await;
    assert_eq!(patch.status(), 202);
    let url = with_digest(&location(&registry, &patch), b"abc");
    assert_eq!(send(client.put(url)).await.status(), 201);
}

#[tokio::test]
async fn gar_takes_no_chunks() {
    let (registry, client) = open(Personality::gar()).await;
    let url = start_upload(&client, &registry).await;
    let chunk = client.patch(&url).header("content-range", "0-2").body("abc");
    assert_eq!(send(chunk).await.status(), 405);
    let url = start_upload(&client, &registry).await;
    assert_eq!(send(client.put(with_digest(&url, b"abc")).body("abc")).await.status(), 201);
    let referrers = format!("{}/referrers/{}", base(&registry), Digest::sha256(b""));
    assert_eq!(get(&client, &referrers).await.status(), 404);
}

#[tokio::test]
async fn distribution_2_keeps_its_state_in_the_query() {
    let (registry, client) = open(Personality::distribution2()).await;
    let answer = send(client.post(format!("{}/blobs/uploads/", base(&registry)))).await;
    let location = header(&answer, "location").unwrap().to_owned();
    assert!(location.starts_with(&registry.url()) && location.contains("_state="), "{location}");
    let lost = with_digest(location.split('?').next().unwrap(), b"abc");
    assert_eq!(send(client.put(lost).body("abc")).await.status(), 404);
    assert_eq!(send(client.put(with_digest(&location, b"abc")).body("abc")).await.status(), 201);
    let page =
        get(&client, &format!("{}/referrers/{}", base(&registry), Digest::sha256(b""))).await;
    assert_eq!(page.status(), 404);
    assert_eq!(page.text().await.unwrap(), "404 page not found\n");
    assert_eq!(registry.log().count("PUT", path::UPLOADS), 2);
}
