//! [`ClosedPort`]: an address that refuses every connection for as long as the test wants it to.

use std::net::SocketAddr;

use oci::Host;
use tokio::net::TcpSocket;

/// A port that nobody listens at, and that nobody else gets while this lives: it is bound. One that was
/// listened at and let go may be somebody else's the next moment.
#[derive(Debug)]
pub struct ClosedPort {
    address: SocketAddr,
    _bound: TcpSocket,
}

impl ClosedPort {
    /// Any one of the loopback interface that is free.
    ///
    /// # Panics
    /// If no port can be had.
    pub fn bind() -> Self {
        // Without SO_REUSEADDR, which would let a listener bind it as well.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        Self { address, _bound: socket }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address, as the host of a registry.
    ///
    /// # Panics
    /// Never: an address with a port is a host.
    pub fn host(&self) -> Host {
        self.address.to_string().parse().expect("an address with a port is a host")
    }
}
