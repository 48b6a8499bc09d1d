//! What ecr-sync's users have: its lists, its variables, its flags.

use testkit::Registry;

use crate::program::{Program, assert_done};

fn example(name: &str) -> String {
    format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The README's block of variables.
const VARIABLES: [(&str, &str); 10] = [
    ("ECR_ACCOUNT_ID", "123456789012"),
    ("ECR_REGION", "us-east-1"),
    ("CONTAINER_RUNTIME", "podman"),
    ("REPOSITORIES_DIR", "./repositories"),
    ("DRY_RUN", "false"),
    ("LOG_LEVEL", "INFO"),
    ("MAX_PARALLEL_OPERATIONS", "5"),
    ("DEFAULT_LIFECYCLE_POLICY_FILE", "ecr-lifecycle.json"),
    ("DEFAULT_PERMISSION_POLICY_FILE", "ecr-permissions.json"),
    ("DEFAULT_RESOURCE_TAGS_FILE", "default_resource_tags.json"),
];

const LIFECYCLE: &str = r#"{"rules": [{"rulePriority": 1, "description": "Keep ten", "selection": {
    "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10},
    "action": {"type": "expire"}}]}"#;

const PERMISSIONS: &str = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "Pull", "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": ["ecr:BatchGetImage"]}]}"#;

/// A folder as ecr-sync has it, with one of its default files where the lists are.
fn program() -> Program {
    let mut program = Program::new();
    for (name, value) in VARIABLES {
        program.variable(name, value);
    }
    program
        .file("repositories/app.yaml", std::fs::read_to_string(example("ecr.yaml")).unwrap())
        .file("repositories/empty.yml", "repositories:\n- name: empty\n")
        .file("ecr-lifecycle.json", LIFECYCLE)
        .file("ecr-permissions.json", PERMISSIONS)
        .file("repositories/default_resource_tags.json", r#"{"team": "web"}"#);
    program
}

#[tokio::test]
async fn the_examples_are_right() {
    let mut program = Program::new();
    program.variable("ECR_ACCOUNT_ID", "123456789012").variable("AWS_REGION", "us-gov-west-1");
    let done = program.run(&["check", &example("ecr.yaml")]).await;
    let expected = "ok: 3 images, 1 ECR repository, 1 chart, 5 targets\n";
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), expected), "{done}");
    let done = program.run(&["check", &example("charts.yaml")]).await;
    let expected = "ok: 1 image, 3 charts, 5 targets\n";
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), expected), "{done}");
}

#[tokio::test]
async fn a_folder_with_its_variables_is_right() {
    assert_done!(program().run(&["check", "repositories"]).await);
}

#[tokio::test]
async fn a_default_file_that_is_named_must_be_there() {
    let program = program();
    std::fs::remove_file(program.folder().join("ecr-lifecycle.json")).unwrap();
    assert_done!(program.run(&["check", "repositories"]).await);
}

#[tokio::test]
async fn without_an_account_it_says_which_variables_it_needs() {
    let program = Program::new();
    program.file("app.yaml", "- name: app\n- name: other\n");
    assert_done!(program.run(&["check", "app.yaml"]).await);
    let wrong = ["check", "app.yaml", "--ecr-account-id", "12345", "--ecr-region", "us-east-1"];
    assert_done!(program.run(&wrong).await);
}

/// What AWS would refuse is told before anybody is asked.
#[tokio::test]
async fn what_is_over_a_limit_of_aws_is_told_by_check() {
    let mut program = Program::new();
    program.variable("ECR_ACCOUNT_ID", "123456789012").variable("ECR_REGION", "us-east-1");
    program.file("app.yaml", "- name: app\n  lifecyclePolicy: { rules: [] }\n- name: bb\n");
    assert_done!(program.run(&["check", "app.yaml"]).await);
    let run = program.run(&["sync", "--config", "app.yaml"]).await;
    assert_eq!(run.code, Some(2), "{run}");
}

/// Nobody can be asked without credentials, and the reason is told where they are needed.
#[tokio::test]
async fn without_credentials_of_aws_nothing_is_pushed() {
    let mut program = Program::new();
    let registry = Registry::start().await;
    program
        .variable("ECR_ACCOUNT_ID", "123456789012")
        .variable("ECR_REGION", "us-east-1")
        .variable("AWS_EC2_METADATA_DISABLED", "true");
    let list = format!(
        "registries: {{ 123456789012.dkr.ecr.us-east-1.amazonaws.com: {{ endpoint: \"{0}\" }} }}\n\
         repositories:\n\
         - {{ name: app, image: {{ pull_url: \"{1}/app:1\", tags: [\"1\"] }} }}\n",
        registry.url(),
        registry.host(),
    );
    program.file("app.yaml", list);
    for command in ["sync", "plan"] {
        let done = program.run(&[command, "--config", "app.yaml", "--output=json"]).await;
        assert_eq!(done.code, Some(4), "{done}");
        let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        for item in report["items"].as_array().unwrap() {
            assert_eq!(item["outcome"], "failed", "{item:#}");
            assert_eq!(item["error"]["class"], "denied", "{item:#}");
        }
    }
    assert_eq!(registry.log().writes().len(), 0, "{}", registry.log());
}

/// `python -m src.main` with the two variables that ecr-sync cannot do without.
#[tokio::test]
async fn the_folder_of_ecr_sync_is_taken_where_there_is_an_account() {
    let mut program = Program::new();
    program.variable("ECR_REGION", "us-east-1").variable("AWS_EC2_METADATA_DISABLED", "true");
    program.file("repositories/app.yaml", "- name: app\n").file("images.yaml", "images: []\n");
    let nothing = async |program: &Program, why: &str| {
        let done = program.run(&[]).await;
        assert_eq!(done.code, Some(2), "{why}: {done}");
        assert!(done.stderr.contains("no sync file was given"), "{why}: {done}");
    };
    nothing(&program, "no account").await;
    program.variable("ECR_ACCOUNT_ID", "123456789012");
    let taken = async |program: &Program, arguments: &[&str]| {
        let done = program.run(&[arguments, &["--output=json"]].concat()).await;
        done.to_string().contains("123456789012.dkr.ecr.us-east-1.amazonaws.com/app")
    };
    assert!(taken(&program, &[]).await);
    assert!(taken(&program, &["plan"]).await);
    assert!(!taken(&program, &["-i", "images.yaml"]).await);
    std::fs::remove_dir_all(program.folder().join("repositories")).unwrap();
    nothing(&program, "no folder").await;
}
