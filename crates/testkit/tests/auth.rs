//! Auth is as real registries do it, seen by a plain HTTP client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use reqwest::{Client, Response};
use serde_json::Value;
use support::{client, header, repository, tag};
use testkit::{Auth, Bearer, Expired, Fault, Realm, Registry, TokenField, User, image, path};

async fn registry(auth: Auth) -> (Registry, Client) {
    let registry = Registry::builder().auth(auth).start().await;
    registry.add(&repository("team/app"), &tag("1"), &image::single(1)).await;
    let client = client(&registry);
    (registry, client)
}

fn bearer() -> Bearer {
    Bearer { users: vec![User::new("robot", "secret")], ..Bearer::default() }
}

fn manifest(registry: &Registry) -> String {
    format!("{}/v2/team/app/manifests/1", registry.url())
}

async fn get(client: &Client, url: &str, token: &str) -> Response {
    client.get(url).bearer_auth(token).send().await.unwrap()
}

/// Asks for a token with name and password.
async fn token_answer(client: &Client, registry: &Registry, scopes: &[&str]) -> Response {
    let query: String = scopes.iter().map(|scope| format!("&scope={scope}")).collect();
    let url = format!("{}/token?service=testkit{query}", registry.url());
    client.get(url).basic_auth("robot", Some("secret")).send().await.unwrap()
}

async fn token(client: &Client, registry: &Registry, scopes: &[&str]) -> String {
    let answer = token_answer(client, registry, scopes).await;
    assert_eq!(answer.status(), 200);
    let document: Value = answer.json().await.unwrap();
    document["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn basic_lets_in_only_with_the_password() {
    let (registry, client) = registry(Auth::basic("robot", "secret")).await;
    let refused = client.get(manifest(&registry)).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(header(&refused, "www-authenticate").unwrap().starts_with("Basic realm="));
    let with = |password: &str| {
        client.get(manifest(&registry)).basic_auth("robot", Some(password.to_owned())).send()
    };
    assert_eq!(with("wrong").await.unwrap().status(), 401);
    assert_eq!(with("secret").await.unwrap().status(), 200);

    registry.revoke_tokens();
    let expired = with("secret").await.unwrap();
    assert_eq!(expired.status(), 403);
    assert!(expired.text().await.unwrap().contains("authorization token has expired"));
    registry.set_password("robot", "new");
    assert_eq!(with("secret").await.unwrap().status(), 403);
    assert_eq!(with("new").await.unwrap().status(), 200);

    let log = registry.log();
    assert_eq!(log.requests()[1].authorization.as_deref(), Some("Basic"));
    let everything = format!("{log} {:?}", log.requests());
    assert!(!everything.contains("c2VjcmV0") && !everything.contains("secret"), "{everything}");
}

#[tokio::test]
async fn a_challenge_names_what_is_needed() {
    let (registry, client) = registry(Auth::Bearer(bearer())).await;
    let realm = format!("Bearer realm=\"{}/token\",service=\"testkit\"", registry.url());
    let pull = ",scope=\"repository:team/app:pull\"";
    let challenge = |answer: &Response| header(answer, "www-authenticate").unwrap().to_owned();

    let ping = client.get(format!("{}/v2/", registry.url())).send().await.unwrap();
    assert_eq!((ping.status().as_u16(), challenge(&ping)), (401, realm.clone()));
    let refused = client.get(manifest(&registry)).send().await.unwrap();
    assert_eq!(challenge(&refused), format!("{realm}{pull}"));
    let bad = get(&client, &manifest(&registry), "made-up").await;
    assert_eq!(challenge(&bad), format!("{realm}{pull},error=\"invalid_token\""));

    let narrow = token(&client, &registry, &["repository:other:pull"]).await;
    let insufficient = get(&client, &manifest(&registry), &narrow).await;
    assert_eq!(insufficient.status(), 401);
    assert_eq!(challenge(&insufficient), format!("{realm}{pull},error=\"insufficient_scope\""));
    assert_eq!(registry.token_requests(), 1);
}

#[tokio::test]
async fn a_token_is_good_for_what_it_was_asked_for() {
    let (registry, client) = registry(Auth::Bearer(bearer())).await;
    let pull = token(&client, &registry, &["repository:team/app:pull"]).await;
    assert_eq!(get(&client, &manifest(&registry), &pull).await.status(), 200);
    let ping = get(&client, &format!("{}/v2/", registry.url()), &pull).await;
    assert_eq!(ping.status(), 200);

    let uploads = format!("{}/v2/team/copy/blobs/uploads/", registry.url());
    let digest = image::single(1).blobs[0].0.digest;
    let mount = format!("{uploads}?mount={digest}&from=team/app");
    let post = |url: &str, token: &str| client.post(url).bearer_auth(token).send();
    assert_eq!(post(&uploads, &pull).await.unwrap().status(), 401);
    let push = token(&client, &registry, &["repository:team/copy:pull,push"]).await;
    assert_eq!(post(&uploads, &push).await.unwrap().status(), 202);
    assert_eq!(post(&mount, &push).await.unwrap().status(), 401, "pull on `from` is missing");
    let scopes = ["repository:team/copy:pull,push", "repository:team/app:pull"];
    let both = token(&client, &registry, &scopes).await;
    assert_eq!(post(&mount, &both).await.unwrap().status(), 201);
    let joined = token(&client, &registry, &[&scopes.join("%20")]).await;
    assert_eq!(post(&mount, &joined).await.unwrap().status(), 201);
}

#[tokio::test]
async fn users_get_only_what_they_may() {
    let users = vec![User::new("robot", "secret").may(&["pull"], "team/*")];
    let (registry, client) = registry(Auth::Bearer(Bearer { users, ..bearer() })).await;
    let token = token(&client, &registry, &["repository:team/app:pull,push"]).await;
    assert_eq!(get(&client, &manifest(&registry), &token).await.status(), 200);
    let uploads = format!("{}/v2/team/app/blobs/uploads/", registry.url());
    assert_eq!(client.post(uploads).bearer_auth(token).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn anonymous_pulls_need_permission() {
    let (closed, client) = registry(Auth::Bearer(bearer())).await;
    let anonymous = |registry: &Registry| {
        client.get(format!("{}/token?scope=repository:team/app:pull,push", registry.url())).send()
    };
    assert_eq!(anonymous(&closed).await.unwrap().status(), 401);

    let open = Bearer { anonymous_pull: vec!["team/*".into()], ..bearer() };
    let (open, client) = registry(Auth::Bearer(open)).await;
    let answer: Value = anonymous(&open).await.unwrap().json().await.unwrap();
    let token = answer["token"].as_str().unwrap();
    assert_eq!(get(&client, &manifest(&open), token).await.status(), 200);
    let uploads = format!("{}/v2/team/app/blobs/uploads/", open.url());
    assert_eq!(client.post(uploads).bearer_auth(token).send().await.unwrap().status(), 401);
    let wrong = client.get(format!("{}/token", open.url())).basic_auth("robot", Some("x"));
    assert_eq!(wrong.send().await.unwrap().status(), 401, "a wrong password is not anonymous");
}

#[tokio::test]
async fn tokens_end() {
    for (expired, status) in [(Expired::Unauthorized, 401), (Expired::Forbidden, 403)] {
        let auth = Bearer { expired, uses: Some(2), ..bearer() };
        let (registry, client) = registry(Auth::Bearer(auth)).await;
        let scope = ["repository:team/app:pull"];
        let first = token(&client, &registry, &scope).await;
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(get(&client, &manifest(&registry), &first).await.status().as_u16());
        }
        assert_eq!(statuses, [200, 200, status]);
        let second = token(&client, &registry, &scope).await;
        registry.revoke_tokens();
        assert_eq!(get(&client, &manifest(&registry), &second).await.status(), status);
        let third = token(&client, &registry, &scope).await;
        assert_eq!(get(&client, &manifest(&registry), &third).await.status(), 200);
    }
    let auth = Bearer { lifetime: std::time::Duration::ZERO, ..bearer() };
    let (registry, client) = registry(Auth::Bearer(auth)).await;
    let token = token(&client, &registry, &["repository:team/app:pull"]).await;
    assert_eq!(get(&client, &manifest(&registry), &token).await.status(), 401);
}

#[tokio::test]
async fn the_oauth2_flow_takes_identity_tokens_and_passwords() {
    let users = vec![User::new("robot", "secret").identity_token("identity")];
    let (registry, client) = registry(Auth::Bearer(Bearer { users, ..bearer() })).await;
    let post = |fields: &'static [(&'static str, &'static str)]| {
        client.post(format!("{}/token", registry.url())).form(fields).send()
    };
    let answer = post(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", "identity"),
        ("scope", "repository:team/app:pull"),
    ]);
    let answer: Value = answer.await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(get(&client, &manifest(&registry), token).await.status(), 200);
    assert_eq!(answer["refresh_token"], "identity");

    let answer = post(&[
        ("grant_type", "password"),
        ("username", "robot"),
        ("password", "secret"),
        ("scope", "repository:team/app:pull"),
    ]);
    assert_eq!(answer.await.unwrap().status(), 200);
    let wrong = post(&[("grant_type", "refresh_token"), ("refresh_token", "other")]);
    assert_eq!(wrong.await.unwrap().status(), 401);
    assert_eq!(registry.token_requests(), 3);
}

#[tokio::test]
async fn token_endpoints_differ() {
    let auth = Bearer {
        field: TokenField::AccessToken,
        tells_lifetime: false,
        post: false,
        first_scope_only: true,
        preissued: vec!["given".into()],
        ..bearer()
    };
    let (registry, client) = registry(Auth::Bearer(auth)).await;
    let scopes = ["repository:other:pull", "repository:team/app:pull"];
    let answer: Value = token_answer(&client, &registry, &scopes).await.json().await.unwrap();
    assert!(answer["token"].is_null() && answer["expires_in"].is_null(), "{answer}");
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(get(&client, &manifest(&registry), token).await.status(), 401);
    let post = client.post(format!("{}/token", registry.url())).send().await.unwrap();
    assert_eq!(post.status(), 405);
    assert_eq!(get(&client, &manifest(&registry), "given").await.status(), 200);
}

#[tokio::test]
async fn a_realm_can_be_another_server() {
    let auth = Bearer { realm: Realm::OtherPort, ..bearer() };
    let (registry, client) = registry(Auth::Bearer(auth)).await;
    let refused = client.get(manifest(&registry)).send().await.unwrap();
    let challenge = header(&refused, "www-authenticate").unwrap();
    let realm = challenge.split('"').nth(1).unwrap();
    assert!(!realm.starts_with(&registry.url()), "{realm}");
    let url = format!("{realm}?scope=repository:team/app:pull");
    let answer = client.get(url).basic_auth("robot", Some("secret")).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let token = answer["token"].as_str().unwrap();
    assert_eq!(get(&client, &manifest(&registry), token).await.status(), 200);
    assert_eq!((registry.token_requests(), registry.log().count("*", "/token")), (1, 0));

    let exactly = Realm::Exactly("https://169.254.169.254/token".into());
    let (registry, client) =
        self::registry(Auth::Bearer(Bearer { realm: exactly, ..bearer() })).await;
    let refused = client.get(manifest(&registry)).send().await.unwrap();
    assert!(header(&refused, "www-authenticate").unwrap().contains("https://169.254.169.254/"));
}

#[tokio::test]
async fn a_challenge_does_not_use_up_a_fault() {
    let (registry, client) = registry(Auth::basic("robot", "secret")).await;
    let inner = registry.inject(Fault::status(500).on("GET", path::MANIFESTS).once());
    let outer = Fault::status(502).on("GET", path::MANIFESTS).before_auth().nth(3);
    registry.inject(outer);
    let mut statuses = Vec::new();
    for password in [None, Some("secret"), Some("secret"), Some("secret")] {
        let mut request = client.get(manifest(&registry));
        if let Some(password) = password {
            request = request.basic_auth("robot", Some(password));
        }
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [401, 500, 502, 200]);
    assert_eq!(inner.hits(), 1);
}
