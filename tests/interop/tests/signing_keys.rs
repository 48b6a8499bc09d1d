//! Whatever key signs an image, cosign verifies it: key files of every kind in every registry and form,
//! and every kind of key of every key service. Each public key is what its own service or openssl says.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interop::key_services::{AWS_VARIABLES, moto, python, vault_key};
use interop::{Kind, Listening, Mirroring, Workbench, text};
use serde_json::Value;
use testkit::{KeyService, KeyType, Registry};

const TOOLS: [&str; 9] = [
    "cosign",
    "cosign2",
    "crane",
    "buildah",
    "htpasswd",
    "openssl",
    "docker-registry",
    "distribution3",
    "ggcr-registry",
];

/// Each form, and who can judge it without a network.
const FORMS: [(&str, &[&str]); 3] =
    [("legacy", &["cosign", "cosign2"]), ("bundle", &["cosign"]), ("both", &["cosign"])];

/// A key that signs.
struct Key {
    name: String,
    reference: String,
    /// In PEM.
    public: String,
    judge: Judge,
}

/// Who can say that a signature is right.
#[derive(Clone, Copy)]
enum Judge {
    /// cosign, as everybody calls it.
    Cosign,
    /// cosign that is told the hash.
    CosignWith(&'static str),
    /// openssl: cosign takes no RSA-PSS from a file.
    Openssl,
}

impl Key {
    fn new(name: &str, reference: String, public: String, judge: Judge) -> Self {
        Self { name: name.to_owned(), reference, public, judge }
    }
}

/// A source with an image, and a target.
fn set_up(suite: &str, kind: Kind, more_tools: &[&str]) -> Option<Mirroring> {
    let name = format!("signing keys {suite} {}", kind.program());
    let bench = Workbench::with_image_syncer(&name, &[&TOOLS[..], more_tools].concat())?;
    let image = bench.images().index_with_attestations();
    Some(Mirroring::new(bench, Kind::Distribution3, kind, image))
}

/// Signs with each key in each form, one copy each, and lets everybody judge it who can.
fn are_verified(setting: &Mirroring, keys: &[Key], variables: &[(&str, &str)]) {
    setting.make_keys("stranger");
    for key in keys {
        std::fs::write(setting.file(&format!("{}.pub", key.name)), &key.public).unwrap();
    }
    for (form, judges) in FORMS {
        let repository = |key: &Key| format!("{}/{form}/{}", setting.target.host(), key.name);
        let entries = keys.iter().map(|key| {
            let (source, target) = (setting.source(), repository(key));
            let Key { reference, .. } = key;
            format!(
                "- source: \"{source}:1\"\n  destination: \"{target}:1\"\n  key: \"{reference}\"\n"
            )
        });
        let list = format!("{}signatureFormat: {form}\n", entries.collect::<String>());
        let list = setting.bench.list(&list, &[&setting.source, &setting.target]);
        let run = setting.bench.image_syncer().env("AWS_EC2_METADATA_DISABLED", "true");
        let run = variables.iter().fold(run, |run, (name, value)| run.env(name, value));
        let run = run.args(["sync", "-i", text(&list), "--output", "json"]).run().expect_code(0);
        for key in keys {
            let item = run.item(&format!("{}:1", repository(key)));
            let states = (item.text("outcome"), item.text("signature.state"));
            assert_eq!(states, ("copied".to_owned(), "signed".to_owned()), "{form} {}", key.name);
            let copy = format!("{}@{}", repository(key), setting.image.digest());
            for judge in judges {
                is_verified(setting, judge, form, key, &copy);
            }
        }
    }
}

/// What the documentation says of this key is what cosign says.
fn is_verified(setting: &Mirroring, cosign: &str, form: &str, key: &Key, copy: &str) {
    let verify = |public: &str, options: &[&str]| {
        let public = setting.file(&format!("{public}.pub"));
        let fixed = ["verify", "--insecure-ignore-tlog", "--key", text(&public), copy];
        setting.try_cosign(cosign, &[], &[&fixed, options].concat())
    };
    let case = format!("{cosign} {form} {}", key.name);
    let plain = verify(&key.name, &[]);
    match key.judge {
        Judge::Cosign => assert_eq!(plain, None, "{case}"),
        Judge::CosignWith(hash) => {
            assert!(plain.is_some(), "{case}: it need not be told the hash");
            let told = format!("--signature-digest-algorithm={hash}");
            assert_eq!(verify(&key.name, &[&told]), None, "{case}");
            let documented = format!("`{told}`").replace('=', " ");
            assert!(documentation().contains(&documented), "{documented}");
        }
        Judge::Openssl => {
            assert!(plain.is_some(), "{case}: cosign takes PSS");
            let documented = "signs with PSS, which `cosign verify` does not take from a file";
            assert!(documentation().contains(documented));
            if form != "bundle" {
                is_verified_by_openssl(setting, key, &simply_signed(setting, copy));
            }
            if form != "legacy" {
                is_verified_by_openssl(setting, key, &stated(setting, copy));
            }
        }
    }
    // Once for each place that a signature can be in.
    if cosign == "cosign" && form != "both" {
        assert!(verify("stranger", &[]).is_some(), "{case}: another's key does as well");
    }
}

/// Some bytes and the signature of them.
type Signed = (Vec<u8>, Vec<u8>);

/// The payload under cosign's tag.
fn simply_signed(setting: &Mirroring, copy: &str) -> Signed {
    let (repository, digest) = copy.split_once('@').unwrap();
    let manifest = manifest(setting, &format!("{repository}:{}.sig", digest.replace(':', "-")));
    let layer = &manifest["layers"][0];
    let payload = blob(setting, repository, layer);
    assert!(payload.contains(digest), "{payload}");
    let signature = &layer["annotations"]["dev.cosignproject.cosign/signature"];
    (payload.into_bytes(), decoded(signature))
}

/// What a bundle signs: its statement in DSSE's encoding (<https://github.com/secure-systems-lab/dsse>,
/// `protocol.md`). The registry has no referrers API, so the bundle is listed under the fallback tag.
fn stated(setting: &Mirroring, copy: &str) -> Signed {
    let (repository, digest) = copy.split_once('@').unwrap();
    let listed = manifest(setting, &format!("{repository}:{}", digest.replace(':', "-")));
    let bundle = listed["manifests"][0]["digest"].as_str().unwrap();
    let referrer = manifest(setting, &format!("{repository}@{bundle}"));
    let bundle = blob(setting, repository, &referrer["layers"][0]);
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let envelope = &bundle["dsseEnvelope"];
    let (kind, statement) = (envelope["payloadType"].as_str().unwrap(), &envelope["payload"]);
    let statement = decoded(statement);
    let hex = digest.trim_start_matches("sha256:");
    assert!(String::from_utf8_lossy(&statement).contains(hex), "{bundle}");
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), statement.len());
    ([head.as_bytes(), &statement].concat(), decoded(&envelope["signatures"][0]["sig"]))
}

/// With the salt of the hash's length that RSA_SIGN_PSS_2048_SHA256 has.
fn is_verified_by_openssl(setting: &Mirroring, key: &Key, (content, signature): &Signed) {
    let [content_file, signature_file] = ["content", "signature"].map(|name| setting.file(name));
    std::fs::write(&content_file, content).unwrap();
    std::fs::write(&signature_file, signature).unwrap();
    let public = setting.file(&format!("{}.pub", key.name));
    setting
        .bench
        .tool("openssl")
        .args(["dgst", "-sha256", "-verify", text(&public), "-signature", text(&signature_file)])
        .args(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"])
        .args([&content_file])
        .succeed();
}

fn manifest(setting: &Mirroring, reference: &str) -> Value {
    serde_json::from_str(&setting.bench.crane(["manifest", reference])).unwrap()
}

/// The text of a layer, every byte of it.
fn blob(setting: &Mirroring, repository: &str, layer: &Value) -> String {
    let reference = format!("{repository}@{}", layer["digest"].as_str().unwrap());
    setting.bench.tool("crane").args(["blob", &reference]).succeed()
}

fn decoded(base64: &Value) -> Vec<u8> {
    STANDARD.decode(base64.as_str().unwrap()).unwrap()
}

fn documentation() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/signing.md");
    std::fs::read_to_string(file).unwrap()
}

/// A key of this kind that openssl makes, in a file.
fn key_file(setting: &Mirroring, name: &str, kind: &[&str]) -> Key {
    let file = setting.file(&format!("{name}.key"));
    let openssl = || setting.bench.tool("openssl");
    openssl().args(["genpkey", "-out", text(&file), "-algorithm"]).args(kind).succeed();
    let public = openssl().args(["pkey", "-pubout", "-in", text(&file)]).succeed();
    Key::new(name, text(&file).to_owned(), public, Judge::Cosign)
}

fn key_files_are_verified(kind: Kind) {
    let Some(setting) = set_up("files", kind, &[]) else { return };
    let table: [(&str, &[&str]); 7] = [
        ("p256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        ("p384", &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("p521", &["EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
        ("rsa-2048", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("rsa-3072", &["RSA", "-pkeyopt", "rsa_keygen_bits:3072"]),
        ("rsa-4096", &["RSA", "-pkeyopt", "rsa_keygen_bits:4096"]),
        ("ed25519", &["ED25519"]),
    ];
    let keys = table.map(|(name, kind)| key_file(&setting, name, kind));
    are_verified(&setting, &keys, &[]);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn key_files_in_docker_registry() {
    key_files_are_verified(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn key_files_in_distribution3() {
    key_files_are_verified(Kind::Distribution3);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn key_files_in_go_containerregistry() {
    key_files_are_verified(Kind::GoContainerregistry);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn key_files_in_serve() {
    key_files_are_verified(Kind::ServeSecured);
}

/// moto has no Ed25519 keys.
#[test]
#[ignore = "needs moto, cosign and real registries: tests/tools/install"]
fn keys_in_aws() {
    let Some(setting) = set_up("aws", Kind::ServeSecured, &["key-services-python"]) else {
        return;
    };
    let moto = moto(&setting.bench);
    let made = python(&setting.bench, "moto_keys.py", &["make", &moto.url]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let table = [
        ("p256", Judge::Cosign),
        ("p384", Judge::CosignWith("sha384")),
        ("p521", Judge::CosignWith("sha512")),
        ("rsa", Judge::Cosign),
    ];
    let keys = table.map(|(name, judge)| {
        let public = made[name]["public"].as_str().unwrap().to_owned();
        Key::new(name, format!("awskms:///alias/{name}"), public, judge)
    });
    let variables = [&AWS_VARIABLES[..], &[("AWS_ENDPOINT_URL_KMS", &moto.url)]].concat();
    are_verified(&setting, &keys, &variables);
}

#[test]
#[ignore = "needs Vault's transit engine, cosign and real registries: tests/tools/install"]
fn keys_in_vault() {
    let tools = ["vault-transit", "curl"];
    let Some(setting) = set_up("vault", Kind::DockerRegistry, &tools) else { return };
    let server = Listening::start(setting.bench.command("vault-transit"));
    let kinds =
        ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"];
    let keys = kinds.map(|kind| {
        let public = vault_key(&setting.bench, &server.url, kind);
        Key::new(kind, format!("hashivault://{kind}"), public, Judge::Cosign)
    });
    are_verified(&setting, &keys, &[("VAULT_ADDR", &server.url), ("VAULT_TOKEN", "root")]);
}

// Several threads: the servers answer while the test waits for programs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs cosign and real registries: tests/tools/install"]
async fn keys_in_google() {
    let Some(setting) = set_up("google", Kind::Distribution3, &[]) else { return };
    let table = [
        ("p256", KeyType::P256, Judge::Cosign),
        ("p384", KeyType::P384, Judge::CosignWith("sha384")),
        ("pkcs1", KeyType::RsaPkcs1, Judge::Cosign),
        ("pss", KeyType::RsaPss, Judge::Openssl),
        ("ed25519", KeyType::Ed25519, Judge::Cosign),
    ];
    let service = made(table);
    let server = Registry::builder().serve(service.google()).start().await;
    let keys = table.map(|(name, _, judge)| {
        let reference = format!("gcpkms://{}/cryptoKeys/{name}", KeyService::KEY_RING);
        Key::new(name, reference, service.public_pem(name, 1), judge)
    });
    let (url, host) = (server.url(), server.host().to_string());
    let variables =
        [("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", url.as_str()), ("GCE_METADATA_HOST", &host)];
    are_verified(&setting, &keys, &variables);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs cosign and real registries: tests/tools/install"]
async fn keys_in_azure() {
    let Some(setting) = set_up("azure", Kind::GoContainerregistry, &[]) else { return };
    let table = [
        ("p256", KeyType::P256, Judge::Cosign),
        ("p384", KeyType::P384, Judge::CosignWith("sha384")),
        ("p521", KeyType::P521, Judge::CosignWith("sha512")),
        ("rsa", KeyType::RsaPkcs1, Judge::Cosign),
    ];
    let service = made(table);
    let server = Registry::builder().serve(service.azure()).start().await;
    let keys = table.map(|(name, _, judge)| {
        let reference = format!("azurekms://{}/{name}", server.host());
        Key::new(name, reference, service.public_pem(name, 1), judge)
    });
    are_verified(&setting, &keys, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server.url())]);
}

fn made<const N: usize>(table: [(&str, KeyType, Judge); N]) -> KeyService {
    let service = KeyService::default();
    table.into_iter().fold(service, |service, (name, key_type, _)| service.key(name, key_type))
}
