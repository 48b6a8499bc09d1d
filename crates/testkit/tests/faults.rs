//! Each fault does what it says, seen by a plain HTTP client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Client;
use support::{ask, client, header, repository, tag};
use testkit::image::{self, MadeImage};
use testkit::{ContentLength, Fault, LocationForm, Registry, RetryAfter, path};

/// A registry with one image, a client, and the image's biggest blob.
struct Stage {
    registry: Registry,
    client: Client,
    image: MadeImage,
    blob: Bytes,
    blob_url: String,
    manifest_url: String,
}

async fn stage() -> Stage {
    stage_on(Registry::start().await).await
}

async fn stage_on(registry: Registry) -> Stage {
    let image = image::single(1);
    registry.add(&repository("team/app"), &tag("1"), &image).await;
    let (descriptor, blob) = image.blobs[0].clone();
    let base = format!("{}/v2/team/app", registry.url());
    Stage {
        client: client(&registry),
        blob_url: format!("{base}/blobs/{}", descriptor.digest),
        manifest_url: format!("{base}/manifests/1"),
        registry,
        image,
        blob,
    }
}

impl Stage {
    async fn get(&self, url: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(url).send().await
    }

    async fn blob(&self) -> reqwest::Result<Bytes> {
        self.get(&self.blob_url).await?.bytes().await
    }

    /// The bytes of a blob that came before the connection failed.
    async fn partial_blob(&self) -> (Vec<u8>, bool) {
        let mut response = self.get(&self.blob_url).await.unwrap();
        let mut received = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => received.extend_from_slice(&chunk),
                Ok(None) => return (received, true),
                Err(_) => return (received, false),
            }
        }
    }

    /// Starts an upload; the answer.
    async fn post_upload(&self, query: &str) -> reqwest::Response {
        let url = format!("{}/v2/team/app/blobs/uploads/{query}", self.registry.url());
        self.client.post(url).send().await.unwrap()
    }
}

#[tokio::test]
async fn without_faults_content_comes_as_it_is() {
    let stage = stage().await;
    assert_eq!(stage.blob().await.unwrap(), stage.blob);
    let manifest = stage.get(&stage.manifest_url).await.unwrap();
    assert_eq!(header(&manifest, "content-type"), Some(stage.image.root.media_type.as_str()));
    assert_eq!(manifest.bytes().await.unwrap(), stage.image.manifest().bytes());
}

#[tokio::test]
async fn a_status_is_answered_instead_as_often_as_asked() {
    let stage = stage().await;
    let burst = stage.registry.inject(Fault::status(503).on("GET", path::MANIFESTS).times(2));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(stage.get(&stage.manifest_url).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [503, 503, 200, 200]);
    assert_eq!(burst.hits(), 2);

    let third = stage.registry.inject(Fault::status(500).on("HEAD", path::ANY).nth(3));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = ask(&stage.client, "HEAD", stage.manifest_url.clone()).await;
        statuses.push(answer.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 500, 200]);
    assert_eq!(third.hits(), 1);
}

#[tokio::test]
async fn a_refused_upload_gets_its_answer() {
    let stage = stage().await;
    stage.registry.inject(Fault::status(413).on("PATCH", path::UPLOADS));
    let url = format!("{}/v2/team/app/blobs/uploads/x", stage.registry.url());
    for _ in 0..5 {
        let answer = stage.client.patch(&url).body(vec![1; 8_000_000]).send().await.unwrap();
        assert_eq!(answer.status(), 413);
    }
    assert_eq!(stage.registry.log().connections(), 1);
}

#[tokio::test]
async fn faults_can_be_taken_back() {
    let stage = stage().await;
    stage.registry.inject(Fault::status(500));
    assert_eq!(stage.get(&stage.manifest_url).await.unwrap().status(), 500);
    stage.registry.clear_faults();
    assert_eq!(stage.get(&stage.manifest_url).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let stage = stage().await;
    for (retry_after, check) in [
        (RetryAfter::Unsaid, None),
        (RetryAfter::Seconds(7), Some(7)),
        (RetryAfter::DateIn(Duration::from_secs(60)), Some(60)),
    ] {
        stage.registry.clear_faults();
        stage.registry.inject(Fault::too_many_requests(retry_after));
        let answer = stage.get(&stage.manifest_url).await.unwrap();
        assert_eq!(answer.status(), 429);
        let said = header(&answer, "retry-after");
        match (retry_after, said) {
            (RetryAfter::Unsaid, None) => assert_eq!(check, None),
            (RetryAfter::Seconds(_), Some(said)) => assert_eq!(said.parse().ok(), check),
            (RetryAfter::DateIn(_), Some(said)) => {
                let moment = jiff::fmt::rfc2822::parse(said).expect(said).timestamp();
                let ahead = moment.as_second() - jiff::Timestamp::now().as_second();
                assert!((55..=60).contains(&ahead), "{said}");
                assert!(said.ends_with("GMT"), "{said}");
            }
            (retry_after, said) => panic!("{retry_after:?} became {said:?}"),
        }
        assert!(answer.text().await.unwrap().contains("TOOMANYREQUESTS"));
    }
    stage.registry.clear_faults();
    stage.registry.inject(Fault::throttling_exception());
    let answer = stage.get(&stage.manifest_url).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("ThrottlingException"));
}

#[tokio::test]
async fn a_body_is_cut_after_exactly_so_many_bytes() {
    let stage = stage().await;
    for bytes in [0, 1, 5000, stage.blob.len() - 1] {
        stage.registry.inject(Fault::cut_response(bytes as u64).once());
        let (received, whole) = stage.partial_blob().await;
        assert!(!whole, "after {bytes}");
        assert_eq!(received, stage.blob[..bytes]);
    }
    assert_eq!(stage.registry.log().connections(), 4, "each cut closed its connection");
    assert_eq!(stage.blob().await.unwrap(), stage.blob);
}

#[tokio::test]
async fn a_big_body_is_cut_exactly_too() {
    let registry = Registry::start().await;
    let big = image::big(1, 8 * 1024 * 1024);
    registry.add_big(&repository("a"), &tag("1"), &big).await;
    let stage = Stage {
        blob_url: format!("{}/v2/a/blobs/{}", registry.url(), big.layer.digest),
        ..stage_on(registry).await
    };
    stage.registry.inject(Fault::cut_response(5_000_001));
    let (received, whole) = stage.partial_blob().await;
    assert_eq!((received.len(), whole), (5_000_001, false));
}

#[tokio::test]
async fn a_body_is_cut_under_tls_and_http2() {
    let stage = stage_on(Registry::builder().tls().start().await).await;
    let answer = stage.get(&stage.manifest_url).await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    stage.registry.inject(Fault::cut_response(5000).once());
    let (received, whole) = stage.partial_blob().await;
    assert!(!whole && received.len() <= 5000, "{} bytes", received.len());
    assert_eq!(stage.blob().await.unwrap(), stage.blob);
    assert_eq!(stage.registry.log().connections(), 2);
}

#[tokio::test]
async fn a_request_is_cut_while_it_is_read() {
    let stage = stage().await;
    let location = stage.post_upload("").await;
    let location = header(&location, "location").unwrap().to_owned();
    let url = reqwest::Url::parse(&stage.registry.url()).unwrap().join(&location).unwrap();
    let fault = stage.registry.inject(Fault::cut_request(1000).once());
    let sent = stage.client.patch(url).body(vec![1; 4_000_000]).send().await;
    assert!(sent.is_err());
    let cut = &stage.registry.log().matching("PATCH", path::UPLOADS)[0];
    assert_eq!(cut.status, None);
    assert!(cut.bytes_in >= 1000 && cut.bytes_in < 4_000_000, "{cut}");
    assert_eq!(fault.hits(), 1);
}

#[tokio::test]
async fn a_broken_request_leaves_what_came() {
    let stage = stage().await;
    let location = stage.post_upload("").await;
    let location = header(&location, "location").unwrap().to_owned();
    let url = reqwest::Url::parse(&stage.registry.url()).unwrap().join(&location).unwrap();
    stage.registry.inject(Fault::break_request(1000).once());
    let sent = stage.client.patch(url.clone()).body(vec![1; 4_000_000]).send().await;
    assert!(sent.is_err());
    let status = stage.client.get(url).send().await.unwrap();
    assert_eq!(header(&status, "range"), Some("0-999"));
}

#[tokio::test]
async fn connections_drop_before_or_instead_of_the_answer() {
    let stage = stage().await;
    let manifest = stage.image.manifest();
    let put = |name: &str| {
        let url = format!("{}/v2/team/app/manifests/{name}", stage.registry.url());
        let request = stage.client.put(url).body(manifest.bytes().clone());
        request.header("content-type", manifest.media_type().as_str()).send()
    };
    stage.registry.inject(Fault::drop_connection().on("PUT", path::MANIFESTS).once());
    assert!(put("before").await.is_err());
    assert_eq!(stage.registry.resolve(&repository("team/app"), &tag("before")).await, None);

    stage.registry.clear_faults();
    stage.registry.inject(Fault::drop_answer().on("PUT", path::MANIFESTS).once());
    assert!(put("instead").await.is_err());
    let written = stage.registry.resolve(&repository("team/app"), &tag("instead")).await;
    assert_eq!(written, Some(stage.image.digest()));
}

#[tokio::test]
async fn wrong_bytes_too_few_and_too_many() {
    let stage = stage().await;
    let length = stage.blob.len();

    stage.registry.inject(Fault::flip_byte(10_000));
    let wrong = stage.blob().await.unwrap();
    let differing: Vec<_> = (0..length).filter(|&i| wrong[i] != stage.blob[i]).collect();
    assert_eq!((wrong.len(), differing.as_slice()), (length, [10_000].as_slice()));

    stage.registry.clear_faults();
    stage.registry.inject(Fault::shorten(100, ContentLength::Sent));
    let answer = stage.get(&stage.blob_url).await.unwrap();
    assert_eq!(answer.content_length(), Some(100));
    assert_eq!(answer.bytes().await.unwrap(), stage.blob[..100]);

    stage.registry.clear_faults();
    stage.registry.inject(Fault::shorten(100, ContentLength::Whole));
    let answer = stage.get(&stage.blob_url).await.unwrap();
    assert_eq!(answer.content_length(), Some(length as u64));
    assert!(answer.bytes().await.is_err());

    stage.registry.clear_faults();
    stage.registry.inject(Fault::shorten(100, ContentLength::Unsaid));
    let answer = stage.get(&stage.blob_url).await.unwrap();
    assert_eq!(answer.content_length(), None);
    assert_eq!(answer.bytes().await.unwrap(), stage.blob[..100]);

    stage.registry.clear_faults();
    stage.registry.inject(Fault::no_content_length());
    let answer = stage.get(&stage.blob_url).await.unwrap();
    assert_eq!(answer.content_length(), None);
    assert_eq!(answer.bytes().await.unwrap(), stage.blob);

    stage.registry.clear_faults();
    stage.registry.inject(Fault::lengthen(9));
    let answer = stage.get(&stage.blob_url).await.unwrap();
    assert_eq!(answer.content_length(), Some(length as u64 + 9));
    let more = answer.bytes().await.unwrap();
    assert_eq!((&more[..length], &more[length..]), (&stage.blob[..], &[b'+'; 9][..]));
}

#[tokio::test]
async fn stalls_hold_until_they_are_released() {
    let stage = stage().await;
    let (fault, release) = Fault::stall();
    stage.registry.inject(fault.on("GET", path::MANIFESTS));
    let asked = tokio::spawn(stage.client.get(&stage.manifest_url).send());
    release.reached(1).await;
    assert!(!asked.is_finished());
    assert_eq!(stage.registry.log().requests()[0].status, None);
    release.release();
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);

    let (fault, release) = Fault::stall_response(5000);
    stage.registry.inject(fault);
    let mut response = stage.get(&stage.blob_url).await.unwrap();
    let mut received = 0;
    while received < 5000 {
        received += response.chunk().await.unwrap().unwrap().len();
    }
    assert_eq!(received, 5000);
    release.reached(1).await;
    drop(release);
    while let Some(chunk) = response.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert_eq!(received, stage.blob.len());
}

#[tokio::test]
async fn hooks_run_before_the_registry_sees_the_request() {
    let stage = stage().await;
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    stage.registry.inject(Fault::hook(move || {
        let seen = Arc::clone(&seen);
        async move {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    }));
    stage.get(&stage.manifest_url).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn headers_lie_or_are_missing() {
    let stage = stage().await;
    let digest = stage.image.digest().to_string();
    let table = [
        (Fault::no_content_digest(), "docker-content-digest", None),
        (Fault::content_type(None), "content-type", None),
        (Fault::content_type(Some("text/html")), "content-type", Some("text/html")),
        (Fault::answer_header("x-thing", "1"), "x-thing", Some("1")),
    ];
    for (fault, name, expected) in table {
        stage.registry.clear_faults();
        stage.registry.inject(fault);
        let answer = stage.get(&stage.manifest_url).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, name), expected, "{name}");
    }
    stage.registry.clear_faults();
    stage.registry.inject(Fault::wrong_content_digest());
    let answer = stage.get(&stage.manifest_url).await.unwrap();
    let said = header(&answer, "docker-content-digest").unwrap();
    assert!(said.starts_with("sha256:") && said != digest, "{said}");

    stage.registry.clear_faults();
    stage.registry.inject(Fault::head_unsupported());
    let head = ask(&stage.client, "HEAD", stage.manifest_url.clone()).await.unwrap();
    assert_eq!(head.status(), 405);
    assert_eq!(stage.get(&stage.manifest_url).await.unwrap().status(), 200);

    stage.registry.inject(Fault::other_status(201).on("GET", path::MANIFESTS));
    assert_eq!(stage.get(&stage.manifest_url).await.unwrap().status(), 201);
}

#[tokio::test]
async fn ranges_are_ignored_or_wrong() {
    let stage = stage().await;
    let ranged = || stage.client.get(&stage.blob_url).header("range", "bytes=100-").send();
    let length = stage.blob.len();

    let good = ranged().await.unwrap();
    assert_eq!(good.status(), 206);
    let expected = format!("bytes 100-{}/{length}", length - 1);
    assert_eq!(header(&good, "content-range"), Some(expected.as_str()));
    assert_eq!(good.bytes().await.unwrap(), stage.blob[100..]);
    let logged = stage.registry.log().requests().remove(0);
    assert_eq!(logged.header("range"), Some("bytes=100-"));

    stage.registry.inject(Fault::ignore_range());
    let whole = ranged().await.unwrap();
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.bytes().await.unwrap(), stage.blob);

    stage.registry.clear_faults();
    stage.registry.inject(Fault::wrong_content_range());
    let wrong = ranged().await.unwrap();
    assert_eq!(wrong.status(), 206);
    assert!(header(&wrong, "content-range").unwrap().starts_with("bytes 99-"));

    stage.registry.clear_faults();
    stage.registry.inject(Fault::no_content_range());
    let silent = ranged().await.unwrap();
    assert_eq!((silent.status().as_u16(), header(&silent, "content-range")), (206, None));
}

#[tokio::test]
async fn locations_take_every_form() {
    let stage = stage_on(Registry::builder().cdn().start().await).await;
    let own = stage.registry.url();
    let cdn = format!("http://{}", stage.registry.cdn().unwrap().host());
    let table = [
        (LocationForm::Relative, "/v2/team/app/blobs/uploads/".to_owned()),
        (LocationForm::Absolute, format!("{own}/v2/team/app/blobs/uploads/")),
        (LocationForm::Cdn, format!("{cdn}/v2/team/app/blobs/uploads/")),
        (LocationForm::Origin("http://10.0.0.1".into()), "http://10.0.0.1/v2/".to_owned()),
        (LocationForm::Exactly("nonsense".into()), "nonsense".to_owned()),
    ];
    for (form, start) in table {
        stage.registry.clear_faults();
        stage.registry.inject(Fault::location(form.clone()).on("POST", path::UPLOADS));
        let answer = stage.post_upload("").await;
        let location = header(&answer, "location").unwrap();
        assert!(location.starts_with(&start), "{form:?}: {location}");
    }
    stage.registry.clear_faults();
    stage.registry.inject(Fault::no_location());
    assert_eq!(header(&stage.post_upload("").await, "location"), None);
}

#[tokio::test]
async fn an_upload_can_go_to_the_cdn() {
    let stage = stage_on(Registry::builder().cdn().start().await).await;
    stage.registry.inject(Fault::location(LocationForm::Cdn).on("POST", path::UPLOADS));
    let answer = stage.post_upload("").await;
    let digest = oci::Digest::sha256(b"new");
    let url = format!("{}&digest={digest}", header(&answer, "location").unwrap());
    let put = stage.client.put(url).body("new").send().await.unwrap();
    assert_eq!(put.status(), 201);
    let cdn = stage.registry.cdn().unwrap();
    assert_eq!(cdn.log().count("PUT", path::UPLOADS), 1);
    let layout = stage.registry.layout(&repository("team/app"));
    assert_eq!(layout.blob_size(&digest).await.unwrap(), Some(3));
}

#[tokio::test]
async fn blobs_redirect_to_a_cdn_that_wants_no_credentials() {
    let stage = stage_on(Registry::builder().cdn().start().await).await;
    stage.registry.inject(Fault::redirect_to_cdn());
    let answer = stage.get(&stage.blob_url).await.unwrap();
    assert_eq!(answer.status(), 307);
    let location = header(&answer, "location").unwrap().to_owned();
    assert_eq!(stage.get(&location).await.unwrap().bytes().await.unwrap(), stage.blob);
    let twice = stage.client.get(&location).bearer_auth("x").send().await.unwrap();
    assert_eq!(twice.status(), 400);
    let unsigned = location.split('?').next().unwrap();
    assert_eq!(stage.get(unsigned).await.unwrap().status(), 403);
    let log = stage.registry.cdn().unwrap().log().requests();
    let schemes: Vec<_> = log.iter().map(|request| request.authorization.as_deref()).collect();
    assert_eq!(schemes, [None, Some("Bearer"), None]);

    stage.registry.cdn().unwrap().inject(Fault::status(503).once());
    assert_eq!(stage.get(&location).await.unwrap().status(), 503);
}

#[tokio::test]
async fn mounts_are_refused_or_fail() {
    let stage = stage().await;
    stage.registry.add(&repository("other"), &tag("1"), &image::single(2)).await;
    let digest = image::single(2).blobs[0].0.digest;
    let query = format!("?mount={digest}&from=other");
    assert_eq!(stage.post_upload(&query).await.status(), 201);
    let digest = image::single(2).blobs[1].0.digest;
    let query = format!("?mount={digest}&from=other");

    stage.registry.inject(Fault::refuse_mount());
    let refused = stage.post_upload(&query).await;
    assert_eq!(refused.status(), 202);
    assert!(header(&refused, "location").is_some());

    stage.registry.clear_faults();
    stage.registry.inject(Fault::mount_error(500));
    assert_eq!(stage.post_upload(&query).await.status(), 500);
    assert_eq!(stage.post_upload("").await.status(), 202, "no mount, no fault");
}

#[tokio::test]
async fn tag_lists_come_in_pages() {
    let stage = stage().await;
    for name in ["2", "3", "4", "5"] {
        stage.registry.add(&repository("team/app"), &tag(name), &stage.image).await;
    }
    stage.registry.inject(Fault::tag_pages(2));
    let mut url = format!("{}/v2/team/app/tags/list", stage.registry.url());
    let mut tags = Vec::new();
    let mut pages = 0;
    loop {
        let answer = stage.get(&url).await.unwrap();
        let link = header(&answer, "link").map(str::to_owned);
        let list: serde_json::Value = answer.json().await.unwrap();
        let page = list["tags"].as_array().unwrap();
        assert!(page.len() <= 2);
        tags.extend(page.iter().map(|tag| tag.as_str().unwrap().to_owned()));
        pages += 1;
        let Some(link) = link else { break };
        let next = link.split(['<', '>']).nth(1).unwrap();
        url = reqwest::Url::parse(&url).unwrap().join(next).unwrap().into();
    }
    assert_eq!((tags.join(","), pages), ("1,2,3,4,5".to_owned(), 3));
}

#[tokio::test]
async fn referrers_are_unsupported_denied_redirected_or_empty() {
    let stage = stage().await;
    let sbom = image::referrer_of(&stage.image.root, 9);
    stage.registry.add_untagged(&repository("team/app"), &sbom).await;
    let url = format!("{}/v2/team/app/referrers/{}", stage.registry.url(), stage.image.digest());
    let listed = stage.get(&url).await.unwrap().text().await.unwrap();
    assert!(listed.contains(&sbom.digest().to_string()), "{listed}");

    let elsewhere = Fault::redirect_referrers(303, "https://example.com/");
    for (fault, status) in
        [(Fault::no_referrers(), 404), (Fault::deny_referrers(), 403), (elsewhere, 303)]
    {
        stage.registry.clear_faults();
        stage.registry.inject(fault);
        assert_eq!(stage.get(&url).await.unwrap().status(), status);
    }
    stage.registry.clear_faults();
    stage.registry.inject(Fault::empty_referrers());
    let answer = stage.get(&url).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.text().await.unwrap().contains("sha256"));
}
