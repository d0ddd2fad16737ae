//! A small HTTP client: one request a connection, plain or TLS, with a deadline, an answer of bounded size.

use chexbox::limits::{ANSWER_BYTES_MAX, PEM_BYTES_MAX};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a connection, and for each step of an answer.
const CONNECT: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_secs(60);

/// Where to ask, and how.
pub struct Client {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    token: Option<String>,
}

/// An answer.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
pub enum NoReply {
    /// The host has no address.
    Unknown(String),
    /// Nothing listens there, or the way is barred.
    Unreachable(String),
    /// The connection was not made secure.
    Tls(String),
    /// What came back is no answer.
    Broken(String),
}

impl NoReply {
    /// In plain words, English and Chinese.
    pub fn words(&self) -> (String, String) {
        match self {
            Self::Unknown(e) => (
                format!("the host's name has no address ({e}): check the name, or use the number"),
                format!("无法解析主机名（{e}）：请检查名称或使用 IP 地址"),
            ),
            Self::Unreachable(e) => (
                format!("nothing answers there ({e}): is the service running, is the port right, does a firewall stand between?"),
                format!("无法连接（{e}）：请检查服务是否运行、端口是否正确、防火墙是否放行"),
            ),
            Self::Tls(e) => (
                format!(
                    "no secure connection ({e}): name the service's certificate with --ca, and its host as the certificate does"
                ),
                format!("无法建立安全连接（{e}）：请用 --ca 指定证书，并使用证书中的主机名"),
            ),
            Self::Broken(e) => (
                format!("what came back is no answer of chexbox ({e}): is it another program's port, or https and not http?"),
                format!("响应无效（{e}）：端口可能属于其他程序，或应使用 https"),
            ),
        }
    }
}

impl Client {
    /// A client for `http://HOST[:PORT]` or `https://...`.
    ///
    /// # Errors
    /// A sentence, where the address or the certificate cannot be used.
    pub fn new(url: &str, token: Option<String>, ca: Option<&Path>) -> Result<Self, String> {
        let wrong = || format!("{url} is no address of a service: write http://HOST:PORT or https://HOST:PORT");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // The colon in front of a port, not one inside [::1].
        let colon = authority.rfind(':').filter(|at| !authority.get(*at..).unwrap_or("").contains(']'));
        let (host, port) = match colon {
            Some(at) => {
                (authority.get(..at).unwrap_or(""), authority.get(at + 1..).and_then(|p| p.parse().ok()).ok_or_else(wrong)?)
            }
            None => (authority, if secure { 443 } else { 80 }),
        };
        if host.is_empty() || host.contains(['/', '?', '@']) {
            return Err(wrong());
        }
        let needs = "https needs --ca FILE: the certificate of the service, or of who signed it";
        let tls = secure.then(|| ca.ok_or(needs.to_owned()).and_then(trusting)).transpose()?;
        Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), port, tls, token })
    }

    /// Sends one request and takes its answer.
    ///
    /// # Errors
    /// [`NoReply`].
    pub fn ask(&self, method: &str, target: &str, body: Option<&[u8]>) -> Result<Reply, NoReply> {
        let unknown = |e: std::io::Error| NoReply::Unknown(e.to_string());
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs().map_err(unknown)?;
        let address = addresses.next().ok_or_else(|| NoReply::Unknown("none".to_owned()))?;
        let unreachable = |e: std::io::Error| NoReply::Unreachable(e.to_string());
        let stream = TcpStream::connect_timeout(&address, CONNECT).map_err(unreachable)?;
        stream.set_read_timeout(Some(STEP)).map_err(unreachable)?;
        stream.set_write_timeout(Some(STEP)).map_err(unreachable)?;
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let token = self.token.as_ref().map_or(String::new(), |t| format!("Authorization: Bearer {t}\r\n"));
        let length = body.map_or(String::new(), |b| format!("Content-Length: {}\r\n", b.len()));
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}:{}\r\nConnection: close\r\n{token}{length}\r\n", self.port);
        match &self.tls {
            None => exchange(stream, &head, body),
            Some(config) => {
                let tls = |e: String| NoReply::Tls(e);
                let name = ServerName::try_from(self.host.clone()).map_err(|e| tls(e.to_string()))?;
                let mut session = ClientConnection::new(Arc::clone(config), name).map_err(|e| tls(e.to_string()))?;
                let mut stream = stream;
                while session.is_handshaking() {
                    session.complete_io(&mut stream).map_err(|e| tls(e.to_string()))?;
                }
                exchange(StreamOwned::new(session, stream), &head, body)
            }
        }
    }
}

/// A client's TLS that trusts this certificate alone.
///
/// # Errors
/// A sentence that names the file.
pub fn trusting(ca: &Path) -> Result<Arc<ClientConfig>, String> {
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", ca.display());
    let pem = crate::cli::load::read_bounded(ca, PEM_BYTES_MAX).map_err(|e| at(&e))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|e| at(&e))?).map_err(|e| at(&e))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn exchange(mut stream: impl Read + Write, head: &str, body: Option<&[u8]>) -> Result<Reply, NoReply> {
    let broken = |e: &dyn std::fmt::Display| NoReply::Broken(e.to_string());
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.unwrap_or_default()));
    // A service that refuses early may stop reading; its answer says why.
    let sent = sent.and_then(|()| stream.flush());
    let mut bytes = Vec::new();
    let limit = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    let read = (&mut stream).take(limit).read_to_end(&mut bytes);
    if bytes.is_empty() {
        sent.map_err(|e| broken(&e))?;
        read.map_err(|e| broken(&e))?;
    }
    reply(&bytes).map_err(|e| broken(&e))
}

/// The answer in these bytes, which end with it.
fn reply(bytes: &[u8]) -> Result<Reply, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|e| e.to_string())?;
    let httparse::Status::Complete(head) = parsed else { return Err("its head ended early".to_owned()) };
    let status = response.code.unwrap_or(0);
    let length = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|h| std::str::from_utf8(h.value).ok()?.trim().parse::<usize>().ok());
    let rest = bytes.get(head..).unwrap_or_default();
    if status == 100 {
        return reply(rest);
    }
    match length {
        Some(length) => {
            rest.get(..length).map(|body| Reply { status, body: body.to_vec() }).ok_or("its body ended early".to_owned())
        }
        None => Ok(Reply { status, body: rest.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_maybe_a_port() {
        for (url, host, port) in [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080),
            ("http://box/", "box", 80),
            ("http://[::1]:8080", "::1", 8080),
            ("http://[::1]", "::1", 80),
        ] {
            let client = Client::new(url, None, None).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((client.host.as_str(), client.port), (host, port), "{url}");
        }
        for wrong in ["", "box", "ftp://box", "http://", "http://box:x", "http://a/b", "http://u@h", "https://box"] {
            assert!(Client::new(wrong, None, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_whole_or_none() {
        let good = reply(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        assert_eq!((good.status, good.body.as_slice()), (201, b"hi".as_slice()));
        for broken in ["", "hello", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"] {
            assert!(reply(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
