//! The doors, without a network: requests go to the router as they are.

use secrecy::SecretString;
use tower::ServiceExt;

use super::*;
use crate::Inbox;

const SECRET: &str = "0123456789abcdef";

fn pages(secret: Option<&'static str>) -> Pages {
    let text = |content_type, body: &str| {
        let text = Text { content_type, body: body.to_owned() };
        Arc::new(move || Some(text.clone())) as Page
    };
    Pages {
        metrics: text("text/plain", "other_total 1\n# EOF\n"),
        report: text(
            "text/html; charset=utf-8",
            "<html><body class=\"x\"><h1>report</h1></body></html>",
        ),
        report_json: text("application/json", "{}"),
        webhook_secret: secret
            .map(|secret| Arc::new(move || Some(SecretString::from(secret))) as Secret),
    }
}

async fn ask(door: &Door, pages: Pages, request: http::Request<Body>) -> (u16, String, HeaderMap) {
    let response = router(door.clone(), pages).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap(), parts.headers)
}

fn get_request(path: &str) -> http::Request<Body> {
    http::Request::get(path).body(Body::empty()).unwrap()
}

fn post_request(
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> http::Request<Body> {
    let request = http::Request::post(path);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(body.into()).unwrap()
}

/// A watch that answers, with one file.
fn answering() -> (Door, mpsc::Receiver<Moved>) {
    let (door, Inbox { moved, mut pings, board }) = crate::doors();
    let file = crate::FileStatus { file: "a".into(), schedule: "every 10m".into(), next: None };
    *board.status() = Status { files: vec![file], files_are_current: true, ..Status::default() };
    tokio::spawn(async move {
        while let Some(pong) = pings.recv().await {
            pong.send(()).unwrap();
        }
    });
    (door, moved)
}

#[tokio::test]
async fn health_asks_the_loop_and_every_answer_has_its_headers() {
    let (door, _moved) = answering();
    for path in ["/healthz", "/readyz", "/metrics", "/", "/report.json"] {
        let (status, _, headers) = ask(&door, pages(None), get_request(path)).await;
        assert_eq!(status, 200, "{path}");
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert!(header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
    }
    let (_, text, _) = ask(&door, pages(None), get_request("/metrics")).await;
    assert!(text.starts_with("other_total 1\n# HELP image_syncer_watch_files "), "{text}");
    assert!(text.contains("image_syncer_watch_files_current 1\n"), "{text}");
}

#[tokio::test]
async fn a_loop_that_is_gone_is_not_alive_and_an_end_is_not_ready() {
    let (door, inbox) = crate::doors();
    drop(inbox);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&door, pages(None), get_request(path)).await.0, 503, "{path}");
    }
    let (door, _moved) = answering();
    door.board.status().stopping = true;
    assert_eq!(ask(&door, pages(None), get_request("/healthz")).await.0, 200);
    let (status, body, _) = ask(&door, pages(None), get_request("/readyz")).await;
    assert_eq!(status, 503);
    assert!(body.contains(r#""stopping":true"#), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_is_not_alive() {
    let (door, _inbox) = crate::doors();
    assert_eq!(ask(&door, pages(None), get_request("/healthz")).await.0, 503);
}

#[tokio::test]
async fn files_that_are_wrong_are_told_above_the_report() {
    let (door, _moved) = answering();
    door.board.status().files_are_current = false;
    let (_, body, _) = ask(&door, pages(None), get_request("/")).await;
    assert!(
        body.contains(r#"<body class="x"><p role="alert">The sync files have changed"#),
        "{body}"
    );
    let plain = Pages { report: Arc::new(|| None), report_json: Arc::new(|| None), ..pages(None) };
    assert_eq!(ask(&door, plain.clone(), get_request("/")).await.1, "No run has ended yet.\n");
    assert_eq!(ask(&door, plain, get_request("/report.json")).await.0, 404);
}

#[tokio::test]
async fn without_a_secret_there_are_no_hooks() {
    let (door, mut moved) = answering();
    let body = include_str!("../../tests/data/quay.json");
    let request = post_request("/hooks/quay/0123456789abcdef", &[], body);
    assert_eq!(ask(&door, pages(None), request).await.0, 404);
    assert!(moved.try_recv().is_err());
}

#[tokio::test]
async fn a_hook_has_an_effect_only_with_the_secret() {
    let (door, mut moved) = answering();
    let body = include_str!("../../tests/data/harbor.json");
    let quay = include_str!("../../tests/data/quay.json");
    let right = [("authorization", SECRET)];
    let wrong = [("authorization", "0123456789abcdeF")];
    let big = "x".repeat(LARGEST + 1);
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let table: [(&str, Headers<'_>, &str, u16); 10] = [
        ("/hooks/harbor", &[], body, 401),
        ("/hooks/harbor", &wrong, body, 401),
        ("/hooks/harbor/0123456789abcdef", &[], body, 401),
        ("/hooks/quay/0123456789abcdee", &[], quay, 401),
        ("/hooks/quay", &right, quay, 401),
        ("/hooks/github", &right, body, 401),
        ("/hooks/gitlab", &right, body, 404),
        ("/hooks/harbor", &right, "{", 400),
        ("/hooks/harbor?registry=a/b", &right, body, 400),
        ("/hooks/harbor", &right, &big, 413),
    ];
    for (path, headers, body, expected) in table {
        let request = post_request(path, headers, body.to_owned());
        let (status, text, _) = ask(&door, pages(Some(SECRET)), request).await;
        assert_eq!(status, expected, "{path} {headers:?}: {text}");
        assert!(!text.contains(SECRET), "{text}");
        assert!(moved.try_recv().is_err(), "{path} {headers:?}");
    }
    assert_eq!((door.status().hooks_accepted, door.status().hooks_refused), (0, 8));
    let request = post_request("/hooks/harbor", &right, body);
    assert_eq!(ask(&door, pages(Some(SECRET)), request).await.0, 202);
    assert_eq!(moved.try_recv().unwrap().repository.as_str(), "test-webhook/debian");
    let request = post_request("/hooks/quay/0123456789abcdef?registry=quay.example", &[], quay);
    assert_eq!(ask(&door, pages(Some(SECRET)), request).await.0, 202);
    assert_eq!(moved.try_recv().unwrap().host.as_str(), "quay.example");
}

#[tokio::test]
async fn what_the_loop_does_not_take_is_to_be_sent_again() {
    let (door, _moved) = answering();
    let body = include_str!("../../tests/data/harbor.json");
    let request = || post_request("/hooks/harbor", &[("x-api-key", SECRET)], body);
    let mut last = 202;
    for _ in 0..2_000 {
        last = ask(&door, pages(Some(SECRET)), request()).await.0;
    }
    assert_eq!(last, 503);
    let unreadable = Pages { webhook_secret: Some(Arc::new(|| None)), ..pages(None) };
    assert_eq!(ask(&door, unreadable, request()).await.0, 401);
}
