//! Mistakes on the command line: each ends with 2, names what is wrong and says what to do.

use crate::program::{Program, assert_done};

/// Runs each line and puts what came of it below one another.
async fn all(program: &Program, lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let arguments: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        text.push_str(&format!("$ image-syncer {line}\n{}\n", program.run(&arguments).await));
    }
    text
}

#[tokio::test]
async fn what_is_typed_wrong() {
    let program = Program::new();
    program.file("key.json", "{}").file("images.yaml", "images: []\n");
    let text = all(
        &program,
        &[
            "",
            "-i",
            "--nope",
            "snyc",
            "-i images.yaml --dry-run false",
            "--dry-run true -i images.yaml",
            "-i images.yaml --dry-run=maybe",
            "-i images.yaml plan",
            "-i images.yaml -t key.json -a token",
            "-i images.yaml -t nothing.json",
            "-i images.yaml -a=",
            "-i images.yaml -k=",
            "-i images.yaml --sign=maybe",
            "-i images.yaml --signature-format cosign",
            "copy nginx:1 registry.example.com/nginx --sign",
            "--config repositories",
            "-i images.yaml --concurrency 0",
            "-i images.yaml --output xml",
            "-i images.yaml --report pdf=a.pdf",
            "-i images.yaml --report report",
            "-i images.yaml --report json=missing/report.json",
            "-i images.yaml --source-lost maybe",
            "-i images.yaml --referrers sbom",
            "-i images.yaml --late-referrers maybe",
            "-i images.yaml --log-level loud",
            "check",
            "copy nginx registry.example.com/nginx",
            "copy nginx:1 registry.example.com/nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "copy https://a.io/b:1 a.io/c",
            "serve mirror --tls-key key.pem",
            "serve mirror --htpasswd missing",
            "man nothing",
            "tags",
            "tags nginx:1.27",
            "tags nginx --semver latest",
            "tags nginx --include ^v.*$",
            "tags nginx --exclude /(/",
            "tags nginx --latest 0",
            "tags nginx --per minor",
            "tags nginx --latest 1 --per day",
        ],
    )
    .await;
    assert_eq!(text.matches("exit code 2").count(), text.matches("$ image-syncer").count());
    assert_done!(text);
}

#[tokio::test]
async fn a_token_on_the_command_line_earns_a_warning() {
    let program = Program::new();
    program.file("images.yaml", "images: []\n");
    let done = program.run(&["-i", "images.yaml", "-a", "s3cr3t", "-r", "a.io/m/"]).await;
    assert!(done.stderr.starts_with("warning: the access token stands on the command line"));
    assert!(!done.to_string().contains("s3cr3t"), "{done}");
    let mut quiet = Program::new();
    quiet.file("images.yaml", "images: []\n");
    quiet.variable("SYNCER_ACCESS_TOKEN", "s3cr3t");
    let done = quiet.run(&["-i", "images.yaml", "-r", "a.io/m/"]).await;
    assert!(!done.stderr.contains("access token"), "{done}");
}
