//! Sockets: those that clients and modalities connect to, bound here or passed by systemd, and the private one behind the gate.

use crate::cli::{Failure, WrongCommandLine};
use chexbox::appliance::config::{LISTEN, Settings};
use chexbox::appliance::dicom_in::{DicomPort, PASSED};
use chexbox::http::gate::{Listening, Socket, TlsFiles};
use chexbox::limits::UNIX_PATH_BYTES_MAX;
use listenfd::ListenFd;
use std::fs::DirBuilder;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The sockets that others connect to.
pub struct Sockets {
    /// Those of clients.
    pub clients: Vec<Listening>,
    /// That of modalities, where films come by C-STORE.
    pub modalities: Option<TcpListener>,
}

/// What clients and modalities connect to: the sockets that systemd passes, told apart by their names, and the addresses of the
/// configuration; the default address for clients where there is neither.
///
/// # Errors
/// An address beyond loopback without what makes it safe, sockets that do not fit the configuration, or what the system said.
pub fn sockets(settings: &Settings) -> Result<Sockets, Failure> {
    let (of_dicom, of_clients): (Vec<_>, Vec<_>) = passed()?.into_iter().partition(|(name, _)| name == PASSED);
    let tls = || settings.tls.clone().map(|(certificate, key)| TlsFiles { certificate, key });
    let mut clients = Vec::new();
    for (_, socket) in of_clients {
        settings.may_listen(socket.local_addr()?).map_err(WrongCommandLine)?;
        clients.push(Listening { socket: Socket::Inherited(socket), tls: tls() });
    }
    let default = || LISTEN.parse().into_iter().collect();
    let bound = if clients.is_empty() && settings.listen.is_empty() { default() } else { settings.listen.clone() };
    clients.extend(bound.into_iter().map(|address| Listening { socket: Socket::Bind(address), tls: tls() }));
    Ok(Sockets { clients, modalities: modalities(settings, of_dicom.into_iter().map(|(_, socket)| socket).collect())? })
}

/// The socket of modalities, opened here or the one of those that were passed for them.
fn modalities(settings: &Settings, mut passed: Vec<TcpListener>) -> Result<Option<TcpListener>, Failure> {
    let wrong = |what: &str| Err(WrongCommandLine(what.to_owned()).into());
    match (settings.dicom.as_ref().map(|dicom| (dicom, dicom.port)), passed.pop()) {
        (_, Some(_)) if !passed.is_empty() => wrong("systemd passes several sockets named dicom: one ListenStream= is taken"),
        (Some((dicom, DicomPort::Passed)), Some(socket)) => {
            dicom.may_listen(socket.local_addr()?).map_err(WrongCommandLine)?;
            Ok(Some(socket))
        }
        (_, Some(_)) => wrong(
            "systemd passes a socket for DICOM: set dicom = \"systemd\", or disable chexbox-dicom.socket / \
             systemd 传入了 DICOM 套接字：请设置 dicom = \"systemd\"，或停用 chexbox-dicom.socket",
        ),
        (Some((_, DicomPort::Passed)), None) => wrong(
            "dicom is systemd, and systemd passes no socket named dicom: systemctl stop chexbox.service, then \
             systemctl enable --now chexbox-dicom.socket / systemd 未传入名为 dicom 的套接字：请启用 chexbox-dicom.socket",
        ),
        (Some((_, DicomPort::Address(address))), None) => {
            Ok(Some(TcpListener::bind(address).map_err(|e| format!("dicom: {address}: {e}"))?))
        }
        (None, None) => Ok(None),
    }
}

/// The sockets that systemd passes (sd_listen_fds_with_names(3)), with their names; without names where it gives none.
fn passed() -> Result<Vec<(String, TcpListener)>, Failure> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for i in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        let socket = passed.take_tcp_listener(i).map_err(|e| format!("socket {i} ({name}) of systemd is no TCP socket: {e}"))?;
        sockets.extend(socket.map(|socket| (name.to_owned(), socket)));
    }
    Ok(sockets)
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
