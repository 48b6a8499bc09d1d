//! [`Server`]: a registry with TLS, its data in memory, a [`Link`] before it; and what it was asked,
//! which is read from its own access log because TLS hides it from the link.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::authority::Authority;
use crate::error::{Context, Error, Result};
use crate::limiter::Limiter;
use crate::link::{Link, Quality};
use crate::storage::Kind;
use crate::tools::Tools;

/// A running registry. Dropped, it is killed; its folder is the caller's.
#[derive(Debug)]
pub(crate) struct Server {
    data: PathBuf,
    log: PathBuf,
    link: Link,
    limiter: Option<Limiter>,
    /// How much of the log, and of what went over the link, is of the past.
    seen: Seen,
    _child: Child,
}

#[derive(Debug, Default)]
struct Seen {
    log: usize,
    refused: u64,
    counted: crate::link::Counted,
}

/// What one side of a run saw.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Traffic {
    /// How many requests were answered, by method and what they were for, as in `GET blob`.
    pub(crate) requests: BTreeMap<String, u64>,
    /// How many were answered 429.
    pub(crate) refused: u64,
    /// How many connections were opened.
    pub(crate) connections: u64,
    /// Bytes to the registry, with TLS.
    pub(crate) received: u64,
    /// Bytes from the registry, with TLS.
    pub(crate) sent: u64,
}

impl Traffic {
    /// All requests, the refused ones too.
    pub(crate) fn total(&self) -> u64 {
        self.requests.values().sum::<u64>() + self.refused
    }

    /// Adds what another registry of the same side saw.
    pub(crate) fn add(&mut self, other: &Self) {
        for (method, count) in &other.requests {
            *self.requests.entry(method.clone()).or_default() += count;
        }
        self.refused += other.refused;
        self.connections += other.connections;
        self.received += other.received;
        self.sent += other.sent;
    }
}

/// What a registry is started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) kind: Kind,
    /// A folder of its own; its data lies in `data` there, and may be there already.
    pub(crate) folder: &'a Path,
    pub(crate) quality: Quality,
    /// How many requests a second it takes.
    pub(crate) limit: Option<u32>,
}

impl Server {
    pub(crate) async fn start(
        setup: Setup<'_>,
        tools: &Tools,
        authority: &Authority,
    ) -> Result<Self> {
        let Setup { kind, folder, quality, limit } = setup;
        let data = Self::data_in(folder);
        std::fs::create_dir_all(&data).context(|| format!("making {}", data.display()))?;
        let log = folder.join("log");
        let file = File::create(&log).context(|| format!("writing {}", log.display()))?;
        let port = free_port()?;
        let program = tools.registry(kind)?;
        let mut command = Command::new(program);
        match kind {
            Kind::Distribution => {
                let configuration = folder.join("registry.yml");
                std::fs::write(&configuration, distribution(&data, port, authority))
                    .context(|| format!("writing {}", configuration.display()))?;
                // It would send traces somewhere.
                command.arg("serve").arg(configuration).env("OTEL_TRACES_EXPORTER", "none");
            }
            Kind::Serve => {
                command.arg("serve").arg(&data).args(["--listen", &format!("127.0.0.1:{port}")]);
                command.arg("--tls-certificate").arg(&authority.certificate);
                command.arg("--tls-key").arg(&authority.key);
                // What was asked is told at this level.
                command.args(["--log-level", "debug"]);
            }
        }
        let errors = file.try_clone().context(|| "opening a log twice".to_owned())?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors).kill_on_drop(true);
        let mut child = command.spawn().context(|| format!("starting {}", program.display()))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_for(address, &mut child, &log).await?;
        let limiter = match limit {
            Some(limit) => Some(Limiter::start(address, limit, authority).await?),
            None => None,
        };
        let behind = limiter.as_ref().map_or(address, Limiter::address);
        let link = Link::to(behind, quality).await?;
        let mut server = Self { data, log, link, limiter, seen: Seen::default(), _child: child };
        server.traffic().await?;
        Ok(server)
    }

    /// Where a registry with this folder has its data.
    pub(crate) fn data_in(folder: &Path) -> PathBuf {
        folder.join("data")
    }

    /// Where its data lies.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Its name in references, `127.0.0.1:PORT`: the address of its link.
    pub(crate) fn host(&self) -> String {
        self.link.address().to_string()
    }

    /// What it was asked since this was last called.
    pub(crate) async fn traffic(&mut self) -> Result<Traffic> {
        // It writes a line when an answer has gone out; the last may still be on its way.
        let mut text = self.read_log()?;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.read_log()?;
            if now.len() == text.len() {
                break;
            }
            text = now;
        }
        let mut traffic = Traffic::default();
        for line in text.get(self.seen.log..).unwrap_or_default().lines() {
            if let Some(request) = request(line) {
                *traffic.requests.entry(request).or_default() += 1;
            }
        }
        let refused = self.limiter.as_ref().map_or(0, Limiter::refused);
        let counted = self.link.counted();
        traffic.refused = refused - self.seen.refused;
        traffic.connections = counted.connections - self.seen.counted.connections;
        traffic.received = counted.to_server - self.seen.counted.to_server;
        traffic.sent = counted.to_client - self.seen.counted.to_client;
        self.seen = Seen { log: text.len(), refused, counted };
        Ok(traffic)
    }

    fn read_log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).context(|| format!("reading {}", self.log.display()))
    }
}

/// The method and what it was for, as in `GET blob`, of a line of Apache's combined format
/// (distribution), or of one of `image-syncer serve` at level debug (`… answered method=METHOD
/// path="path" status=code …`).
fn request(line: &str) -> Option<String> {
    let (method, path) = if let Some((_, rest)) = line.split_once("answered method=") {
        rest.split_once(" path=\"")?
    } else {
        line.split_once("] \"")?.1.split_once(' ')?
    };
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method);
    let path =
        path.split(['"', ' ', '?']).next().filter(|path| known && path.starts_with("/v2"))?;
    let places = [
        ("/manifests/", "manifest"),
        ("/blobs/uploads/", "upload"),
        ("/blobs/", "blob"),
        ("/referrers/", "referrers"),
        ("/tags/list", "tags"),
    ];
    let place = places.into_iter().find(|(part, _)| path.contains(part));
    Some(format!("{method} {}", place.map_or("else", |(_, name)| name)))
}

fn distribution(data: &Path, port: u16, authority: &Authority) -> String {
    format!(
        "version: 0.1\n\
         log: {{level: error}}\n\
         storage: {{filesystem: {{rootdirectory: '{}'}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '127.0.0.1:{port}', secret: bench, tls: {{certificate: '{}', key: '{}'}}}}\n",
        data.display(),
        authority.certificate.display(),
        authority.key.display(),
    )
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.context(|| "looking for a free port".to_owned())?.port())
}

async fn wait_for(address: SocketAddr, child: &mut Child, log: &Path) -> Result<()> {
    for _ in 0..3000 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            return Err(Error::new(format!("a registry ended with {status}:\n{text}")));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Error::new("a registry did not begin to listen within 30 s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_from_both_logs() {
        let distribution = r#"127.0.0.1 - - [21/Nov/2026:05:02:13 +0000] "POST /v2/app/blobs/uploads/?mount=sha256:0&from=b HTTP/2.0" 201 0 "" "crane""#;
        assert_eq!(request(distribution).as_deref(), Some("POST upload"));
        let ours = r#"2026-11-21T05:02:13Z DEBUG server: answered method=GET path="/v2/app/referrers/sha256:0" status=200 took=1ms"#;
        assert_eq!(request(ours).as_deref(), Some("GET referrers"));
        let other = r#"2026-11-21T05:02:13Z DEBUG server: a connection ended early"#;
        assert_eq!(request(other), None);
    }
}
