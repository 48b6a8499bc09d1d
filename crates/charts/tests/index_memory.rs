//! How much memory a large index takes: one of 30 MB, or of 5 where nothing is optimised, is served on
//! loopback, piece by piece, and two charts of it are looked for. A process of its own, as the system keeps the
//! peak for each process.
//!
//! ```sh
//! cargo test -p charts --test index_memory --release -- --nocapture
//! ```
//!
//! The figures in docs/charts.md are from here.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code, whose figures go into the guide"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use charts::{ChartName, ChartRepository};

/// As many as Bitnami's index had, about: 30 MB. Without optimisation that takes half a minute, so it is less.
const CHARTS: usize = if cfg!(debug_assertions) { 40 } else { 250 };
const VERSIONS: usize = 120;

/// The entry of one chart with its versions, as helm writes it.
fn entry(chart: usize) -> String {
    let mut text = format!("  chart-{chart:03}:\n");
    for version in 0..VERSIONS {
        let _ = write!(
            text,
            "  - annotations:\n      category: Infrastructure\n      images: |\n        - name: chart-{chart:03}\n          image: registry.example.com/team/chart-{chart:03}:1.{version}.0-debian-12-r0\n        - name: os-shell\n          image: registry.example.com/team/os-shell:12-debian-12-r{version}\n      licenses: Apache-2.0\n    apiVersion: v2\n    appVersion: 1.{version}.0\n    created: \"2026-05-04T03:02:01.123456789Z\"\n    dependencies:\n    - name: common\n      repository: https://charts.example.com/stable\n      tags:\n      - common\n      version: 2.x.x\n    description: Chart {chart:03} is one of many, and its description is about as long\n      as those of the field are, over two lines.\n    digest: {:064x}\n    home: https://example.com\n    icon: https://example.com/assets/chart-{chart:03}/img/stack-220x234.png\n    keywords:\n    - web\n    - http\n    maintainers:\n    - name: Somebody\n      url: https://example.com/somebody\n    name: chart-{chart:03}\n    sources:\n    - https://example.com/charts/tree/main/chart-{chart:03}\n    urls:\n    - https://charts.example.com/stable/chart-{chart:03}-1.{version}.0.tgz\n    version: 1.{version}.0\n",
            chart * 1000 + version
        );
    }
    text
}

/// An index of so many charts, of which no more than one is in memory here.
async fn index(Path(charts): Path<usize>) -> Body {
    let head = std::iter::once("apiVersion: v1\nentries:\n".to_owned());
    let end = std::iter::once("generated: \"2026-05-04T03:02:01.123456789Z\"\n".to_owned());
    let pieces = head.chain((0..charts).map(entry)).chain(end);
    Body::from_stream(futures::stream::iter(pieces.map(Ok::<_, std::io::Error>)))
}

/// The most memory that this process had, in KiB.
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

#[tokio::test]
async fn a_large_index_is_never_in_memory_as_a_whole() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/{charts}/index.yaml", get(index));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = client();
    let read = async |charts: usize| {
        let url = format!("http://{at}/{charts}/").parse().unwrap();
        let repository = ChartRepository::new(&url, client.clone(), None).unwrap();
        // The last one, and one that is not there, so that all of the index is read.
        let last: ChartName = format!("chart-{:03}", charts - 1).parse().unwrap();
        let wanted = [last.clone(), "absent".parse().unwrap()].into();
        let index = repository.versions(&wanted).await.unwrap();
        assert_eq!(index.entries(&last).len(), VERSIONS);
        most_memory()
    };
    let size: usize = (0..CHARTS).map(|chart| entry(chart).len()).sum::<usize>() / 1024;
    // What any index takes: the server, the client, what the parser looks ahead.
    let small = read(5).await;
    let started = Instant::now();
    let large = read(CHARTS).await;
    println!(
        "an index of {size} KiB: {:.2} s, {large} KiB at most, {} more than one of {} KiB",
        started.elapsed().as_secs_f64(),
        large - small,
        size * 5 / CHARTS
    );
    assert!(large - small < size / 2, "{} KiB more for an index of {size} KiB", large - small);
}
