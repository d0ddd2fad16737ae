//! The client's side of a connection: bytes through a socket, plain or under TLS, never blocking.

use crate::limits::HANDSHAKE_BYTES_MAX;
use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::Shutdown;
use std::sync::Arc;

/// Bytes under way to the client that TLS may hold. More would hide how slowly a client reads.
const TLS_BUFFER_BYTES: usize = 16 << 10;

/// A socket with a client.
pub struct Wire {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    /// What came while the handshake was not over.
    handshake_bytes: usize,
}

/// Somebody speaks HTTP where TLS is spoken.
#[derive(Debug, thiserror::Error)]
#[error("HTTP where TLS is spoken")]
pub struct NoTls;

/// Somebody's handshake is longer than any.
#[derive(Debug, thiserror::Error)]
#[error("a TLS handshake of more than {HANDSHAKE_BYTES_MAX} bytes")]
struct EndlessHandshake;

impl Wire {
    /// A socket, with TLS if there is a configuration.
    ///
    /// # Errors
    /// What TLS says of its configuration.
    pub fn new(socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Result<Self> {
        // Answers are written in as few pieces as can be; waiting for more to send only costs time.
        let _ = socket.set_nodelay(true);
        let tls = match tls {
            None => None,
            Some(config) => {
                let mut connection = ServerConnection::new(Arc::clone(config)).map_err(Error::other)?;
                connection.set_buffer_limit(Some(TLS_BUFFER_BYTES));
                Some(Box::new(connection))
            }
        };
        Ok(Self { socket, tls, handshake_bytes: 0 })
    }

    /// The socket, for the event loop's register.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Reads what the client says; 0 bytes where it says no more.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there now, [`NoTls`], what TLS or the system says.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if tls.is_handshaking() {
                let mut first = [0];
                // A TLS record begins with 22; a request of HTTP with a capital letter.
                if matches!(self.socket.peek(&mut first), Ok(1)) && first[0].is_ascii_uppercase() {
                    return Err(Error::new(ErrorKind::InvalidData, NoTls));
                }
            }
            let came = tls.read_tls(&mut self.socket)?;
            if came == 0 {
                return Ok(0);
            }
            if let Err(fault) = tls.process_new_packets() {
                // The alert that says why.
                let _ = tls.write_tls(&mut self.socket);
                return Err(Error::new(ErrorKind::InvalidData, fault));
            }
            if tls.is_handshaking() {
                self.handshake_bytes = self.handshake_bytes.saturating_add(came);
                if self.handshake_bytes > HANDSHAKE_BYTES_MAX {
                    return Err(Error::new(ErrorKind::InvalidData, EndlessHandshake));
                }
            }
        }
    }

    /// Writes to the client, or takes over what will be written.
    ///
    /// # Errors
    /// `WouldBlock` if nothing can be taken now; what the system says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        let mut count = tls.writer().write(bytes)?;
        if count == 0 && self.flush()? {
            count = self.tls.as_mut().map_or(Ok(0), |tls| tls.writer().write(bytes))?;
        }
        if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// Sends what TLS holds; true if nothing is left.
    ///
    /// # Errors
    /// What the system says.
    pub fn flush(&mut self) -> Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Tells the client that nothing more comes.
    pub fn say_end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = self.flush();
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Says one last thing without TLS, as far as the socket takes it at once.
    pub fn say_plainly(&mut self, bytes: &[u8]) {
        let _ = self.socket.write(bytes);
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}
