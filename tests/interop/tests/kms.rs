//! Signing with keys in key services: AWS's SDK against moto, HashiCorp's own transit engine, and for
//! Google and Azure, of which no emulator can be had, servers of ours that the vendors' own SDKs judge.
//! cosign verifies what was signed.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interop::key_services::{AWS_VARIABLES, moto, python, vault, vault_key};
use interop::{Kind, Listening, Mirroring, Request, Workbench};
use serde_json::Value;
use testkit::{KeyService, KeyType, Registry};

const MESSAGE: &str = "a message to be signed";

/// What `sign-message` says.
struct Signed(Value);

impl Signed {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_else(|| panic!("no {field}: {}", self.0))
    }

    fn expect_failure(&self, kind: &str, hint: &str) {
        assert_eq!(self.text("kind"), kind, "{}", self.0);
        assert!(self.text("hint").contains(hint), "{}", self.0);
    }
}

/// Signs in a process that has these variables and nothing of this machine's own settings.
fn sign(reference: &str, algorithm: Option<&str>, variables: &[(&str, &str)]) -> Signed {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sign-message"));
    command.arg(reference).args(algorithm).env_clear().envs(variables.iter().copied());
    // No machine of a cloud is asked who we are.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(MESSAGE.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    for secret in [KeyService::SECRET, KeyService::TOKEN] {
        assert!(!shown.contains(secret), "{shown}");
    }
    Signed(serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{shown}")))
}

/// `cosign verify-blob` with the public key in PEM, which takes SHA-256 and PKCS#1 v1.5 only.
fn cosign_verifies(bench: &Workbench, cosign: &str, signed: &Signed) {
    cosign_verifies_with(bench, cosign, &[], signed);
}

fn cosign_verifies_with(bench: &Workbench, cosign: &str, options: &[&str], signed: &Signed) {
    let [message, key, signature] =
        ["message", "key.pub", "signature"].map(|name| bench.folder().join(name));
    std::fs::write(&message, MESSAGE).unwrap();
    std::fs::write(&key, signed.text("publicKey")).unwrap();
    std::fs::write(&signature, signed.text("signature")).unwrap();
    bench
        .tool(cosign)
        .args(["verify-blob", "--insecure-ignore-tlog=true", "--key", path(&key)])
        .args(options)
        .args(["--signature", path(&signature), path(&message)])
        .succeed();
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

// --- AWS -----------------------------------------------------------------------------------------

const AWS_TOOLS: [&str; 3] = ["key-services-python", "cosign", "cosign2"];

#[test]
#[ignore = "needs moto and cosign: tests/tools/install"]
fn aws_signs_with_every_kind_of_key_and_reference() {
    let Some(bench) = Workbench::with_tools("kms aws", &AWS_TOOLS) else { return };
    let moto = moto(&bench);
    let keys: Value =
        serde_json::from_str(&python(&bench, "moto_keys.py", &["make", &moto.url])).unwrap();
    let by_variable = [&AWS_VARIABLES[..], &[("AWS_ENDPOINT_URL_KMS", moto.url.as_str())]].concat();
    let key = |name: &str, field: &str| keys[name][field].as_str().unwrap().to_owned();
    let verified_by_kms = |name: &str, algorithm: &str, signed: &Signed| {
        let arguments = [&moto.url, &key(name, "id"), algorithm, MESSAGE, signed.text("signature")];
        assert_eq!(
            python(&bench, "moto_keys.py", &[&["verify"], &arguments[..]].concat()).trim(),
            "true"
        );
    };

    let p256 = key("p256", "id");
    let references = [
        format!("awskms:///{p256}"),
        format!("awskms:///{}", key("p256", "arn")),
        "awskms:///alias/p256".to_owned(),
        format!("awskms:///{}", key("p256", "alias")),
    ];
    for reference in &references {
        let signed = sign(reference, None, &by_variable);
        assert_eq!(signed.text("algorithm"), "EcdsaSha256");
        verified_by_kms("p256", "ECDSA_SHA_256", &signed);
        cosign_verifies(&bench, "cosign", &signed);
        cosign_verifies(&bench, "cosign2", &signed);
    }
    // The endpoint may be in the reference, and an ARN says the region.
    let reference = format!("awskms://{}/{p256}", moto.host());
    assert_eq!(sign(&reference, None, &AWS_VARIABLES).text("algorithm"), "EcdsaSha256");
    let reference = format!("awskms://{}/{}", moto.host(), key("p256", "arn"));
    assert_eq!(sign(&reference, None, &AWS_VARIABLES[..2]).text("algorithm"), "EcdsaSha256");

    let p384 = sign("awskms:///alias/p384", None, &by_variable);
    assert_eq!(p384.text("algorithm"), "EcdsaSha384");
    verified_by_kms("p384", "ECDSA_SHA_384", &p384);
    cosign_verifies_with(&bench, "cosign", &["--signature-digest-algorithm=sha384"], &p384);

    // An empty container image has no authorities at all; that is no reason to end.
    let empty = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/nonexistent")];
    let signed = sign("awskms:///alias/p256", None, &[&by_variable[..], &empty].concat());
    assert_eq!(signed.text("algorithm"), "EcdsaSha256");

    let rsa = sign("awskms:///alias/rsa", None, &by_variable);
    assert_eq!(rsa.text("algorithm"), "RsaPkcs1Sha256");
    cosign_verifies(&bench, "cosign", &rsa);
    let table = [
        ("RsaPkcs1Sha256", "RSASSA_PKCS1_V1_5_SHA_256"),
        ("RsaPkcs1Sha384", "RSASSA_PKCS1_V1_5_SHA_384"),
        ("RsaPkcs1Sha512", "RSASSA_PKCS1_V1_5_SHA_512"),
        ("RsaPssSha256", "RSASSA_PSS_SHA_256"),
        ("RsaPssSha384", "RSASSA_PSS_SHA_384"),
        ("RsaPssSha512", "RSASSA_PSS_SHA_512"),
    ];
    for (algorithm, name) in table {
        let signed = sign("awskms:///alias/rsa", Some(algorithm), &by_variable);
        assert_eq!(signed.text("algorithm"), algorithm);
        verified_by_kms("rsa", name, &signed);
    }
}

#[test]
#[ignore = "needs moto: tests/tools/install"]
fn what_aws_refuses_says_what_to_do() {
    let Some(bench) = Workbench::with_tools("kms aws refusals", &AWS_TOOLS) else { return };
    let moto = moto(&bench);
    python(&bench, "moto_keys.py", &["make", &moto.url]);
    let endpoint = ("AWS_ENDPOINT_URL", moto.url.as_str());
    let variables = [&AWS_VARIABLES[..], &[endpoint]].concat();

    sign("awskms:///alias/none", None, &variables).expect_failure("NotFound", "AWS_REGION");
    sign("awskms:///alias/encryption", None, &variables)
        .expect_failure("Unsupported", "SIGN_VERIFY");
    let nobody = [endpoint, ("AWS_REGION", "eu-west-1"), ("HOME", "/nonexistent")];
    sign("awskms:///alias/p256", None, &nobody).expect_failure("Denied", "AWS_ACCESS_KEY_ID");
    sign("awskms:///alias/p256", None, &[endpoint, AWS_VARIABLES[0], AWS_VARIABLES[1]])
        .expect_failure("Invalid", "AWS_REGION");
    let closed = [&AWS_VARIABLES[..], &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]].concat();
    assert_eq!(sign("awskms:///alias/p256", None, &closed).text("kind"), "Unreachable");

    let users = python(&bench, "moto_keys.py", &["users", &moto.url]);
    let users: Value = serde_json::from_str(&users).unwrap();
    for (user, permission) in [("nobody", "kms:GetPublicKey"), ("reader", "kms:Sign")] {
        let variables = [
            endpoint,
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", users[user]["id"].as_str().unwrap()),
            ("AWS_SECRET_ACCESS_KEY", users[user]["secret"].as_str().unwrap()),
        ];
        sign("awskms:///alias/p256", None, &variables).expect_failure("Denied", permission);
    }
}

// --- Vault ---------------------------------------------------------------------------------------

const VAULT_TOOLS: [&str; 4] = ["vault-transit", "curl", "cosign", "cosign2"];

#[test]
#[ignore = "needs Vault's transit engine and cosign: tests/tools/install"]
fn vault_signs_with_every_kind_of_key() {
    let Some(bench) = Workbench::with_tools("kms vault", &VAULT_TOOLS) else { return };
    let server = Listening::start(bench.command("vault-transit"));
    let variables = [("VAULT_ADDR", server.url.as_str()), ("VAULT_TOKEN", "root")];
    let table = [
        ("ecdsa-p256", "EcdsaSha256"),
        ("ecdsa-p384", "EcdsaSha256"),
        ("ecdsa-p521", "EcdsaSha256"),
        ("rsa-2048", "RsaPkcs1Sha256"),
        ("ed25519", "Ed25519"),
    ];
    for (kind, algorithm) in table {
        vault_key(&bench, &server.url, kind);
        let reference = format!("hashivault://{kind}");
        let signed = sign(&reference, None, &variables);
        assert_eq!(signed.text("algorithm"), algorithm);
        cosign_verifies(&bench, "cosign", &signed);
        cosign_verifies(&bench, "cosign2", &signed);
    }
    for algorithm in
        ["RsaPkcs1Sha384", "RsaPkcs1Sha512", "RsaPssSha256", "RsaPssSha384", "RsaPssSha512"]
    {
        let signed = sign("hashivault://rsa-2048", Some(algorithm), &variables);
        assert_eq!(signed.text("algorithm"), algorithm);
        let body = format!(
            r#"{{"prehashed":false,"signature":"vault:v1:{}","input":"{}","signature_algorithm":"{}","salt_length":"hash"}}"#,
            signed.text("signature"),
            STANDARD.encode(MESSAGE),
            if algorithm.contains("Pss") { "pss" } else { "pkcs1v15" },
        );
        let path = format!("transit/verify/rsa-2048/sha2-{}", &algorithm[algorithm.len() - 3..]);
        vault(&bench, &server.url, &[], &path, &body);
    }

    // After a rotation the newest version signs, and its public key is the one that is given.
    let before = sign("hashivault://ecdsa-p256", None, &variables);
    vault(&bench, &server.url, &[], "transit/keys/ecdsa-p256/rotate", "{}");
    let after = sign("hashivault://ecdsa-p256", None, &variables);
    assert_ne!(before.text("publicKey"), after.text("publicKey"));
    cosign_verifies(&bench, "cosign", &after);

    // Another engine in a namespace, and the token where `vault login` leaves it.
    let namespace = [("X-Vault-Namespace", "ns1")];
    vault(&bench, &server.url, &namespace, "team/transit/keys/key", r#"{"type":"ecdsa-p256"}"#);
    std::fs::write(bench.folder().join(".vault-token"), "root").unwrap();
    let elsewhere = [
        ("VAULT_ADDR", server.url.as_str()),
        ("HOME", path(bench.folder())),
        ("VAULT_NAMESPACE", "ns1"),
        ("TRANSIT_SECRET_ENGINE_PATH", "team/transit"),
    ];
    cosign_verifies(&bench, "cosign", &sign("hashivault://key", None, &elsewhere));
}

const ROTATION_TOOLS: [&str; 7] =
    ["vault-transit", "curl", "cosign2", "crane", "buildah", "htpasswd", "distribution3"];

/// Nobody names the former key: Vault tells it. Whoever has either key verifies the mirror.
#[test]
#[ignore = "needs Vault's transit engine, cosign and a registry: tests/tools/install"]
fn a_mirror_is_signed_anew_after_a_rotation_in_vault() {
    let tools = &ROTATION_TOOLS;
    let Some(bench) = Workbench::with_image_syncer("kms vault rotation", tools) else { return };
    let server = Listening::start(bench.command("vault-transit"));
    vault(&bench, &server.url, &[], "transit/keys/mirror", r#"{"type":"ecdsa-p256"}"#);
    let image = bench.images().small("amd64", "to be signed twice");
    let setting = Mirroring::new(bench, Kind::Distribution3, Kind::Distribution3, image);
    let variables = [("VAULT_ADDR", server.url.as_str()), ("VAULT_TOKEN", "root")];
    let run = |command: &str, code: i32| {
        let top = "kmsKey: hashivault://mirror\nsign: true";
        setting.run_with(&variables, "1", command, top, code)
    };
    let verified_by_todays = || {
        let key = setting.file("today.pub");
        let today = sign("hashivault://mirror", None, &variables);
        std::fs::write(&key, today.text("publicKey")).unwrap();
        let arguments = ["verify", "--insecure-ignore-tlog", "--key", path(&key), &setting.copy()];
        setting.try_cosign("cosign2", &[], &arguments)
    };
    assert_eq!(run("sync", 0).text("signature.state"), "signed");
    for _ in 0..2 {
        vault(&setting.bench, &server.url, &[], "transit/keys/mirror/rotate", "{}");
        assert!(verified_by_todays().is_some());
        let told = run("verify", 5).text("error.message");
        assert!(told.contains("signed by a former key of the mirror"), "{told}");
        assert_eq!(run("sync", 0).text("signature.state"), "signed");
        assert_eq!(verified_by_todays(), None);
        setting.bench.forget_requests(&setting.target);
        assert_eq!(run("sync", 0).text("signature.state"), "present");
        let requests = setting.bench.requests(&setting.target);
        assert!(!requests.iter().any(Request::is_write), "{requests:#?}");
    }
    run("verify", 0);
}

#[test]
#[ignore = "needs Vault's transit engine and cosign: tests/tools/install"]
fn what_vault_refuses_says_what_to_do() {
    let Some(bench) = Workbench::with_tools("kms vault refusals", &VAULT_TOOLS) else { return };
    let server = Listening::start(bench.command("vault-transit"));
    vault(&bench, &server.url, &[], "transit/keys/key", r#"{"type":"ecdsa-p256"}"#);
    vault(&bench, &server.url, &[], "transit/keys/symmetric", r#"{"type":"aes256-gcm96"}"#);
    let with = |token: &'static str| [("VAULT_ADDR", server.url.as_str()), ("VAULT_TOKEN", token)];
    sign("hashivault://none", None, &with("root"))
        .expect_failure("NotFound", "TRANSIT_SECRET_ENGINE_PATH");
    sign("hashivault://symmetric", None, &with("root"))
        .expect_failure("Unsupported", "type=ecdsa-p256");
    sign("hashivault://key", None, &with("wrong")).expect_failure("Denied", "transit/keys/key");
    // It may read the public key, and then not sign.
    sign("hashivault://key", None, &with("reader")).expect_failure("Denied", "transit/sign/key");
    let nowhere = [("VAULT_ADDR", "http://127.0.0.1:1"), ("VAULT_TOKEN", "root")];
    sign("hashivault://key", None, &nowhere).expect_failure("Unreachable", "VAULT_ADDR");
}

// --- Google and Azure ----------------------------------------------------------------------------

const SDK_TOOLS: [&str; 3] = ["key-services-python", "cosign", "cosign2"];

/// Serves one of the testkit's routers while the test runs what blocks.
struct Served {
    registry: Registry,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    fn new(router: impl FnOnce() -> testkit::Builder) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let registry = runtime.block_on(router().start());
        Self { registry, _runtime: runtime }
    }
}

#[test]
#[ignore = "needs google-cloud-kms and cosign: tests/tools/install"]
fn google_as_its_own_sdk_knows_it() {
    let Some(bench) = Workbench::with_tools("kms google", &SDK_TOOLS) else { return };
    let mut service = KeyService::default()
        .key("p256", KeyType::P256)
        .key("p256", KeyType::P256)
        .key("p384", KeyType::P384)
        .key("pkcs1", KeyType::RsaPkcs1)
        .key("pss", KeyType::RsaPss)
        .key("ed25519", KeyType::Ed25519);
    let account = bench.folder().join("account.json");
    std::fs::write(&account, service.service_account()).unwrap();
    let server = Served::new(|| Registry::builder().serve(service.google()));
    let url = server.registry.url();
    let judged = python(
        &bench,
        "google_judge.py",
        &[
            &url,
            KeyService::KEY_RING,
            KeyService::TOKEN,
            "p256=EC_SIGN_P256_SHA256",
            "p384=EC_SIGN_P384_SHA384",
            "pkcs1=RSA_SIGN_PKCS1_2048_SHA256",
            "pss=RSA_SIGN_PSS_2048_SHA256",
            "ed25519=EC_SIGN_ED25519",
        ],
    );
    assert_eq!(judged.lines().count(), 5, "{judged}");

    let variables = [
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", url.as_str()),
        ("GOOGLE_APPLICATION_CREDENTIALS", path(&account)),
    ];
    for name in ["p256", "pkcs1", "ed25519"] {
        let reference = format!("gcpkms://{}/cryptoKeys/{name}", KeyService::KEY_RING);
        let signed = sign(&reference, None, &variables);
        cosign_verifies(&bench, "cosign", &signed);
        cosign_verifies(&bench, "cosign2", &signed);
    }
}

#[test]
#[ignore = "needs azure-keyvault-keys and cosign: tests/tools/install"]
fn azure_as_its_own_sdk_knows_it() {
    let Some(bench) = Workbench::with_tools("kms azure", &SDK_TOOLS) else { return };
    let service = KeyService::default()
        .key("p256", KeyType::P256)
        .key("p256", KeyType::P256)
        .key("p384", KeyType::P384)
        .key("p521", KeyType::P521)
        .key("rsa", KeyType::RsaPkcs1);
    // The SDK shows its token over TLS only; we take the same server over plain http, on loopback.
    let secured = Served::new(|| Registry::builder().serve(service.azure()).tls());
    let authority = secured.registry.ca_file().unwrap();
    let judged = python(
        &bench,
        "azure_judge.py",
        &[
            &secured.registry.url(),
            path(&authority),
            KeyService::TOKEN,
            "p256=ES256",
            "p384=ES384",
            "p521=ES512",
            "rsa=RS256,RS384,RS512,PS256,PS384,PS512",
        ],
    );
    assert_eq!(judged.lines().count(), 9, "{judged}");

    let plain = Served::new(|| Registry::builder().serve(service.azure()));
    let machine = plain.registry.url();
    for name in ["p256", "rsa"] {
        let reference = format!("azurekms://{}/{name}", plain.registry.host());
        let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.as_str())];
        let signed = sign(&reference, None, &variables);
        cosign_verifies(&bench, "cosign", &signed);
        cosign_verifies(&bench, "cosign2", &signed);
    }

    // Where there is no machine's identity: who logged in with `az`, whose answer this is.
    let az = bench.folder().join("az");
    let token = KeyService::TOKEN;
    std::fs::write(&az, format!("#!/bin/sh\necho '{{\"accessToken\": \"{token}\"}}'\n")).unwrap();
    std::fs::set_permissions(&az, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let user = [
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1"),
        ("PATH", path(bench.folder())),
    ];
    let reference = format!("azurekms://{}/p256", plain.registry.host());
    assert_eq!(sign(&reference, None, &user).text("algorithm"), "EcdsaSha256");
    sign(&reference, None, &user[..1]).expect_failure("Denied", "az login");
}
