//! The service under TLS, with the certificates that `chexbox tls self-signed` makes: versions, a certificate that changes
//! while films are on their way, and what handshakes cost that are never ended.

use super::attack::{connect_from, status_of};
use super::daemon::{Daemon, film, state};
use super::gate::one_answer;
use super::run::{Scratch, run, stderr, stdout};
use chexbox::radiograph::drawn::DrawnFilm;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest that anything may take here that is no promise of its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both versions that are spoken.
const ANY: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

/// Memory that half-open handshakes may take, kB.
const GROWTH_KB_MAX: u64 = 64 << 10;

/// Certificate and key.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

fn self_signed(scratch: &Scratch, name: &str) -> Files {
    let out = scratch.join(name);
    let args = ["tls", "self-signed", "--name", "localhost", "--name", "127.0.0.1", "--out", out.to_str().unwrap()];
    let made = run(&args);
    assert!(made.status.success(), "{}", stderr(&made));
    Files { certificate: out.join("chexbox.crt"), key: out.join("chexbox.key") }
}

fn started(scratch: &Scratch, files: &Files) -> Daemon {
    let (certificate, key) = (files.certificate.to_str().unwrap(), files.key.to_str().unwrap());
    Daemon::start(&state(scratch), &["--model", "findings10", "--tls-cert", certificate, "--tls-key", key])
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts this certificate alone, with its handshake behind it.
fn connected(to: SocketAddr, trusted: &Path, versions: &[&'static SupportedProtocolVersion]) -> std::io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).expect("a certificate")).expect("one that can be trusted");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that there are")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let socket = TcpStream::connect_timeout(&to, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut tls = StreamOwned::new(connection, socket);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

/// Whether who trusts this certificate gets in.
fn shows(to: SocketAddr, certificate: &Path) -> bool {
    connected(to, certificate, ANY).is_ok()
}

fn head(method: &str, target: &str, length: usize) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

fn get(tls: &mut Tls, target: &str) -> String {
    tls.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
        .expect("the connection takes a request");
    one_answer(tls)
}

fn id(answer: &str) -> String {
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    body["id"].as_str().expect("an id").to_owned()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sighup_brings_a_new_certificate_and_loses_no_connection_and_no_film_on_its_way() {
    let scratch = Scratch::new("tls-reload");
    let (first, second) = (self_signed(&scratch, "first"), self_signed(&scratch, "second"));
    let used = Files { certificate: scratch.join("box.crt"), key: scratch.join("box.key") };
    let install = |files: &Files| {
        std::fs::copy(&files.certificate, &used.certificate).unwrap();
        std::fs::copy(&files.key, &used.key).unwrap();
    };
    install(&first);
    let mut daemon = started(&scratch, &used);
    let mut old = connected(daemon.address, &first.certificate, ANY).unwrap();
    assert!(get(&mut old, "/healthz").starts_with("HTTP/1.1 200 "));

    // A film that is on its way all the time, a piece whenever it is looked for the new certificate.
    let film = DrawnFilm { width: 1024, height: 1024, seed: 1 }.png();
    old.write_all(&head("POST", "/v1/readings", film.len())).unwrap();
    let mut pieces = film.chunks(2_048);
    old.write_all(pieces.next().unwrap()).unwrap();
    install(&second);
    daemon.signal("HUP");
    until("new connections see the new certificate", || {
        assert!(pieces.len() > 1, "the film was sent before the certificate changed: {}", daemon.log());
        old.write_all(pieces.next().unwrap()).expect("the old connection takes its film");
        shows(daemon.address, &second.certificate)
    });
    pieces.for_each(|piece| old.write_all(piece).unwrap());
    let made = one_answer(&mut old);
    assert!(made.starts_with("HTTP/1.1 201 "), "{made}");
    assert!(!shows(daemon.address, &first.certificate), "the old certificate is gone for new connections");

    // And one that is being read meanwhile, on the same connection.
    let another = DrawnFilm { width: 1024, height: 1024, seed: 2 }.png();
    old.write_all(&[head("POST", "/v1/readings", another.len()), another].concat()).unwrap();
    daemon.signal("HUP");
    assert!(one_answer(&mut old).starts_with("HTTP/1.1 201 "));

    let refusals = |daemon: &Daemon| daemon.log().matches("the certificate was not read again, the old one stays in use").count();
    std::fs::write(&used.certificate, "no certificate").unwrap();
    daemon.signal("HUP");
    until("a file that is no certificate is named in the log", || refusals(&daemon) == 1);
    assert!(daemon.log().contains(used.certificate.to_str().unwrap()), "{}", daemon.log());
    std::fs::copy(&first.certificate, &used.certificate).unwrap();
    daemon.signal("HUP");
    until("a certificate of another key is named in the log", || refusals(&daemon) == 2);
    assert!(shows(daemon.address, &second.certificate), "what cannot be used changes nothing");
    assert!(get(&mut old, &format!("/v1/readings/{}", id(&made))).starts_with("HTTP/1.1 200 "), "the first connection goes on");

    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log());
    let state = state(&scratch);
    let audit = run(&["audit", "list", "--json", "--event", "tls_reloaded", "--state", state.to_str().unwrap()]);
    let count = |outcome: &str| stdout(&audit).matches(outcome).count();
    assert_eq!((count("done"), count("failed")), (2, 2), "{}", stdout(&audit));
}

#[test]
fn tls_1_2_and_1_3_are_spoken_with_a_certificate_of_tls_self_signed() {
    let scratch = Scratch::new("tls-versions");
    let files = self_signed(&scratch, "box");
    let daemon = started(&scratch, &files);
    let film = film(1);
    for (version, spoken) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut tls = connected(daemon.address, &files.certificate, &[version]).unwrap();
        assert_eq!(tls.conn.protocol_version(), Some(spoken));
        tls.write_all(&[head("POST", "/v1/readings", film.len()), film.clone()].concat()).unwrap();
        let made = one_answer(&mut tls);
        assert!(made.starts_with("HTTP/1.1 20"), "{spoken:?}: {made}");
        assert!(get(&mut tls, &format!("/v1/readings/{}", id(&made))).starts_with("HTTP/1.1 200 "), "{spoken:?}");
    }
    let path = scratch.join("film.png");
    std::fs::write(&path, &film).unwrap();
    let (data, url) = (format!("@{}", path.display()), format!("https://{}/v1/readings", daemon.address));
    for version in [["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3", "--tls-max", "1.3"]] {
        let mut curl = Command::new("curl");
        curl.args(version).args(["-sS", "--cacert", files.certificate.to_str().unwrap(), "--data-binary", &data, &url]);
        let Ok(output) = curl.stdin(Stdio::null()).output() else {
            println!("skipped: curl is not installed");
            break;
        };
        assert!(output.status.success(), "{version:?}: {}", stderr(&output));
        assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).unwrap()["status"], "read", "{version:?}");
    }
    let mut plain = TcpStream::connect(daemon.address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut told = String::new();
    plain.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("https://"), "{told}");
}

/// What a client may leave a handshake at.
fn half_handshakes() -> [(&'static str, Vec<u8>); 4] {
    let mut hello = Vec::new();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(ANY)
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
    // A ClientHello that claims 65,535 bytes: as many of them as are to be sent.
    let claimed = |sent: usize| -> Vec<u8> {
        let mut hello = vec![0x01, 0x00, 0xFF, 0xFF, 0x03, 0x03];
        hello.resize(sent, 0);
        let record = |piece: &[u8]| {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[0x16, 0x03, 0x01][..], &length, piece].concat()
        };
        hello.chunks(8_000).flat_map(record).collect()
    };
    [
        ("a whole hello and then nothing", hello.clone()),
        ("half a hello", hello[..hello.len() / 2].to_vec()),
        ("as much of a hello as is taken", claimed(16_000)),
        ("as much of a hello as can be claimed", claimed(65_000)),
    ]
}

/// 200 handshakes; with `CHEXBOX_LONG` set 1,000.
#[test]
fn handshakes_that_are_never_ended_cost_little_memory_and_keep_nobody_out() {
    let count: u16 = if std::env::var_os("CHEXBOX_LONG").is_some() { 1_000 } else { 200 };
    let scratch = Scratch::new("tls-half");
    let files = self_signed(&scratch, "box");
    for (what, bytes) in half_handshakes() {
        let daemon = started(&scratch, &files);
        let honest = || get(&mut connected(daemon.address, &files.certificate, ANY).unwrap(), "/healthz");
        assert!(honest().starts_with("HTTP/1.1 200 "));
        let idle = status_of(daemon.pid(), "VmRSS");
        let crowd: Vec<TcpStream> = (0..count)
            .filter_map(|n| {
                let source = Ipv4Addr::new(127, 0, 1, u8::try_from(n % 200).unwrap() + 1);
                let mut client = connect_from(source, daemon.address).ok()?;
                client.set_write_timeout(Some(PATIENCE)).unwrap();
                // Who is refused while it sends has cost nothing.
                let _ = client.write_all(&bytes);
                Some(client)
            })
            .collect();
        let mut most = 0;
        for _ in 0..20 {
            most = most.max(status_of(daemon.pid(), "VmRSS"));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(honest().starts_with("HTTP/1.1 200 "), "{what}");
        assert!(crowd.len() >= usize::from(count) / 2, "{what}: only {} connections", crowd.len());
        assert!(most <= idle + GROWTH_KB_MAX, "{what}: {most} kB resident, idle {idle} kB");
        println!("{what}, {} times: {} kB more than {idle} kB", crowd.len(), most.saturating_sub(idle));
    }
}
