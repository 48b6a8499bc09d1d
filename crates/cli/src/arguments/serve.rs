//! The arguments of `serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::environment::boolean;

/// Serve a folder of OCI layouts as a registry
///
/// Each repository is an OCI image layout below FOLDER, so `sync -r oci:FOLDER/` fills it and every
/// OCI tool reads it. Anyone who reaches the address may pull and, unless it is read-only, push:
/// beyond this machine, use --htpasswd and TLS.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer serve ./mirror
  image-syncer serve ./mirror --listen 127.0.0.1:0 --read-only
  image-syncer serve /srv/mirror --listen 0.0.0.0:443 --htpasswd users \\
      --tls-certificate tls.crt --tls-key tls.key")]
pub(crate) struct ServeArguments {
    /// The folder; it is created where it is missing
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Listen on this address; port 0 takes a free one [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Refuse every write
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) read_only: Option<bool>,
    /// Take an index whose manifests are not all there, as a mirror of some platforms has it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) sparse: Option<bool>,
    /// Ask for a user and a password of this file (`htpasswd -B`)
    #[arg(long, value_name = "FILE")]
    pub(crate) htpasswd: Option<PathBuf>,
    /// Speak TLS with this certificate and its chain (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
}
