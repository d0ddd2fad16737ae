//! PDUs over a connection (PS3.8 9.3), each bounded in length before it is read and in time while it is.

use super::socket::Channel;
use crate::limits::DICOM_PDU_BYTES_MAX;
use dicom_ul::pdu::{Pdu, read_pdu, write_pdu};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Type, a reserved byte and the length.
const HEADER_BYTES: usize = 6;
/// Longest that an answer may wait for the peer to take it.
const WRITE_TIME: Duration = Duration::from_secs(20);

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

/// A connection that carries PDUs.
pub(super) struct Wire(Channel);

impl Wire {
    /// A connection that was accepted.
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<rustls::ServerConfig>>, deadline: Instant) -> io::Result<Self> {
        Channel::accepted(stream, tls, deadline).map(Self)
    }

    /// A connection that was made.
    pub(super) fn over(channel: Channel) -> Self {
        Self(channel)
    }

    /// From now on nothing may take longer than to `deadline`.
    pub(super) fn until(&mut self, deadline: Instant) {
        self.0.until(deadline);
    }

    /// Waits for the next PDU.
    pub(super) fn receive(&mut self) -> Result<Pdu, WireFault> {
        let mut bytes = vec![0; HEADER_BYTES];
        self.0.read_exact(&mut bytes)?;
        let &[kind, _, a, b, c, d] = bytes.as_slice() else { return Err(WireFault::NotValid(0)) };
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > DICOM_PDU_BYTES_MAX {
            return Err(WireFault::TooLong(length));
        }
        let whole = HEADER_BYTES.saturating_add(usize::try_from(length).map_err(|_| WireFault::TooLong(length))?);
        bytes.resize(whole, 0);
        self.0.read_exact(bytes.get_mut(HEADER_BYTES..).unwrap_or_default())?;
        // Somebody else's parser: a panic in it is this association's end and no more.
        match catch_unwind(AssertUnwindSafe(|| read_pdu(bytes.as_slice(), DICOM_PDU_BYTES_MAX, true))) {
            Ok(Ok(Some(pdu))) => Ok(pdu),
            _ => Err(WireFault::NotValid(kind)),
        }
    }

    /// Sends an answer, for which the peer has its time.
    pub(super) fn send(&mut self, pdu: &Pdu) -> Result<(), WireFault> {
        self.until(Instant::now() + WRITE_TIME);
        self.send_in_time(pdu)
    }

    /// Sends within the deadline that holds.
    pub(super) fn send_in_time(&mut self, pdu: &Pdu) -> Result<(), WireFault> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|fault| io::Error::other(fault.to_string()))?;
        Ok(self.0.write_all(&bytes).and_then(|()| self.0.flush())?)
    }

    /// Ends the connection so that the peer still reads what was sent last: it closes first.
    pub(super) fn close(self) {
        self.0.close();
    }
}
