//! Who we are at registries of clouds, by reference and by side. The clouds are the testkit's; the registry
//! behind a cloud's host name is one on this machine (`endpoint`).

use serde_json::json;
use testkit::{
    Auth, Bearer, Fault, KeyService, KeyType, Realm, Registry, TokenField, User, image, path,
};

use crate::program::{Done, Program, add, held};

const REFRESH: &str = "refresh-token-that-must-not-be-shown";

/// A registry that knows one user, with an image.
async fn known(username: &str, password: &str) -> Registry {
    let registry = Registry::builder().auth(Auth::basic(username, password)).start().await;
    add(&registry, "team/app", "1", &image::single(1)).await;
    registry
}

/// Copies `HOST/team/app:1`, where `HOST` is `registry`, into a folder.
async fn copy(program: &Program, host: &str, registry: &Registry, auth: &str) -> Done {
    let auth = if auth.is_empty() { String::new() } else { format!(", auth: {auth}") };
    program.file(
        "images.yaml",
        format!(
            "registries: {{ \"{host}\": {{ endpoint: \"{}\"{auth} }} }}\n\
             images: [{{ source: \"{host}/team/app:1\", destination: \"oci:mirror\" }}]\n",
            registry.url()
        ),
    );
    let done = program.run(&["-i", "images.yaml", "--log-level=trace"]).await;
    for secret in [KeyService::SECRET, KeyService::TOKEN, REFRESH, "hunter2", "PRIVATE KEY"] {
        assert!(!done.to_string().contains(secret), "{secret} is shown: {done}");
    }
    done
}

async fn expect_copy(program: &Program, host: &str, registry: &Registry, auth: &str) {
    let done = copy(program, host, registry, auth).await;
    assert_eq!(done.code, Some(0), "{host}: {done}");
}

#[tokio::test]
async fn google_knows_us_by_every_kind_of_credentials() {
    let mut service = KeyService::default().key("key", KeyType::P256);
    let mut account: serde_json::Value = serde_json::from_str(&service.service_account()).unwrap();
    let google = Registry::builder().serve(service.google()).start().await;
    let url = google.url();
    account["token_uri"] = format!("{url}/token").into();
    let user = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "secret",
        "refresh_token": KeyService::SECRET, "token_uri": format!("{url}/token"),
    });
    let external = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{url}/token"),
        "credential_source": { "file": "[token]" },
    });
    let registry = known("oauth2accesstoken", KeyService::TOKEN).await;
    for file in [&account, &user, &external] {
        let mut program = Program::new();
        program.file("token", KeyService::SECRET);
        let token = program.folder().join("token").display().to_string();
        program.file("google.json", file.to_string().replace("[token]", &token));
        program.variable("GOOGLE_APPLICATION_CREDENTIALS", "google.json");
        expect_copy(&program, "europe-docker.pkg.dev", &registry, "").await;
    }

    // On one of Google's machines, and as somebody else.
    let mut program = Program::new();
    program.variable("GCE_METADATA_HOST", url.trim_start_matches("http://"));
    expect_copy(&program, "gcr.io", &registry, "").await;
    let mut program = Program::new();
    program.file("google.json", user.to_string());
    program.variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", &url);
    let auth = "{ google: { credentialsFile: google.json, \
                impersonate: robot@p.iam.gserviceaccount.com } }";
    expect_copy(&program, "us-docker.pkg.dev", &registry, auth).await;
}

#[tokio::test]
async fn a_file_of_workload_identity_is_taken_where_a_key_is() {
    let google = Registry::builder().serve(KeyService::default().google()).start().await;
    let source = Registry::start().await;
    add(&source, "team/app", "1", &image::single(1)).await;
    let target =
        Registry::builder().auth(Auth::basic("oauth2accesstoken", KeyService::TOKEN)).start().await;
    let program = Program::new();
    program.file("token", KeyService::SECRET);
    let external = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/token", google.url()),
        "credential_source": { "file": program.folder().join("token") },
    });
    program.file("external.json", external.to_string());
    let from = format!("{}/team/app:1", source.host());
    let to = format!("{}/mirror/app:1", target.host());
    let done = program.run(&["copy", &from, &to, "-t", "external.json", "--debug"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!done.to_string().contains(KeyService::TOKEN), "{done}");
    assert!(held(&target, "mirror/app", "1").await.is_some());
}

#[tokio::test]
async fn azure_exchanges_its_token_for_one_of_the_registry() {
    let azure = Registry::builder().serve(KeyService::default().azure()).start().await;
    let url = azure.url();
    let registry = |host: &str| {
        let auth = Bearer {
            users: vec![
                User::new("00000000-0000-0000-0000-000000000000", "none").identity_token(REFRESH),
            ],
            exchanged: Some(KeyService::TOKEN.to_owned()),
            realm: Realm::Exactly(format!("http://{host}/token")),
            ..Bearer::default()
        };
        Registry::builder().auth(Auth::Bearer(auth))
    };
    let client = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "id"),
        ("AZURE_AUTHORITY_HOST", url.as_str()),
    ];
    let identity = format!("{url}/msi/token");
    let secret = [&client[..], &[("AZURE_CLIENT_SECRET", KeyService::SECRET)]].concat();
    let workload = [&client[..], &[("AZURE_FEDERATED_TOKEN_FILE", "token")]].concat();
    let ways = [
        secret,
        workload,
        vec![("IDENTITY_ENDPOINT", identity.as_str()), ("IDENTITY_HEADER", KeyService::SECRET)],
        vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str())],
    ];
    for way in ways {
        let registry = registry("team.azurecr.io").start().await;
        add(&registry, "team/app", "1", &image::single(1)).await;
        let mut program = Program::new();
        program.file("token", KeyService::SECRET);
        for (name, value) in &way {
            program.variable(name, value);
        }
        expect_copy(&program, "team.azurecr.io", &registry, "").await;
    }
}

#[tokio::test]
async fn variables_of_platforms_are_for_their_own_registries() {
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let ways: [(&str, &str, Variables<'_>); 4] = [
        ("ghcr.io", "octocat", &[("GITHUB_TOKEN", "hunter2\n"), ("GITHUB_ACTOR", "octocat")]),
        ("de.icr.io", "iamapikey", &[("IBMCLOUD_API_KEY", "hunter2")]),
        (
            "registry.gitlab.example:5050",
            "gitlab-ci-token",
            &[("CI_REGISTRY", "registry.gitlab.example:5050"), ("CI_JOB_TOKEN", "hunter2")],
        ),
        (
            "registry.gitlab.example",
            "deployer",
            &[
                ("CI_REGISTRY", "registry.gitlab.example:443"),
                ("CI_JOB_TOKEN", "other"),
                ("CI_DEPLOY_USER", "deployer"),
                ("CI_DEPLOY_PASSWORD", "hunter2"),
            ],
        ),
    ];
    for (host, username, variables) in ways {
        let registry = known(username, "hunter2").await;
        let mut program = Program::new();
        for (name, value) in variables {
            program.variable(name, value);
        }
        expect_copy(&program, host, &registry, "").await;
        let elsewhere = copy(&program, "registry.example", &registry, "").await;
        assert_eq!(elsewhere.code, Some(4), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_public_image_needs_no_cloud_and_a_cloud_that_is_meant_must_answer() {
    let auth = Bearer {
        anonymous_pull: vec!["*".into()],
        realm: Realm::Exactly("http://gcr.io/token".to_owned()),
        ..Bearer::default()
    };
    let public = Registry::builder().auth(Auth::Bearer(auth)).start().await;
    add(&public, "team/app", "1", &image::single(1)).await;
    expect_copy(&Program::new(), "gcr.io", &public, "").await;

    let mut program = Program::new();
    program.variable("GOOGLE_APPLICATION_CREDENTIALS", "nowhere.json");
    let done = copy(&program, "gcr.io", &public, "").await;
    assert_eq!(done.code, Some(4), "{done}");
    assert!(done.stdout.contains("nowhere.json"), "{done}");
    assert!(done.stdout.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{done}");
    expect_copy(&program, "gcr.io", &public, "anonymous").await;
}

#[tokio::test]
async fn a_login_is_read_from_files_that_kubernetes_mounts() {
    let registry = known("robot", "hunter2").await;
    let program = Program::new();
    program.file("plain/username", "robot\n").file("plain/password", "hunter2\n");
    program.file("keys/access_key", "robot").file("keys/access_secret", "hunter2\r\n");
    let docker = r#"{"auths": {"r.example": {"username": "robot", "password": "hunter2"}}}"#;
    program.file("docker/.dockerconfigjson", docker);
    let ways = [
        "{ kubernetes: plain }",
        "{ kubernetes: keys }",
        "{ kubernetes: docker }",
        "{ dockerConfig: docker/.dockerconfigjson }",
        "{ username: { file: plain/username }, password: { file: keys/access_secret } }",
    ];
    for auth in ways {
        expect_copy(&program, "r.example", &registry, auth).await;
    }
    let done = copy(&program, "other.example", &registry, "{ kubernetes: docker }").await;
    assert_eq!(done.code, Some(4), "{done}");
    assert!(done.stdout.contains("has no login for `other.example`"), "{done}");
}

#[tokio::test]
async fn a_pair_is_for_all_registries_of_its_side() {
    let (source, other) = (known("reader", "hunter2").await, known("robot", "hunter2").await);
    let second = known("reader", "hunter2").await;
    let target = Registry::builder().auth(Auth::basic("writer", "hunter2")).start().await;
    let mut program = Program::new();
    program
        .variable("SYNCER_SOURCE_USERNAME", "reader")
        .variable("SYNCER_SOURCE_PASSWORD", "hunter2")
        .variable("SYNCER_TARGET_USERNAME", "writer")
        .variable("SYNCER_TARGET_PASSWORD_FILE", "password");
    program.file("password", "hunter2\n").file("robot", "hunter2");
    program.file(
        "images.yaml",
        format!(
            "registries: {{ \"{other}\": {{ auth: {{ username: robot, password: {{ file: robot }} }} }} }}\n\
             images: [{{ source: \"{source}/team/app:1\" }}, {{ source: \"{other}/team/app:1\" }},\n\
             {{ source: \"{second}/team/app:1\" }}]\n",
            source = source.host(),
            other = other.host(),
            second = second.host(),
        ),
    );
    let prefix = format!("{}/mirror/", target.host());
    let done = program.run(&["-i", "images.yaml", "-r", &prefix, "--debug"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!done.to_string().contains("hunter2"), "{done}");

    let several = "the user and password of the sources are shown to each of";
    assert!(done.stderr.contains(several), "{done}");
    assert!(!done.stderr.contains(&format!("{}, ", other.host())), "it has its own: {done}");

    // A list that others may edit cannot have the pair sent anywhere.
    let catcher = known("writer", "hunter2").await;
    let elsewhere = format!("{}/elsewhere", catcher.host());
    program.file(
        "images.yaml",
        format!(
            "images: [{{ source: \"{}/team/app:1\", destination: \"{elsewhere}\" }}]\n",
            source.host()
        ),
    );
    let done = program.run(&["-i", "images.yaml", "-r", &prefix]).await;
    assert_eq!(done.code, Some(4), "{done}");
}

#[tokio::test]
async fn docker_hub_is_read_through_the_proxy_of_a_group_of_gitlab() {
    let hub = Registry::start().await;
    let proxy = Registry::builder().auth(Auth::bearer("gitlab-ci-token", "hunter2")).start().await;
    let below = "group/dependency_proxy/containers/library/nginx";
    for (registry, repository) in [(&hub, "library/nginx"), (&proxy, below)] {
        add(registry, repository, "1", &image::single(1)).await;
    }
    let other = Registry::start().await;
    add(&other, "team/app", "1", &image::single(1)).await;
    let job = [
        ("CI_DEPENDENCY_PROXY_USER", "gitlab-ci-token".to_owned()),
        ("CI_DEPENDENCY_PROXY_PASSWORD", "hunter2".to_owned()),
        ("CI_DEPENDENCY_PROXY_SERVER", proxy.host().to_string()),
        (
            "CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX",
            format!("{}/group/dependency_proxy/containers", proxy.host()),
        ),
    ];
    let run = async |image: &str, switch: &str, code: i32| {
        hub.log().clear();
        let mut program = Program::new();
        for (name, value) in &job {
            program.variable(name, value);
        }
        program.variable("SYNCER_GITLAB_DEPENDENCY_PROXY", switch);
        program.file(
            "images.yaml",
            format!(
                "registries: {{ docker.io: {{ endpoint: \"{}\" }} }}\n\
                 images: [{{ source: \"{image}\", destination: \"oci:mirror\" }}]\n",
                hub.url()
            ),
        );
        let done = program.run(&["-i", "images.yaml", "--debug"]).await;
        assert_eq!(done.code, Some(code), "{done}");
        assert!(!done.to_string().contains("hunter2"), "{done}");
        hub.log().count("*", path::MANIFESTS) + hub.log().count("*", path::BLOBS)
    };
    assert_eq!(run("nginx:1", "", 0).await, 0, "the proxy has it: {}", proxy.log());
    assert!(run("docker.io/library/nginx:1", "false", 0).await > 0);
    proxy.log().clear();
    run(&format!("{}/team/app:1", other.host()), "", 0).await;
    assert!(proxy.log().requests().is_empty(), "only Docker Hub's: {}", proxy.log());
    // A manifest, a blob after a good manifest, and a token: none of them has to be had there.
    for path in [path::MANIFESTS, path::BLOBS, "/token"] {
        for status in [401, 404, 503] {
            proxy.clear_faults();
            let fault = proxy.inject(Fault::status(status).on("*", path));
            assert!(run("nginx:1", "true", 0).await > 0, "{path}: {status}");
            assert!(fault.hits() > 0, "{path}: {status}: {}", proxy.log());
        }
    }
    // What a proxy gives is checked against its digest.
    proxy.clear_faults();
    let wrong = proxy.inject(Fault::flip_byte(0).on("GET", path::BLOBS));
    run("nginx:1", "", 1).await;
    assert!(wrong.hits() > 0);
}

/// ECR Public's challenge is `Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"`,
/// whose scope is no resource. Everybody gets a token for the repository all the same, as `{"token": …}`
/// (<https://github.com/distribution/distribution/issues/3842>, <https://github.com/appgate/sdpctl/pull/404>).
#[tokio::test]
async fn ecr_public_is_read_by_a_token_for_everybody() {
    let bearer = Bearer {
        anonymous_pull: vec!["*".to_owned()],
        path: "/token/".to_owned(),
        realm: Realm::Exactly("http://public.ecr.aws/token/".to_owned()),
        service: "public.ecr.aws".to_owned(),
        scope: Some("aws".to_owned()),
        field: TokenField::Token,
        tells_lifetime: false,
        post: false,
        ..Bearer::default()
    };
    let public = Registry::builder().auth(Auth::Bearer(bearer)).start().await;
    let image = image::index(1);
    add(&public, "team/app", "1", &image).await;
    let program = Program::new();
    expect_copy(&program, "public.ecr.aws", &public, "").await;
    let asked = public.log().matching("GET", "/token/");
    assert_eq!(asked.len(), 1, "{}", public.log());
    let query = asked[0].query.as_deref();
    assert_eq!(query, Some("service=public.ecr.aws&scope=repository%3Ateam%2Fapp%3Apull"));
    assert_eq!(asked[0].authorization, None);
    assert_eq!(public.log().count("GET", path::BLOBS), image.blobs.len(), "{}", public.log());
}
