//! `chexbox serve --check`: everything that would be needed to start, without listening and without touching the store.

use super::identities::Identities;
use super::{readers, workers};
use crate::cli::{Exit, Failure, load};
use chexbox::appliance::config::{LISTEN, Settings};
use chexbox::appliance::dicom_in::DicomPort;
use chexbox::appliance::machine::{self, Fingerprint, PRODUCT_UUID};
use chexbox::http::gate::{TlsFiles, check_tls};
use chexbox::http::token::PublicKey;
use chexbox::limits::KEY_FILE_BYTES_MAX;
use std::path::{Path, PathBuf};

/// Runs the check and prints what holds.
///
/// # Errors
/// The first thing that is wrong, with what to change.
pub fn run(settings: &Settings) -> Result<Exit, Failure> {
    let readers = readers(settings, 1)?;
    let keys = public_keys(settings)?;
    if !keys.is_empty() {
        fingerprint(settings)?;
    }
    if let Some((certificate, key)) = settings.tls.clone() {
        check_tls(TlsFiles { certificate, key })?;
    }
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let mut lines = Vec::new();
    match settings.listen.as_slice() {
        [] => lines.push(format!("listen      {scheme}://{LISTEN}, unless systemd passes sockets")),
        addresses => lines.extend(addresses.iter().map(|a| format!("listen      {scheme}://{a}"))),
    }
    lines.push(match keys.len() {
        0 => "tokens      none needed: this machine alone".to_owned(),
        n => format!("tokens      needed; {n} public key(s)"),
    });
    if let Some(dicom) = &settings.dicom {
        let peers =
            if dicom.peers.is_empty() { "any peer of this machine".to_owned() } else { format!("{} peer(s)", dicom.peers.len()) };
        let port = match dicom.port {
            DicomPort::Address(address) => address.to_string(),
            DicomPort::Passed => "the socket that systemd passes".to_owned(),
        };
        lines.push(format!("dicom       {} at {port}, {peers}", dicom.title));
    }
    for to in &settings.forward {
        let kinds: Vec<&str> = to.objects.iter().map(|kind| kind.as_str()).collect();
        lines.push(format!("forward     {} to {} at {}, by chexbox forward", kinds.join(", "), to.name, to.place()));
    }
    lines.push(format!("state       {}", settings.state.display()));
    for reader in &readers {
        let m = reader.session.manifest();
        lines.push(format!("model       {} {}, probe passed", m.name, m.version));
    }
    lines.push(format!("readings    {} at once, {} waiting", workers(settings), settings.queue));
    lines.push(format!("body        at most {} MiB", settings.body_bytes >> 20));
    let patients = match Identities::of(settings)? {
        Identities::Stated => "kept as the films' headers name them",
        Identities::Pseudonyms(_) => "kept as pseudonyms",
    };
    lines.push(format!("patients    {patients}"));
    lines.push(format!("images      {}", if settings.keep_images { "kept" } else { "not kept" }));
    lines.push("The configuration is good. 配置无误。".to_owned());
    crate::cli::output::print((lines.join("\n") + "\n").as_bytes())?;
    Ok(Exit::Done)
}

/// The public keys of the configuration.
///
/// # Errors
/// A file that is no public key.
pub fn public_keys(settings: &Settings) -> Result<Vec<PublicKey>, Failure> {
    let key = |path: &PathBuf| -> Result<PublicKey, Failure> {
        let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let bytes = load::read_bounded(path, KEY_FILE_BYTES_MAX).map_err(|e| at(&e))?;
        let text = String::from_utf8(bytes).map_err(|e| at(&e))?;
        text.trim().parse().map_err(|e: chexbox::http::token::KeyError| at(&e).into())
    };
    settings.public_keys.iter().map(key).collect()
}

/// The fingerprint of this machine. The product UUID is root's alone to read: systemd passes it as a credential.
///
/// # Errors
/// A sentence that names the file.
pub fn fingerprint(settings: &Settings) -> Result<Fingerprint, Failure> {
    let passed = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join("product_uuid"));
    let passed = passed.filter(|file| settings.product_uuid == Path::new(PRODUCT_UUID) && file.exists());
    Ok(machine::fingerprint(passed.as_deref().unwrap_or(&settings.product_uuid), &settings.machine_id)?)
}
