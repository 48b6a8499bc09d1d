//! Who we are to AWS, against moto: tokens of ECR, roles and secrets. The registry behind ECR's host name is
//! one on this machine (`endpoint`). Google's and Azure's doors have no emulator; theirs are tests of the
//! program against the testkit, whose servers the suite `kms` has judged by the vendors' own SDKs.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::path::Path;

use interop::{Listening, Run, Workbench};
use serde_json::Value;
use testkit::{Auth, Registry, image};

const PYTHON: &str = "key-services-python";
const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
/// Of whom moto is, unless a role of another account is taken on.
const TOKEN: &str = "123456789012-auth-token";

struct Aws {
    bench: Workbench,
    moto: Listening,
    secrets: Value,
}

impl Aws {
    fn start() -> Option<Self> {
        let bench = Workbench::with_image_syncer("doors", &[PYTHON])?;
        let mut command = bench.command(PYTHON);
        command
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .env("MOTO_RECORDER_FILEPATH", bench.folder().join("asked"));
        let moto = Listening::start(command);
        let secrets = serde_json::from_str(&doors(&bench, "make", &moto)).unwrap();
        Some(Self { bench, moto, secrets })
    }

    /// What moto was asked since it began.
    fn asked(&self) -> Vec<String> {
        serde_json::from_str(&doors(&self.bench, "asked", &self.moto)).unwrap()
    }

    /// Copies three repositories of `host`, which is `registry`.
    fn copy(&self, host: &str, registry: &Registry, auth: &str) -> Run {
        let auth = if auth.is_empty() { String::new() } else { format!(", auth: {auth}") };
        let images = ["a", "b", "c"].map(|name| {
            format!("- {{ source: \"{host}/{name}:1\", destination: \"oci:mirror/{name}\" }}\n")
        });
        let file = self.bench.folder().join("doors.yaml");
        let endpoint = registry.url();
        let text = format!(
            "registries: {{ \"{host}\": {{ endpoint: \"{endpoint}\"{auth} }} }}\nimages:\n{}",
            images.concat()
        );
        std::fs::write(&file, text).unwrap();
        let run = self
            .bench
            .image_syncer()
            .args(["-i", file.to_str().unwrap(), "--log-level=trace"])
            .env("AWS_ENDPOINT_URL", &self.moto.url)
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "S3cret-of-AWS")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("SOURCE_KEY", "AKIASOURCE")
            .run();
        for secret in ["S3cret", "auth-token", "QVdTOj"] {
            let said = [&run.stdout, &run.stderr];
            assert!(said.iter().all(|text| !text.contains(secret)), "{secret} is shown: {run:?}");
        }
        run
    }
}

fn doors(bench: &Workbench, what: &str, moto: &Listening) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/key-services/moto_doors.py");
    bench.tool(PYTHON).args([script.to_str().unwrap(), what, &moto.url]).succeed()
}

async fn registry(username: &str, password: &str) -> Registry {
    let registry = Registry::builder().auth(Auth::basic(username, password)).start().await;
    for name in ["a", "b", "c"] {
        registry.add(&name.parse().unwrap(), &"1".parse().unwrap(), &image::index(1)).await;
    }
    registry
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn ecr_is_entered_by_one_token_of_aws() {
    let Some(aws) = Aws::start() else { return };
    let ecr = registry("AWS", TOKEN).await;
    aws.copy(HOST, &ecr, "").expect_code(0);
    // moto's tokens ended in 2015; that is no reason to ask for one after the other.
    assert_eq!(aws.asked(), ["GetAuthorizationToken"]);

    // A registry that refuses is not asked again and again with new tokens.
    let closed = registry("AWS", "another").await;
    aws.copy(HOST, &closed, "").expect_code(4);
    assert_eq!(aws.asked().len(), 2);
}

/// ECR to ECR with a key for each side: the program's own is one of them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn a_registry_has_an_access_key_of_its_own() {
    let Some(aws) = Aws::start() else { return };
    let ecr = registry("AWS", TOKEN).await;
    let file = aws.bench.folder().join("access_secret");
    std::fs::write(&file, "S3cret-of-the-source\n").unwrap();
    let key = format!(
        "accessKeyId: {{ env: SOURCE_KEY }}, secretAccessKey: {{ file: \"{}\" }}",
        file.display()
    );
    let keys =
        || -> Vec<String> { serde_json::from_str(&doors(&aws.bench, "keys", &aws.moto)).unwrap() };
    aws.copy(HOST, &ecr, &format!("{{ aws: {{ {key} }} }}")).expect_code(0);
    assert_eq!(keys(), ["AKIASOURCE"]);
    aws.copy(HOST, &ecr, "").expect_code(0);
    assert_eq!(keys()[1..], ["testing"]);

    // A role is taken on with it.
    let (host, role) =
        ("111122223333.dkr.ecr.eu-west-1.amazonaws.com", "arn:aws:iam::111122223333:role/mirror");
    let theirs = registry("AWS", "111122223333-auth-token").await;
    aws.copy(host, &theirs, &format!("{{ aws: {{ {key}, assumeRole: \"{role}\" }} }}"))
        .expect_code(0);
    assert_eq!(keys()[2], "AKIASOURCE");
    assert_ne!(keys()[3], "AKIASOURCE", "the role's own");

    std::fs::remove_file(file).unwrap();
    let run = aws.copy(HOST, &ecr, &format!("{{ aws: {{ {key} }} }}")).expect_code(2);
    assert!(format!("{run:?}").contains("cannot read the secret in"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn a_role_of_another_account_is_taken_on() {
    let Some(aws) = Aws::start() else { return };
    let ecr = registry("AWS", "111122223333-auth-token").await;
    let host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
    let role =
        "{ aws: { assumeRole: \"arn:aws:iam::111122223333:role/mirror\", externalId: team } }";
    aws.copy(host, &ecr, role).expect_code(0);
    assert_eq!(aws.asked(), ["query", "GetAuthorizationToken"]);
    aws.copy(host, &ecr, "").expect_code(4);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/tools/install"]
async fn passwords_come_from_secrets_manager() {
    let Some(aws) = Aws::start() else { return };
    let arn = |name: &str| aws.secrets[name].as_str().unwrap().to_owned();
    let (json, text) = (arn("json"), arn("text"));
    let ways = [
        (
            "S3cret-now",
            format!(
                "{{ username: {{ awsSecret: \"{json}#username\" }}, password: {{ awsSecret: \"{json}#password\" }} }}"
            ),
        ),
        (
            "S3cret-before",
            format!(
                "{{ username: robot, password: {{ awsSecret: \"{json}#password#AWSPREVIOUS\" }} }}"
            ),
        ),
        ("S3cret-text", format!("{{ username: robot, password: {{ awsSecret: \"{text}\" }} }}")),
    ];
    for (password, auth) in ways {
        let private = registry("robot", password).await;
        aws.copy("registry.example", &private, &auth).expect_code(0);
    }
    let asked = aws.asked();
    assert_eq!(asked, ["GetSecretValue"; 4], "each once, for all repositories");

    let private = registry("robot", "S3cret-now").await;
    let nowhere = format!("{{ username: robot, password: {{ awsSecret: \"{json}#pasword\" }} }}");
    let run = aws.copy("registry.example", &private, &nowhere).expect_code(4);
    assert!(run.stdout.contains("has no key `pasword`"), "{}", run.stdout);
    let gone =
        format!("{{ username: robot, password: {{ awsSecret: \"{json}-gone#password\" }} }}");
    let run = aws.copy("registry.example", &private, &gone).expect_code(4);
    assert!(
        run.stdout.contains("AWS Secrets Manager answered ResourceNotFoundException"),
        "{}",
        run.stdout
    );
}
