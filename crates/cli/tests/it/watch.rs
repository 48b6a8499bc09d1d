//! `watch`, the program itself: files that change, pushes that are heard of, an end in the middle of a
//! transfer, two replicas.

use testkit::{Fault, Registry, image, path};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;

use crate::program::{Program, add, held};
use crate::signals::{send, until};

const SECRET: &str = "0123456789abcdef";

fn entry(source: &Registry, target: &Registry, name: &str) -> String {
    format!("- source: {0}/{name}:1\n  destination: {1}/{name}\n", source.host(), target.host())
}

/// Waits until a line of standard error has this in it, and returns the line.
async fn line(child: &mut Child, text: &str) -> String {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains(text) {
            return line;
        }
    }
    panic!("no line with `{text}`");
}

/// Starts it with doors, and returns their address.
async fn start(program: &Program, arguments: &[&str]) -> (Child, String) {
    let fixed = ["watch", "-i", "images.yaml", "--interval=1h", "--listen=127.0.0.1:0"];
    let mut child = program.start(&[&fixed, arguments].concat());
    let said = line(&mut child, "answering at").await;
    let address = said.rsplit("http://").next().unwrap().trim_end_matches('/').to_owned();
    (child, address)
}

/// One request, by hand: the answer's head and body.
async fn ask(address: &str, request: &str, body: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\nauthorization: {SECRET}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Asks until the answer has this in it; each time the program gets a turn.
async fn ask_until(address: &str, request: &str, text: &str) -> String {
    for _ in 0..600 {
        let answer = ask(address, request, "").await;
        if answer.contains(text) {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no answer with `{text}`");
}

async fn end(program: &Program, child: Child) {
    send(&child, "-TERM");
    let done = program.end(child).await;
    assert_eq!(done.code, Some(143), "{done}");
}

#[tokio::test]
async fn a_file_that_changes_is_used_and_a_bad_one_is_not() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    for name in ["first", "second"] {
        add(&source, name, "1", &image::single(1)).await;
    }
    let program = Program::new();
    let first = entry(&source, &target, "first");
    program.file("images.yaml", format!("images:\n{first}"));
    let (child, address) = start(&program, &[]).await;
    ask_until(&address, "GET /metrics", "image_syncer_watch_runs_total 1\n").await;
    assert!(held(&target, "first", "1").await.is_some());
    let report = ask(&address, "GET /report.json", "").await;
    assert!(report.starts_with("HTTP/1.1 200") && report.contains("\"copied\""), "{report}");

    program.file("images.yaml", format!("images:\n{first}- souce: a:1\n"));
    let status = ask_until(&address, "GET /readyz", "\"filesAreCurrent\":false").await;
    assert!(status.starts_with("HTTP/1.1 200"), "the files from before are used: {status}");
    assert!(status.contains("\"reloadFailures\":1"), "{status}");

    let second = entry(&source, &target, "second");
    program.file("images.yaml", format!("images:\n{first}{second}"));
    ask_until(&address, "GET /metrics", "image_syncer_watch_runs_total 2\n").await;
    assert!(held(&target, "second", "1").await.is_some());
    assert!(ask(&address, "GET /healthz", "").await.starts_with("HTTP/1.1 200"));
    end(&program, child).await;
}

#[tokio::test]
async fn a_push_that_is_heard_of_is_all_that_is_asked_for() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    let program = Program::new();
    let entries = ["first", "second"].map(|name| entry(&source, &target, name)).concat();
    program.file("images.yaml", format!("images:\n{entries}"));
    program.file("secret", SECRET);
    let (child, address) = start(&program, &["--webhook-secret-file=secret"]).await;
    ask_until(&address, "GET /metrics", "image_syncer_watch_runs_total 1\n").await;
    for name in ["first", "second"] {
        add(&source, name, "1", &image::single(1)).await;
    }
    source.log().clear();
    target.log().clear();
    let event = |name: &str| {
        format!(
            r#"{{"events": [{{"action": "push", "target": {{"repository": "{name}", "tag": "1"}},
                "request": {{"host": "{}"}}}}]}}"#,
            source.host()
        )
    };
    for name in ["second", "second", "unwanted"] {
        let answer = ask(&address, "POST /hooks/distribution", &event(name)).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    ask_until(&address, "GET /metrics", "image_syncer_watch_runs_total 2\n").await;
    assert!(held(&target, "second", "1").await.is_some());
    for registry in [&source, &target] {
        let log = registry.log();
        assert!(log.count("*", "/v2/second/*") > 0, "{log}");
        assert_eq!(log.count("*", "/v2/first/*") + log.count("*", "/v2/unwanted/*"), 0, "{log}");
    }
    assert_eq!(source.log().count("GET", "/v2/second/manifests/1"), 1, "{}", source.log());
    let wrong = ask(&address, "POST /hooks/github", &event("first")).await;
    assert!(wrong.starts_with("HTTP/1.1 401"), "{wrong}");
    end(&program, child).await;
    assert!(held(&target, "first", "1").await.is_none());
}

#[tokio::test]
async fn the_end_lets_a_transfer_be_finished() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "first", "1", &image::single(1)).await;
    let program = Program::new();
    program.file("images.yaml", format!("images:\n{}", entry(&source, &target, "first")));
    let (fault, release) = Fault::stall();
    source.inject(fault.on("GET", path::BLOBS));
    let mut child = program.start(&["watch", "-i", "images.yaml", "--report=json=report.json"]);
    release.reached(1).await;
    send(&child, "-TERM");
    until(&mut child, "finishing what is under way").await;
    release.release();
    let done = program.end(child).await;
    assert_eq!(done.code, Some(143), "{done}");
    assert!(held(&target, "first", "1").await.is_some());
    let report = std::fs::read_to_string(program.folder().join("report.json")).unwrap();
    assert!(report.contains("\"copied\""), "{report}");
}

#[tokio::test]
async fn of_two_replicas_one_makes_the_runs_and_the_other_follows() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "first", "1", &image::single(1)).await;
    let program = Program::new();
    program.file("images.yaml", format!("images:\n{}", entry(&source, &target, "first")));
    let lease = ["--lease=file:lease"];
    let (one, first) = start(&program, &lease).await;
    ask_until(&first, "GET /metrics", "image_syncer_watch_runs_total 1\n").await;
    let (two, second) = start(&program, &lease).await;
    let standby = ask_until(&second, "GET /readyz", "\"leads\":false").await;
    assert!(standby.starts_with("HTTP/1.1 200") && standby.contains("\"runs\":0"), "{standby}");
    assert_eq!(target.log().count("PUT", "/v2/first/manifests/1"), 1, "{}", target.log());
    target.log().clear();
    end(&program, one).await;
    // It looks, and finds that all is done.
    ask_until(&second, "GET /readyz", "\"runs\":1").await;
    assert_eq!(target.log().writes().len(), 0, "{}", target.log());
    end(&program, two).await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_told_before_anything_begins() {
    let program = Program::new();
    program.file("images.yaml", "images: [{ souce: a:1 }]");
    program.file("good.yaml", "images: [{ source: a:1, destination: b.example/a }]");
    program.file("short", "secret");
    let table: [(&[&str], &str); 7] = [
        (&["-i", "images.yaml"], "did you mean `source`?"),
        (&["-i", "-"], "standard input cannot be watched"),
        (&["-i", "good.yaml", "--interval=often"], "such as `10m`"),
        (&["-i", "good.yaml", "--cron=* * *"], "it has 3 fields"),
        (&["-i", "good.yaml", "--webhook-secret-file=short"], "fewer than 16 bytes"),
        (&["-i", "good.yaml", "--lease=tools/mirror"], "this is no pod of Kubernetes"),
        (&["-i", "good.yaml", "--lease=mirror"], "it must be `NAMESPACE/NAME`"),
    ];
    for (arguments, told) in table {
        let done = program.run(&[&["watch"], arguments].concat()).await;
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains(told), "{done}");
    }
}
