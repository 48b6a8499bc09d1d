//! Keys for tests, made with `openssl` and `cosign import-key-pair`; nothing else is signed with them.

pub(crate) const P256_PRIVATE: &str = include_str!("../samples/p256.key");
pub(crate) const P256_PUBLIC: &str = include_str!("../samples/p256.pub");
pub(crate) const P384_PRIVATE: &str = include_str!("../samples/p384.key");
pub(crate) const P384_PRIVATE_SEC1: &str = include_str!("../samples/p384-sec1.key");
pub(crate) const P384_PUBLIC: &str = include_str!("../samples/p384.pub");
pub(crate) const P521_PRIVATE: &str = include_str!("../samples/p521.key");
pub(crate) const P521_PUBLIC: &str = include_str!("../samples/p521.pub");
pub(crate) const RSA_PRIVATE: &str = include_str!("../samples/rsa.key");
pub(crate) const RSA_PRIVATE_PKCS1: &str = include_str!("../samples/rsa-pkcs1.key");
pub(crate) const RSA_PUBLIC: &str = include_str!("../samples/rsa.pub");
pub(crate) const RSA_PUBLIC_PKCS1: &str = include_str!("../samples/rsa-pkcs1.pub");
pub(crate) const ED25519_PRIVATE: &str = include_str!("../samples/ed25519.key");
pub(crate) const ED25519_PUBLIC: &str = include_str!("../samples/ed25519.pub");

/// Keys that are not supported.
pub(crate) const UNSUPPORTED_PUBLIC: [&str; 2] =
    [include_str!("../samples/rsa-1024.pub"), include_str!("../samples/secp256k1.pub")];

/// [`P256_PRIVATE`] as cosign keeps it.
pub(crate) const COSIGN_PRIVATE: &str = include_str!("../samples/p256-cosign.key");
/// The password of [`COSIGN_PRIVATE`].
pub(crate) const COSIGN_PASSWORD: &str = "a password";

/// What cosign 3.1.3 wrote with [`P256_PRIVATE`] for the image with [`SIGNED`].
pub(crate) const BUNDLE: &str = include_str!("../samples/bundle.json");
/// What cosign 2.6.5 wrote with [`P256_PRIVATE`] for the same image.
pub(crate) const PAYLOAD: &str = include_str!("../samples/payload.json");
/// The signature of [`PAYLOAD`].
pub(crate) const PAYLOAD_SIGNATURE: &str = "MEQCICMZi4lceQLU5CbnQrWKpVu84ng2ruGd/SChtJVF/Gt4AiB204zLmFHAFlBHrFl05nlFZUQA8sh99PUR3HDm5ihtkg==";
/// The digest of that image.
pub(crate) const SIGNED: &str =
    "sha256:839e792f397168142de54365427ff7f85318e06cb6fe668a10d245574363ad93";
/// A certificate for [`P256_PUBLIC`] with an identity and an issuer as Fulcio writes them.
pub(crate) const CERTIFICATE: &str = include_str!("../samples/certificate.pem");
