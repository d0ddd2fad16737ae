//! PDUs over a connection (PS3.8 9.3), each bounded in length before it is read and in time while it is.

use crate::limits::DICOM_PDU_BYTES_MAX;
use dicom_ul::pdu::{Pdu, read_pdu, write_pdu};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Type, a reserved byte and the length.
const HEADER_BYTES: usize = 6;
/// Longest that an answer may wait for the peer to take it.
const WRITE_TIME: Duration = Duration::from_secs(20);
/// Longest that the peer's closing is waited for.
const LINGER: Duration = Duration::from_secs(1);

/// Why there is no further PDU.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireFault {
    /// Also where the peer closed the connection, or a deadline passed.
    #[error("the connection failed: {0}")]
    Connection(#[from] io::Error),
    #[error("a PDU of {0} bytes is announced, the most allowed is {DICOM_PDU_BYTES_MAX}")]
    TooLong(u32),
    #[error("a PDU of type {0:02x} cannot be read")]
    NotValid(u8),
}

/// A socket that fails when its deadline has passed, however slowly bytes drip in.
struct Deadlined {
    stream: TcpStream,
    deadline: Instant,
}

impl Deadlined {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::new(ErrorKind::TimedOut, "the deadline has passed")) } else { Ok(left) }
    }
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

enum Channel {
    Plain(Deadlined),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, Deadlined>>),
}

/// A connection that carries PDUs.
pub(super) struct Wire(Channel);

impl Wire {
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<rustls::ServerConfig>>, deadline: Instant) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = Deadlined { stream, deadline };
        Ok(Self(match tls {
            None => Channel::Plain(socket),
            Some(config) => {
                let connection = rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Channel::Tls(Box::new(rustls::StreamOwned::new(connection, socket)))
            }
        }))
    }

    /// From now on nothing may take longer than to `deadline`.
    pub(super) fn until(&mut self, deadline: Instant) {
        self.socket().deadline = deadline;
    }

    fn socket(&mut self) -> &mut Deadlined {
        match &mut self.0 {
            Channel::Plain(socket) => socket,
            Channel::Tls(stream) => &mut stream.sock,
        }
    }

    /// Waits for the next PDU.
    pub(super) fn receive(&mut self) -> Result<Pdu, WireFault> {
        let mut bytes = vec![0; HEADER_BYTES];
        self.read_exact(&mut bytes)?;
        let &[kind, _, a, b, c, d] = bytes.as_slice() else { return Err(WireFault::NotValid(0)) };
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > DICOM_PDU_BYTES_MAX {
            return Err(WireFault::TooLong(length));
        }
        let whole = HEADER_BYTES.saturating_add(usize::try_from(length).map_err(|_| WireFault::TooLong(length))?);
        bytes.resize(whole, 0);
        self.read_exact(bytes.get_mut(HEADER_BYTES..).unwrap_or_default())?;
        // Somebody else's parser: a panic in it is this association's end and no more.
        match catch_unwind(AssertUnwindSafe(|| read_pdu(bytes.as_slice(), DICOM_PDU_BYTES_MAX, true))) {
            Ok(Ok(Some(pdu))) => Ok(pdu),
            _ => Err(WireFault::NotValid(kind)),
        }
    }

    pub(super) fn send(&mut self, pdu: &Pdu) -> Result<(), WireFault> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|fault| io::Error::other(fault.to_string()))?;
        self.until(Instant::now() + WRITE_TIME);
        match &mut self.0 {
            Channel::Plain(socket) => socket.write_all(&bytes)?,
            Channel::Tls(stream) => stream.write_all(&bytes).and_then(|()| stream.flush())?,
        }
        Ok(())
    }

    /// Ends the connection so that the peer still reads what was sent last: it closes first.
    pub(super) fn close(mut self) {
        if let Channel::Tls(stream) = &mut self.0 {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        self.until(Instant::now() + LINGER);
        let socket = self.socket();
        let _ = socket.stream.shutdown(Shutdown::Write);
        let mut rest = [0; 4096];
        while matches!(socket.read(&mut rest), Ok(n) if n > 0) {}
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match &mut self.0 {
            Channel::Plain(socket) => socket.read_exact(buffer),
            Channel::Tls(stream) => stream.read_exact(buffer),
        }
    }
}
