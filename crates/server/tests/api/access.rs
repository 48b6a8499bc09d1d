//! Who may do what: read-only registries and passwords.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use server::{Htpasswd, Options};

use crate::served::Served;

#[tokio::test]
async fn a_read_only_registry_gives_and_takes_nothing() {
    let served = Served::new();
    let image = served.push_image("a", "v", b"x").await;
    let served = served.restarted(Options { read_only: true, ..Options::default() });
    served.get("/v2/").await.expect(200);
    served.get("/v2/a/manifests/v").await.expect(200);
    served.head(&format!("/v2/a/blobs/{}", oci::Digest::sha256(b"x"))).await.expect(200);
    for (method, path) in [
        ("PUT", "/v2/a/manifests/w".to_owned()),
        ("DELETE", "/v2/a/manifests/v".to_owned()),
        ("DELETE", format!("/v2/a/blobs/{}", image.digest())),
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("PATCH", "/v2/a/blobs/uploads/x".to_owned()),
    ] {
        let answer = served.send(method, &path, &[], image.bytes()).await;
        assert_eq!(answer.expect_error(405, "UNSUPPORTED").header("allow"), "GET, HEAD");
    }
    served.get("/v2/a/manifests/v").await.expect(200);
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let hash = bcrypt::hash("s3cret:x", 4).unwrap();
    let htpasswd = Some(Htpasswd::parse(&format!("ann:{hash}")).unwrap());
    let served = Served::with(Options { htpasswd, ..Options::default() });
    let ask = |authorization: Option<String>| {
        let served = &served;
        async move {
            let headers: Vec<_> =
                authorization.iter().map(|value| ("authorization", value.as_str())).collect();
            served.send("GET", "/v2/", &headers, b"").await
        }
    };
    let basic = |credentials: &str| Some(format!("Basic {}", STANDARD.encode(credentials)));
    ask(basic("ann:s3cret:x")).await.expect(200);
    ask(basic("ann:s3cret:x").map(|value| value.replace("Basic", "basic"))).await.expect(200);
    for wrong in [
        None,
        basic("ann:s3cret"),
        basic("bob:s3cret:x"),
        basic("ann"),
        Some("Basic !".to_owned()),
        Some("Bearer x".to_owned()),
    ] {
        let answer = ask(wrong).await.expect_error(401, "UNAUTHORIZED");
        assert!(answer.header("www-authenticate").starts_with("Basic realm="));
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
    // Nothing is told without it, not even what does not exist.
    served.get("/nowhere").await.expect(401);
    served.send("DELETE", "/v2/a/manifests/v", &[], b"").await.expect(401);
}
