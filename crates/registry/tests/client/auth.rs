//! Who we are: how often it is asked, how it is renewed, and what a refusal says.

use std::time::Duration;

use futures::future::join_all;
use registry::{Credential, ErrorKind, Settings, Upload};
use testkit::{Auth, Bearer, Expired, Fault, Realm, Registry, TokenField, User, image, path};

use crate::{Known, basic, by_tag, client, open, repository, settings, tag};

fn robot() -> Bearer {
    Bearer { users: vec![User::new("robot", "secret")], ..Bearer::default() }
}

async fn with_image(auth: Bearer) -> Registry {
    let registry = Registry::builder().auth(Auth::Bearer(auth)).start().await;
    registry.add(&repository("team/app"), &tag("1"), &image::single(1)).await;
    registry
}

#[tokio::test]
async fn a_cold_client_asks_once_for_the_challenge_and_once_for_the_token() {
    let registry = with_image(robot()).await;
    let known = Known::user("secret");
    let app =
        client(settings(), known.clone()).repository(&registry.host(), &repository("team/app"));
    let selector = by_tag("1");
    let found = join_all((0..32).map(|_| app.resolve(&selector))).await;
    assert!(found.iter().all(|result| result.as_ref().unwrap().is_some()));
    assert_eq!(registry.log().count("GET", "/v2/"), 1, "{}", registry.log());
    assert_eq!(registry.token_requests(), 1);
    assert_eq!(registry.log().count("HEAD", path::MANIFESTS), 32);
    assert_eq!(known.asked(), 1);
}

#[tokio::test]
async fn nobody_is_asked_who_we_are_where_nobody_needs_to_know() {
    let registry = Registry::start().await;
    registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
    let known = Known::user("secret");
    let a = client(settings(), known.clone()).repository(&registry.host(), &repository("a"));
    assert!(a.resolve(&by_tag("1")).await.unwrap().is_some());
    assert_eq!(known.asked(), 0);
}

#[tokio::test]
async fn anonymous_tokens_for_what_is_public() {
    let registry = with_image(Bearer { anonymous_pull: vec!["team/*".into()], ..robot() }).await;
    assert!(open(&registry, "team/app").resolve(&by_tag("1")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_wide_token_serves_narrow_requests() {
    let registry = with_image(robot()).await;
    let client = client(settings(), Known::user("secret"));
    let app = client.repository(&registry.host(), &repository("team/app"));
    let other = client.repository(&registry.host(), &repository("other"));
    let layer = image::single(1).layers()[0].clone();
    let upload = other.start_upload(&layer.digest, Some(&repository("team/app"))).await.unwrap();
    assert!(matches!(upload, Upload::Mounted));
    assert_eq!(registry.token_requests(), 1);
    assert!(other.blob_size(&layer.digest).await.unwrap().is_some());
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some());
    assert_eq!(registry.token_requests(), 1, "one for push and mount, and none for pull");
    let scopes = registry.token_log().matching("GET", "/token")[0].query.clone().unwrap();
    let push = scopes.find("repository%3Aother%3Apull%2Cpush").unwrap();
    assert!(push < scopes.find("repository%3Ateam%2Fapp%3Apull").unwrap(), "{scopes}");
}

#[tokio::test]
async fn a_client_that_pushes_asks_once_for_looking_and_pushing() {
    let registry = with_image(robot()).await;
    for (pushes, tokens) in [(false, 2), (true, 1)] {
        let before = registry.token_requests();
        let client = client(Settings { pushes, ..settings() }, Known::user("secret"));
        let fresh = client.repository(&registry.host(), &repository("fresh"));
        assert!(fresh.resolve(&by_tag("1")).await.unwrap().is_none());
        let layer = image::single(1).layers()[0].digest;
        assert!(fresh.blob_size(&layer).await.unwrap().is_none());
        let upload = fresh.start_upload(&layer, None).await.unwrap();
        let Upload::Session(session) = upload else { panic!("nothing was to be mounted") };
        session.cancel().await;
        assert_eq!(registry.token_requests() - before, tokens, "pushes: {pushes}");
    }
}

#[tokio::test]
async fn a_registry_that_looks_at_the_first_scope_only_gets_another_token() {
    let registry = with_image(Bearer { first_scope_only: true, ..robot() }).await;
    let client = client(settings(), Known::user("secret"));
    let other = client.repository(&registry.host(), &repository("other"));
    let app = client.repository(&registry.host(), &repository("team/app"));
    let layer = image::single(1).layers()[0].clone();
    let upload = other.start_upload(&layer.digest, Some(&repository("team/app"))).await.unwrap();
    drop(upload);
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some(), "{}", registry.log());
}

#[tokio::test]
async fn an_expired_token_is_renewed_in_the_middle_of_a_run() {
    for expired in [Expired::Unauthorized, Expired::Forbidden] {
        let registry = with_image(Bearer { expired, ..robot() }).await;
        let app = client(settings(), Known::user("secret"))
            .repository(&registry.host(), &repository("team/app"));
        assert!(app.manifest(&by_tag("1")).await.unwrap().is_some());
        registry.revoke_tokens();
        assert!(app.manifest(&by_tag("1")).await.unwrap().is_some(), "{expired:?}");
        assert!(app.resolve(&by_tag("1")).await.unwrap().is_some(), "{expired:?}");
        assert_eq!(registry.token_requests(), 2, "{expired:?}");
    }
}

#[tokio::test]
async fn a_short_lived_token_is_renewed_before_it_is_refused() {
    let registry = with_image(Bearer { lifetime: Duration::from_secs(2), ..robot() }).await;
    let app = client(settings(), Known::user("secret"))
        .repository(&registry.host(), &repository("team/app"));
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some());
    // It is good for another tenth of its time.
    tokio::time::sleep(Duration::from_millis(1850)).await;
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some());
    assert_eq!(registry.token_requests(), 2);
    // The ping's, and no other.
    let refused = registry
        .log()
        .requests()
        .iter()
        .filter(|r| r.status == Some(http::StatusCode::UNAUTHORIZED))
        .count();
    assert_eq!(refused, 1, "{}", registry.log());
}

#[tokio::test]
async fn each_kind_of_token_answer_is_understood() {
    for field in [TokenField::Token, TokenField::AccessToken] {
        let registry = with_image(Bearer { field, tells_lifetime: false, ..robot() }).await;
        let app = client(settings(), Known::user("secret"))
            .repository(&registry.host(), &repository("team/app"));
        assert!(app.resolve(&by_tag("1")).await.unwrap().is_some(), "{field:?}");
    }
}

#[tokio::test]
async fn identity_tokens_go_by_post() {
    let user = User::new("robot", "secret").identity_token("refresh");
    let registry = with_image(Bearer { users: vec![user], ..robot() }).await;
    let known = Known::new([Credential::IdentityToken("refresh".into())]);
    let app = client(settings(), known).repository(&registry.host(), &repository("team/app"));
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some());
    assert_eq!(registry.token_log().count("POST", "/token"), 1);
    assert_eq!(registry.token_log().count("GET", "/token"), 0);
}

#[tokio::test]
async fn where_post_is_unknown_the_identity_token_is_a_password() {
    let user = User::new("<token>", "refresh");
    let registry = with_image(Bearer { users: vec![user], post: false, ..robot() }).await;
    let known = Known::new([Credential::IdentityToken("refresh".into())]);
    let app = client(settings(), known).repository(&registry.host(), &repository("team/app"));
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some(), "{}", registry.token_log());
}

#[tokio::test]
async fn a_token_of_ones_own_is_sent_as_it_is() {
    let registry = with_image(Bearer { preissued: vec!["given".into()], ..robot() }).await;
    let known = Known::new([Credential::Bearer("given".into())]);
    let app = client(settings(), known).repository(&registry.host(), &repository("team/app"));
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some());
    assert_eq!(registry.token_requests(), 0);
}

#[tokio::test]
async fn basic_is_remembered() {
    let registry = Registry::builder().auth(Auth::basic("robot", "secret")).start().await;
    registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
    let a =
        client(settings(), Known::user("secret")).repository(&registry.host(), &repository("a"));
    for _ in 0..3 {
        assert!(a.resolve(&by_tag("1")).await.unwrap().is_some());
    }
    assert_eq!(registry.log().requests().len(), 4, "{}", registry.log());
}

#[tokio::test]
async fn a_changed_password_is_asked_for_again() {
    for auth in [Auth::basic("robot", "secret"), Auth::Bearer(robot())] {
        let registry = Registry::builder().auth(auth).start().await;
        registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
        let known = Known::new([basic("robot", "secret"), basic("robot", "new")]);
        let a = client(settings(), known.clone()).repository(&registry.host(), &repository("a"));
        assert!(a.manifest(&by_tag("1")).await.unwrap().is_some());
        registry.set_password("robot", "new");
        registry.revoke_tokens();
        registry.set_password("robot", "new");
        assert!(a.manifest(&by_tag("1")).await.unwrap().is_some(), "{}", registry.log());
        assert!(a.resolve(&by_tag("1")).await.unwrap().is_some());
        assert_eq!(known.asked(), 2);
    }
}

#[tokio::test]
async fn a_wrong_password_says_so_and_shows_no_secret() {
    let cases = [
        (Auth::basic("robot", "secret"), ErrorKind::Unauthorized),
        (Auth::Bearer(robot()), ErrorKind::Unauthorized),
    ];
    for (auth, kind) in cases {
        let registry = Registry::builder().auth(auth).start().await;
        let known = Known::user("hunter2");
        let a = client(settings(), known.clone()).repository(&registry.host(), &repository("a"));
        let error = a.manifest(&by_tag("1")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.is_temporary());
        assert!(error.hint().unwrap().contains("robot"), "{:?}", error.hint());
        assert!(error.to_string().contains(&registry.host().to_string()), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert_eq!(known.asked(), 2, "asked again once");
        assert!(registry.log().requests().len() <= 4, "{}", registry.log());
    }
}

#[tokio::test]
async fn a_token_servers_words_are_passed_on() {
    let fault = Fault::status(403)
        .header("content-type", "application/json")
        .body(r#"{"details":"account suspended"}"#)
        .on("GET", "/token");
    let registry = Registry::builder().auth(Auth::Bearer(robot())).fault(fault).start().await;
    let a =
        client(settings(), Known::user("secret")).repository(&registry.host(), &repository("a"));
    let error = a.resolve(&by_tag("1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("account suspended"), "{error}");
}

#[tokio::test]
async fn without_a_credential_the_hint_is_to_log_in() {
    for auth in [Auth::basic("robot", "secret"), Auth::Bearer(robot())] {
        let registry = Registry::builder().auth(auth).start().await;
        let error = open(&registry, "a").manifest(&by_tag("1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert!(error.hint().unwrap().contains("log in"), "{:?}", error.hint());
    }
}

#[tokio::test]
async fn too_few_rights_are_a_refusal_and_not_an_endless_round() {
    let reader = User::new("robot", "secret").may(&["pull"], "*");
    let registry = with_image(Bearer { users: vec![reader], ..robot() }).await;
    let app = client(settings(), Known::user("secret"))
        .repository(&registry.host(), &repository("team/app"));
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some());
    let error = app.start_upload(&oci::Digest::sha256(b"x"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.hint().unwrap().contains("robot"), "{:?}", error.hint());
    assert!(registry.token_requests() <= 3, "{}", registry.log());
}

#[tokio::test]
async fn a_credential_source_that_fails_is_told_as_such() {
    let registry = with_image(robot()).await;
    let app =
        client(settings(), Known::new([])).repository(&registry.host(), &repository("team/app"));
    let error = app.resolve(&by_tag("1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.to_string().contains("no helper"), "{error}");
}

#[tokio::test]
async fn a_token_server_elsewhere() {
    let registry = with_image(Bearer { realm: Realm::OtherPort, ..robot() }).await;
    let app = client(settings(), Known::user("secret"))
        .repository(&registry.host(), &repository("team/app"));
    assert!(app.resolve(&by_tag("1")).await.unwrap().is_some());
    assert_eq!(registry.token_requests(), 1);
}

#[tokio::test]
async fn no_password_goes_to_a_forbidden_realm() {
    for realm in ["http://169.254.169.254/token", "ftp://127.0.0.1/token", "nonsense"] {
        let registry = with_image(Bearer { realm: Realm::Exactly(realm.into()), ..robot() }).await;
        let known = Known::user("secret");
        let app =
            client(settings(), known.clone()).repository(&registry.host(), &repository("team/app"));
        let error = app.resolve(&by_tag("1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert_eq!(known.asked(), 0);
    }
}

#[tokio::test]
async fn a_token_server_in_trouble_is_asked_again() {
    let fault = Fault::status(503).on("GET", "/token").times(2);
    let registry = Registry::builder().auth(Auth::Bearer(robot())).fault(fault).start().await;
    registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
    let a =
        client(settings(), Known::user("secret")).repository(&registry.host(), &repository("a"));
    assert!(a.resolve(&by_tag("1")).await.unwrap().is_some());
    assert_eq!(registry.token_requests(), 3);
}
