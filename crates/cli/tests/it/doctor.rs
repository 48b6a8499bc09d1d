//! `doctor`: what it says of every kind of registry, of one that is not well, and that it writes
//! nothing.

use testkit::personality::{PASSWORD, USERNAME};
use testkit::{Auth, ClosedPort, Fault, Personality, Registry, image, path};

use crate::program::{Done, Program, add, assert_done};

/// The name of every registry here, as long as its own.
const NAME: &str = "127.0.0.1:11111";

/// A registry of a kind with an image, and a program that has its login.
async fn begin(personality: Personality) -> (Registry, Program) {
    let username = match &personality.auth {
        Auth::Basic { username, .. } => username.clone(),
        Auth::Open | Auth::Bearer(_) => USERNAME.to_owned(),
    };
    let registry = Registry::builder().personality(personality).start().await;
    add(&registry, "team/app", "1.0", &image::with_attestations(1)).await;
    add(&registry, "team/app", "latest", &image::single(2)).await;
    let mut program = Program::new();
    program.name(&registry, NAME);
    log_in(&program, &registry, &username, PASSWORD);
    (registry, program)
}

fn log_in(program: &Program, registry: &Registry, username: &str, password: &str) {
    let login = serde_json::json!({ "username": username, "password": password });
    let auths = serde_json::json!({ "auths": { registry.host().to_string(): login } });
    program.file(".docker/config.json", auths.to_string());
}

/// What a service is known as by its name, which a registry of a test has not.
fn kind_by_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "docker hub" => "docker-hub",
        "ecr" => "ecr",
        "ghcr" => "ghcr",
        "gar" => "google",
        "acr" => "acr",
        "distribution 2" => "distribution2",
        "distribution 3" => "distribution3",
        _ => return None,
    })
}

async fn of_repository(registry: &Registry, program: &Program) -> Done {
    program.run(&["doctor", &format!("{}/team/app", registry.host())]).await
}

#[tokio::test]
async fn every_kind_of_registry_is_shown_as_what_it_is() {
    let mut text = String::new();
    for personality in Personality::all() {
        let name = personality.name;
        let (registry, program) = begin(personality).await;
        let done = match kind_by_name(name) {
            None => of_repository(&registry, &program).await,
            Some(kind) => {
                let host = registry.host();
                let list =
                    format!("registries: {{ \"{host}\": {{ kind: {kind} }} }}\nimages: []\n");
                program.file("images.yaml", list);
                program.run(&["doctor", &format!("{host}/team/app"), "-i", "images.yaml"]).await
            }
        };
        text.push_str(&format!("== {name}\n{done}\n"));
        assert_eq!(done.code, Some(0), "{name}: {done}");
        let writes = registry.log().writes();
        let tokens = registry.token_requests();
        assert!(writes.len() <= tokens, "{name} was written to:\n{}", registry.log());
        assert!(!done.to_string().contains(PASSWORD), "{done}");
    }
    assert_done!(text);
}

#[tokio::test]
async fn a_registry_over_tls_with_a_sync_file_and_json() {
    let registry = Registry::builder().tls().start().await;
    add(&registry, "team/app", "1.0", &image::single(1)).await;
    let mut program = Program::new();
    program.name(&registry, NAME);
    let (host, ca) = (registry.host(), registry.ca_file().unwrap());
    let entry = format!("{{ ca: \"{}\", kind: distribution2 }}", ca.display());
    program.file("images.yaml", format!("registries:\n  \"{host}\": {entry}\nimages: []\n"));
    let name = format!("{host}/team/app");
    let done =
        program.run(&["doctor", &name, "--push", "-i", "images.yaml", "--output", "json"]).await;
    assert_done!(done);
    // The upload was begun and given up: nothing is left of it.
    let uploads: Vec<String> = registry
        .log()
        .matching("*", path::UPLOADS)
        .iter()
        .map(|request| request.method.to_string())
        .collect();
    assert_eq!(uploads, ["POST", "DELETE"]);
    assert_eq!(registry.log().count("GET|HEAD", path::REFERRERS), 0, "its kind has none");

    let untrusted = program.run(&["doctor", &host.to_string()]).await;
    assert_eq!(untrusted.code, Some(1), "{untrusted}");
    assert!(untrusted.stdout.contains("unknown authority"), "{untrusted}");
}

#[tokio::test]
async fn a_registry_without_a_repository() {
    let (registry, program) = begin(Personality::harbor()).await;
    let done = program.run(&["doctor", &registry.host().to_string()]).await;
    assert_done!(done);
}

#[tokio::test]
async fn what_is_not_well_is_said_and_has_its_exit_code() {
    let mut text = String::new();
    let mut told = |what: &str, code: i32, done: Done| {
        assert_eq!(done.code, Some(code), "{what}: {done}");
        text.push_str(&format!("== {what}\n{done}\n"));
    };

    let (registry, program) = begin(Personality::harbor()).await;
    log_in(&program, &registry, USERNAME, "wrong");
    told("a wrong password", 4, of_repository(&registry, &program).await);

    let (registry, program) = begin(Personality::ecr()).await;
    program.file(".docker/config.json", "{}");
    told("no password", 4, of_repository(&registry, &program).await);

    let (registry, program) = begin(Personality::gitlab()).await;
    program.file(".docker/config.json", "{}");
    let host = registry.host().to_string();
    told("no password, and it may not need one", 0, program.run(&["doctor", &host]).await);

    let (registry, program) = begin(Personality::default()).await;
    registry.inject(Fault::error(403, "DENIED", "read only").on("POST", path::UPLOADS));
    registry.inject(Fault::ignore_range());
    registry.inject(Fault::head_unsupported());
    registry.inject(Fault::answer_header("date", "Sat, 21 Nov 2020 08:00:00 GMT"));
    registry.inject(Fault::deny_referrers());
    let name = format!("{}/team/app", registry.host());
    let done = program.run(&["doctor", &name, "--push"]).await;
    let years = without_seconds(&done.stdout);
    told("much of it", 4, Done { stdout: years, ..done });

    let (registry, mut program) = begin(Personality::docker_hub()).await;
    let name = format!("{}/no/such", registry.host());
    told("no such repository", 0, program.run(&["doctor", &name]).await);
    program.variable("SYNCER_PUSH", "maybe");
    told("a variable that is wrong", 2, of_repository(&registry, &program).await);

    let nobody = ClosedPort::bind();
    let mut program = Program::new();
    program.host(&nobody.host(), NAME);
    let done = program.run(&["doctor", nobody.host().as_str(), "--log-level", "error"]).await;
    told("nobody there", 1, done);

    let program = Program::new();
    told("no registry", 2, program.run(&["doctor", "nginx"]).await);
    told("nowhere to push to", 2, program.run(&["doctor", "r.example", "--push"]).await);
    assert_done!(text);
}

/// The seconds that a clock is wrong by grow from day to day.
fn without_seconds(text: &str) -> String {
    let words = |line: &str| match line.split_once("machine's is ") {
        Some((head, rest)) => {
            let (_, tail) = rest.split_once(' ').unwrap();
            format!("{head}machine's is [many] {tail}\n")
        }
        None => format!("{line}\n"),
    };
    text.lines().map(words).collect()
}
