//! The Terraform modules, judged by OpenTofu with what their providers' resources are made of. The providers
//! themselves are in no package registry, so what only they find wrong, and what a cloud would say, is not judged;
//! checkov reads the modules in the suite `github`.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

use interop::{Process, Workbench};
use serde_json::{Value, json};

const TOOLS: [&str; 4] = ["schema-aws", "schema-google", "terraform-provider", "tofu"];

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
#[ignore = "needs OpenTofu and schemas of providers: tests/tools/install"]
fn the_modules_are_made_of_what_their_providers_have() {
    let Some(bench) = Workbench::with_tools("terraform modules", &TOOLS) else { return };
    for (module, provider) in [("aws", "aws"), ("gcp", "google")] {
        let problems = problems(&bench, provider, &modules().join(module));
        assert!(problems.is_empty(), "{module}: {problems:?}");
    }
}

#[test]
#[ignore = "needs OpenTofu and schemas of providers: tests/tools/install"]
fn what_a_provider_does_not_have_is_found_out() {
    let Some(bench) = Workbench::with_tools("terraform mistakes", &TOOLS) else { return };
    let mistakes = [
        ("aws", "customer_master_key_spec", "key_specification", "Unsupported argument"),
        // Which the fifth version of the provider has not.
        (
            "aws",
            "data.aws_region.current.region",
            "data.aws_region.current.place",
            "Unsupported attribute",
        ),
        (
            "aws",
            "    actions   = [\"ecr:GetAuthorizationToken\"]",
            "    action = []",
            "Unsupported argument",
        ),
        ("gcp", "    issuer_uri = var.issuer", "", "Missing required argument"),
        ("gcp", "immutable_tags = true", "immutable_tags = []", "Incorrect attribute value type"),
        ("gcp", "docker_config {", "docker {", "Unsupported block type"),
        (
            "gcp",
            "google_service_account.reader.member",
            "google_service_account.reader.mail",
            "Unsupported attribute",
        ),
        (
            "gcp",
            "\"google_kms_key_ring\" \"signing\"",
            "\"google_kms_ring\" \"signing\"",
            "Invalid resource type",
        ),
    ];
    for (number, (module, right, wrong, expected)) in mistakes.into_iter().enumerate() {
        let provider = if module == "gcp" { "google" } else { module };
        let folder = bench.folder().join(number.to_string());
        std::fs::create_dir(&folder).unwrap();
        for file in ["main.tf", "outputs.tf", "variables.tf", "versions.tf"] {
            let text = std::fs::read_to_string(modules().join(module).join(file)).unwrap();
            assert!(file != "main.tf" || text.contains(right), "{right}");
            std::fs::write(folder.join(file), text.replace(right, wrong)).unwrap();
        }
        let problems = problems(&bench, provider, &folder);
        assert!(problems.iter().any(|problem| problem == expected), "{wrong}: {problems:?}");
    }
}

/// What OpenTofu has against a module, when the provider is as its schema says.
fn problems(bench: &Workbench, provider: &str, module: &Path) -> Vec<String> {
    let plugins = bench.folder().join("plugins");
    let plugin = plugins.join(format!("terraform-provider-{provider}"));
    if !plugin.exists() {
        std::fs::create_dir_all(&plugins).unwrap();
        let program = bench.command("terraform-provider");
        std::os::unix::fs::symlink(program.get_program(), &plugin).unwrap();
    }
    let name = format!("registry.opentofu.org/hashicorp/{provider}");
    let overrides = format!("dev_overrides {{ {} = {} }}", json!(name), json!(plugins));
    let settings = bench.folder().join("tofu.rc");
    std::fs::write(&settings, format!("provider_installation {{ {overrides} }}")).unwrap();
    let schema = bench.command(&format!("schema-{provider}"));
    let validated = tofu(bench, module)
        .env("TF_CLI_CONFIG_FILE", settings)
        .env("TERRAFORM_PROVIDER_SCHEMA", schema.get_program())
        .args(["validate", "-json"])
        .run();
    let said: Value = serde_json::from_str(&validated.stdout).unwrap();
    let told = said["diagnostics"].as_array().unwrap().iter();
    // It warns that the provider is not from a registry.
    let errors = told.filter(|one| one["severity"] == "error");
    errors.map(|one| one["summary"].as_str().unwrap().to_owned()).collect()
}
