//! Certificates: read from files, checked, and changed while connections go on.

use super::{GateError, TlsFiles};
use crate::limits::PEM_BYTES_MAX;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// The certificate in use: new connections get the one that was read last.
pub struct Certificate {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Certificate {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// A file that cannot be read, holds none, or does not fit the other.
    pub fn read(files: TlsFiles) -> Result<Self, GateError> {
        let config = RwLock::new(config(&files)?);
        Ok(Self { files, config })
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As [`Self::read`]; the old certificate then stays in use.
    pub fn reload(&self) -> Result<(), GateError> {
        let new = config(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// What a new connection uses.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn config(files: &TlsFiles) -> Result<Arc<ServerConfig>, GateError> {
    let fault = |file: &Path, problem: String| GateError::Tls { file: file.to_owned(), problem };
    let pem = content(&files.certificate)?;
    let chain: Result<Vec<CertificateDer>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|e| fault(&files.certificate, format!("no certificate in PEM: {e}")))?;
    if chain.is_empty() {
        return Err(fault(&files.certificate, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&content(&files.key)?)
        .map_err(|e| fault(&files.key, format!("holds no private key in PEM without a password: {e}")))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| fault(&files.certificate, e.to_string()))?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| fault(&files.key, format!("does not fit {}: {e}", files.certificate.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A file of at most a megabyte.
fn content(file: &Path) -> Result<Vec<u8>, GateError> {
    let fault = |problem: String| GateError::Tls { file: file.to_owned(), problem };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|e| fault(e.to_string()))?;
    opened.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| fault(e.to_string()))?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(fault(format!("is larger than {PEM_BYTES_MAX} bytes: no certificate or key")));
    }
    Ok(bytes)
}
