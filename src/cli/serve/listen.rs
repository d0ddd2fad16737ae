//! Sockets: those that clients connect to, bound here or passed by systemd, and the private one behind the gate.

use crate::cli::{Failure, WrongCommandLine};
use chexbox::appliance::config::{LISTEN, Settings};
use chexbox::http::gate::{Listening, Socket, TlsFiles};
use chexbox::limits::UNIX_PATH_BYTES_MAX;
use listenfd::ListenFd;
use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// What clients connect to: the sockets of systemd where it passed some, and the addresses of the configuration; the default
/// address where there is neither.
///
/// # Errors
/// An address beyond loopback without tokens and TLS, or what the system said.
pub fn listeners(settings: &Settings) -> Result<Vec<Listening>, Failure> {
    let tls = || settings.tls.clone().map(|(certificate, key)| TlsFiles { certificate, key });
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for i in 0..passed.len() {
        let socket = passed.take_tcp_listener(i).map_err(|e| format!("socket {i} of systemd is no TCP socket: {e}"))?;
        if let Some(socket) = socket {
            settings.may_listen(socket.local_addr()?).map_err(WrongCommandLine)?;
            listeners.push(Listening { socket: Socket::Inherited(socket), tls: tls() });
        }
    }
    let default = || LISTEN.parse().into_iter().collect();
    let bound = if listeners.is_empty() && settings.listen.is_empty() { default() } else { settings.listen.clone() };
    listeners.extend(bound.into_iter().map(|address| Listening { socket: Socket::Bind(address), tls: tls() }));
    Ok(listeners)
}

/// The socket between the gate and the answers, in a folder that no one else may enter: systemd's RUNTIME_DIRECTORY, else
/// the state folder, else one for temporary files where the path would be too long.
///
/// # Errors
/// What the system said.
pub fn backend(state: &Path) -> Result<(UnixListener, PathBuf), Failure> {
    let runtime = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    let fits = |folder: &PathBuf| folder.as_os_str().as_bytes().len() + "/run/answers.sock".len() <= UNIX_PATH_BYTES_MAX;
    let folder = runtime.or_else(|| Some(state.to_owned())).filter(fits);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join(format!("chexbox-{}", std::process::id()))).join("run");
    let at = |e: std::io::Error| format!("{}: {e}", folder.display());
    // The store lets one daemon alone into the state folder: what lies here was left by one that is gone.
    match std::fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(at(e).into()),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(at)?;
    let path = folder.join("answers.sock");
    Ok((UnixListener::bind(&path).map_err(at)?, path))
}
