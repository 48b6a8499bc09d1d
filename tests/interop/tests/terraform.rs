//! The Terraform modules, read by OpenTofu. Their providers are in no package registry, so what only a provider
//! knows is not judged here; checkov reads them in the suite `github`.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

use interop::{Process, Workbench};
use serde_json::Value;

fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/terraform").canonicalize().unwrap()
}

fn tofu(bench: &Workbench, folder: &Path) -> Process {
    // It keeps what it knows of providers in the folder that it is asked about, or here.
    let tofu = bench.tool("tofu").without_env("TF_CLI_CONFIG_FILE");
    let home = bench.folder();
    tofu.env("HOME", home).env("TF_DATA_DIR", home.join("tofu")).in_folder(folder)
}

#[test]
#[ignore = "needs OpenTofu: tests/tools/install"]
fn the_modules_are_formatted() {
    let Some(bench) = Workbench::with_tools("terraform format", &["tofu"]) else { return };
    let format = tofu(&bench, &modules()).args(["fmt", "-check", "-recursive", "-diff"]).run();
    assert_eq!((format.code, format.stdout.as_str()), (Some(0), ""));
}

#[test]
#[ignore = "needs OpenTofu: tests/tools/install"]
fn opentofu_wants_nothing_of_the_modules_but_their_providers() {
    let Some(bench) = Workbench::with_tools("terraform modules", &["tofu"]) else { return };
    for (module, provider) in [("aws", "aws"), ("gcp", "google")] {
        let problems = problems(&bench, &modules().join(module));
        let [problem] = &problems[..] else { panic!("{module}: {problems:?}") };
        let expected =
            format!("Missing required provider: registry.opentofu.org/hashicorp/{provider}");
        assert_eq!(*problem, expected, "{module}");
    }
    // What it says of a module that is wrong.
    let wrong = bench.folder().join("wrong");
    std::fs::create_dir(&wrong).unwrap();
    let output = "output \"twice\" { value = 1 }\n";
    std::fs::write(wrong.join("main.tf"), format!("{output}{output}")).unwrap();
    assert_eq!(problems(&bench, &wrong), ["Duplicate output definition: "]);
}

/// What OpenTofu has against a module, and which provider it is about.
fn problems(bench: &Workbench, module: &Path) -> Vec<String> {
    let validated = tofu(bench, module).args(["validate", "-json"]).run();
    let said: Value = serde_json::from_str(&validated.stdout).unwrap();
    let problems = said["diagnostics"].as_array().unwrap().iter();
    problems
        .map(|problem| {
            let detail = problem["detail"].as_str().unwrap();
            let provider = detail.split([' ', ',']).find(|word| word.contains("/hashicorp/"));
            format!("{}: {}", problem["summary"].as_str().unwrap(), provider.unwrap_or(""))
        })
        .collect()
}
