//! A TCP listener that serves a router, and lets a layer reach down to the connection that a
//! request came over: to close it, and to know what has really been sent.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::log::RequestLog;

/// A port of our own that nobody serves yet: its address is known before what it serves is made.
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Binds a free port of the loopback interface.
pub(crate) async fn bind() -> io::Result<Bound> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

/// A router being served. Dropped, it dies like a killed server: connections close at once.
pub(crate) struct Listener {
    close: CancellationToken,
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    /// Serves `router`; `keep` lives until the last connection is gone.
    pub(crate) fn serve<K: Send + Sync + 'static>(
        bound: Bound,
        router: Router,
        tls: Option<TlsAcceptor>,
        log: RequestLog,
        keep: Arc<K>,
    ) -> Self {
        let server = Self {
            close: CancellationToken::new(),
            drain: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (close, drain) = (server.close.clone(), server.drain.clone());
        let tasks = server.tasks.clone();
        server.tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = close.cancelled() => return,
                    () = drain.cancelled() => return,
                    accepted = bound.listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let connection = Connection::new(log.count_connection(), close.child_token());
                let (router, tls, drain) = (router.clone(), tls.clone(), drain.clone());
                let keep = Arc::clone(&keep);
                tasks.spawn(async move {
                    let close = connection.close.clone();
                    let served = async {
                        match tls {
                            None => serve_connection(stream, router, connection, &drain).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    serve_connection(stream, router, connection, &drain).await;
                                }
                            }
                        }
                    };
                    tokio::select! {
                        () = close.cancelled() => {}
                        () = served => {}
                    }
                    drop(keep);
                });
            }
        });
        server
    }

    /// Takes no more requests, and waits until those that are open are answered.
    pub(crate) async fn stop(&self) {
        self.drain.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close.cancel();
    }
}

async fn serve_connection<I>(
    stream: I,
    router: Router,
    connection: Connection,
    drain: &CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let socket = Socket { stream, flushes: Arc::clone(&connection.flushes) };
    let service =
        hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(connection.clone());
            router.clone().oneshot(request.map(Body::new))
        });
    let builder = auto::Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(socket), service);
    tokio::pin!(serving);
    tokio::select! {
        // An error is a client or a fault that closed the connection: what tests are about.
        _ = serving.as_mut() => return,
        () = drain.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

/// The connection that a request came over; in the extensions of every request.
#[derive(Clone)]
pub(crate) struct Connection {
    number: u64,
    flushes: Arc<watch::Sender<u64>>,
    close: CancellationToken,
}

impl Connection {
    fn new(number: u64, close: CancellationToken) -> Self {
        Self { number, flushes: Arc::new(watch::Sender::new(0)), close }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Closes the connection without another byte. The caller's task is dropped with it.
    pub(crate) async fn close(&self) -> Infallible {
        self.close.cancel();
        std::future::pending().await
    }

    /// Waits until all that was written before has left for the client. A body that asks this
    /// from `poll_frame` is asked again only after hyper's buffers are empty.
    pub(crate) async fn flushed(&self) {
        let mut flushes = self.flushes.subscribe();
        let _ = flushes.changed().await;
    }
}

/// A stream that counts its flushes: hyper flushes the socket only when its own buffer is empty.
struct Socket<I> {
    stream: I,
    flushes: Arc<watch::Sender<u64>>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Socket<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Socket<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.flushes.send_modify(|count| *count += 1);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
