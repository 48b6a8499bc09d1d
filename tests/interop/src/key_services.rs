//! Key services that others made: moto in the place of AWS, and the HTTP around Vault's transit engine.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{Listening, Workbench, text};

/// Who we are to moto.
pub const AWS_VARIABLES: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "testing"),
    ("AWS_SECRET_ACCESS_KEY", "testing"),
    ("AWS_REGION", "eu-west-1"),
];

/// What goes before the 32 bytes of an Ed25519 key in DER (RFC 8410, section 10.1).
const ED25519_PREFIX: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];

/// Runs one of the scripts of `tests/tools/key-services`.
pub fn python(bench: &Workbench, name: &str, arguments: &[&str]) -> String {
    bench.tool("key-services-python").args([text(&script(name))]).args(arguments).succeed()
}

/// Starts moto.
pub fn moto(bench: &Workbench) -> Listening {
    let mut command = bench.command("key-services-python");
    command
        .arg(script("moto_with_digests.py"))
        .args(["-H", "127.0.0.1", "-p", "0"])
        .env("PYTHONUNBUFFERED", "1");
    // Who is not known is let in until a test turns IAM on.
    command.env("INITIAL_NO_AUTH_ACTION_COUNT", "1000000");
    Listening::start(command)
}

/// A request to Vault as an operator makes it, and its answer.
pub fn vault(
    bench: &Workbench,
    url: &str,
    headers: &[(&str, &str)],
    path: &str,
    body: &str,
) -> String {
    let mut curl = bench.tool("curl").args(["--silent", "--fail-with-body", "--noproxy", "*"]);
    for (name, value) in headers {
        curl = curl.args(["-H", &format!("{name}: {value}")]);
    }
    if !body.is_empty() {
        curl = curl.args(["-d", body]);
    }
    curl.args(["-H", "X-Vault-Token: root", &format!("{url}/v1/{path}")]).succeed()
}

/// Makes a key of this kind and name in Vault; its public key in PEM, as Vault tells it.
pub fn vault_key(bench: &Workbench, url: &str, kind: &str) -> String {
    let path = format!("transit/keys/{kind}");
    vault(bench, url, &[], &path, &format!(r#"{{"type":"{kind}"}}"#));
    let told: Value = serde_json::from_str(&vault(bench, url, &[], &path, "")).unwrap();
    let public = told["data"]["keys"]["1"]["public_key"].as_str().expect("a public key");
    if kind != "ed25519" {
        return public.to_owned();
    }
    // Of this kind Vault tells the bare bytes.
    let der = [&ED25519_PREFIX[..], &STANDARD.decode(public).unwrap()].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// A script beside `tests/tools/install`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/key-services").join(name)
}
