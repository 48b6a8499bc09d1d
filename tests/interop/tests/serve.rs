//! `image-syncer serve` is a registry to every tool: what skopeo, crane and regctl push they read
//! back, and the folder that is served is one that they read without it.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use interop::{Kind, Layout, Process, Server, Settings, Workbench, digest_of};
use serde_json::Value;

const TOOLS: [&str; 7] =
    ["crane", "skopeo", "umoci", "regctl", "buildah", "htpasswd", "docker-registry"];
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A server of this kind.
fn started(suite: &str, kind: Kind) -> Option<(Workbench, Server)> {
    let name = format!("serve {suite}");
    let bench = Workbench::with_image_syncer(&name, &TOOLS)?;
    let server = bench.start(kind);
    Some((bench, server))
}

/// `skopeo copy` of everything that is there, which must keep its digests, to or from a server.
fn skopeo_copy(bench: &Workbench, kind: Kind, from: &str, to: &str) {
    let verify = kind.is_secured();
    bench
        .tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"])
        .args([format!("--src-tls-verify={verify}"), format!("--dest-tls-verify={verify}")])
        .args([from, to])
        .succeed();
}

/// skopeo's own name for a layout's one root.
fn oci(layout: &Layout) -> String {
    format!("oci:{}", layout.folder().display())
}

/// The platforms of an index; of a single image the one that it is for.
fn platforms(image: &Layout) -> Vec<String> {
    let root = image.digest().replace("sha256:", "");
    let (_, root) = image.blobs().into_iter().find(|(name, _)| *name == root).unwrap();
    let root: Value = serde_json::from_slice(&root).unwrap();
    let Some(children) = root["manifests"].as_array() else { return vec!["linux/amd64".into()] };
    let architectures = children.iter().map(|child| &child["platform"]["architecture"]);
    let known = architectures.filter_map(Value::as_str).filter(|name| *name != "unknown");
    known.map(|name| format!("linux/{name}")).collect()
}

/// Ends the test unless skopeo finds all of `path` (`FOLDER:TAG`), whose root has this digest, in the
/// folder itself; it checks every blob on the way.
fn expect_in_folder(bench: &Workbench, path: &str, digest: &str) {
    let raw = bench.tool("skopeo").args(["inspect", "--raw", &format!("oci:{path}")]).succeed();
    assert_eq!(digest_of(raw.as_bytes()), digest, "{path}");
    let copy = tempfile::tempdir_in(bench.folder()).unwrap();
    let to = format!("dir:{}", copy.path().display());
    skopeo_copy(bench, Kind::Serve, &format!("oci:{path}"), &to);
}

fn pushed_and_read_back(kind: Kind) {
    let Some((bench, server)) = started("push and pull", kind) else { return };
    let (host, served) = (server.host(), server.folder());
    let images = bench.images();
    let table =
        [("index", images.index_with_attestations()), ("single", images.small("amd64", "single"))];
    for (name, image) in &table {
        let reference = format!("{host}/team/{name}");
        skopeo_copy(&bench, kind, &oci(image), &format!("docker://{reference}:skopeo"));
        bench.push(image, &format!("{reference}:crane"));
        for tag in ["skopeo", "crane"] {
            let reference = format!("{reference}:{tag}");
            bench.expect_copy(image, &reference);
            // For each platform: crane takes an attestation's layer for a file system.
            for platform in platforms(image) {
                bench.crane(["validate", "--remote", &reference, "--platform", &platform]);
            }
            let manifest = bench.crane(["manifest", &reference]);
            assert_eq!(digest_of(manifest.as_bytes()), image.digest(), "{reference}");
        }
        assert_eq!(bench.crane(["ls", &reference]), "crane\nskopeo");
        let layout = served.join("team").join(name);
        for tag in ["skopeo", "crane"] {
            expect_in_folder(&bench, &format!("{}:{tag}", layout.display()), &image.digest());
        }
    }

    // What skopeo pulls, umoci unpacks.
    let pulled = bench.folder().join("skopeo-pulled");
    let image = format!("{}:1", pulled.display());
    let from = format!("docker://{host}/team/single:crane");
    skopeo_copy(&bench, kind, &from, &format!("oci:{image}"));
    expect_unpacked(&bench, &image, "single");
    // The folder that is served needs no pull.
    expect_unpacked(&bench, &format!("{}:skopeo", served.join("team/single").display()), "single");
}

/// Ends the test unless umoci unpacks this, and finds the text that [`interop::Images::small`] put
/// there.
fn expect_unpacked(bench: &Workbench, image: &str, text: &str) {
    let bundle = tempfile::tempdir_in(bench.folder()).unwrap();
    let bundle = bundle.path().join("bundle");
    bench.tool("umoci").args(["unpack", "--image", image]).args([&bundle]).succeed();
    assert_eq!(std::fs::read_to_string(bundle.join("rootfs/greeting")).unwrap(), text);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn what_tools_push_they_read_back() {
    pushed_and_read_back(Kind::Serve);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn what_tools_push_they_read_back_over_tls_with_a_user() {
    pushed_and_read_back(Kind::ServeSecured);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn images_of_docker_stay_what_they_are() {
    for kind in [Kind::Serve, Kind::ServeSecured] {
        let Some((bench, server)) = started("docker", kind) else { return };
        let image = bench.images().small("amd64", "single");
        let reference = format!("{}/team/docker:1", server.host());
        bench
            .tool("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--format=v2s2"])
            .args([format!("--dest-tls-verify={}", kind.is_secured())])
            .args([oci(&image), format!("docker://{reference}")])
            .succeed();
        let manifest = bench.crane(["manifest", &reference]);
        let parsed: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(parsed["mediaType"], DOCKER);
        let digest = bench.crane(["digest", &reference]);
        assert_eq!(digest, digest_of(manifest.as_bytes()));
        bench.crane(["validate", "--remote", &reference]);
        let again = format!("{}/team/docker:again", server.host());
        bench.crane(["copy", &reference, &again]);
        assert_eq!(bench.crane(["digest", &again]), digest);
        // skopeo looks only for OCI's own manifests in a layout; regctl takes what is there.
        let layout = format!("ocidir://{}:1", server.folder().join("team/docker").display());
        let read = regctl(&bench, &server)
            .args(["manifest", "get", &layout, "--format", "raw-body"])
            .succeed();
        assert_eq!(read, manifest);
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn crane_mounts_from_one_repository_into_another() {
    for kind in [Kind::Serve, Kind::ServeSecured] {
        let Some((bench, server)) = started("mount", kind) else { return };
        let image = bench.images().index_with_attestations();
        let (from, to) =
            (format!("{}/team/index:1", server.host()), format!("{}/else/where:2", server.host()));
        bench.push(&image, &from);
        bench.forget_requests(&server);
        bench.crane(["copy", &from, &to]);
        let requests = bench.requests(&server);
        let mounts = requests.iter().filter(|request| {
            request.path == "/v2/else/where/blobs/uploads/" && request.status == Some(201)
        });
        assert!(mounts.count() > 0, "{requests:#?}");
        assert!(!requests.iter().any(interop::Request::is_blob_read), "{requests:#?}");
        bench.expect_copy(&image, &to);

        // The two layouts share their blobs on disk.
        let mut shared = 0;
        for (name, content) in image.blobs() {
            let file = |repository: &str| {
                server.folder().join(repository).join("blobs/sha256").join(&name)
            };
            let (first, second) = (file("team/index"), file("else/where"));
            assert_eq!(std::fs::read(&second).unwrap(), content);
            let inode = |file: &Path| file.metadata().unwrap().ino();
            shared += usize::from(inode(&first) == inode(&second));
        }
        assert!(shared > 0, "no blob of {to} is that of {from}");
    }
}

/// regctl, which is told what crane and skopeo find out: that a server has no certificate.
fn regctl(bench: &Workbench, server: &Server) -> Process {
    let tls = if server.kind().is_secured() { "enabled" } else { "disabled" };
    bench
        .tool("regctl")
        .env("REGCTL_CONFIG", bench.folder().join("regctl.json"))
        .args(["--host", &format!("reg={},tls={tls}", server.host())])
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn regctl_puts_and_finds_an_artifact_with_a_subject() {
    const KIND: &str = "application/vnd.example.report+json";
    for kind in [Kind::Serve, Kind::ServeSecured] {
        let Some((bench, server)) = started("artifacts", kind) else { return };
        let image = bench.images().small("amd64", "single");
        let reference = format!("{}/team/single:1", server.host());
        bench.push(&image, &reference);
        let file = bench.folder().join("report.json");
        std::fs::write(&file, r#"{"verdict":"fine"}"#).unwrap();
        let put = |artifact_type: &str| {
            regctl(&bench, &server)
                .args(["artifact", "put", "--artifact-type", artifact_type])
                .args(["--subject", &reference, "--file", file.to_str().unwrap()])
                .args(["--format", "{{.Manifest.GetDescriptor.Digest}}"])
                .succeed()
                .trim()
                .to_owned()
        };
        let report = [put(KIND)];
        let other = [put("application/vnd.example.other")];

        let list = |filter: &[&str]| -> Vec<String> {
            let listed = regctl(&bench, &server)
                .args(["artifact", "list", &reference, "--format", "body"])
                .args(filter)
                .succeed();
            let listed: Value = serde_json::from_str(&listed).unwrap();
            let manifests = listed["manifests"].as_array().unwrap();
            let digest = |one: &Value| one["digest"].as_str().unwrap().to_owned();
            manifests.iter().map(digest).collect()
        };
        let mut both = [&report[..], &other].concat();
        both.sort();
        let mut listed = list(&[]);
        listed.sort();
        assert_eq!(listed, both);
        assert_eq!(list(&["--filter-artifact-type", KIND]), report);

        let tree = regctl(&bench, &server).args(["artifact", "tree", &reference]).succeed();
        for digest in [&image.digest(), &report[0], &other[0]] {
            assert!(tree.contains(digest.as_str()), "{digest} is not in:\n{tree}");
        }
        let content = regctl(&bench, &server)
            .args(["artifact", "get", "--subject", &reference])
            .args(["--filter-artifact-type", KIND])
            .succeed();
        assert_eq!(content, r#"{"verdict":"fine"}"#);
        // The subject is what it was, and no fallback tag was needed.
        assert_eq!(bench.crane(["digest", &reference]), image.digest());
        assert_eq!(bench.crane(["ls", &format!("{}/team/single", server.host())]), "1");
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn a_registry_is_mirrored_into_a_served_folder() {
    for kind in [Kind::Serve, Kind::ServeSecured] {
        let Some((bench, server)) = started("mirror", kind) else { return };
        let source = bench.start(Kind::DockerRegistry);
        let images = bench.images();
        let table = [
            ("index", images.index_with_attestations()),
            ("nested", images.nested_index()),
            ("single", images.small("arm64", "other")),
        ];
        let mut entries = String::new();
        for (name, image) in &table {
            let from = format!("{}/{name}:1", source.host());
            bench.push(image, &from);
            entries += &format!(
                "- source: \"{from}\"\n  destination: \"{}/mirror/{name}\"\n",
                server.host()
            );
        }
        let list = bench.list(&entries, &[&source, &server]);
        bench.image_syncer().args(["sync", "-i", list.to_str().unwrap()]).run().expect_code(0);
        for (name, image) in &table {
            let copy = format!("{}/mirror/{name}:1", server.host());
            let from = format!("{}/{name}:1", source.host());
            assert_eq!(bench.crane(["digest", &copy]), bench.crane(["digest", &from]));
            bench.expect_copy(image, &copy);
        }
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn a_read_only_server_gives_and_refuses_to_take() {
    let Some(bench) = Workbench::with_image_syncer("serve read-only", &TOOLS) else { return };
    let image = bench.images().small("amd64", "single");
    for kind in [Kind::Serve, Kind::ServeSecured] {
        let server = bench.start_with(kind, Settings { read_only: true, ..Settings::default() });
        // skopeo fills the folder without the server.
        let layout = server.folder().join("team/single");
        std::fs::create_dir_all(&layout).unwrap();
        skopeo_copy(&bench, kind, &oci(&image), &format!("oci:{}:1", layout.display()));
        let reference = format!("{}/team/single:1", server.host());
        bench.expect_copy(&image, &reference);

        for target in ["team/single:2", "team/new:1"] {
            let target = format!("{}/{target}", server.host());
            let path = image.folder().to_str().unwrap();
            let push = bench.tool("crane").args(["push", path, &target]).run();
            assert_eq!(push.code, Some(1), "{}", push.stdout);
            assert!(push.stderr.contains("this registry is read-only"), "{}", push.stderr);
            let digest = bench.tool("crane").args(["digest", &target]).run();
            assert_eq!(digest.code, Some(1), "{}", digest.stdout);
        }
        let delete = bench.tool("crane").args(["delete", &reference]).run();
        assert_eq!(delete.code, Some(1), "{}", delete.stdout);
        bench.expect_copy(&image, &reference);
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn a_wrong_password_and_none_are_refused() {
    let Some((bench, server)) = started("passwords", Kind::ServeSecured) else { return };
    let image = bench.images().small("amd64", "single");
    let path = image.folder().to_str().unwrap();
    let good = format!("{}/team/good:1", server.host());
    let bad = format!("{}/team/bad:1", server.host());
    bench.push(&image, &good);

    let nobody = bench.folder().join("nobody");
    std::fs::create_dir(&nobody).unwrap();
    std::fs::write(nobody.join("config.json"), "{}").unwrap();
    for config in [bench.docker_config_with(&server, "wrong"), nobody] {
        for arguments in [["push", path, &bad], ["pull", &good, "pulled"]] {
            let crane = bench.tool("crane").env("DOCKER_CONFIG", &config).in_folder(bench.folder());
            let output = crane.args(arguments).run();
            assert_eq!(output.code, Some(1), "{arguments:?}: {}", output.stdout);
            let said = &output.stderr;
            assert!(said.contains("401") || said.contains("UNAUTHORIZED"), "{said}");
        }
        // skopeo looks into both.
        let skopeo = bench
            .tool("skopeo")
            .env("DOCKER_CONFIG", &config)
            .env("REGISTRY_AUTH_FILE", config.join("config.json"));
        let output = skopeo.args(["inspect", &format!("docker://{good}")]).run();
        assert_eq!(output.code, Some(1), "{}", output.stdout);
        assert!(output.stderr.contains("unauthorized"), "{}", output.stderr);
    }
    assert!(!server.folder().join("team/bad").exists(), "nothing was taken");
}
