//! A storage provider (PS3.4 Annex B, PS3.7 9.1.1): modalities send films here by C-STORE and ask by
//! C-ECHO whether anybody is here.
//!
//! In: a listening socket, titles and peers, and an [`Intake`]. Out: each film as a DICOM file, handed
//! to the intake; the modality hears "success" only behind the intake's own word that the film is
//! durable. Never: a film acknowledged that was not kept, an allocation by a length that a peer claims,
//! more associations, bytes or seconds than the limits allow, a peer that is not configured.
//!
//! Steps of an association: [`wire`](super::wire) reads bounded PDUs before a deadline, [`negotiation`] decides what
//! is accepted, [`message`] puts commands and data sets together, [`association`] answers them.

mod association;
mod command;
mod counters;
mod message;
mod negotiation;

pub use counters::Counts;

use crate::limits::{DICOM_ASSOCIATIONS_MAX, DICOM_ASSOCIATIONS_OF_PEER_MAX};
use counters::{Counters, Rejection};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Pause after the system could not accept, for example because it ran out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the thread that accepts is woken for.
const CONNECTION: Token = Token(0);
const END: Token = Token(1);

/// Who sent a film.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Calling AE title.
    pub ae_title: String,
    /// Where the association came from.
    pub address: IpAddr,
}

/// Where films go.
pub trait Intake: Send + Sync {
    /// Takes a film, a whole DICOM file. Returns only when it is durable.
    ///
    /// # Errors
    /// What the sender is to be told.
    fn film(&self, file: Vec<u8>, from: &Peer) -> Result<(), IntakeFault>;
}

/// Why a film was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeFault {
    /// No room, or too much to do: the sender may try again.
    #[error("out of resources")]
    OutOfResources,
    /// The file cannot be what it says it is: trying again is of no use.
    #[error("the data set cannot be understood")]
    NotUnderstood,
    /// A fault of ours.
    #[error("processing failed")]
    Failed,
}

/// Whether secondary captures are taken beside CR and DX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondaryCapture {
    /// Their contexts are not accepted.
    #[default]
    Refused,
    /// As films are.
    Taken,
}

/// Who may associate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Anybody who calls our title.
    Any,
    /// These alone.
    Only(Vec<AllowedPeer>),
}

/// A peer that may associate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedPeer {
    /// Its AE title.
    pub ae_title: String,
    /// Its address; `None` for any.
    pub address: Option<IpAddr>,
}

/// How the provider is set up.
#[derive(Clone)]
pub struct ScpConfig {
    /// Our AE title: 1 to 16 characters.
    pub ae_title: String,
    /// Who may associate.
    pub peers: Peers,
    /// Whether secondary captures are taken.
    pub secondary_capture: SecondaryCapture,
    /// TLS on every association, or none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long things may take.
    pub times: Times,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From connecting to the end of the association request.
    pub request: Duration,
    /// Between messages.
    pub idle: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { request: Duration::from_secs(15), idle: Duration::from_secs(120), message: Duration::from_secs(300) }
    }
}

/// A provider that is running; dropping it closes the listener.
pub struct Scp {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
    waker: Waker,
}

/// What all associations share.
struct Shared {
    config: ScpConfig,
    intake: Arc<dyn Intake>,
    counters: Counters,
    stopping: AtomicBool,
    open: Mutex<HashMap<IpAddr, usize>>,
    closed: Condvar,
    /// Bytes of data sets that are being received.
    held: AtomicU64,
}

/// Whether there is room for an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Here,
    /// It is told to come again later.
    Full,
    /// Too many wait to be told so.
    None,
}

impl Scp {
    /// Listens on `listener`.
    ///
    /// # Errors
    /// Where the title is no AE title, or the thread cannot be started.
    pub fn start(listener: TcpListener, config: ScpConfig, intake: Arc<dyn Intake>) -> io::Result<Self> {
        let peers = match &config.peers {
            Peers::Any => &[][..],
            Peers::Only(peers) => peers,
        };
        for title in peers.iter().map(|peer| &peer.ae_title).chain([&config.ae_title]) {
            if !is_ae_title(title) {
                let text = format!("{title:?} is no AE title: 1 to 16 ASCII characters without control characters and backslash");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        }
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let mut listener = mio::net::TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, CONNECTION, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), END)?;
        let shared = Arc::new(Shared {
            config,
            intake,
            counters: Counters::default(),
            stopping: AtomicBool::new(false),
            open: Mutex::new(HashMap::new()),
            closed: Condvar::new(),
            held: AtomicU64::new(0),
        });
        let ours = Arc::clone(&shared);
        let listening = thread::Builder::new().name("dicom-accept".to_owned()).spawn(move || ours.accept(&listener, poll))?;
        Ok(Self { shared, address, listening: Some(listening), waker })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        let open = self.shared.open().values().sum();
        self.shared.counters.counts(open, self.shared.held.load(Ordering::Relaxed))
    }

    /// Takes no further association and waits, at most so long, until those that are open have ended;
    /// how many are still open.
    pub fn drain(mut self, most: Duration) -> usize {
        self.close();
        let deadline = Instant::now() + most;
        let mut open = self.shared.open();
        while !open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            open = self.shared.closed.wait_timeout(open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        open.values().sum()
    }

    fn close(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Not by a connection of our own: under systemd the process may open none.
        if let (Some(listening), Ok(())) = (self.listening.take(), self.waker.wake()) {
            // It panics nowhere; if it did, it has ended all the same.
            let _ = listening.join();
        }
    }
}

impl Drop for Scp {
    fn drop(&mut self) {
        if self.listening.is_some() {
            self.close();
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &mio::net::TcpListener, mut poll: Poll) {
        let mut events = Events::with_capacity(2);
        while !self.stopping.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((stream, from)) => self.admit(stream.into(), from.ip().to_canonical()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if poll.poll(&mut events, None).is_err() {
                        thread::sleep(ACCEPT_PAUSE);
                    }
                }
                Err(_) => thread::sleep(ACCEPT_PAUSE),
            }
        }
    }

    /// A thread for the connection, where there is room for it.
    fn admit(self: &Arc<Self>, stream: TcpStream, address: IpAddr) {
        let room = self.enter(address);
        if room == Room::None {
            return self.counters.rejected(Rejection::TooMany);
        }
        let ours = Arc::clone(self);
        let serve = move || {
            match stream.set_nonblocking(false) {
                Ok(()) => association::serve(&ours, stream, address, room),
                Err(e) => log::warn!("dicom: the connection of {address} cannot be used: {e}"),
            }
            ours.leave(address);
        };
        if thread::Builder::new().name("dicom-association".to_owned()).spawn(serve).is_err() {
            self.leave(address);
            thread::sleep(ACCEPT_PAUSE);
        }
    }

    /// Counts a connection in. Twice as many as may associate are kept for long enough to be told.
    fn enter(&self, address: IpAddr) -> Room {
        let mut open = self.open();
        let (all, of_peer) = (open.values().sum::<usize>(), open.get(&address).copied().unwrap_or_default());
        if all >= 2 * DICOM_ASSOCIATIONS_MAX || of_peer >= 2 * DICOM_ASSOCIATIONS_OF_PEER_MAX {
            return Room::None;
        }
        *open.entry(address).or_default() += 1;
        if all >= DICOM_ASSOCIATIONS_MAX || of_peer >= DICOM_ASSOCIATIONS_OF_PEER_MAX { Room::Full } else { Room::Here }
    }

    fn leave(&self, address: IpAddr) {
        let mut open = self.open();
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
        self.closed.notify_all();
    }
}

/// PS3.5 table 6.2-1, AE.
fn is_ae_title(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.trim() == text && text.bytes().all(|b| (0x20..0x7F).contains(&b) && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ae_title_has_one_to_sixteen_printable_characters() {
        for (title, sound) in [
            ("CHEXBOX", true),
            ("A", true),
            ("ROOM 1 LEFT SIDE", true),
            ("ROOM 10 LEFT SIDE", false),
            ("", false),
            (" A", false),
            ("A\\B", false),
            ("胸片", false),
            ("A\nB", false),
        ] {
            assert_eq!(is_ae_title(title), sound, "{title:?}");
        }
    }
}
