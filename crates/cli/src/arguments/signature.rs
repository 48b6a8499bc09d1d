//! The arguments of `sign` and `verify-signature`.

use std::path::PathBuf;

use clap::Args;

use super::{
    AuditArguments, KeyArguments, LogArguments, LoginArguments, OutputFormat, SignatureFormat,
};
use crate::environment::boolean;

/// Sign one image that is in a registry or a folder
///
/// Signs the digest that the reference has now, as `sync` signs what it copies. Signatures that are there
/// already stay; where one by the key is among them, nothing is done.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer sign registry.example.com/team/app:1.0 --kms-key awskms:///alias/mirror
  image-syncer sign oci:./mirror/app:1.0 --kms-key mirror.key")]
pub(crate) struct SignArguments {
    /// The image, by a tag or a digest
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) key: KeyArguments,
    /// How the signature is written [default: legacy]
    #[arg(long, value_name = "FORMAT", help_heading = "Signatures")]
    pub(crate) signature_format: Option<SignatureFormat>,
    /// Sign the children of an index too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean, help_heading = "Signatures")]
    pub(crate) sign_recursively: Option<bool>,
    #[command(flatten)]
    pub(crate) log: LogArguments,
    /// Print a line for people (`table`) or JSON [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
    /// Reach registries as the `registries` of this sync file say; repeatable
    #[arg(short, long, value_name = "FILE")]
    pub(crate) images_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    #[command(flatten)]
    pub(crate) audit: AuditArguments,
}

/// Say whether one image has a signature that is valid and by whom it should be
///
/// Looks at the digest that the reference has now, in both of cosign's forms, as a `verify` rule of a
/// sync file does. Prints the digest where it is, and ends with code 5
/// where it is not.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer verify-signature registry.example.com/team/app:1.0 --key cosign.pub
  image-syncer verify-signature ghcr.io/org/app:1 --trusted-root trusted_root.json \\
    --certificate-identity https://github.com/org/app/.github/workflows/release.yml@refs/heads/main \\
    --certificate-oidc-issuer https://token.actions.githubusercontent.com")]
pub(crate) struct VerifySignatureArguments {
    /// The image, by a tag or a digest
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,
    /// Trust this key, by its file or its name in a key service; any one of several is enough
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Vec<String>,
    /// Trust the authorities and logs of this file for signatures without a key
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// Who must have signed: an e-mail address, or a workflow's URL
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) certificate_identity: Option<String>,
    /// The same as a regular expression over the whole of it
    #[arg(long, value_name = "REGEX")]
    pub(crate) certificate_identity_regexp: Option<String>,
    /// Who must vouch for that: an OpenID Connect issuer
    #[arg(long, value_name = "URL")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The same as a regular expression over the whole of it
    #[arg(long, value_name = "REGEX")]
    pub(crate) certificate_oidc_issuer_regexp: Option<String>,
    /// Demand an attestation of this predicate type too; repeatable
    #[arg(long, value_name = "TYPE")]
    pub(crate) attestation: Vec<String>,
    /// Print a line for people (`table`) or JSON [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
    /// Reach registries as the `registries` of this sync file say; repeatable
    #[arg(short, long, value_name = "FILE")]
    pub(crate) images_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
}
