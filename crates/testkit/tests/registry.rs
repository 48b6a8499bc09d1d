//! A registry's life: TLS, the log, the proxy, the end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::{ask, client, repository, tag};
use testkit::{Certificate, ClosedPort, Direction, Fault, Proxy, Registry, image, path};

#[tokio::test]
async fn tls_is_trusted_only_through_its_own_authority() {
    let registry = Registry::builder().tls().start().await;
    assert!(registry.url().starts_with("https://127.0.0.1:"));
    let ping = format!("{}/v2/", registry.url());
    assert_eq!(ask(&client(&registry), "GET", ping.clone()).await.unwrap().status(), 200);
    let file = std::fs::read_to_string(registry.ca_file().unwrap()).unwrap();
    assert_eq!(Some(file.as_str()), registry.ca_pem());
    let stranger = client(&Registry::builder().tls().start().await);
    assert!(ask(&stranger, "GET", ping).await.is_err());
}

#[tokio::test]
async fn bad_certificates_are_refused_for_what_is_bad() {
    for (kind, reason) in
        [(Certificate::Expired, "Expired"), (Certificate::WrongName, "NotValidForName")]
    {
        let registry = Registry::builder().certificate(kind).start().await;
        let answer = ask(&client(&registry), "GET", format!("{}/v2/", registry.url())).await;
        let error = format!("{:?}", answer.unwrap_err());
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_can_be_demanded() {
    let registry = Registry::builder().demand_client_certificate().start().await;
    let ping = format!("{}/v2/", registry.url());
    assert!(ask(&client(&registry), "GET", ping.clone()).await.is_err());
    let identity = registry.client_identity("syncer").unwrap();
    let pair = support::client_with_identity(&registry, &identity);
    assert_eq!(ask(&pair, "GET", ping).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_log_has_all_of_it_in_order() {
    let registry = Registry::start().await;
    let image = image::single(1);
    registry.add(&repository("library/nginx"), &tag("1"), &image).await;
    let client = client(&registry);
    let base = format!("{}/v2/library/nginx", registry.url());
    ask(&client, "HEAD", format!("{base}/manifests/1")).await.unwrap();
    let blob = format!("{base}/blobs/{}", image.blobs[0].0.digest);
    ask(&client, "GET", blob).await.unwrap().bytes().await.unwrap();
    client.post(format!("{base}/blobs/uploads/?digest=x")).body("abc").send().await.unwrap();
    let log = registry.log();
    log.wait_until(|log| log.requests().iter().all(|request| request.ended)).await;

    assert_eq!(log.count("HEAD", path::MANIFESTS), 1);
    assert_eq!(log.count("GET|HEAD", path::BLOBS), 1);
    assert_eq!(log.count("*", "/v2/library/*"), 3);
    assert_eq!(log.writes().len(), 1);
    let requests = log.requests();
    let numbers: Vec<_> = requests.iter().map(|request| request.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(requests[1].bytes_out, image.blobs[0].0.size);
    assert_eq!(requests[2].query.as_deref(), Some("digest=x"));
    assert!(requests.iter().all(|request| request.connection == 1), "{log}");
    assert_eq!((log.connections(), log.peak()), (1, 1));
    let listing = log.to_string();
    let first = listing.lines().next().unwrap();
    assert_eq!(first, "  1 c1 HEAD /v2/library/nginx/manifests/1 -> 200, 0 in, 0 out");

    log.clear();
    assert!(log.requests().is_empty());
    ask(&client, "GET", format!("{}/v2/", registry.url())).await.unwrap();
    assert_eq!(log.requests()[0].number, 4);
}

#[tokio::test]
async fn the_peak_counts_what_is_open_at_once() {
    let registry = Registry::start().await;
    let (fault, release) = Fault::stall();
    registry.inject(fault);
    let client = client(&registry);
    let url = format!("{}/v2/", registry.url());
    let open: Vec<_> = (0..3).map(|_| tokio::spawn(client.get(&url).send())).collect();
    registry.log().wait_until(|log| log.requests().len() == 3).await;
    release.release();
    for answer in open {
        answer.await.unwrap().unwrap();
    }
    ask(&client, "GET", url).await.unwrap();
    assert_eq!(registry.log().peak(), 3);
}

#[tokio::test]
async fn dropping_kills_and_leaves_nothing() {
    let registry = Registry::start().await;
    registry.add(&repository("dropped"), &tag("1"), &image::single(1)).await;
    let (client, folder) = (client(&registry), registry.folder());
    let url = format!("{}/v2/dropped/manifests/1", registry.url());
    assert_eq!(ask(&client, "HEAD", url.clone()).await.unwrap().status(), 200);
    let (fault, release) = Fault::stall();
    registry.inject(fault);
    let open = tokio::spawn(ask_owned(client.clone(), url.clone()));
    release.reached(1).await;
    assert!(folder.join("dropped").exists());
    drop(registry);
    assert!(open.await.unwrap().is_err(), "the open request dies");
    // The port may be another test's by now; the image is not there.
    let later = ask(&client, "HEAD", url).await;
    assert!(later.is_err() || later.is_ok_and(|answer| answer.status() != 200), "nobody serves it");
    // The last of its tasks removes the folder; they end when the runtime turns to them.
    while folder.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stopping_lets_open_requests_finish() {
    let registry = Registry::start().await;
    let (fault, release) = Fault::stall();
    registry.inject(fault);
    let url = format!("{}/v2/", registry.url());
    let open = tokio::spawn(ask_owned(client(&registry), url));
    release.reached(1).await;
    let folder = registry.folder();
    let stopped = tokio::spawn(registry.stop());
    release.release();
    assert_eq!(open.await.unwrap().unwrap().status(), 200);
    stopped.await.unwrap();
    assert!(!folder.exists());
}

async fn ask_owned(client: reqwest::Client, url: String) -> reqwest::Result<reqwest::Response> {
    ask(&client, "GET", url).await
}

#[tokio::test]
async fn a_closed_port_refuses_and_is_nobody_elses() {
    let closed = ClosedPort::bind();
    let error = tokio::net::TcpStream::connect(closed.address()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let error = tokio::net::TcpListener::bind(closed.address()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(closed.host().to_string(), closed.address().to_string());
}

#[tokio::test]
async fn any_router_can_be_served_below_the_same_layers() {
    let router = axum::Router::new().route("/index.yaml", axum::routing::get(|| async { "a: 1" }));
    let registry = Registry::builder().serve(router).start().await;
    let url = format!("{}/index.yaml", registry.url());
    let client = client(&registry);
    registry.inject(Fault::status(500).once());
    assert_eq!(ask(&client, "GET", url.clone()).await.unwrap().status(), 500);
    assert_eq!(ask(&client, "GET", url).await.unwrap().text().await.unwrap(), "a: 1");
    assert_eq!(registry.log().count("GET", "/index.yaml"), 2);
}

#[tokio::test]
async fn a_proxy_ends_resets_or_stalls_connections() {
    let registry = Registry::start().await;
    let image = image::single(1);
    registry.add(&repository("a"), &tag("1"), &image).await;
    let proxy = Proxy::to(registry.address()).await.unwrap();
    let (blob, content) = &image.blobs[0];
    let url = format!("http://{}/v2/a/blobs/{}", proxy.address(), blob.digest);
    let fetch = || async { ask(&client(&registry), "GET", url.clone()).await?.bytes().await };
    assert_eq!(fetch().await.unwrap(), content);

    proxy.close_after(3000, Direction::ToClient);
    assert!(fetch().await.is_err());
    proxy.reset_after(10, Direction::ToServer);
    assert!(fetch().await.is_err());
    assert_eq!(fetch().await.unwrap(), content, "plans are for one connection each");

    let release = proxy.stall_after(3000, Direction::ToClient);
    let stalled = tokio::spawn(ask_owned(client(&registry), url.clone()));
    release.reached(1).await;
    release.release();
    assert_eq!(stalled.await.unwrap().unwrap().bytes().await.unwrap(), content);
}

#[tokio::test]
async fn a_closing_proxy_passes_exactly_so_many_bytes() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(listener.local_addr().unwrap()).await.unwrap();
    proxy.close_after(7, Direction::ToServer);
    let mut near = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    near.write_all(b"0123456789").await.unwrap();
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"0123456");
}
