//! A listening socket: who calls, and what to do when the system has no descriptor for another caller.

use super::tls::Certificate;
use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;

/// How long no caller is let in after the system had no descriptor, unless a connection ends before, milliseconds.
const PAUSE_MS: u64 = 50;

/// What came of listening.
pub enum Accepted {
    /// Somebody is there.
    Caller(TcpStream, IpAddr),
    /// Nobody is there now.
    Nobody,
    /// Somebody is there, but the system has no descriptor or memory.
    NoDescriptor,
}

/// A listening socket.
pub struct Door {
    /// The socket.
    pub listener: TcpListener,
    /// The certificate, where TLS is spoken.
    pub certificate: Option<Arc<Certificate>>,
    calls: bool,
    closed_until_ms: u64,
}

impl Door {
    /// A door on which somebody may be knocking already.
    pub fn new(listener: TcpListener, certificate: Option<Arc<Certificate>>) -> Self {
        Self { listener, certificate, calls: true, closed_until_ms: 0 }
    }

    /// An event says that somebody is there.
    pub fn someone_calls(&mut self) {
        self.calls = true;
    }

    /// A descriptor has become free.
    pub fn someone_left(&mut self, now_ms: u64) {
        self.closed_until_ms = self.closed_until_ms.min(now_ms);
    }

    /// Whether somebody may be there.
    pub fn has_callers(&self) -> bool {
        self.calls
    }

    /// Whether somebody may be there and may be let in now.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.calls && now_ms >= self.closed_until_ms
    }

    /// Lets the next caller in. No error ends the listening: those of one caller are passed over, those of the system wait.
    pub fn accept(&mut self, now_ms: u64) -> Accepted {
        match self.listener.accept() {
            Ok((socket, address)) => Accepted::Caller(socket, address.ip().to_canonical()),
            Err(e) if is_out_of_descriptors(&e) => {
                self.closed_until_ms = now_ms + PAUSE_MS;
                Accepted::NoDescriptor
            }
            Err(e) => {
                match e.kind() {
                    ErrorKind::WouldBlock => self.calls = false,
                    // This caller went; the next one has his turn after those who are in.
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ => self.closed_until_ms = now_ms + PAUSE_MS,
                }
                Accepted::Nobody
            }
        }
    }
}

/// Whether the system has no descriptor, or no memory for one.
pub fn is_out_of_descriptors(error: &Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
