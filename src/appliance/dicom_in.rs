//! What a site sets for films that come by C-STORE: keys of `chexbox.toml` that begin with `dicom`, checked.

use super::config::Keys;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Our AE title unless told otherwise.
pub(super) const TITLE: &str = "CHEXBOX";

/// Where modalities connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DicomPort {
    /// An address that the service opens.
    Address(SocketAddr),
    /// The socket that systemd passes under the name [`PASSED`].
    Passed,
}

/// Name of the socket for DICOM among those that systemd passes (`FileDescriptorName=`).
pub const PASSED: &str = "dicom";

/// How the keys name it.
const SYSTEMD: &str = "systemd";

/// How films come from modalities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DicomIn {
    /// Where modalities connect.
    pub port: DicomPort,
    /// Our AE title.
    pub title: String,
    /// AE titles that may send, and from where; empty for any on this machine.
    pub peers: Vec<(String, Option<IpAddr>)>,
    /// Whether secondary captures are taken.
    pub secondary_capture: bool,
    /// Whether associations are under the service's TLS.
    pub tls: bool,
}

impl DicomIn {
    /// What the keys say; none where no address is set.
    ///
    /// # Errors
    /// Every value that cannot be meant, in both languages.
    pub fn of(keys: &Keys) -> Result<Option<Self>, Vec<String>> {
        let mut faults = Vec::new();
        let Some(text) = &keys.dicom else {
            let others = [
                ("dicom-title", keys.dicom_title.is_some()),
                ("dicom-peer", keys.dicom_peer.is_some()),
                ("dicom-secondary-capture", keys.dicom_secondary_capture.is_some()),
                ("dicom-tls", keys.dicom_tls.is_some()),
            ];
            let alone = others.iter().filter(|(_, set)| *set);
            faults.extend(alone.map(|(key, _)| format!("{key} is set without dicom / 设置了 {key} 但未设置 dicom")));
            return if faults.is_empty() { Ok(None) } else { Err(faults) };
        };
        let port = port(text);
        if port.is_none() {
            faults.push(format!(
                "dicom is {text:?}, allowed are a port, ADDRESS:PORT and {SYSTEMD} / dicom 应为端口、地址:端口 或 {SYSTEMD}"
            ));
        }
        let title = keys.dicom_title.clone().unwrap_or_else(|| TITLE.to_owned());
        let mut peers = Vec::new();
        for peer in keys.dicom_peer.iter().flatten() {
            match split(peer) {
                Some(peer) => peers.push(peer),
                None => faults.push(format!("dicom-peer is {peer:?}, allowed are TITLE and TITLE@ADDRESS / dicom-peer 格式有误")),
            }
        }
        for title in peers.iter().map(|(title, _)| title).chain([&title]) {
            if !is_title(title) {
                faults.push(format!("{title:?} is no AE title: 1 to 16 ASCII characters / {title:?} 不是有效的 AE 标题"));
            }
        }
        if let Some(DicomPort::Address(address)) = port {
            faults.extend(may_listen(address, &peers).err());
        }
        let tls = keys.dicom_tls == Some(true);
        if tls && keys.tls_cert.is_none() {
            faults.push("dicom-tls needs tls-cert and tls-key / dicom-tls 需要 tls-cert 和 tls-key".to_owned());
        }
        match port {
            Some(port) if faults.is_empty() => {
                let secondary_capture = keys.dicom_secondary_capture == Some(true);
                Ok(Some(Self { port, title, peers, secondary_capture, tls }))
            }
            _ => Err(faults),
        }
    }

    /// Whether films may be taken at this address: beyond this machine, known modalities alone may send.
    ///
    /// # Errors
    /// A sentence in both languages that names the key that is missing.
    pub fn may_listen(&self, address: SocketAddr) -> Result<(), String> {
        may_listen(address, &self.peers)
    }
}

fn may_listen(address: SocketAddr, peers: &[(String, Option<IpAddr>)]) -> Result<(), String> {
    if address.ip().to_canonical().is_loopback() || !peers.is_empty() {
        return Ok(());
    }
    Err(format!(
        "dicom at {address} is reached by other machines: set dicom-peer, so that known modalities alone may send / \
         dicom 可被其他机器访问：请设置 dicom-peer"
    ))
}

/// A port of this machine alone, an address with its port, or the socket that is passed.
fn port(text: &str) -> Option<DicomPort> {
    if text == SYSTEMD {
        return Some(DicomPort::Passed);
    }
    let port = text.parse::<u16>().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|| text.parse().ok()).map(DicomPort::Address)
}

fn split(peer: &str) -> Option<(String, Option<IpAddr>)> {
    match peer.rsplit_once('@') {
        None => Some((peer.to_owned(), None)),
        Some((title, address)) => Some((title.to_owned(), Some(address.parse().ok()?))),
    }
}

/// PS3.5 table 6.2-1, AE.
pub(super) fn is_title(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.trim() == text && text.bytes().all(|b| (0x20..0x7F).contains(&b) && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<DicomIn>, Vec<String>> {
        DicomIn::of(&Keys::parse(text).unwrap())
    }

    #[test]
    fn a_port_alone_is_of_this_machine_and_other_machines_need_known_peers() {
        let here = of("dicom = \"11112\"").unwrap().unwrap();
        assert_eq!(here.port, DicomPort::Address("127.0.0.1:11112".parse().unwrap()));
        assert_eq!((here.title.as_str(), here.peers.len()), ("CHEXBOX", 0));
        assert!(of("dicom = \"0.0.0.0:11112\"").is_err());
        let there = of("dicom = \"0.0.0.0:11112\"\ndicom-peer = [\"ROOM1\", \"ROOM2@10.0.0.7\"]").unwrap().unwrap();
        assert_eq!(there.peers, [("ROOM1".to_owned(), None), ("ROOM2".to_owned(), "10.0.0.7".parse().ok())]);
        assert_eq!(of(""), Ok(None));
    }

    #[test]
    fn a_socket_that_is_passed_follows_the_same_rule_when_its_address_is_known() {
        let passed = of("dicom = \"systemd\"").unwrap().unwrap();
        assert_eq!(passed.port, DicomPort::Passed);
        assert!(passed.may_listen("127.0.0.1:104".parse().unwrap()).is_ok());
        assert!(passed.may_listen("0.0.0.0:104".parse().unwrap()).unwrap_err().contains("dicom-peer"));
        let known = of("dicom = \"systemd\"\ndicom-peer = [\"ROOM1\"]").unwrap().unwrap();
        assert!(known.may_listen("0.0.0.0:104".parse().unwrap()).is_ok());
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (text, named) in [
            ("dicom = \"DICOM\"", "ADDRESS:PORT"),
            ("dicom = \"70000\"", "ADDRESS:PORT"),
            ("dicom = \"1\"\ndicom-title = \"MORE THAN SIXTEEN CHARACTERS\"", "AE title"),
            ("dicom = \"1\"\ndicom-peer = [\"ROOM1@here\"]", "TITLE@ADDRESS"),
            ("dicom = \"1\"\ndicom-tls = true", "tls-cert"),
            ("dicom-title = \"A\"", "without dicom"),
        ] {
            let said = of(text).unwrap_err().join("\n");
            assert!(said.contains(named), "{text}: {said}");
        }
    }
}
