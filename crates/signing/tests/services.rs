//! Keys of Google Cloud KMS and Azure Key Vault: what is asked, with which credentials, and what is
//! said when it goes wrong. The servers are the testkit's; `tests/interop/tests/kms.rs` has their proof.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};
use signing::{Algorithm, PublicKey, Signer, SignerSettings, SigningError, SigningErrorKind};
use testkit::{Fault, KeyService, KeyType, Registry, RetryAfter};

const GOOGLE_SERVER: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS";

fn signer(reference: &str, variables: &[(&str, &str)]) -> Signer {
    let variables: HashMap<String, OsString> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    let settings = SignerSettings::from_lookup(move |name| variables.get(name).cloned());
    Signer::new(reference.parse().unwrap(), settings)
}

/// Signs, and returns what with; the signature must be by this key.
async fn sign(signer: &Signer, public: &str) -> Algorithm {
    let signature = signer.sign(b"message").await.unwrap_or_else(|error| {
        panic!("{}: {error} ({:?})", signer.reference(), error.hint());
    });
    let algorithm = signer.algorithm().await.unwrap();
    let public = PublicKey::from_pem(public).unwrap();
    public.verify(algorithm, b"message", &signature).unwrap();
    assert_eq!(*signer.public_key().await.unwrap(), public);
    algorithm
}

async fn failure(signer: &Signer) -> SigningError {
    let error = signer.sign(b"message").await.unwrap_err();
    let shown = format!("{error} {error:?} {:?} {signer:?}", error.hint());
    for secret in [KeyService::SECRET, KeyService::TOKEN, KeyService::OTHER_TOKEN] {
        assert!(!shown.contains(secret), "{shown}");
    }
    error
}

fn google_key(name: &str) -> String {
    format!("gcpkms://{}/cryptoKeys/{name}", KeyService::KEY_RING)
}

/// A user's credentials that the server's token service takes.
fn google_user(folder: &Path, server: &Registry) -> String {
    let file = json!({
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "secret",
        "refresh_token": KeyService::SECRET,
        "token_uri": format!("{}/token", server.url()),
    });
    write(folder, "user.json", &file)
}

fn write(folder: &Path, name: &str, content: &Value) -> String {
    let file = folder.join(name);
    std::fs::write(&file, content.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn google_signs_with_the_algorithm_of_the_key() {
    let keys = [
        ("p256", KeyType::P256, Algorithm::EcdsaSha256),
        ("p384", KeyType::P384, Algorithm::EcdsaSha384),
        ("pkcs1", KeyType::RsaPkcs1, Algorithm::RsaPkcs1Sha256),
        ("pss", KeyType::RsaPss, Algorithm::RsaPssSha256),
        ("ed25519", KeyType::Ed25519, Algorithm::Ed25519),
    ];
    let service =
        keys.iter().fold(KeyService::default(), |service, (name, key, _)| service.key(name, *key));
    let server = Registry::builder().serve(service.google()).start().await;
    let folder = tempfile::tempdir().unwrap();
    let user = google_user(folder.path(), &server);
    let variables = [(GOOGLE_SERVER, server.url()), ("GOOGLE_APPLICATION_CREDENTIALS", user)];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    for (name, _, algorithm) in keys {
        for reference in [google_key(name), format!("{}/versions/1", google_key(name))] {
            let signer = signer(&reference, &variables);
            assert_eq!(sign(&signer, &service.public_pem(name, 1)).await, algorithm);
        }
    }
}

#[tokio::test]
async fn google_signs_with_the_newest_version_that_is_enabled() {
    let mut service = KeyService::default();
    for _ in 0..10 {
        service = service.key("key", KeyType::P256);
    }
    service = service.disabled("key", KeyType::P256);
    let server = Registry::builder().serve(service.google()).start().await;
    let folder = tempfile::tempdir().unwrap();
    let user = google_user(folder.path(), &server);
    let url = server.url();
    let variables =
        [(GOOGLE_SERVER, url.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", user.as_str())];
    // By number: as text, 9 would be after 10.
    let newest = signer(&google_key("key"), &variables);
    sign(&newest, &service.public_pem("key", 10)).await;
    let second = signer(&format!("{}/cryptoKeyVersions/2", google_key("key")), &variables);
    sign(&second, &service.public_pem("key", 2)).await;
    let disabled = signer(&format!("{}/cryptoKeyVersions/11", google_key("key")), &variables);
    let error = failure(&disabled).await;
    assert!(error.to_string().contains("is not enabled"), "{error}");
}

/// They are asked for only where somebody wants them, and that they may not be had is no failure.
#[tokio::test]
async fn google_tells_the_enabled_versions_before_the_one_that_signs() {
    let service = KeyService::default()
        .key("key", KeyType::P256)
        .disabled("key", KeyType::P256)
        .key("key", KeyType::P384)
        .key("key", KeyType::P256);
    let server = Registry::builder().serve(service.google()).start().await;
    let folder = tempfile::tempdir().unwrap();
    let user = google_user(folder.path(), &server);
    let url = server.url();
    let variables =
        [(GOOGLE_SERVER, url.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", user.as_str())];
    let public = |version| PublicKey::from_pem(&service.public_pem("key", version)).unwrap();
    let newest = signer(&google_key("key"), &variables);
    newest.public_key().await.unwrap();
    server.log().clear();
    for _ in 0..2 {
        assert_eq!(newest.earlier_public_keys().await.unwrap()[..], [public(1), public(3)]);
    }
    // Three enabled versions, a page each, and two keys.
    assert_eq!(server.log().count("GET", "/v1/**"), 3 + 2, "{}", server.log());

    let third = signer(&format!("{}/versions/3", google_key("key")), &variables);
    assert_eq!(third.earlier_public_keys().await.unwrap()[..], [public(1)]);
    let unlisted = server.inject(Fault::status(403).on("GET", "/v1/**/cryptoKeyVersions"));
    let third = signer(&format!("{}/versions/3", google_key("key")), &variables);
    assert_eq!(third.earlier_public_keys().await.unwrap()[..], []);
    assert_eq!(unlisted.hits(), 1);
}

#[tokio::test]
async fn google_is_shown_every_kind_of_credentials() {
    let mut service = KeyService::default().key("key", KeyType::P256);
    let account: Value = serde_json::from_str(&service.service_account()).unwrap();
    let server = Registry::builder().serve(service.google()).start().await;
    let url = server.url();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let token_file = folder.join("token");
    std::fs::write(&token_file, format!("{}\n", KeyService::SECRET)).unwrap();
    let external = |source: Value, impersonated: bool| {
        let mut file = json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/pool",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{url}/token"),
            "credential_source": source,
        });
        if impersonated {
            file["service_account_impersonation_url"] = format!("{url}/impersonate").into();
        }
        file
    };
    let user: Value =
        serde_json::from_str(&std::fs::read_to_string(google_user(folder, &server)).unwrap())
            .unwrap();
    let by_url = json!({
        "url": format!("{url}/subject"),
        "headers": { "X-Workload": "yes" },
        "format": { "type": "json", "subject_token_field_name": "value" },
    });
    let impersonated = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": format!("{url}/impersonate"),
        "source_credentials": user,
    });
    let files = [
        account,
        user.clone(),
        external(json!({ "file": token_file }), false),
        external(by_url, true),
        impersonated,
    ];
    let public = service.public_pem("key", 1);
    for file in files {
        let file = write(folder, "credentials.json", &file);
        let variables = [(GOOGLE_SERVER, url.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", &file)];
        sign(&signer(&google_key("key"), &variables), &public).await;
    }
    // Where no file is named: the one of `gcloud`, and then the machine's own account.
    std::fs::create_dir_all(folder.join(".config/gcloud")).unwrap();
    write(&folder.join(".config/gcloud"), "application_default_credentials.json", &user);
    let home = [(GOOGLE_SERVER, url.as_str()), ("HOME", folder.to_str().unwrap())];
    sign(&signer(&google_key("key"), &home), &public).await;
    let machine = server.address().to_string();
    let metadata = [(GOOGLE_SERVER, url.as_str()), ("GCE_METADATA_HOST", machine.as_str())];
    sign(&signer(&google_key("key"), &metadata), &public).await;
}

#[tokio::test]
async fn a_run_asks_for_the_key_and_a_token_once() {
    let service = KeyService::default().key("key", KeyType::P256);
    let server = Registry::builder().serve(service.google()).start().await;
    let folder = tempfile::tempdir().unwrap();
    let user = google_user(folder.path(), &server);
    let url = server.url();
    let variables =
        [(GOOGLE_SERVER, url.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", user.as_str())];
    let signer = signer(&google_key("key"), &variables);
    assert_eq!(server.log().requests().len(), 0, "nothing is asked before it is needed");
    let (first, second) = tokio::join!(signer.public_key(), signer.public_key());
    assert_eq!(first.unwrap(), second.unwrap());
    let (first, second) = tokio::join!(signer.sign(b"one"), signer.sign(b"two"));
    first.unwrap();
    second.unwrap();
    let log = server.log();
    let asked = [log.count("POST", "/token"), log.count("GET", "*"), log.count("POST", "/v1/*")];
    assert_eq!(asked, [1, 2, 2], "{log}");
}

#[tokio::test]
async fn what_google_refuses_says_what_to_do() {
    let service = KeyService::default().key("key", KeyType::P256);
    let server = Registry::builder().serve(service.google()).start().await;
    let folder = tempfile::tempdir().unwrap();
    let user = google_user(folder.path(), &server);
    let url = server.url();
    let variables =
        |file| [(GOOGLE_SERVER, url.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", file)];

    let missing = failure(&signer(&google_key("none"), &variables(&user))).await;
    assert_eq!(missing.kind(), SigningErrorKind::NotFound);
    assert!(missing.hint().unwrap().contains("key ring"), "{missing:?}");

    let wrong = json!({
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "secret",
        "refresh_token": "another",
        "token_uri": format!("{url}/token"),
    });
    let wrong = write(folder.path(), "wrong.json", &wrong);
    let wrong = failure(&signer(&google_key("key"), &variables(&wrong))).await;
    assert_eq!(wrong.kind(), SigningErrorKind::Denied, "{wrong}");
    assert!(wrong.hint().unwrap().contains("gcloud auth"), "{wrong:?}");

    let nowhere = failure(&signer(&google_key("key"), &variables("/nowhere.json"))).await;
    assert!(nowhere.to_string().contains("/nowhere.json"), "{nowhere}");

    server.inject(Fault::status(403).on("POST", "/v1/*"));
    let denied = failure(&signer(&google_key("key"), &variables(&user))).await;
    assert_eq!(denied.kind(), SigningErrorKind::Denied);
    assert!(denied.hint().unwrap().contains("useToSign"), "{denied:?}");
}

#[tokio::test]
async fn a_service_that_is_busy_is_asked_again() {
    let service = KeyService::default().key("key", KeyType::P256);
    let server = Registry::builder().serve(service.azure()).start().await;
    let host = server.host().to_string();
    let machine = server.url();
    let signer = signer(
        &format!("azurekms://{host}/key"),
        &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.as_str())],
    );
    let busy =
        server.inject(Fault::too_many_requests(RetryAfter::Seconds(0)).on("GET", "/keys/*").once());
    let down = server.inject(Fault::status(503).on("POST", "/keys/*").once());
    sign(&signer, &service.public_pem("key", 1)).await;
    assert_eq!((busy.hits(), down.hits()), (1, 1));

    // One that wants to be left alone for an hour is left alone; later it may have come back.
    let long = server
        .inject(Fault::too_many_requests(RetryAfter::Seconds(3600)).on("POST", "/keys/*").once());
    let error = failure(&signer).await;
    assert_eq!((error.kind(), long.hits()), (SigningErrorKind::Unreachable, 1));
    sign(&signer, &service.public_pem("key", 1)).await;
}

#[tokio::test]
async fn azure_signs_with_every_kind_of_key() {
    let keys = [
        ("p256", KeyType::P256, Algorithm::EcdsaSha256),
        ("p384", KeyType::P384, Algorithm::EcdsaSha384),
        ("p521", KeyType::P521, Algorithm::EcdsaSha512),
        ("rsa", KeyType::RsaPkcs1, Algorithm::RsaPkcs1Sha256),
    ];
    let service = keys.iter().fold(KeyService::default(), |service, (name, key, _)| {
        // The first version is not the newest.
        service.key(name, *key).key(name, *key)
    });
    let server = Registry::builder().serve(service.azure()).start().await;
    let (host, url) = (server.host().to_string(), server.url());
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str())];
    for (name, _, algorithm) in keys {
        let newest = signer(&format!("azurekms://{host}/{name}"), &variables);
        assert_eq!(sign(&newest, &service.public_pem(name, 2)).await, algorithm);
        let first = signer(&format!("azurekms://{host}/{name}/{:032x}", 1), &variables);
        assert_eq!(sign(&first, &service.public_pem(name, 1)).await, algorithm);
    }
    for wanted in [Algorithm::RsaPssSha256, Algorithm::RsaPkcs1Sha512, Algorithm::RsaPssSha512] {
        let machine = OsString::from(&url);
        let settings = SignerSettings::from_lookup(move |name| {
            (name == "AZURE_POD_IDENTITY_AUTHORITY_HOST").then(|| machine.clone())
        });
        let reference = format!("azurekms://{host}/rsa").parse().unwrap();
        let signer = Signer::new(reference, settings.with_algorithm(wanted));
        assert_eq!(sign(&signer, &service.public_pem("rsa", 2)).await, wanted);
    }
}

#[tokio::test]
async fn azure_is_shown_every_kind_of_credentials() {
    let service = KeyService::default().key("key", KeyType::P256);
    let server = Registry::builder().serve(service.azure()).start().await;
    let (host, url) = (server.host().to_string(), server.url());
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, format!("{}\n", KeyService::SECRET)).unwrap();
    let identity = format!("{url}/msi/token");
    let client = [("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "id")];
    let secret = [("AZURE_CLIENT_SECRET", KeyService::SECRET), ("AZURE_AUTHORITY_HOST", &url)];
    let workload =
        [("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap()), ("AZURE_AUTHORITY_HOST", &url)];
    let app = [("IDENTITY_ENDPOINT", identity.as_str()), ("IDENTITY_HEADER", KeyService::SECRET)];
    let reference = format!("azurekms://{host}/key");
    for variables in [[client, secret].concat(), [client, workload].concat(), app.to_vec()] {
        sign(&signer(&reference, &variables), &service.public_pem("key", 1)).await;
    }

    let wrong = [("AZURE_CLIENT_SECRET", "another"), ("AZURE_AUTHORITY_HOST", &url)];
    let wrong = failure(&signer(&reference, &[client, wrong].concat())).await;
    assert_eq!(wrong.kind(), SigningErrorKind::Denied);
    assert!(wrong.to_string().contains("who is this?"), "{wrong}");
    let nobody = failure(&signer(&reference, &secret)).await;
    assert!(nobody.hint().unwrap().contains("AZURE_TENANT_ID"), "{nobody:?}");
    let missing = failure(&signer(&format!("azurekms://{host}/none"), &app)).await;
    assert_eq!(missing.kind(), SigningErrorKind::NotFound);
    server.inject(Fault::status(403).on("POST", "/keys/*"));
    let denied = failure(&signer(&reference, &app)).await;
    assert_eq!(denied.kind(), SigningErrorKind::Denied);
    assert!(denied.hint().unwrap().contains("Key Vault Crypto User"), "{denied:?}");
}

#[tokio::test]
async fn a_signature_by_another_key_is_not_returned() {
    let service = KeyService::default().key("key", KeyType::P256);
    let server = Registry::builder().serve(service.azure()).start().await;
    let url = server.url();
    let reference = format!("azurekms://{}/key", server.host());
    let signer = signer(&reference, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str())]);
    // Well-formed, of the same version, and by nobody.
    let version = format!("{url}/keys/key/{:032x}", 1);
    let answer = json!({ "kid": version, "value": "AQ".repeat(43) });
    server.inject(Fault::status(200).body(answer.to_string()).on("POST", "/keys/*").once());
    let error = failure(&signer).await;
    assert_eq!(error.kind(), SigningErrorKind::BadSignature, "{error}");
    sign(&signer, &service.public_pem("key", 1)).await;
}
