//! The registry by itself: `cargo run -p server --example serve -- FOLDER ADDRESS [HTPASSWD]`.
//!
//! `sparse`, `read-only`, and `tls=CERTIFICATE,KEY` may follow; what the distribution spec's
//! conformance suite is run against.

use std::error::Error;
use std::path::Path;

use server::{Htpasswd, Options, Tls, router, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("the folder is missing")?;
    let address = arguments.next().ok_or("the address is missing")?;
    let (mut options, mut tls) = (Options::default(), None);
    for argument in arguments {
        match argument.split_once('=') {
            Some(("htpasswd", file)) => options.htpasswd = Some(Htpasswd::read(Path::new(file))?),
            Some(("tls", files)) => {
                let (certificate, key) = files.split_once(',').ok_or("tls=CERTIFICATE,KEY")?;
                tls = Some(Tls::read(Path::new(certificate), Path::new(key))?);
            }
            None if argument == "sparse" => options.sparse = true,
            None if argument == "read-only" => options.read_only = true,
            _ => return Err(format!("`{argument}` is not known here").into()),
        }
    }
    let listener = tokio::net::TcpListener::bind(address).await?;
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(serve(listener, router(Path::new(&folder), options), tls, interrupted).await?)
}
