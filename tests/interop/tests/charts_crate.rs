//! Real helm, 4 and 3, makes charts and a repository of them, and pulls, shows and verifies what the
//! crate `charts` makes of it. What `helm push` writes for the same archive is the same, but for the
//! time of the push.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::Arc;

use charts::{Chart, ChartImage, ChartRepository, chart_layer, pull_name_problem};
use interop::{ChartServer, Charts, Door, HELMS, Kind, Layout, SIGNED, UNSIGNED, Workbench, plain};
use oci::{Algorithm, Location, Manifest, MediaType};
use serde_json::Value;

const TOOLS: [&str; 7] =
    ["crane", "docker-registry", "distribution3", "htpasswd", "helm", "helm3", "gpg"];

fn made(suite: &str) -> Option<Charts> {
    Workbench::with_tools(&format!("charts {suite}"), &TOOLS).map(Charts::made_on)
}

/// What the crate fetches from the repository over http.
fn fetched(charts: &Charts, version: &str) -> Chart {
    let server = ChartServer::start(charts, Door::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = server.url().parse().unwrap();
        let repository = ChartRepository::new(&url, client(), None).unwrap();
        let name = "demo".parse().unwrap();
        let index = repository.versions(&[name].into()).await.unwrap();
        let name = "demo".parse().unwrap();
        let entry = index.exact(&name, version).unwrap();
        assert!(entry.digest().is_some(), "helm writes digests");
        repository.fetch(entry).await.unwrap()
    })
}

/// Pushes an image as it is.
fn push(charts: &Charts, image: &ChartImage, repository: &str) {
    let folder = tempfile::tempdir_in(charts.bench.folder()).unwrap();
    let blobs = folder.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let manifest = (image.manifest.digest(), image.manifest.bytes());
    let all = image.blobs.iter().map(|(descriptor, content)| (descriptor.digest, content));
    for (digest, content) in all.chain([manifest]) {
        std::fs::write(blobs.join(digest.hex()), content).unwrap();
    }
    let (digest, content) = manifest;
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": image.manifest.media_type(),
            "digest": digest,
            "size": content.len(),
        }],
    });
    std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    let version = r#"{"imageLayoutVersion": "1.0.0"}"#;
    std::fs::write(folder.path().join("oci-layout"), version).unwrap();
    charts.bench.push(&Layout::at(folder.path()), &format!("{repository}:{}", image.tag));
}

fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A manifest without the time at which it was made.
fn timeless(manifest: &str) -> String {
    const CREATED: &str = r#""org.opencontainers.image.created":""#;
    let (before, after) = manifest.split_once(CREATED).unwrap();
    format!("{before}{}", after.split_once('"').unwrap().1)
}

fn helm_pulls_what_we_made(kind: Kind) {
    let bench = match kind {
        Kind::Serve => Workbench::with_image_syncer("charts pull", &TOOLS),
        _ => Workbench::with_tools("charts pull", &TOOLS),
    };
    let Some(charts) = bench.map(Charts::made_on) else { return };
    let server = charts.bench.start(kind);
    let at = format!("{}/charts/demo", server.host());
    for version in [SIGNED, UNSIGNED] {
        push(&charts, &fetched(&charts, version).image().unwrap(), &at);
    }
    for version in [SIGNED, UNSIGNED] {
        charts.expect_usable(&server, &at, version);
    }
    for helm in HELMS {
        let newest = charts.helm(helm).args(["show", "chart", &format!("oci://{at}")]);
        let newest = newest.args(["--version", ">=1.2.0-0"]).args(plain(&server)).succeed();
        assert!(newest.contains(&format!("version: {UNSIGNED}\n")));
        let template = charts.helm(helm).args(["template", &format!("oci://{at}")]);
        let template = template.args(["--version", UNSIGNED]).args(plain(&server)).succeed();
        assert!(template.contains("kind: Deployment"), "{template}");
    }
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn helm_pulls_what_we_made_from_docker_registry() {
    helm_pulls_what_we_made(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn helm_pulls_what_we_made_from_distribution() {
    helm_pulls_what_we_made(Kind::Distribution3);
}

#[test]
#[ignore = "needs helm: tests/tools/install"]
fn helm_pulls_what_we_made_from_image_syncer_serve() {
    helm_pulls_what_we_made(Kind::Serve);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn what_helm_pushes_is_the_same_but_for_its_time() {
    let Some(charts) = made("push") else { return };
    let server = charts.bench.start(Kind::Distribution3);
    for version in [SIGNED, UNSIGNED] {
        let chart = fetched(&charts, version);
        let image = chart.image().unwrap();
        assert_eq!(chart.archive(), &std::fs::read(charts.archive(version)).unwrap());
        assert_eq!(chart.provenance().is_some(), version == SIGNED);
        assert!(chart.warnings().is_empty(), "{:?}", chart.warnings());
        for helm in HELMS {
            let place = format!("{}/{helm}", server.host());
            charts.push(helm, &server, version, &place);
            // The tag is the one that helm chose, too.
            let reference = format!("{place}/demo:{}", image.tag);
            let theirs = charts.bench.crane(["manifest", &reference]);
            let ours = std::str::from_utf8(image.manifest.bytes()).unwrap();
            assert_eq!(timeless(&theirs), timeless(ours), "{helm} {version}");
            // So are their digests, and so all bytes; but ours come from us.
            let manifest: Value = serde_json::from_str(&theirs).unwrap();
            let digest = manifest["config"]["digest"].as_str().unwrap();
            let config = charts.bench.crane(["blob", &format!("{place}/demo@{digest}")]);
            assert_eq!(image.blobs[0].1, config.as_bytes());
            let parsed =
                Manifest::parse(theirs.into(), Some(&MediaType::OCI_MANIFEST), Algorithm::Sha256);
            assert_eq!(chart_layer(&parsed.unwrap()).unwrap().digest, chart.digest());
        }
    }
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn a_new_index_makes_no_new_image() {
    let Some(charts) = made("index") else { return };
    let before = fetched(&charts, SIGNED).image().unwrap();
    let text = || std::fs::read_to_string(charts.folder().join("index.yaml")).unwrap();
    let first = text();
    charts.index("helm3");
    assert_ne!(text(), first, "helm writes the time into every entry");
    let after = fetched(&charts, SIGNED).image().unwrap();
    assert_eq!(after.manifest.digest(), before.manifest.digest());
    // helm writes the same as JSON.
    charts.helm("helm").args(["repo", "index", "--json"]).args([charts.folder()]).succeed();
    assert!(text().starts_with('{'));
    assert_eq!(
        fetched(&charts, SIGNED).image().unwrap().manifest.digest(),
        before.manifest.digest()
    );
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn a_repository_that_is_not_named_like_its_chart_is_of_no_use_to_helm() {
    let Some(charts) = made("names") else { return };
    let server = charts.bench.start(Kind::Distribution3);
    let at = format!("{}/charts/other", server.host());
    let location = Location::Registry {
        host: server.host().parse().unwrap(),
        repository: "charts/other".parse().unwrap(),
    };
    assert!(pull_name_problem(&location, "demo").is_some());
    push(&charts, &fetched(&charts, SIGNED).image().unwrap(), &at);
    let keyring = charts.key("public");
    let verify = ["--version", SIGNED, "--verify", "--keyring", keyring.to_str().unwrap()];
    for helm in HELMS {
        let (output, _) = charts.pull(helm, &server, &at, &verify);
        assert_ne!(output.code, Some(0), "{helm}: {output:?}");
        // Without `--verify` helm does it, under the other name.
        let (output, folder) = charts.pull(helm, &server, &at, &["--version", SIGNED]);
        assert_eq!(output.code, Some(0), "{helm}: {output:?}");
        assert!(folder.join(format!("other-{SIGNED}.tgz")).exists());
    }
}

#[test]
#[ignore = "needs helm: tests/tools/install"]
fn the_images_of_a_chart_that_helm_created_are_found() {
    let Some(charts) = made("images") else { return };
    let images = fetched(&charts, SIGNED).images().unwrap();
    let lines: Vec<String> =
        images.iter().map(|it| format!("{} {}", it.reference, it.places.join("; "))).collect();
    assert_eq!(
        lines,
        [
            "nginx:1.16.0 values.yaml: image; charts/part/values.yaml: image",
            "quay.io/team/demo:1.16.0 Chart.yaml: annotations.artifacthub.io/images",
        ]
    );
}
