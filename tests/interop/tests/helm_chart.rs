//! The Helm chart of `deploy/helm`, rendered by real helm 3 and 4: what comes out, what does not, and
//! that image-syncer takes the list.
//!
//! Each file of the chart's `ci/` is a way to use it; what helm makes of it is in `golden/helm-chart/`,
//! written anew with `UPDATE_GOLDEN=1`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use interop::{HELMS, Output, Process, Workbench};
use serde_json::Value;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn chart() -> PathBuf {
    project().join("deploy/helm/image-syncer")
}

/// The names of the files in `ci/`, without their ending.
fn cases() -> BTreeSet<String> {
    let files = std::fs::read_dir(chart().join("ci")).unwrap();
    files
        .map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.strip_suffix("-values.yaml").unwrap().to_owned()
        })
        .collect()
}

fn values(case: &str) -> PathBuf {
    chart().join("ci").join(format!("{case}-values.yaml"))
}

fn helm(bench: &Workbench, helm: &str) -> Process {
    let home = |what: &str| bench.folder().join(helm).join(what);
    bench
        .tool(helm)
        .env("HELM_CACHE_HOME", home("cache"))
        .env("HELM_CONFIG_HOME", home("config"))
        .env("HELM_DATA_HOME", home("data"))
}

/// `helm template` with these values.
fn template(bench: &Workbench, program: &str, values: &Path, more: &[&str]) -> Output {
    let base = ["template", "mirror", chart().to_str().unwrap()].map(str::to_owned);
    let release = ["--namespace", "sync", "--kube-version", "1.34.2"];
    helm(bench, program).args(base).args(release).args(["--values"]).args([values]).args(more).run()
}

/// What is rendered, without empty lines: helm 4 has more of them.
fn rendered(bench: &Workbench, program: &str, values: &Path, more: &[&str]) -> String {
    let output = template(bench, program, values, more);
    assert_eq!(output.code, Some(0), "{}: {}", values.display(), output.stderr);
    let lines = output.stdout.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// Ends the test unless rendering fails with these words.
#[track_caller]
fn expect_refusal(bench: &Workbench, values: &str, words: &str) {
    let file = bench.folder().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    for program in HELMS {
        let output = template(bench, program, &file, &[]);
        assert_ne!(output.code, Some(0), "{program} takes\n{values}");
        assert!(output.stderr.contains(words), "{program}\n{values}\n{}", output.stderr);
    }
}

/// The files of the first ConfigMap, by their names.
fn config_files(manifests: &str) -> Vec<(String, String)> {
    let (_, rest) = manifests.split_once("kind: ConfigMap\n").unwrap();
    let (_, data) = rest.split_once("\ndata:\n").unwrap();
    let mut files: Vec<(String, String)> = Vec::new();
    for line in data.lines().take_while(|line| line.starts_with(' ')) {
        match (line.strip_prefix("    "), line.trim().strip_suffix(": |")) {
            (Some(line), _) => {
                let (_, text) = files.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            (None, Some(name)) => files.push((name.to_owned(), String::new())),
            (None, None) => panic!("not a file: {line}"),
        }
    }
    files
}

/// The name of the one Job.
fn job_name(manifests: &str) -> String {
    let (_, job) = manifests.split_once("kind: Job\n").unwrap();
    let name = job.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap();
    name.to_owned()
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn every_way_to_use_it_renders_as_it_did() {
    let Some(bench) = Workbench::with_tools("helm chart golden", &HELMS) else { return };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/helm-chart");
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for case in cases() {
        let file = golden.join(format!("{case}.yaml"));
        let [four, three] = HELMS.map(|program| rendered(&bench, program, &values(&case), &[]));
        assert_eq!(four, three, "{case}: helm 4 and 3 agree");
        if is_update {
            std::fs::create_dir_all(&golden).unwrap();
            std::fs::write(&file, &four).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            four == expected,
            "{case} differs from {}; UPDATE_GOLDEN=1 writes it anew\n{four}",
            file.display()
        );
        // What no manifest of the chart may lack.
        for line in ["readOnlyRootFilesystem: true", "runAsNonRoot: true", "type: RuntimeDefault"] {
            assert!(four.contains(line), "{case}: {line}");
        }
    }
    let files: BTreeSet<String> = std::fs::read_dir(&golden)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, cases(), "a golden file without its case");
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn helm_lints_it() {
    let Some(bench) = Workbench::with_tools("helm chart lint", &HELMS) else { return };
    for program in HELMS {
        for case in cases() {
            let lint = ["lint", "--strict", "--kube-version", "1.34.2", "--values"];
            helm(&bench, program).args(lint).args([values(&case), chart()]).succeed();
        }
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn its_schema_and_its_page_are_as_generated() {
    let tools = ["helm-docs", "key-services-python"];
    let Some(bench) = Workbench::with_tools("helm chart generate", &tools) else { return };
    let helm_docs = bench.command("helm-docs").get_program().to_owned();
    let folder = Path::new(&helm_docs).parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let generate = project().join("deploy/helm/generate");
    bench
        .tool("key-services-python")
        .env("PATH", path)
        .args([generate])
        .args(["--check"])
        .succeed();
}

#[test]
fn every_key_of_the_sync_file_is_passed_on() {
    let schema = std::fs::read(project().join("schema/sync-file.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let passed = std::fs::read_to_string(chart().join("templates/_helpers.tpl")).unwrap();
    for key in schema["properties"].as_object().unwrap().keys() {
        assert!(passed.contains(&format!("\"{key}\"")), "{key} does not reach the ConfigMap");
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn image_syncer_takes_the_list_of_every_way() {
    let Some(bench) = Workbench::with_image_syncer("helm chart check", &["helm"]) else { return };
    for case in cases() {
        let manifests = rendered(&bench, "helm", &values(&case), &[]);
        let folder = bench.folder().join(&case);
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in config_files(&manifests) {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let list = folder.join("images.yaml");
        // Where the key comes from a Secret, the file names none.
        let image_syncer = bench.image_syncer().env("SYNCER_KMS_KEY", "awskms:///alias/mirror");
        image_syncer.args(["check", list.to_str().unwrap()]).run().expect_code(0);
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn every_setting_of_the_chart_is_one_of_the_program() {
    let Some(bench) = Workbench::with_image_syncer("helm chart settings", &[]) else { return };
    let help = bench.image_syncer().args(["sync", "--help"]).run().expect_code(0).stdout;
    let help: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let schema = std::fs::read(chart().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let settings = schema["properties"]["settings"]["properties"].as_object().unwrap();
    assert!(settings.len() > 15);
    for name in settings.keys() {
        let mut variable = "SYNCER_".to_owned();
        for letter in name.chars() {
            variable.push_str(if letter.is_ascii_uppercase() { "_" } else { "" });
            variable.push(letter.to_ascii_uppercase());
        }
        assert!(help.contains(&variable), "{name}: no {variable}");
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn a_job_is_named_by_what_it_does() {
    let Some(bench) = Workbench::with_tools("helm chart names", &HELMS) else { return };
    let file = values("job");
    let render = |more: &[&str]| rendered(&bench, "helm", &file, more);
    let (first, second) = (render(&[]), render(&[]));
    assert_eq!(first, second, "the same values make the same manifests");
    let name = job_name(&first);
    assert!(first.contains(&format!("configMap:\n          name: {name}\n")), "{first}");
    for change in [
        "images[0].source=source-registry.example.com/repo/image:1.5",
        "images[0].sign=false",
        "image.tag=0.1.1",
        "job.run=again",
        "settings.concurrency=4",
        "source.secretName=other",
        "shards=2",
    ] {
        let changed = job_name(&render(&["--set", change]));
        assert_ne!(changed, name, "{change}");
        let [base, hash] = [&changed, &name].map(|name| name.rsplit_once('-').unwrap());
        assert_eq!(base.0, hash.0, "only the digest at the end differs");
    }
    // What changes nothing of what is done is the same Job, with a changed label.
    let labelled = render(&["--set", "job.annotations.note=text"]);
    assert_eq!(job_name(&labelled), name);
    // Room for the index of a shard's pod, within the 63 characters of a label.
    let long =
        render(&["--set", &format!("fullnameOverride={}", "a".repeat(60)), "--set", "shards=1000"]);
    assert!(job_name(&long).len() <= 63 - "-999".len(), "{}", job_name(&long));
}

/// promtool tests those in `deploy/prometheus`; the chart's ask the same, of one release.
#[test]
#[ignore = "needs tools: tests/tools/install"]
fn the_alerts_of_a_watcher_are_those_that_are_tested() {
    let Some(bench) = Workbench::with_tools("helm chart alerts", &["helm"]) else { return };
    let rendered = rendered(&bench, "helm", &values("watch-replicas"), &[]);
    assert!(rendered.contains("kind: Service\nmetadata:\n  name: mirror-image-syncer\n"));
    let tested = std::fs::read_to_string(project().join("deploy/prometheus/alerts.yaml")).unwrap();
    let tested: String = tested.split_whitespace().collect::<Vec<_>>().join(" ");
    let alerts: Vec<&str> = rendered.split("- alert: ").skip(1).collect();
    assert_eq!(alerts.len(), 4);
    for alert in alerts {
        let (name, rest) = alert.split_once("\n      expr: ").unwrap();
        let of_all = rest.lines().next().unwrap();
        let of_release = "namespace=\"sync\", service=\"mirror-image-syncer\"";
        assert!(of_all.contains(of_release), "{of_all}");
        let of_all = of_all.replace(&format!(", {of_release}"), "");
        let of_all = of_all.replace(&format!("{{{of_release}}}"), "");
        let (_, same) = tested.split_once(&format!("- alert: {name} ")).unwrap();
        let same = same.split("- alert: ").next().unwrap();
        assert!(same.contains(&format!("{of_all} ")), "{name}: {of_all}\n{same}");
    }
}

/// One Secret for both sides is one key, and who the program is everywhere.
#[test]
#[ignore = "needs tools: tests/tools/install"]
fn one_aws_key_for_both_sides_is_the_programs_own() {
    let Some(bench) = Workbench::with_tools("helm chart one key", &HELMS) else { return };
    let keys = "source.keys.access_key=access_key,source.keys.access_secret=access_secret";
    let names = format!("source.secretName=one,destination.secretName=one,{keys}");
    let set = ["--set", names.as_str()];
    let set = [&set[..], &["--set", "destination.access_key=,destination.access_secret="]].concat();
    let rendered = rendered(&bench, "helm", &values("two-aws-keys"), &set);
    assert_eq!(rendered.matches("name: AWS_ACCESS_KEY_ID").count(), 1, "{rendered}");
    assert!(!rendered.contains("accessKeyId") && !rendered.contains("/run/secrets"), "{rendered}");
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn what_is_wrong_fails_when_it_is_rendered() {
    let Some(bench) = Workbench::with_tools("helm chart refusals", &HELMS) else { return };
    let image = "images: [{ source: nginx:1.27 }]\n";
    let cases = [
        ("imagse: []", "imagse"),
        ("images: [{ souce: nginx:1.27 }]", "souce"),
        ("images: [{ source: nginx:1.27, tag: 3.10 }]", "got number, want"),
        ("images: [{ source: nginx:1.27, sign: 'yes' }]", "sign"),
        ("images: []", "nothing is wanted"),
        ("mode: daemon", "mode"),
        ("shards: 0", "shards"),
        ("settings: { dryrun: true }", "dryrun"),
        ("settings: { ecrAccountId: 123456789012 }", "ecrAccountId"),
        ("source: { secretNam: a }", "secretNam"),
        ("source: { access_key: YQ== }", "go together"),
        ("source: { access_key: plain, access_secret: YQ== }", "neither base64 nor"),
        ("source: { access_key: '<path:a#b>', access_secret: YQ== }", "must be base64"),
        ("mode: watch\nshards: 2", "`watch` is one process"),
        ("mode: watch\nwatch: { interval: 1h, cron: '* * * * *' }", "not both"),
        ("metrics: { serviceMonitor: { enabled: true } }", "needs `mode: watch`"),
        (
            "mode: watch\nmetrics: { prometheusRule: { enabled: true } }",
            "`metrics.serviceMonitor` has it asked",
        ),
        ("workloadIdentity: { provider: aws }", "needs `roleArn`"),
        ("workloadIdentity: { provider: aws, roleArn: mirror }", "roleArn"),
        ("caBundle: { inline: text }", "inline"),
        ("image: { digest: latest }", "digest"),
        ("files: { images.yaml: '' }", "the name of the sync file itself"),
        ("externalSecrets: { secrets: [{ name: a, data: [] }] }", "names no `secretStoreRef`"),
        (
            "source: { secretName: a, kind: aws }\ndestination: { secretName: b, kind: aws }",
            "no image comes from a registry in ECR",
        ),
        (
            "images: [{ source: 111122223333.dkr.ecr.us-east-1.amazonaws.com/a:1, \
             destination: 111122223333.dkr.ecr.us-east-1.amazonaws.com/b:1 }]\n\
             source: { secretName: a }\ndestination: { secretName: b }",
            "`111122223333.dkr.ecr.us-east-1.amazonaws.com` is on both sides",
        ),
        (
            "source: { secretName: a, access_key: YQ==, access_secret: YQ== }\n\
             destination: { secretName: a, access_key: Yg==, access_secret: Yg== }",
            "would make the Secret `a` twice",
        ),
        (
            "repositories: [{ name: a, permissionPolicy: { Statement: [{ Principal: { AWS: 1 } }] } }]",
            "AWS",
        ),
    ];
    for (values, words) in cases {
        let values = if values.starts_with("images") {
            values.to_owned()
        } else {
            format!("{image}{values}\n")
        };
        expect_refusal(&bench, &values, words);
    }
}
