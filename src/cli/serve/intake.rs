//! Films that come by C-STORE: read and kept as those that come over HTTP, before the modality hears "success". A film that
//! is not acknowledged stays in the modality's own queue, so that nothing waits here that a restart could lose.

use super::desk::FrontDesk;
use crate::cli::Failure;
use chexbox::appliance::config::Settings;
use chexbox::appliance::dicom_in::DicomIn;
use chexbox::dicom_net::scp::{AllowedPeer, Intake, IntakeFault, Peer, Peers, Scp, ScpConfig, SecondaryCapture, Times};
use chexbox::http::desk::{Ask, Caller, Desk, Fault, Film};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

/// Reads with the first model, as a request that names none.
struct FromModalities(Arc<FrontDesk>);

impl Intake for FromModalities {
    fn film(&self, file: Vec<u8>, from: &Peer) -> Result<(), IntakeFault> {
        let ask = Ask { models: vec![0], idempotency_key: None };
        let by = Caller { token: Some(format!("dicom {}", from.ae_title)), peer: from.address };
        let read = self.0.read(vec![Film::whole(&Arc::new(file), None)], &ask, &by).map_err(told)?;
        // A film that was refused has a record too, and the day's list shows it.
        let kept = read.into_iter().flatten().map(|given| given.map(|_| ()).map_err(told)).collect::<Result<Vec<()>, _>>()?;
        if kept.is_empty() { Err(IntakeFault::Failed) } else { Ok(()) }
    }
}

/// What the modality is told of a fault.
fn told(fault: Fault) -> IntakeFault {
    match fault {
        Fault::Busy | Fault::Stopping | Fault::StoreFull | Fault::StoreFailed => IntakeFault::OutOfResources,
        _ => IntakeFault::Failed,
    }
}

/// Starts the provider, where the configuration has one, on the socket of modalities.
///
/// # Errors
/// A sentence, if the socket or the certificate cannot be used.
pub fn start(settings: &Settings, listener: Option<TcpListener>, desk: &Arc<FrontDesk>) -> Result<Option<Scp>, Failure> {
    let (Some(dicom), Some(listener)) = (&settings.dicom, listener) else { return Ok(None) };
    let config = ScpConfig {
        ae_title: dicom.title.clone(),
        peers: peers(dicom),
        secondary_capture: if dicom.secondary_capture { SecondaryCapture::Taken } else { SecondaryCapture::Refused },
        tls: match &settings.tls {
            Some((certificate, key)) if dicom.tls => Some(tls(certificate, key)?),
            _ => None,
        },
        times: Times::default(),
    };
    let scp = Scp::start(listener, config, Arc::new(FromModalities(Arc::clone(desk))))?;
    crate::cli::say(&format!("chexbox: DICOM as {} at {}", dicom.title, scp.address()));
    Ok(Some(scp))
}

fn peers(dicom: &DicomIn) -> Peers {
    if dicom.peers.is_empty() {
        return Peers::Any;
    }
    let peer = |(title, address): &(String, _)| AllowedPeer { ae_title: title.clone(), address: *address };
    Peers::Only(dicom.peers.iter().map(peer).collect())
}

fn tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, Failure> {
    let at = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).map_err(|e| at(certificate, &e))?.collect();
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| at(key, &e))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|e| at(certificate, &e))?, private)
        .map_err(|e| at(certificate, &e))?;
    Ok(Arc::new(config))
}
