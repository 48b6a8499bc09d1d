//! [`Link`]: the network between a tool and a registry, as a TCP proxy on a port of its own. It knows
//! nothing of TLS or HTTP: what it counts are connections and bytes.
//!
//! Every piece is let out when its time has come, whatever came before it, so a delay takes nothing
//! from the throughput. A connection costs the round trip that its handshake would take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::error::{Context, Result};

/// What a network is like.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Quality {
    /// In milliseconds, half of it each way.
    pub(crate) round_trip: u64,
    /// In bytes a second, of each connection and direction.
    pub(crate) bandwidth: Option<u64>,
    /// A connection is reset after so many bytes to the tool.
    pub(crate) reset_after: Option<u64>,
}

/// A proxy to one registry. Dropped, it takes no more connections.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    counts: Arc<Counts>,
    accepting: AbortHandle,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

/// What went over a link.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) connections: u64,
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
}

impl Link {
    pub(crate) async fn to(server: SocketAddr, quality: Quality) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.context(|| "listening for a proxy".to_owned())?;
        let address = listener.local_addr().context(|| "a proxy's address".to_owned())?;
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                counting.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(forward(client, server, quality, Arc::clone(&counting)));
            }
        });
        Ok(Self { address, counts, accepting: accepting.abort_handle() })
    }

    /// Where tools connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went over it so far.
    pub(crate) fn counted(&self) -> Counted {
        Counted {
            connections: self.counts.connections.load(Ordering::Relaxed),
            to_server: self.counts.to_server.load(Ordering::Relaxed),
            to_client: self.counts.to_client.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(client: TcpStream, server: SocketAddr, quality: Quality, counts: Arc<Counts>) {
    let opened = Instant::now() + Duration::from_millis(quality.round_trip);
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let back = Quality { reset_after: None, ..quality };
    // A reset is an error of one direction, and ends both.
    let _ = tokio::try_join!(
        pump(client_read, server_write, back, opened, &counts.to_server),
        pump(server_read, client_write, quality, opened, &counts.to_client),
    );
}

const PIECE: usize = 64 * 1024;
/// What is on its way at most where bandwidth has no limit: more than any tool sends in 40 ms here.
const WINDOW: usize = 16 * 1024 * 1024;
/// What a router keeps besides what is on its way.
const QUEUE: usize = 256 * 1024;

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    quality: Quality,
    opened: Instant,
    count: &AtomicU64,
) -> std::io::Result<()> {
    if quality.round_trip == 0 && quality.bandwidth.is_none() && quality.reset_after.is_none() {
        let mut buffer = vec![0; PIECE];
        loop {
            let read = from.read(&mut buffer).await?;
            let Some(piece @ [_, ..]) = buffer.get(..read) else { return to.shutdown().await };
            count.fetch_add(read as u64, Ordering::Relaxed);
            to.write_all(piece).await?;
        }
    }
    let one_way = Duration::from_micros(quality.round_trip * 500);
    let window = quality.bandwidth.map_or(WINDOW, |bandwidth| {
        let travelling = bandwidth * u64::try_from(one_way.as_micros()).unwrap_or(0) / 1_000_000;
        usize::try_from(travelling).unwrap_or(WINDOW) + QUEUE
    });
    let room = Semaphore::new(window.min(Semaphore::MAX_PERMITS));
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let receiving = async {
        let sender = sender;
        let mut sent = Instant::now();
        let mut total = 0;
        let mut buffer = vec![0; PIECE];
        loop {
            let read = from.read(&mut buffer).await?;
            let Some(piece @ [_, ..]) = buffer.get(..read) else { return Ok(()) };
            count.fetch_add(read as u64, Ordering::Relaxed);
            total += read as u64;
            let took = quality.bandwidth.map_or(Duration::ZERO, |bandwidth| {
                Duration::from_nanos(read as u64 * 1_000_000_000 / bandwidth.max(1))
            });
            sent = sent.max(Instant::now()).max(opened) + took;
            if let Ok(taken) = room.acquire_many(u32::try_from(read).unwrap_or(1)).await {
                taken.forget();
            }
            if sender.send((sent + one_way, piece.to_vec())).is_err() {
                return Ok(());
            }
            if quality.reset_after.is_some_and(|limit| total >= limit) {
                from.as_ref().set_zero_linger()?;
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
            }
        }
    };
    let sending = async {
        while let Some((due, piece)) = receiver.recv().await {
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            to.write_all(&piece).await?;
            room.add_permits(piece.len());
        }
        to.shutdown().await
    };
    match tokio::try_join!(receiving, sending) {
        Ok(_) => Ok(()),
        Err(error) => {
            if error.kind() == std::io::ErrorKind::ConnectionReset {
                let _ = to.as_ref().set_zero_linger();
            }
            Err(error)
        }
    }
}
