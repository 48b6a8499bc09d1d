//! Real helm, 4 and 3, makes charts and a repository of them, and pulls, shows and verifies what the
//! crate `charts` makes of it. What `helm push` writes for the same archive is the same, but for the
//! time of the push.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use charts::{Chart, ChartImage, ChartRepository, chart_layer, pull_name_problem};
use interop::{Kind, Layout, Output, Process, Server, Workbench};
use oci::{Algorithm, Location, Manifest, MediaType};
use serde_json::Value;

const TOOLS: [&str; 7] =
    ["crane", "docker-registry", "distribution3", "htpasswd", "helm", "helm3", "gpg"];
const HELMS: [&str; 2] = ["helm", "helm3"];
/// A version that a tag cannot have, signed, and one without a signature.
const SIGNED: &str = "1.2.3+b.1";
const UNSIGNED: &str = "1.3.0";
const KEY: &str = "Interop <interop@example.com>";

/// What a `Chart.yaml` may have beside what `helm create` writes.
const MORE: &str = r#"
home: https://example.com/?a=b&c=<d>
icon: https://example.com/icon.png
sources: [https://example.com/source, https://example.com/other]
keywords: [web, 1, yes]
kubeVersion: ">=1.16.0-0"
maintainers:
- {name: Ann, email: ann@example.com}
- {name: "Böb 😀", url: https://example.com/bob}
annotations:
  category: Test & more
  number: "1"
  artifacthub.io/images: |
    - {name: demo, image: quay.io/team/demo:1.16.0}
"#;

/// What a test works with: charts that helm packaged, in a repository that helm made an index of.
struct Charts {
    bench: Workbench,
    folder: PathBuf,
}

impl Charts {
    fn made(suite: &str) -> Option<Self> {
        Workbench::with_tools(&format!("charts {suite}"), &TOOLS).map(Self::made_on)
    }

    fn made_on(bench: Workbench) -> Self {
        let folder = bench.folder().join("repository");
        std::fs::create_dir(&folder).unwrap();
        let charts = Self { bench, folder };
        charts.make_key();
        let source = charts.bench.folder().join("demo");
        charts.helm("helm").args(["create"]).args([&source]).succeed();
        let file = source.join("Chart.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + MORE).unwrap();
        // A chart within the chart.
        charts.helm("helm").args(["create"]).args([source.join("charts/part")]).succeed();
        for (helm, version, sign) in [("helm", SIGNED, true), ("helm3", UNSIGNED, false)] {
            let mut package = charts
                .helm(helm)
                .args(["package", "--version", version, "--destination"])
                .args([&charts.folder, &source]);
            if sign {
                package = package.args(["--sign", "--key", KEY, "--keyring"]);
                package = package.args([charts.key("secret")]);
            }
            package.succeed();
        }
        charts.index("helm");
        charts
    }

    /// `helm repo index`, all of it written anew.
    fn index(&self, helm: &str) {
        self.helm(helm).args(["repo", "index"]).args([&self.folder]).succeed();
    }

    fn helm(&self, helm: &str) -> Process {
        let home = |what: &str| self.bench.folder().join(helm).join(what);
        self.bench
            .tool(helm)
            .env("HELM_CACHE_HOME", home("cache"))
            .env("HELM_CONFIG_HOME", home("config"))
            .env("HELM_DATA_HOME", home("data"))
    }

    /// A key that signs, in the form that helm reads.
    fn make_key(&self) {
        let home = self.bench.folder().join("gnupg");
        std::fs::create_dir(&home).unwrap();
        let gpg = || self.bench.tool("gpg").args(["--homedir"]).args([&home]).args(["--batch"]);
        let made = ["--pinentry-mode", "loopback", "--passphrase", "", "--quick-generate-key", KEY];
        gpg().args(made).args(["rsa2048", "sign", "never"]).succeed();
        for (name, export) in [("secret", "--export-secret-keys"), ("public", "--export")] {
            gpg().args(["--output"]).args([self.key(name)]).args([export]).succeed();
        }
        // gpg leaves an agent running.
        let program = self.bench.command("gpg").get_program().to_owned();
        let gpgconf = Path::new(&program).with_file_name("gpgconf");
        Process::new(&gpgconf).args(["--homedir"]).args([&home]).args(["--kill", "all"]).succeed();
    }

    fn key(&self, name: &str) -> PathBuf {
        self.bench.folder().join(format!("{name}.gpg"))
    }

    fn archive(&self, version: &str) -> PathBuf {
        self.folder.join(format!("demo-{version}.tgz"))
    }

    /// What the crate fetches from the repository over http.
    fn fetched(&self, version: &str) -> Chart {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _server = runtime.enter();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(file).with_state(self.folder.clone());
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        runtime.block_on(async {
            let repository = ChartRepository::new(&url.parse().unwrap(), client(), None).unwrap();
            let name = "demo".parse().unwrap();
            let index = repository.versions(&[name].into()).await.unwrap();
            let name = "demo".parse().unwrap();
            let entry = index.exact(&name, version).unwrap();
            assert!(entry.digest().is_some(), "helm writes digests");
            repository.fetch(entry).await.unwrap()
        })
    }

    /// Pushes an image as it is.
    fn push(&self, image: &ChartImage, repository: &str) {
        let folder = tempfile::tempdir_in(self.bench.folder()).unwrap();
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
        self.bench.push(&Layout::at(folder.path()), &format!("{repository}:{}", image.tag));
    }

    /// `helm pull` into a folder of its own.
    fn pull(
        &self,
        helm: &str,
        server: &Server,
        reference: &str,
        more: &[&str],
    ) -> (Output, PathBuf) {
        let folder = tempfile::tempdir_in(self.bench.folder()).unwrap().keep();
        let output = self
            .helm(helm)
            .args(["pull", &format!("oci://{reference}"), "--destination"])
            .args([&folder])
            .args(plain(server))
            .args(more)
            .run();
        (output, folder)
    }
}

fn plain(server: &Server) -> &'static [&'static str] {
    if server.kind().is_secured() { &[] } else { &["--plain-http"] }
}

async fn file(State(folder): State<PathBuf>, request: Request) -> Result<Vec<u8>, StatusCode> {
    let name = request.uri().path().trim_start_matches('/');
    std::fs::read(folder.join(name)).map_err(|_| StatusCode::NOT_FOUND)
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
        charts.push(&charts.fetched(version).image().unwrap(), &at);
    }
    let keyring = charts.key("public");
    let verify = ["--version", SIGNED, "--verify", "--keyring", keyring.to_str().unwrap()];
    for helm in HELMS {
        let (output, folder) = charts.pull(helm, &server, &at, &verify);
        assert_eq!(output.code, Some(0), "{helm}: {output:?}");
        let name = charts.archive(SIGNED).file_name().unwrap().to_owned();
        let read = |folder: &Path, end: &str| {
            std::fs::read(folder.join(format!("{}{end}", name.to_str().unwrap()))).unwrap()
        };
        for end in ["", ".prov"] {
            assert_eq!(read(&folder, end), read(&charts.folder, end), "{helm} {end}");
        }
        let show = |version: &str| {
            charts
                .helm(helm)
                .args(["show", "chart", &format!("oci://{at}"), "--version", version])
                .args(plain(&server))
                .succeed()
        };
        assert!(show(SIGNED).contains(&format!("version: {SIGNED}\n")));
        assert!(show(">=1.2.0-0").contains(&format!("version: {UNSIGNED}\n")));
        // What nobody signed does not pass for signed.
        let verify = ["--version", UNSIGNED, "--verify", "--keyring", keyring.to_str().unwrap()];
        assert_ne!(charts.pull(helm, &server, &at, &verify).0.code, Some(0));
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
    let Some(charts) = Charts::made("push") else { return };
    let server = charts.bench.start(Kind::Distribution3);
    for version in [SIGNED, UNSIGNED] {
        let chart = charts.fetched(version);
        let image = chart.image().unwrap();
        assert_eq!(chart.archive(), &std::fs::read(charts.archive(version)).unwrap());
        assert_eq!(chart.provenance().is_some(), version == SIGNED);
        assert!(chart.warnings().is_empty(), "{:?}", chart.warnings());
        for helm in HELMS {
            let place = format!("{}/{helm}", server.host());
            let archive = charts.archive(version);
            charts
                .helm(helm)
                .args(["push"])
                .args([&archive])
                .args([format!("oci://{place}")])
                .succeed();
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
    let Some(charts) = Charts::made("index") else { return };
    let before = charts.fetched(SIGNED).image().unwrap();
    let text = || std::fs::read_to_string(charts.folder.join("index.yaml")).unwrap();
    let first = text();
    charts.index("helm3");
    assert_ne!(text(), first, "helm writes the time into every entry");
    let after = charts.fetched(SIGNED).image().unwrap();
    assert_eq!(after.manifest.digest(), before.manifest.digest());
    // helm writes the same as JSON.
    charts.helm("helm").args(["repo", "index", "--json"]).args([&charts.folder]).succeed();
    assert!(text().starts_with('{'));
    assert_eq!(charts.fetched(SIGNED).image().unwrap().manifest.digest(), before.manifest.digest());
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn a_repository_that_is_not_named_like_its_chart_is_of_no_use_to_helm() {
    let Some(charts) = Charts::made("names") else { return };
    let server = charts.bench.start(Kind::Distribution3);
    let at = format!("{}/charts/other", server.host());
    let location = Location::Registry {
        host: server.host().parse().unwrap(),
        repository: "charts/other".parse().unwrap(),
    };
    assert!(pull_name_problem(&location, "demo").is_some());
    charts.push(&charts.fetched(SIGNED).image().unwrap(), &at);
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
    let Some(charts) = Charts::made("images") else { return };
    let images = charts.fetched(SIGNED).images().unwrap();
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
