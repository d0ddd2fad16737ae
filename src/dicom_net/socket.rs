//! A connection that fails when its deadline has passed, however slowly bytes drip in; plain or under TLS, on either side.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest that the peer's closing is waited for.
const LINGER: Duration = Duration::from_secs(1);

/// A socket that fails when its deadline has passed.
pub(super) struct Deadlined {
    stream: TcpStream,
    deadline: Instant,
}

impl Deadlined {
    fn left(&self) -> io::Result<Duration> {
        left(self.deadline)
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::new(ErrorKind::TimedOut, "the deadline has passed")) } else { Ok(left) }
}

impl Read for Deadlined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Deadlined {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection.
pub(super) enum Channel {
    Plain(Deadlined),
    /// Under TLS, as the one who was called.
    Called(Box<StreamOwned<ServerConnection, Deadlined>>),
    /// Under TLS, as the one who calls.
    Calling(Box<StreamOwned<ClientConnection, Deadlined>>),
}

/// Why a peer was not reached.
#[derive(Debug)]
pub(super) enum Unreached {
    /// No connection.
    Connect(io::Error),
    /// A connection that was not made secure.
    Tls(io::Error),
}

impl Channel {
    /// A connection that was accepted.
    pub(super) fn accepted(stream: TcpStream, tls: Option<&Arc<ServerConfig>>, deadline: Instant) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = Deadlined { stream, deadline };
        Ok(match tls {
            None => Self::Plain(socket),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Self::Called(Box::new(StreamOwned::new(connection, socket)))
            }
        })
    }

    /// Connects to the first of these addresses that answers, and makes it secure where asked to.
    pub(super) fn connect(
        addresses: &[SocketAddr],
        tls: Option<(&Arc<ClientConfig>, &str)>,
        deadline: Instant,
    ) -> Result<Self, Unreached> {
        let mut last = io::Error::new(ErrorKind::NotFound, "no address");
        for (at, address) in addresses.iter().enumerate() {
            // What is left is shared by the addresses that are left.
            let share = u32::try_from(addresses.len().saturating_sub(at)).unwrap_or(u32::MAX).max(1);
            match left(deadline).and_then(|left| TcpStream::connect_timeout(address, left / share)) {
                Ok(stream) => return Self::called_up(stream, tls, deadline),
                Err(e) => last = e,
            }
        }
        Err(Unreached::Connect(last))
    }

    fn called_up(stream: TcpStream, tls: Option<(&Arc<ClientConfig>, &str)>, deadline: Instant) -> Result<Self, Unreached> {
        stream.set_nodelay(true).map_err(Unreached::Connect)?;
        let mut socket = Deadlined { stream, deadline };
        let Some((config, host)) = tls else { return Ok(Self::Plain(socket)) };
        let wrong = |e: &dyn std::fmt::Display| Unreached::Tls(io::Error::other(e.to_string()));
        let name = ServerName::try_from(host.to_owned()).map_err(|e| wrong(&e))?;
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(|e| wrong(&e))?;
        while session.is_handshaking() {
            session.complete_io(&mut socket).map_err(Unreached::Tls)?;
        }
        Ok(Self::Calling(Box::new(StreamOwned::new(session, socket))))
    }

    /// From now on nothing may take longer than to `deadline`.
    pub(super) fn until(&mut self, deadline: Instant) {
        self.socket().deadline = deadline;
    }

    fn socket(&mut self) -> &mut Deadlined {
        match self {
            Self::Plain(socket) => socket,
            Self::Called(stream) => &mut stream.sock,
            Self::Calling(stream) => &mut stream.sock,
        }
    }

    /// Ends the connection so that the peer still reads what was sent last: it closes first.
    pub(super) fn close(mut self) {
        self.until(Instant::now() + LINGER);
        match &mut self {
            Self::Plain(_) => {}
            Self::Called(stream) => stream.conn.send_close_notify(),
            Self::Calling(stream) => stream.conn.send_close_notify(),
        }
        let _ = self.flush();
        let socket = self.socket();
        let _ = socket.stream.shutdown(Shutdown::Write);
        let mut rest = [0; 4096];
        while matches!(socket.read(&mut rest), Ok(n) if n > 0) {}
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Called(stream) => stream.read(buffer),
            Self::Calling(stream) => stream.read(buffer),
        }
    }
}

impl Write for Channel {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buffer),
            Self::Called(stream) => stream.write(buffer),
            Self::Calling(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Called(stream) => stream.flush(),
            Self::Calling(stream) => stream.flush(),
        }
    }
}
