//! What the Helm chart renders, in Kubernetes: the real API server takes all of it, and the real Job controller
//! makes pods of it. There is no kubelet: the pods' containers are run by buildah, from the built image, with
//! their arguments, variables and volumes, and share a list between them.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use interop::{Cluster, Container, ContainerImage, Kind, Workbench, static_binary};
use serde_json::{Value, json};

const TOOLS: [&str; 8] =
    ["buildah", "cargo-cyclonedx", "crane", "etcd", "helm", "jq", "kubernetes", "unshare"];
/// Kinds of somebody else's that the chart makes. Those of the Secrets Store CSI driver are in no package registry.
const KINDS: [&str; 2] = ["crds-external-secrets", "crds-prometheus-operator"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/helm-chart")
}

/// A namespace that enforces the standard `restricted`, and says where something is not.
fn namespace(cluster: &Cluster<'_>, name: &str) {
    let labels = ["enforce", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), json!("restricted")));
    let labels: serde_json::Map<String, Value> = labels.into_iter().collect();
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
    create(cluster, &namespace, name);
}

fn create(cluster: &Cluster<'_>, object: &Value, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{name}.json"));
    std::fs::write(&file, object.to_string()).unwrap();
    let output = cluster.apply(&file, "default");
    assert_eq!(output.code, Some(0), "{output:?}");
}

/// Kinds of somebody else's, as they define them.
fn kinds(bench: &Workbench, cluster: &Cluster<'_>, definitions: &str) {
    let file = PathBuf::from(bench.command(definitions).get_program());
    let applied = cluster.apply(&file, "default");
    assert_eq!(applied.code, Some(0), "{applied:?}");
    // It fails where a definition has no conditions yet.
    let established = ["wait", "--for=condition=Established", "--timeout=10s", "--filename"];
    cluster.wait(definitions, |cluster| {
        (cluster.kubectl(&established).args([&file]).run().code == Some(0)).then_some(())
    });
    // Established is not yet told to everybody who asks what kinds there are.
    let listed = cluster.kubectl(&["get", "--output=name", "--filename"]).args([&file]).succeed();
    for name in listed.lines().filter_map(|line| line.split_once('/')) {
        cluster.wait(name.1, |cluster| {
            (cluster.kubectl(&["get", name.1, "--all-namespaces"]).run().code == Some(0))
                .then_some(())
        });
    }
}

/// Applies an object, which must be refused with these words.
fn refused(bench: &Workbench, cluster: &Cluster<'_>, object: &Value, words: &str) {
    let file = bench.folder().join("refused.json");
    std::fs::write(&file, object.to_string()).unwrap();
    let namespace = object["metadata"]["namespace"].as_str().unwrap();
    let refused = cluster.apply(&file, namespace);
    assert!(refused.code != Some(0) && refused.stderr.contains(words), "{refused:?}");
}

/// A kind of somebody else's whose definition cannot be had: the server then knows its name alone.
fn foreign_kind(cluster: &Cluster<'_>, group: &str, kind: &str, plural: &str, version: &str) {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let name = format!("{plural}.{group}");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{
                "name": version, "served": true, "storage": true, "schema": { "openAPIV3Schema": schema }
            }],
        },
    });
    create(cluster, &definition, &name);
    cluster.wait(kind, |cluster| {
        (cluster.kubectl(&["get", &name]).run().code == Some(0)).then_some(())
    });
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn the_api_server_takes_every_manifest() {
    let Some(bench) = Workbench::with_tools("kubernetes manifests", &[&TOOLS[..], &KINDS].concat())
    else {
        return;
    };
    let cluster = Cluster::start(&bench);
    for definitions in KINDS {
        kinds(&bench, &cluster, definitions);
    }
    let classes = ("SecretProviderClass", "secretproviderclasses");
    foreign_kind(&cluster, "secrets-store.csi.x-k8s.io", classes.0, classes.1, "v1");
    namespace(&cluster, "sync");
    for file in std::fs::read_dir(golden()).unwrap() {
        let file = file.unwrap().path();
        let manifests = std::fs::read_to_string(&file).unwrap();
        // What argocd-vault-plugin would fill in.
        let filled: Vec<String> = manifests
            .lines()
            .map(|line| match line.split_once("\"<path:") {
                Some((key, _)) => format!("{key}\"c2VjcmV0\""),
                None => line.to_owned(),
            })
            .collect();
        let filled_file = bench.folder().join("manifests.yaml");
        std::fs::write(&filled_file, filled.join("\n")).unwrap();
        let output = cluster.apply(&filled_file, "sync");
        assert_eq!(output.code, Some(0), "{}: {output:?}", file.display());
        assert!(!output.stderr.contains("Warning"), "{}: {}", file.display(), output.stderr);
        // The same again is no change of what cannot be changed.
        assert_eq!(cluster.apply(&filled_file, "sync").code, Some(0), "{}", file.display());
    }
    // That it would have been refused: a pod that may do what it likes.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "free", "namespace": "sync" },
        "spec": { "containers": [{ "name": "free", "image": "free" }] },
    });
    refused(&bench, &cluster, &pod, "violates PodSecurity");
    let monitor = json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
        "metadata": { "name": "wrong", "namespace": "sync" },
        "spec": { "selector": {}, "endpoints": [{ "port": "http", "every": "1m" }] },
    });
    refused(&bench, &cluster, &monitor, ".spec.endpoints[0].every: field not declared in schema");
    // The Job controller makes pods of the chart's Jobs in the very same namespace.
    cluster.wait("pods", |cluster| (cluster.items("pods", "sync").len() > 5).then_some(()));
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn the_api_server_takes_what_argocd_is_given() {
    let tools = ["crds-argocd", "etcd", "kubernetes"];
    let Some(bench) = Workbench::with_tools("kubernetes argocd", &tools) else { return };
    let cluster = Cluster::start(&bench);
    kinds(&bench, &cluster, "crds-argocd");
    namespace(&cluster, "argocd");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/argocd");
    let mut applied = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let output = cluster.apply(&file, "argocd");
            assert_eq!(output.code, Some(0), "{}: {output:?}", file.display());
            assert!(!output.stderr.contains("Warning"), "{}: {}", file.display(), output.stderr);
            applied += 1;
        }
    }
    assert_eq!(applied, 3);
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": { "name": "wrong", "namespace": "argocd" },
        "spec": { "project": "default", "destination": { "namespace": "x", "cluster": "y" } },
    });
    refused(&bench, &cluster, &application, ".spec.destination.cluster: field not declared");
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn the_pods_of_an_indexed_job_share_a_list() {
    let Some(binary) = static_binary("kubernetes shards") else { return };
    let Some(bench) = Workbench::with_image_syncer("kubernetes shards", &TOOLS) else { return };
    let container = ContainerImage::build(&bench, "container", &binary, &["linux/amd64"]);
    let cluster = Cluster::start(&bench);
    let (source, target) = (bench.start(Kind::Serve), bench.start(Kind::Serve));
    let image = bench.images().small("amd64", "kubernetes");
    let mut images = Vec::new();
    for number in 0..12 {
        let name = format!("team/app-{number}");
        bench.push(&image, &format!("{}/{name}:1", source.host()));
        // Two tags of each repository, which go to the same shard.
        images.extend([1, 2].map(|tag| {
            json!({
                "source": format!("{}/{name}:1", source.host()),
                "destination": format!("{}/mirror/{name}:{tag}", target.host()),
            })
        }));
    }
    let values = bench.folder().join("values.yaml");
    std::fs::write(
        &values,
        json!({ "images": images, "shards": 3, "reports": ["json"] }).to_string(),
    )
    .unwrap();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/image-syncer");
    let helm = bench.tool("helm").args(["template", "mirror"]).args([&chart]);
    let helm =
        helm.args(["--namespace", "sync", "--kube-version", "1.34.2", "--values"]).args([&values]);
    let manifests = bench.folder().join("manifests.yaml");
    std::fs::write(&manifests, helm.succeed()).unwrap();
    namespace(&cluster, "sync");
    let applied = cluster.apply(&manifests, "sync");
    assert_eq!(applied.code, Some(0), "{applied:?}");

    let pods = cluster.wait("three pods", |cluster| {
        let pods = cluster.items("pods", "sync");
        (pods.len() == 3).then_some(pods)
    });
    let reports = writable(&bench, "reports");
    let mut seen = BTreeMap::<String, usize>::new();
    for pod in &pods {
        let ran = run_here(&bench, &cluster, &container, pod, &reports);
        assert_eq!(ran.code, 0, "{}", ran.text());
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&reports).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let names: Vec<&str> =
        files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["report-0.json", "report-1.json", "report-2.json"]);
    for file in &files {
        let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let items = report["items"].as_array().unwrap();
        assert!(!items.is_empty() && items.len() < 24, "{}", file.display());
        for item in items {
            *seen.entry(item["target"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 24, "each item");
    assert!(seen.values().all(|count| *count == 1), "by exactly one: {seen:?}");
    for number in 0..12 {
        bench.expect_copy(&image, &format!("{}/mirror/team/app-{number}:2", target.host()));
    }

    let [first, second, third] = [0, 1, 2].map(|at: usize| files[at].to_str().unwrap());
    let merged = bench.image_syncer().args(["report", "merge", first, second, third]).run();
    let merged = merged.expect_code(0).report();
    assert_eq!(merged["items"].as_array().unwrap().len(), 24);
    assert_eq!(merged["summary"]["items"], 24);
    assert_eq!(merged["summary"]["outcomes"]["copied"], 24);
    assert_eq!(merged["summary"]["exitCode"], 0);
}

/// Runs the pod's container as the kubelet would: its arguments and variables, its files from the ConfigMap, its
/// volume.
fn run_here(
    bench: &Workbench,
    cluster: &Cluster<'_>,
    image: &ContainerImage,
    pod: &Value,
    reports: &Path,
) -> interop::Run {
    let container = &pod["spec"]["containers"][0];
    let index = pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
        .as_str()
        .unwrap();
    let variables = variables(pod);
    assert_eq!(variables["JOB_COMPLETION_INDEX"], index);
    let arguments = container["args"].as_array().unwrap().iter().map(|argument| {
        variables.iter().fold(argument.as_str().unwrap().to_owned(), |argument, (name, value)| {
            argument.replace(&format!("$({name})"), value)
        })
    });
    let arguments: Vec<String> = arguments.collect();
    let mut running = Container::of(bench, image);
    for (name, value) in &variables {
        running = running.env(name, value);
    }
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    for mount in container["volumeMounts"].as_array().unwrap() {
        let inside = mount["mountPath"].as_str().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        running = match volume["configMap"]["name"].as_str() {
            Some(name) => running.volume(&files_of(bench, cluster, name, index), inside, "ro"),
            // Where the reports go is a volume that outlives the pod.
            None if inside == "/var/lib/image-syncer" => running.volume(reports, inside, "rw"),
            None => {
                assert!(volume["emptyDir"].is_object(), "{volume} is not provided for");
                running.volume(&writable(bench, &format!("empty-{index}")), inside, "rw")
            }
        };
    }
    running.run(&arguments)
}

/// The container's variables, those from the pod's own fields too.
fn variables(pod: &Value) -> BTreeMap<String, String> {
    let of = |variable: &Value| {
        let Some(path) = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() else {
            return variable["value"].as_str().unwrap().to_owned();
        };
        // <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>
        let key = path.split(['\'', '"']).nth(1).unwrap();
        let place = if path.contains("labels") { "labels" } else { "annotations" };
        pod["metadata"][place][key].as_str().unwrap().to_owned()
    };
    let variables = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    variables
        .iter()
        .map(|variable| (variable["name"].as_str().unwrap().to_owned(), of(variable)))
        .collect()
}

/// A folder that the pod's user can write to, as its fsGroup has it.
fn writable(bench: &Workbench, name: &str) -> PathBuf {
    let folder = bench.folder().join(name);
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    folder
}

/// A folder with what is in the ConfigMap.
fn files_of(bench: &Workbench, cluster: &Cluster<'_>, name: &str, index: &str) -> PathBuf {
    let maps = cluster.items("configmaps", "sync");
    let map = maps.iter().find(|map| map["metadata"]["name"] == name).unwrap();
    let folder = bench.folder().join(format!("pod-{index}"));
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in map["data"].as_object().unwrap() {
        std::fs::write(folder.join(name), text.as_str().unwrap()).unwrap();
    }
    folder
}
