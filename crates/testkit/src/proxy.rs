//! [`Proxy`]: a plain TCP proxy in front of any server, for what goes wrong below HTTP: bytes that
//! stop, connections that end or are reset in the middle, whatever is spoken over them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::fault::{Gate, Release};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A proxy on a port of its own. Dropped, it closes its connections.
pub struct Proxy {
    address: SocketAddr,
    plans: Arc<Mutex<Vec<Plan>>>,
    close: CancellationToken,
}

/// What the next connection meets.
#[derive(Clone)]
struct Plan {
    direction: Direction,
    after: u64,
    end: End,
}

#[derive(Clone)]
enum End {
    Close,
    Reset,
    Hold(Gate),
}

impl Proxy {
    /// A proxy to this server.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let proxy = Self {
            address: listener.local_addr()?,
            plans: Arc::default(),
            close: CancellationToken::new(),
        };
        let (plans, close) = (Arc::clone(&proxy.plans), proxy.close.clone());
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = close.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((client, _)) = accepted else { continue };
                let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
                let plan = if plans.is_empty() { None } else { Some(plans.remove(0)) };
                drop(plans);
                let close = close.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = close.cancelled() => {}
                        _ = forward(client, server, plan) => {}
                    }
                });
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection without a plan ends, in order, after exactly so many bytes in this
    /// direction.
    pub fn close_after(&self, bytes: u64, direction: Direction) {
        self.plan(direction, bytes, End::Close);
    }

    /// The next connection without a plan is reset (RST) after so many bytes in this direction;
    /// the client may lose some that it has not read yet.
    pub fn reset_after(&self, bytes: u64, direction: Direction) {
        self.plan(direction, bytes, End::Reset);
    }

    /// The next connection without a plan stops after exactly so many bytes in this direction,
    /// until it is released; the other direction goes on.
    pub fn stall_after(&self, bytes: u64, direction: Direction) -> Release {
        let (gate, release) = Gate::new();
        self.plan(direction, bytes, End::Hold(gate));
        release
    }

    fn plan(&self, direction: Direction, after: u64, end: End) {
        let plan = Plan { direction, after, end };
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close.cancel();
    }
}

async fn forward(client: TcpStream, server: SocketAddr, plan: Option<Plan>) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let (to_server, to_client) = match plan {
        None => (None, None),
        Some(plan) if plan.direction == Direction::ToServer => (Some(plan), None),
        Some(plan) => (None, Some(plan)),
    };
    // A plan that ends the connection is an error of one direction, so it ends both.
    tokio::try_join!(
        pump(client_read, server_write, to_server),
        pump(server_read, client_write, to_client)
    )?;
    Ok(())
}

/// Copies until the end, or until its plan ends the connection, which is an error.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: Option<Plan>,
) -> io::Result<()> {
    let mut left = plan.as_ref().map_or(u64::MAX, |plan| plan.after);
    let mut end = plan.map(|plan| plan.end);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if left == 0 {
            match end.take() {
                Some(End::Close) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Some(End::Reset) => {
                    from.as_ref().set_zero_linger()?;
                    to.as_ref().set_zero_linger()?;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                Some(End::Hold(gate)) => gate.pass().await,
                None => {}
            }
            left = u64::MAX;
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(space) = buffer.get_mut(..room) else { return Ok(()) };
        let read = from.read(space).await?;
        let Some(piece) = buffer.get(..read) else { return Ok(()) };
        if piece.is_empty() {
            to.shutdown().await?;
            return Ok(());
        }
        to.write_all(piece).await?;
        left = left.saturating_sub(read as u64);
    }
}
