//! How the service tells systemd where it stands (sd_notify(3)): one datagram for each word.
//!
//! In: a state. Out: a datagram to the socket that NOTIFY_SOCKET names; nothing where there is none.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to systemd, if it started us.
pub struct Notify(Option<(UnixDatagram, SocketAddr)>);

impl Notify {
    /// The socket that the environment names.
    ///
    /// # Errors
    /// A name that is no address of a socket.
    pub fn from_env() -> std::io::Result<Self> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|n| !n.is_empty()) else { return Ok(Self(None)) };
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&name)?,
        };
        Ok(Self(Some((UnixDatagram::unbound()?, address))))
    }

    /// Ready: requests are answered from now on.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// What it does now, for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// Stopping.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Alive: a film was read since the last time.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, state: &str) {
        let Some((socket, address)) = &self.0 else { return };
        if let Err(e) = socket.send_to_addr(state.as_bytes(), address) {
            log::warn!("systemd did not take {state:?}: {e}");
        }
    }
}

/// How long systemd waits for [`Notify::alive`] before it restarts us; none where it does not wait.
pub fn watchdog() -> Option<Duration> {
    let of_ours = |pid: String| pid.parse() == Ok(std::process::id());
    if !std::env::var("WATCHDOG_PID").map_or(true, of_ours) {
        return None;
    }
    let micros = std::env::var("WATCHDOG_USEC").ok()?.parse().ok().filter(|us| *us > 0)?;
    Some(Duration::from_micros(micros))
}
