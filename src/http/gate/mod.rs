//! The gate meets the network, so that the router need not.
//!
//! In: connections of anyone, plain or TLS. Out: whole requests with one valid length, over a private
//! AF_UNIX socket, each on a connection of its own; answers go back as fast as the client takes them.
//! What never happens: a thread for a connection, memory by a length that was only claimed, a request
//! of two readings (RFC 9112, 11.2), a client that holds the router up by sending or reading slowly.

mod accounts;
pub mod answer;
mod blocks;
mod connection;
pub mod conversation;
mod door;
mod event_loop;
pub mod head;
mod pace;
mod places;
pub mod refusal;
pub mod scan;
mod shared;
mod tls;
mod wire;

use crate::limits;
use door::Door;
use event_loop::{EventLoop, WAKER};
use mio::{Poll, Waker};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::Shared;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tls::Certificate;

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

impl GateLimits {
    /// A site that allows larger bodies gets the memory for one.
    fn with_room_for_a_body(self) -> Self {
        let body = usize::try_from(self.body_bytes).unwrap_or(usize::MAX).saturating_add(limits::HEAD_BYTES_MAX * 8);
        let held_bytes_per_peer = self.held_bytes_per_peer.max(body);
        Self { held_bytes: self.held_bytes.max(held_bytes_per_peer), held_bytes_per_peer, ..self }
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
    certificates: Vec<Arc<Certificate>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Checks that certificate and key can be used, without listening.
///
/// # Errors
/// A file that cannot be read, holds none, or does not fit the other.
pub fn check_tls(files: TlsFiles) -> Result<(), GateError> {
    Certificate::read(files).map(|_| ())
}

impl Gate {
    /// Binds, reads certificates and starts the event loop's thread. The process's limit of file descriptors is raised to what
    /// `config` needs, if the system allows it; if not, fewer connections are held.
    ///
    /// # Errors
    /// An address, certificate or limit of the system that does not allow it.
    pub fn start(config: GateConfig) -> Result<Self, GateError> {
        let limits = descriptors(&config.limits)?.with_room_for_a_body();
        let mut doors = Vec::new();
        let mut addresses = Vec::new();
        for listening in config.listeners {
            let certificate = listening.tls.map(Certificate::read).transpose()?.map(Arc::new);
            let listener = listener(listening.socket)?;
            addresses.push(listener.local_addr()?);
            doors.push(Door::new(listener, certificate));
        }
        let certificates = doors.iter().filter_map(|d| d.certificate.clone()).collect();
        let poll = Poll::new()?;
        let shared = Arc::new(Shared::new(Waker::new(poll.registry(), WAKER)?));
        let event_loop = EventLoop::new(poll, doors, config.backend, limits, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new().name("gate".to_owned()).spawn(move || {
            if let Err(e) = event_loop.run() {
                log::error!("the gate has ended: {e}");
            }
        })?;
        Ok(Self { addresses, certificates, shared, thread: Some(thread) })
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
        self.certificates.iter().try_for_each(|c| c.reload())
    }

    /// What the gate has seen and holds.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Whether the event loop runs. A service whose gate has ended reaches nobody and should end too.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|t| !t.is_finished())
    }

    /// Stops listening at once, lets requests that have begun be answered, and ends when none is left or `deadline` has passed.
    pub fn drain(mut self, deadline: Duration) {
        self.end(deadline);
    }

    fn end(&mut self, deadline: Duration) {
        self.shared.ask_to_drain(deadline);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the gate has ended by a panic");
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Duration::ZERO);
        }
    }
}

fn listener(socket: Socket) -> Result<mio::net::TcpListener, GateError> {
    match socket {
        Socket::Bind(address) => {
            mio::net::TcpListener::bind(address).map_err(|cause| GateError::Listen { address: address.to_string(), cause })
        }
        Socket::Inherited(listener) => {
            listener.set_nonblocking(true)?;
            Ok(mio::net::TcpListener::from_std(listener))
        }
    }
}

/// Raises the limit of file descriptors as far as needed and allowed; the limits that it leaves room for.
fn descriptors(limits: &GateLimits) -> Result<GateLimits, GateError> {
    let needed = places::descriptors_needed(limits, limits::DESCRIPTORS_LEFT);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut allowed = current.unwrap_or(u64::MAX);
    if allowed < needed {
        let more = maximum.unwrap_or(u64::MAX).min(needed);
        if more > allowed && setrlimit(Resource::Nofile, Rlimit { current: Some(more), maximum }).is_ok() {
            allowed = more;
        }
    }
    let within = places::within_descriptors(limits, allowed, limits::DESCRIPTORS_LEFT)
        .map_err(|needed| GateError::Descriptors { allowed, needed })?;
    if within.connections < limits.connections || within.exchanges < limits.exchanges {
        log::warn!(
            "{allowed} file descriptors leave room for {} connections instead of {}; raise LimitNOFILE= or ulimit -n to {needed}",
            within.connections,
            limits.connections
        );
    }
    Ok(within)
}
