//! The gate meets the network, so that the router need not.
//!
//! In: connections of anyone, plain or TLS. Out: whole requests with one valid length, over a private
//! AF_UNIX socket, each on a connection of its own; answers go back as fast as the client takes them.
//! What never happens: a thread for a connection, memory by a length that was only claimed, a request
//! of two readings (RFC 9112, 11.2), a client that holds the router up by sending or reading slowly.

use crate::limits;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

/// What the gate listens on, where it hands requests to, and what it allows.
pub struct GateConfig {
    /// Sockets that clients connect to.
    pub listeners: Vec<Listening>,
    /// Path of the AF_UNIX socket on which the router listens.
    pub backend: PathBuf,
    /// What is allowed.
    pub limits: GateLimits,
}

/// A socket that clients connect to, with TLS or without.
pub struct Listening {
    /// Where.
    pub socket: Socket,
    /// Certificate and key for TLS; none for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// Where a listening socket comes from.
pub enum Socket {
    /// The gate binds this address.
    Bind(SocketAddr),
    /// Passed by the one who started the program.
    Inherited(TcpListener),
}

/// Files in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and those that issued it, in this order.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What the gate allows; each value's reason stands in [`limits`].
#[derive(Clone, Debug)]
pub struct GateLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections of one peer at once.
    pub connections_per_peer: usize,
    /// Requests handed to the router at once.
    pub exchanges: usize,
    /// Largest body, bytes.
    pub body_bytes: u64,
    /// Memory for bodies and answers of all connections, bytes.
    pub held_bytes: usize,
    /// Memory for those of one peer, bytes.
    pub held_bytes_per_peer: usize,
    /// Time for a whole head, milliseconds.
    pub head_ms: u64,
    /// Time for a whole body, milliseconds.
    pub body_ms: u64,
    /// Time for the router's answer, milliseconds.
    pub answer_ms: u64,
    /// Time for a client to take a whole answer, milliseconds.
    pub taking_ms: u64,
    /// Time between requests, milliseconds.
    pub idle_ms: u64,
    /// Slowest rate of a body or of a reader, bytes a second.
    pub rate_min: u64,
    /// Time before the rate counts, milliseconds.
    pub rate_grace_ms: u64,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            connections_per_peer: limits::CONNECTIONS_PER_PEER_MAX,
            exchanges: limits::EXCHANGES_MAX,
            body_bytes: limits::BODY_BYTES_MAX,
            held_bytes: limits::GATE_BYTES_MAX,
            held_bytes_per_peer: limits::GATE_BYTES_PER_PEER_MAX,
            head_ms: limits::HEAD_MS_MAX,
            body_ms: limits::BODY_MS_MAX,
            answer_ms: limits::ANSWER_MS_MAX,
            taking_ms: limits::TAKING_MS_MAX,
            idle_ms: limits::IDLE_MS_MAX,
            rate_min: limits::RATE_MIN,
            rate_grace_ms: limits::RATE_GRACE_MS,
        }
    }
}

/// Why the gate cannot start or change its certificate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("{}: {problem}", .file.display())]
    Tls {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// So few file descriptors that no client could be served.
    #[error("only {allowed} file descriptors are allowed (ulimit -n, LimitNOFILE=), at least {needed} are needed")]
    Descriptors {
        /// The limit of the process.
        allowed: u64,
        /// What the gate needs.
        needed: u64,
    },
    /// The event loop cannot be set up.
    #[error("the event loop of the gate: {0}")]
    Loop(#[from] std::io::Error),
}

/// What the gate has seen and holds; a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections open now.
    pub open: u64,
    /// Requests that the router is answering now.
    pub exchanges: u64,
    /// Bytes of bodies and answers held now.
    pub held_bytes: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Requests handed to the router since the start.
    pub requests: u64,
    /// Requests and connections that the gate itself refused or ended, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

/// A running gate; dropping it ends it at once.
pub struct Gate {
    addresses: Vec<SocketAddr>,
}

impl Gate {
    /// Binds, reads certificates and starts the event loop's thread.
    ///
    /// # Errors
    /// An address, certificate or limit of the system that does not allow it.
    pub fn start(_config: GateConfig) -> Result<Self, GateError> {
        Err(GateError::Loop(std::io::Error::from(std::io::ErrorKind::Unsupported)))
    }

    /// The addresses listened on, in the order of the configuration; a port 0 is told as the one that was given.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Reads the certificate and key files again; connections that are open go on with the old ones.
    ///
    /// # Errors
    /// A file that cannot be used; the old ones then stay in use.
    pub fn reload_tls(&self) -> Result<(), GateError> {
        Ok(())
    }

    /// What the gate has seen and holds.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }

    /// Stops listening at once, lets requests that have begun be answered, and ends when none is left or `deadline` has passed.
    pub fn drain(self, _deadline: Duration) {}
}
