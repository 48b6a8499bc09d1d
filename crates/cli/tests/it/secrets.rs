//! No secret is ever shown, however much is logged.

use testkit::{Auth, Bearer, Registry, User, image};

use crate::program::{Program, add};

const PASSWORD: &str = "hunter2-source";
const TOKEN: &str = "hunter2-target";

async fn registries() -> (Registry, Registry) {
    let source = Registry::builder().auth(Auth::basic("reader", PASSWORD)).start().await;
    add(&source, "app", "1", &image::index(1)).await;
    let auth = Bearer {
        users: vec![User::new("u", "p")],
        preissued: vec![TOKEN.into()],
        ..Bearer::default()
    };
    let target = Registry::builder().auth(Auth::Bearer(auth)).start().await;
    (source, target)
}

#[tokio::test]
async fn debug_logs_show_requests_and_no_secret() {
    let (source, target) = registries().await;
    // base64("reader:hunter2-source")
    let encoded = "cmVhZGVyOmh1bnRlcjItc291cmNl";
    for (token, code) in [(TOKEN, 0), ("hunter2-wrong", 4)] {
        for level in ["--debug", "--log-level=trace"] {
            let mut program = Program::new();
            let docker =
                format!("{{\"auths\": {{\"{}\": {{\"auth\": \"{encoded}\"}}}}}}", source.host());
            program.file(".docker/config.json", docker).file(
                "images.yaml",
                format!(
                    "images:\n- source: {0}/app:1\n  destination: {1}/{2}\n",
                    source.host(),
                    target.host(),
                    level.replace(['-', '='], "")
                ),
            );
            program.variable("SYNCER_ACCESS_TOKEN", token);
            let done = program.run(&["-i", "images.yaml", level, "--output", "json"]).await;
            assert_eq!(done.code, Some(code), "{done}");
            assert!(done.stderr.contains("/v2/app/manifests/1"), "requests are logged: {done}");
            for secret in ["hunter2", encoded] {
                assert!(!done.to_string().contains(secret), "{done}");
            }
        }
    }
}

#[tokio::test]
async fn a_refused_credential_names_the_side_and_the_next_step() {
    let (source, _target) = registries().await;
    let program = Program::new();
    let from = format!("{}/app:1", source.host());
    let done = program.run(&["copy", &from, "oci:mirror"]).await;
    assert_eq!(done.code, Some(4), "{done}");
    assert!(done.stdout.contains("  source: "), "{done}");
    assert!(done.stdout.contains("hint:"), "{done}");
}

#[tokio::test]
async fn a_token_is_not_shown_to_a_host_that_the_list_names() {
    let (source, target) = registries().await;
    let mut program = Program::new();
    program
        .file(
            ".docker/config.json",
            format!(
                "{{\"auths\": {{\"{}\": {{\"auth\": \"cmVhZGVyOmh1bnRlcjItc291cmNl\"}}}}}}",
                source.host()
            ),
        )
        .file(
            "images.yaml",
            format!(
                "images:\n- source: {}/app:1\n  destination: {}/app\n",
                source.host(),
                target.host()
            ),
        );
    program.variable("SYNCER_ACCESS_TOKEN", TOKEN);
    let done = program.run(&["-i", "images.yaml", "-r", "mine.example/m/"]).await;
    assert_eq!(done.code, Some(4), "{done}");
    assert!(done.stderr.starts_with("warning: the credential given for the target is not shown"));
    for request in target.log().requests() {
        assert!(!request.header("authorization").unwrap_or_default().contains(TOKEN));
    }
}
