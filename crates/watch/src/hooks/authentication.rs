//! Who may say that something was pushed: those who know the secret, shown in the way that their kind
//! of registry can.

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, hmac};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};

use super::Kind;

/// The secret as it is now, so that one in a file may be replaced while we run; none where it cannot be
/// read, which is as good as a wrong one.
pub type Secret = Arc<dyn Fn() -> Option<SecretString> + Send + Sync>;

/// GitHub's signature: <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>.
const SIGNATURE: &str = "x-hub-signature-256";

/// What EventBridge's API destinations call a key where nothing else is chosen for them.
const API_KEY: &str = "x-api-key";

/// Whether the secret was shown: as an HMAC of the body by GitHub, in the path by those who can send
/// no header, in a header by all others.
pub(crate) fn is_authentic(
    kind: Kind,
    secret: &SecretString,
    headers: &HeaderMap,
    in_path: Option<&str>,
    body: &[u8],
) -> bool {
    let secret = secret.expose_secret().as_bytes();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match kind {
        Kind::GitHub => text(SIGNATURE).is_some_and(|signature| is_signed(secret, signature, body)),
        // A path gets into logs, so it is taken only from those who have no other way.
        Kind::DockerHub | Kind::Quay => {
            in_path.is_some_and(|shown| is_same(secret, shown.as_bytes()))
        }
        Kind::Distribution | Kind::Harbor | Kind::Ecr => {
            let authorization = text(AUTHORIZATION.as_str());
            // Harbor sends what it was given, with or without a scheme.
            let bearer = authorization.map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
            [bearer, text(API_KEY)]
                .into_iter()
                .flatten()
                .any(|shown| is_same(secret, shown.trim().as_bytes()))
        }
    }
}

fn is_signed(secret: &[u8], signature: &str, body: &[u8]) -> bool {
    let Some(tag) = signature.strip_prefix("sha256=").and_then(from_hex) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::verify(&key, body, &tag).is_ok()
}

/// Compares hashes, so that the time tells neither content nor length.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let hash = |text| digest::digest(&digest::SHA256, text);
    constant_time::verify_slices_are_equal(hash(one).as_ref(), hash(other).as_ref()).is_ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// The values of GitHub's own example, under "Testing the webhook payload validation".
    #[test]
    fn githubs_example_is_authentic_and_nothing_else_is() {
        let secret = SecretString::from("It's a Secret to Everybody");
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let check = |signature: &str, body: &[u8]| {
            is_authentic(Kind::GitHub, &secret, &headers(&[(SIGNATURE, signature)]), None, body)
        };
        assert!(check(right, b"Hello, World!"));
        assert!(!check(right, b"Hello, World?"));
        for wrong in ["", "sha256=", "sha256=zz", &right.replace("sha256", "sha1"), &right[..70]] {
            assert!(!check(wrong, b"Hello, World!"), "{wrong}");
        }
        let bearer = headers(&[("authorization", "Bearer It's a Secret to Everybody")]);
        assert!(!is_authentic(Kind::GitHub, &secret, &bearer, None, b""));
    }

    #[test]
    fn each_kind_shows_the_secret_in_its_own_way() {
        let secret = SecretString::from("0123456789abcdef");
        let shown = "0123456789abcdef";
        let bearer = headers(&[("authorization", "Bearer 0123456789abcdef")]);
        let plain = headers(&[("authorization", shown)]);
        let key = headers(&[("x-api-key", shown)]);
        let wrong = headers(&[("authorization", "Bearer 0123456789abcdee")]);
        let none = HeaderMap::new();
        for kind in Kind::ALL {
            let check =
                |headers: &HeaderMap, path| is_authentic(kind, &secret, headers, path, b"{}");
            let by_header = matches!(kind, Kind::Distribution | Kind::Harbor | Kind::Ecr);
            let by_path = matches!(kind, Kind::DockerHub | Kind::Quay);
            for headers in [&bearer, &plain, &key] {
                assert_eq!(check(headers, None), by_header, "{kind:?}");
            }
            assert_eq!(check(&none, Some(shown)), by_path, "{kind:?}");
            assert!(!check(&wrong, None), "{kind:?}");
            assert!(!check(&none, Some("0123456789abcde")), "{kind:?}");
            assert!(!check(&none, None), "{kind:?}");
        }
    }
}
