//! Signatures of container images, made and judged as cosign does it.
//!
//! A key ([`PrivateKey`], [`PublicKey`]) signs with an [`Algorithm`]; what it signs is a payload of
//! [`simple_signing`], cosign's first form, or a statement in a [`bundle`], its second; [`judge`]
//! says of what was found for a digest which signature is valid by which key, and why each other is
//! not; [`keyless`] does that for signatures by certificates. A [`transparency_log`] is told of signatures
//! on request. Nothing here knows a registry: manifests and blobs come in and go out as bytes.

mod algorithm;
pub mod bundle;
mod claimant;
mod encrypted_key;
mod error;
mod json;
pub mod judge;
mod key_reference;
pub mod keyless;
mod kms;
mod once;
mod private_key;
mod public_key;
#[cfg(test)]
mod sample;
mod signer;
pub mod simple_signing;
pub mod transparency_log;

pub use algorithm::Algorithm;
pub use claimant::Claimant;
pub use error::{SigningError, SigningErrorKind};
pub use key_reference::{InvalidKeyReference, KeyReference};
pub use private_key::PrivateKey;
pub use public_key::{BadSignature, KeyKind, PublicKey};
pub use signer::{Signer, SignerSettings};

/// Whether the cryptography of this build is that of the FIPS module (feature `fips`), which refuses
/// what is outside of it; see [`SignerSettings::with_fips`].
pub fn is_fips() -> bool {
    aws_lc_rs::try_fips_mode().is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_feature_and_only_the_feature_brings_the_module() {
        assert_eq!(super::is_fips(), cfg!(feature = "fips"));
    }
}
