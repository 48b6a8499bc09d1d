//! `sign-message REFERENCE [ALGORITHM] < MESSAGE`: what the crate `signing` does with a key, in a process
//! of its own, so that AWS's SDK and the trusted certificates see the environment that a test gives.
//! Prints JSON: the algorithm, the public key and the signature, or why there is none.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "test code")]

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use signing::{Algorithm, Signer, SignerSettings, SigningError};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let reference = arguments.next().unwrap().parse().unwrap();
    let mut settings = SignerSettings::of_this_process();
    if let Some(name) = arguments.next() {
        let all = [
            Algorithm::RsaPkcs1Sha256,
            Algorithm::RsaPkcs1Sha384,
            Algorithm::RsaPkcs1Sha512,
            Algorithm::RsaPssSha256,
            Algorithm::RsaPssSha384,
            Algorithm::RsaPssSha512,
        ];
        let found = all.into_iter().find(|algorithm| format!("{algorithm:?}") == name);
        settings = settings.with_algorithm(found.unwrap());
    }
    let mut message = Vec::new();
    std::io::stdin().read_to_end(&mut message).unwrap();
    let signer = Signer::new(reference, settings);
    let output = match sign(&signer, &message).await {
        Ok(output) => output,
        Err(error) => json!({
            "kind": format!("{:?}", error.kind()),
            "message": error.to_string(),
            "hint": error.hint(),
        }),
    };
    println!("{output}");
}

async fn sign(signer: &Signer, message: &[u8]) -> Result<serde_json::Value, SigningError> {
    let signature = signer.sign(message).await?;
    Ok(json!({
        "algorithm": format!("{:?}", signer.algorithm().await?),
        "publicKey": signer.public_key().await?.to_pem(),
        "signature": STANDARD.encode(signature),
    }))
}
