//! The arguments that say whether and how what was copied is signed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::environment::boolean;

/// The key that signs.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Signatures")]
pub(crate) struct KeyArguments {
    /// Sign with this key: `awskms://…`, `gcpkms://…`, `azurekms://…`, `hashivault://…`, `env://NAME`,
    /// or a file [default: `kmsKey` of the sync file]
    ///
    /// Keys are named as cosign does it. The key signs what the sync file, or `--sign`, asks to be
    /// signed; an image with a `key` of its own is signed with that. `copy` signs where it is given a key.
    #[arg(short, long, value_name = "KEY")]
    pub(crate) kms_key: Option<String>,
}

/// Whether and how what was copied is signed at the target.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Signatures")]
pub(crate) struct SigningArguments {
    #[command(flatten)]
    pub(crate) key: KeyArguments,
    /// Count signatures by this key as ours, and sign anew what has no other; repeatable [default:
    /// `formerKeys` of the sync file]
    ///
    /// For after the signing key was changed: a file with the former public key, or a key in a key service.
    #[arg(long, value_name = "KEY")]
    pub(crate) former_key: Vec<String>,
    /// Sign the images that say nothing of it themselves [default: `sign` of the sync file]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) sign: Option<bool>,
    /// How signatures are written [default: `signatureFormat` of the sync file, or legacy]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) signature_format: Option<SignatureFormat>,
    /// Sign the children of an index too [default: `signRecursively` of the sync file]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) sign_recursively: Option<bool>,
    /// Write a signed statement about the mirroring beside each signature [default: `attest` of the
    /// sync file]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) attest: Option<bool>,
    #[command(flatten)]
    pub(crate) log: LogArguments,
}

/// The transparency log that is told of signatures.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Signatures")]
pub(crate) struct LogArguments {
    /// Write every signature into this transparency log first, a Rekor; what it learns is public
    /// [default: `rekorUrl` of the sync file, or none]
    #[arg(long, value_name = "URL")]
    pub(crate) rekor_url: Option<String>,
    /// Believe the log by this public key, or by a trusted root [default: `rekorKey` of the sync file, or
    /// SIGSTORE_REKOR_PUBLIC_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) rekor_key: Option<PathBuf>,
}

/// How signatures are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum SignatureFormat {
    /// Simple signing, under the tag `sha256-….sig`
    Legacy,
    /// A bundle as a referrer, as cosign writes it since version 3
    Bundle,
    /// Both
    Both,
}

impl From<SignatureFormat> for syncfile::SignatureFormat {
    fn from(format: SignatureFormat) -> Self {
        match format {
            SignatureFormat::Legacy => Self::Legacy,
            SignatureFormat::Bundle => Self::Bundle,
            SignatureFormat::Both => Self::Both,
        }
    }
}
