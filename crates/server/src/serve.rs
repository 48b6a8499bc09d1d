//! [`serve`]: connections in, answers out, and an end that cuts no answer off.

use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Tls;

/// How long a client may take for its TLS handshake, or to send the head of a request.
const HEAD: Duration = Duration::from_secs(30);

/// How long after the end was asked for requests may go on.
const FAREWELL: Duration = Duration::from_secs(30);

/// How long nothing is accepted after that failed: mostly for want of file descriptors, which
/// connections that end give back.
const BREATH: Duration = Duration::from_millis(100);

/// Why a server cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener is of no use.
    #[error("the listener failed")]
    Listener(#[source] std::io::Error),
}

/// Serves until `shutdown` is ready; then accepts nothing more, and returns when the requests
/// that are under way have been answered, or after 30 seconds.
///
/// # Errors
/// [`Error::Listener`] where the listener has no address any more. What goes wrong with one
/// connection ends that connection only.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    listener.local_addr().map_err(Error::Listener)?;
    let acceptor = tls.map(|tls| TlsAcceptor::from(tls.config));
    let open = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            },
        };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), open.watcher());
        tokio::spawn(async move {
            let served = connection(stream, acceptor, router, watcher).await;
            if let Err(error) = served {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, open.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way 30 s after the end was asked for");
    }
    Ok(())
}

type Watcher = hyper_util::server::graceful::Watcher;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    watcher: Watcher,
) -> Result<(), BoxError> {
    // Answers are written whole; waiting for more to send only costs time.
    stream.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => {
            let stream = tokio::time::timeout(HEAD, acceptor.accept(stream)).await??;
            exchange(stream, router, watcher).await
        }
        None => exchange(stream, router, watcher).await,
    }
}

async fn exchange<S>(stream: S, router: Router, watcher: Watcher) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD)
        // The default windows of 64 KiB hold a fast connection back; what a connection may send
        // before it is read is bounded by its own window.
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    watcher.watch(connection.into_owned()).await
}
