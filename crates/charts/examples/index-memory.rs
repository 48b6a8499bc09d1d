//! How much time and memory a large index takes: makes one of 30 MB in a file, or takes the one that
//! it is given, serves it on loopback and reads one chart of it.
//!
//! ```sh
//! cargo run -p charts --example index-memory --release [FILE]
//! ```
//!
//! The figures in docs/charts.md are from here.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "run by hand")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use charts::ChartRepository;

/// An index as helm writes it: 250 charts of 120 versions.
fn index() -> String {
    let mut text = "apiVersion: v1\nentries:\n".to_owned();
    for chart in 0..250 {
        let _ = writeln!(text, "  chart-{chart:03}:");
        for version in 0..120 {
            let _ = write!(
                text,
                "  - annotations:\n      category: Infrastructure\n      images: |\n        - name: chart-{chart:03}\n          image: registry.example.com/team/chart-{chart:03}:1.{version}.0-debian-12-r0\n        - name: os-shell\n          image: registry.example.com/team/os-shell:12-debian-12-r{version}\n      licenses: Apache-2.0\n    apiVersion: v2\n    appVersion: 1.{version}.0\n    created: \"2026-05-04T03:02:01.123456789Z\"\n    dependencies:\n    - name: common\n      repository: https://charts.example.com/stable\n      tags:\n      - common\n      version: 2.x.x\n    description: Chart {chart:03} is one of many, and its description is about as long\n      as those of the field are, over two lines.\n    digest: {:064x}\n    home: https://example.com\n    icon: https://example.com/assets/chart-{chart:03}/img/stack-220x234.png\n    keywords:\n    - web\n    - http\n    maintainers:\n    - name: Somebody\n      url: https://example.com/somebody\n    name: chart-{chart:03}\n    sources:\n    - https://example.com/charts/tree/main/chart-{chart:03}\n    urls:\n    - https://charts.example.com/stable/chart-{chart:03}-1.{version}.0.tgz\n    version: 1.{version}.0\n",
                chart * 1000 + version
            );
        }
    }
    text + "generated: \"2026-05-04T03:02:01.123456789Z\"\n"
}

/// The most memory that this process had, in MiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    kib / 1024
}

#[tokio::main]
async fn main() {
    // The index lies in a file, so that it does not count.
    let file = match std::env::args().nth(1) {
        Some(file) => file.into(),
        None => {
            let file = std::env::temp_dir().join("index-memory.yaml");
            if !file.exists() {
                std::fs::write(&file, index()).unwrap();
                println!("wrote {}; run again", file.display());
                return;
            }
            file
        }
    };
    println!("index: {:.1} MB", std::fs::metadata(&file).unwrap().len() as f64 / 1e6);
    let path = Arc::new(file);
    let serve = move || {
        let path = Arc::clone(&path);
        async move {
            let mut file = std::fs::File::open(path.as_path()).unwrap();
            axum::body::Body::from_stream(futures::stream::iter(std::iter::from_fn(move || {
                let mut piece = vec![0; 64 * 1024];
                let length = std::io::Read::read(&mut file, &mut piece).unwrap();
                piece.truncate(length);
                (length > 0).then_some(Ok::<_, std::io::Error>(piece))
            })))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let app = axum::Router::new().fallback(serve);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build();
    let repository = ChartRepository::new(&url, client.unwrap(), None).unwrap();
    let before = most_memory();
    // The last one, and one that is not there, so that all of the index is read.
    let wanted = ["chart-249", "absent"].map(|name| name.parse().unwrap());
    let started = Instant::now();
    let index = repository.versions(&wanted.clone().into()).await.unwrap();
    println!(
        "{} versions in {:.2} s; {before} MiB before, {} MiB at most",
        index.entries(&wanted[0]).len(),
        started.elapsed().as_secs_f64(),
        most_memory()
    );
}
