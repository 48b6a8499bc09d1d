//! `serve`: a registry over a folder of OCI layouts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use report::ExitStatus;
use server::{Htpasswd, Options, Tls, router};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::arguments::ServeArguments;
use crate::environment::{self, Environment, Variable};
use crate::error::{CliError, with_causes};
use crate::run::Context;
use crate::settings::flag;
use crate::signals::Incoming;

/// The address without `--listen`: the usual port of a registry, for this machine only.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

pub(crate) async fn execute(
    typed: &ServeArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    let environment = context.environment;
    let address = match typed.listen {
        Some(typed) => typed,
        None => environment
            .parsed(environment::LISTEN, |text| {
                text.parse().map_err(|_| "it must be an address such as `127.0.0.1:5000`".into())
            })?
            .unwrap_or(LISTEN),
    };
    let options = Options {
        read_only: flag(typed.read_only, environment, environment::READ_ONLY)?,
        sparse: flag(typed.sparse, environment, environment::SPARSE)?,
        htpasswd: htpasswd(typed, environment)?,
    };
    let tls = tls(typed, environment)?;
    if !address.ip().is_loopback() && options.htpasswd.is_none() && !options.read_only {
        context.warn("everyone who reaches this address may push; --htpasswd asks who they are");
    }
    std::fs::create_dir_all(&typed.folder).map_err(|error| {
        CliError::usage(format!("cannot serve `{}`: {error}", typed.folder.display()))
    })?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        CliError::failed(format!("cannot listen on {address}: {error}"))
            .hint("choose another address with --listen; port 0 takes a free one")
    })?;
    let local = listener
        .local_addr()
        .map_err(|error| CliError::failed(format!("cannot listen on {address}: {error}")))?;
    let mut signals = Incoming::new()
        .map_err(|error| CliError::failed(format!("cannot listen for signals: {error}")))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    context.result(&format!("serving {} at {scheme}://{local}\n", typed.folder.display()))?;

    // The first signal lets requests be answered to their end, the second does not.
    let (end, ended) = oneshot::channel::<()>();
    let serving = server::serve(listener, router(&typed.folder, options), tls, async {
        let _sender_gone = ended.await;
    });
    let signalled = async {
        signals.next().await;
        drop(end);
        signals.next().await;
    };
    tokio::select! {
        served = serving => served
            .map(|()| ExitStatus::Success)
            .map_err(|error| CliError::failed(with_causes(&error))),
        () = signalled => Ok(ExitStatus::Success),
    }
}

fn htpasswd(
    typed: &ServeArguments,
    environment: &Environment,
) -> Result<Option<Htpasswd>, CliError> {
    let Some(file) = path(typed.htpasswd.as_ref(), environment, environment::HTPASSWD) else {
        return Ok(None);
    };
    let read = Htpasswd::read(&file).map_err(|error| {
        CliError::usage(format!("--htpasswd {}: {}", file.display(), with_causes(&error)))
            .hint("`htpasswd -B` writes such a file")
    })?;
    Ok(Some(read))
}

fn tls(typed: &ServeArguments, environment: &Environment) -> Result<Option<Tls>, CliError> {
    let certificate =
        path(typed.tls_certificate.as_ref(), environment, environment::TLS_CERTIFICATE);
    let key = path(typed.tls_key.as_ref(), environment, environment::TLS_KEY);
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Tls::read(&certificate, &key)
            .map(Some)
            .map_err(|error| CliError::usage(with_causes(&error))),
        _ => Err(CliError::usage("TLS needs both --tls-certificate and --tls-key")),
    }
}

fn path(typed: Option<&PathBuf>, environment: &Environment, variable: Variable) -> Option<PathBuf> {
    typed.cloned().or_else(|| environment.os_text(variable).map(|found| found.value.into()))
}
