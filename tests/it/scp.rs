//! Promise: a modality's films arrive by C-STORE and are acknowledged only when they were kept; who is
//! not configured, lies about lengths, waits for ever or comes in crowds costs nobody else anything.

use crate::daemon::{Daemon, state};
use crate::dicom_file::{DicomFile, drawn};
use crate::dicom_objects::tool;
use crate::orthanc::Orthanc;
use crate::run::Scratch;
use chexbox::dicom_net::scp::{AllowedPeer, Intake, IntakeFault, Peer, Peers, Scp, ScpConfig, SecondaryCapture, Times};
use chexbox::limits::DICOM_ASSOCIATIONS_OF_PEER_MAX;
use chexbox::radiograph::{decode, stored_pixels};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest that a peer is let wait where the promise is "at once", generously.
const AT_ONCE: Duration = Duration::from_secs(20);
const COMPUTED_RADIOGRAPHY: &str = "1.2.840.10008.5.1.4.1.1.1";
const FOR_PROCESSING: &str = "1.2.840.10008.5.1.4.1.1.1.1.1";
const SECONDARY: &str = "1.2.840.10008.5.1.4.1.1.7";

/// Keeps films in memory, or refuses them.
#[derive(Default)]
struct Shelf {
    films: Mutex<Vec<(Vec<u8>, Peer)>>,
    full: AtomicBool,
    panics: AtomicBool,
}

impl Intake for Shelf {
    fn film(&self, file: Vec<u8>, from: &Peer) -> Result<(), IntakeFault> {
        assert!(!self.panics.load(Ordering::SeqCst), "on purpose");
        if self.full.load(Ordering::SeqCst) {
            return Err(IntakeFault::OutOfResources);
        }
        self.films.lock().unwrap().push((file, from.clone()));
        Ok(())
    }
}

fn config() -> ScpConfig {
    let times = Times { request: Duration::from_secs(2), idle: Duration::from_secs(20), message: Duration::from_secs(60) };
    ScpConfig {
        ae_title: "CHEXBOX".to_owned(),
        peers: Peers::Only(vec![AllowedPeer { ae_title: "ROOM1".to_owned(), address: "127.0.0.1".parse().ok() }]),
        secondary_capture: SecondaryCapture::Refused,
        tls: None,
        times,
    }
}

fn started(config: ScpConfig) -> (Scp, Arc<Shelf>) {
    let shelf = Arc::new(Shelf::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (Scp::start(listener, config, Arc::clone(&shelf) as Arc<dyn Intake>).unwrap(), shelf)
}

/// A tool of dcmtk's; `None` and a word where it is not installed.
fn dcmtk(tool: &str, scp: &Scp, arguments: &[&str], files: &[PathBuf]) -> Option<Output> {
    let port = scp.address().port().to_string();
    let output = Command::new(tool).args(arguments).args(["127.0.0.1", &port]).args(files).output();
    if output.is_err() {
        println!("skipped: {tool} is not installed");
    }
    output.ok()
}

fn film(scratch: &Scratch, name: &str, class: &str, instance: &str) -> PathBuf {
    let film = DicomFile::chest(60, 52, &drawn(60, 52, 4095)).with((0x0028, 0x0101), "US", 12).with((0x0028, 0x0102), "US", 11);
    let film = film.with((0x0008, 0x0016), "UI", class).with((0x0008, 0x0018), "UI", instance);
    let film = film.with((0x0020, 0x000D), "UI", "2.25.7").with((0x0020, 0x000E), "UI", "2.25.8");
    let path = scratch.join(name);
    std::fs::write(&path, film.bytes()).unwrap();
    path
}

const TITLES: [&str; 4] = ["-aet", "ROOM1", "-aec", "CHEXBOX"];

#[test]
fn an_echo_is_answered_for_who_is_configured_and_nobody_else() {
    let (scp, _) = started(config());
    for (calling, called, answered) in [("ROOM1", "CHEXBOX", true), ("ROOM2", "CHEXBOX", false), ("ROOM1", "OTHER", false)] {
        let Some(output) = dcmtk("echoscu", &scp, &["-aet", calling, "-aec", called], &[]) else { return };
        assert_eq!(output.status.success(), answered, "{calling} calling {called}");
    }
    let rejected: Vec<_> = scp.counts().rejected.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(rejected, [("called_title", 1), ("calling_title", 1)]);
}

#[test]
fn a_film_arrives_as_it_was_sent_with_its_transfer_syntax_and_its_sender() {
    let scratch = Scratch::new("scp");
    let (scp, shelf) = started(config());
    let plain = film(&scratch, "film.dcm", COMPUTED_RADIOGRAPHY, "2.25.9");
    let samples = stored_pixels(&std::fs::read(&plain).unwrap()).unwrap().samples;
    let mut sent = 0;
    for (proposed, encoder) in [("-x=", None), ("-xi", None), ("-xt", Some("dcmcjpls")), ("-xs", Some("dcmcjpeg"))] {
        let path = match encoder {
            None => plain.clone(),
            Some(encoder) => {
                let coded = scratch.join("coded.dcm");
                let done = Command::new(encoder).arg("+un").args([&plain, &coded]).status();
                if !done.is_ok_and(|status| status.success()) {
                    println!("skipped: {encoder} is not installed");
                    continue;
                }
                coded
            }
        };
        let Some(output) = dcmtk("storescu", &scp, &[&TITLES[..], &[proposed]].concat(), &[path]) else { return };
        assert!(output.status.success(), "{proposed}: {}", String::from_utf8_lossy(&output.stderr));
        sent += 1;
        let films = shelf.films.lock().unwrap();
        assert_eq!(films.len(), sent, "acknowledged and not there");
        let (file, peer) = films.last().unwrap();
        assert_eq!((peer.ae_title.as_str(), peer.address.to_string().as_str()), ("ROOM1", "127.0.0.1"));
        assert!(stored_pixels(file).unwrap().samples == samples, "{proposed}");
        assert_eq!(decode(file).unwrap().facts.view.as_deref(), Some("PA"));
    }
    assert_eq!(scp.counts().stored, sent as u64);
    assert_eq!(scp.drain(AT_ONCE), 0);
}

#[test]
fn what_the_intake_does_not_keep_is_not_acknowledged() {
    let scratch = Scratch::new("scp-full");
    let (scp, shelf) = started(config());
    let path = film(&scratch, "film.dcm", COMPUTED_RADIOGRAPHY, "2.25.9");
    for (flag, what) in [(&shelf.full, "full"), (&shelf.panics, "panics")] {
        flag.store(true, Ordering::SeqCst);
        let Some(output) = dcmtk("storescu", &scp, &[&TITLES[..], &["-v"]].concat(), std::slice::from_ref(&path)) else { return };
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("(Success)"), "{what}: {said}");
        flag.store(false, Ordering::SeqCst);
    }
    assert_eq!((scp.counts().stored, scp.counts().failed()), (0, 2));
    let output = dcmtk("storescu", &scp, &TITLES, &[path]).unwrap();
    assert!(output.status.success() && shelf.films.lock().unwrap().len() == 1, "it goes on behind a failure");
}

#[test]
fn films_for_processing_are_refused_and_secondary_captures_unless_they_are_asked_for() {
    let scratch = Scratch::new("scp-classes");
    let unasked = film(&scratch, "unasked.dcm", FOR_PROCESSING, "2.25.9");
    let capture = film(&scratch, "capture.dcm", SECONDARY, "2.25.10");
    for secondary_capture in [SecondaryCapture::Refused, SecondaryCapture::Taken] {
        let (scp, shelf) = started(ScpConfig { secondary_capture, ..config() });
        for path in [&unasked, &capture] {
            if dcmtk("storescu", &scp, &[&TITLES[..], &["-R"]].concat(), std::slice::from_ref(path)).is_none() {
                return;
            }
        }
        let wanted = usize::from(secondary_capture == SecondaryCapture::Taken);
        assert_eq!(shelf.films.lock().unwrap().len(), wanted, "{secondary_capture:?}");
    }
}

/// What the provider sends until it closes; an error where it does not within [`AT_ONCE`].
fn answer(mut stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(AT_ONCE))?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // It closed before it had read everything.
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => Ok(bytes),
        other => other.map(|_| bytes),
    }
}

#[test]
fn a_peer_that_lies_about_lengths_or_speaks_another_language_is_aborted_at_once() {
    let (scp, shelf) = started(config());
    for bytes in [
        &b"\x01\0\xFF\xFF\xFF\xFF"[..],
        b"\x01\0\x7F\xFF\xFF\xFF\0\x01",
        b"\x01\0\0\0\0\x44",
        b"GET / HTTP/1.1\r\nHost: box\r\n\r\n",
        b"\x04\0\0\0\0\x06\0\0\0\x02\x01\x03",
        b"\x07\0\0\0\0\x04\0\0\0\0",
        &[0; 64],
    ] {
        let mut stream = TcpStream::connect(scp.address()).unwrap();
        stream.write_all(bytes).unwrap();
        let begun = Instant::now();
        let said = answer(&stream).unwrap_or_else(|e| panic!("{bytes:?} is not answered: {e}"));
        assert!(begun.elapsed() < AT_ONCE);
        assert!(said.is_empty() || said[0] == 7, "{bytes:?} is answered with {said:?}");
    }
    assert_eq!(shelf.films.lock().unwrap().len(), 0);
    assert_eq!(scp.counts().accepted, 0);
}

#[test]
fn a_request_that_drips_in_ends_at_its_deadline() {
    let (scp, _) = started(config());
    let mut stream = TcpStream::connect(scp.address()).unwrap();
    let begun = Instant::now();
    let mut dripped = 0;
    // A byte of a request that never becomes whole, again and again.
    while begun.elapsed() < AT_ONCE && stream.write_all(&[1]).is_ok() && scp.counts().aborted == 0 {
        dripped += 1;
        if dripped == 1 {
            stream.write_all(&[0, 0, 0, 0xFF, 0xFF]).unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(scp.counts().aborted, 1, "still open after {dripped} bytes");
}

#[test]
fn a_crowd_from_one_address_is_turned_away_and_leaves_room_when_it_goes() {
    let (scp, _) = started(ScpConfig { times: Times { request: Duration::from_secs(30), ..config().times }, ..config() });
    let crowd: Vec<TcpStream> = (0..DICOM_ASSOCIATIONS_OF_PEER_MAX).map(|_| TcpStream::connect(scp.address()).unwrap()).collect();
    let Some(output) = dcmtk("echoscu", &scp, &TITLES, &[]) else { return };
    assert!(!output.status.success(), "one more than allowed is let in");
    drop(crowd);
    let begun = Instant::now();
    while !dcmtk("echoscu", &scp, &TITLES, &[]).unwrap().status.success() {
        assert!(begun.elapsed() < AT_ONCE, "nobody is let in after the crowd has gone");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// TLS of a provider of this name, whose certificate is written to a file.
pub fn tls_of(name: &str, certificate: &Path) -> Arc<rustls::ServerConfig> {
    let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    std::fs::write(certificate, key.cert.pem()).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    Arc::new(tls)
}

#[test]
fn films_arrive_over_tls_where_it_is_asked_for_and_none_in_the_clear() {
    let scratch = Scratch::new("scp-tls");
    let certificate = scratch.join("box.pem");
    let tls = tls_of("localhost", &certificate);
    let (scp, shelf) = started(ScpConfig { tls: Some(tls), ..config() });
    let path = film(&scratch, "film.dcm", COMPUTED_RADIOGRAPHY, "2.25.9");
    let secured = [&TITLES[..], &["--anonymous-tls", "+cf", certificate.to_str().unwrap()]].concat();
    let Some(output) = dcmtk("storescu", &scp, &secured, std::slice::from_ref(&path)) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shelf.films.lock().unwrap().len(), 1);
    assert!(!dcmtk("storescu", &scp, &TITLES, &[path]).unwrap().status.success());
    assert_eq!(shelf.films.lock().unwrap().len(), 1);
}

/// Where the daemon takes films.
fn dicom_port(daemon: &Daemon) -> String {
    let log = daemon.log();
    let line = log.lines().find_map(|line| line.split_once("DICOM as CHEXBOX at 127.0.0.1:")).unwrap_or_else(|| panic!("{log}"));
    line.1.trim().to_owned()
}

#[test]
fn a_film_that_was_acknowledged_is_a_reading_on_the_list_after_the_service_was_killed() {
    let scratch = Scratch::new("scp-serve");
    let path = film(&scratch, "film.dcm", COMPUTED_RADIOGRAPHY, "2.25.9");
    let arguments = ["--dicom", "0", "--dicom-peer", "ROOM1@127.0.0.1", "--model", "findings10"];
    let state = state(&scratch);
    {
        let daemon = Daemon::start(&state, &arguments);
        let begun = Instant::now();
        while !daemon.log().contains("DICOM as") {
            assert!(begun.elapsed() < AT_ONCE, "{}", daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let port = dicom_port(&daemon);
        let sent = Command::new("storescu").args(TITLES).args(["127.0.0.1", &port]).arg(&path).output();
        let Ok(sent) = sent else {
            println!("skipped: storescu is not installed");
            return;
        };
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        daemon.signal("KILL");
    }
    let daemon = Daemon::start(&state, &arguments);
    let listed = daemon.get("/v1/readings").json();
    let readings = listed["readings"].as_array().unwrap();
    assert_eq!(readings.len(), 1, "{listed}");
    let sum: String = Sha256::digest(received(&path)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(readings[0]["film"]["sha256"], sum.as_str(), "{listed}");
}

/// The film as the provider wrote it: the same data set behind a file meta group of its own.
fn received(path: &Path) -> Vec<u8> {
    let (scp, shelf) = started(config());
    let output = dcmtk("storescu", &scp, &TITLES, &[path.to_owned()]).unwrap();
    assert!(output.status.success());
    shelf.films.lock().unwrap()[0].0.clone()
}

#[test]
fn films_arrive_from_orthanc() {
    let Some(program) = tool("Orthanc", "films sent by Orthanc") else { return };
    let scratch = Scratch::new("scp-orthanc");
    let peers = Peers::Only(vec![AllowedPeer { ae_title: "ORTHANC".to_owned(), address: None }]);
    let (scp, shelf) = started(ScpConfig { peers, ..config() });
    let bytes = std::fs::read(film(&scratch, "film.dcm", COMPUTED_RADIOGRAPHY, "2.25.9")).unwrap();
    let orthanc = Orthanc::start(&program, scratch.path());
    let taken = orthanc.post("/instances", &bytes);
    let port = scp.address().port();
    orthanc.put("/modalities/box", serde_json::json!(["CHEXBOX", "127.0.0.1", port]).to_string().as_bytes());
    let sent = orthanc.post("/modalities/box/store", taken["ID"].as_str().unwrap().as_bytes());
    assert_eq!(sent["FailedInstancesCount"], 0, "{sent}");
    let films = shelf.films.lock().unwrap();
    assert_eq!((films.len(), films[0].1.ae_title.as_str()), (1, "ORTHANC"));
    assert!(stored_pixels(&films[0].0).unwrap().samples == stored_pixels(&bytes).unwrap().samples);
}

#[test]
fn a_title_that_is_none_is_refused_before_listening() {
    for title in ["", "MORE THAN SIXTEEN CHARACTERS", "A\\B"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wrong = ScpConfig { ae_title: title.to_owned(), ..config() };
        let error = Scp::start(listener, wrong, Arc::new(Shelf::default())).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("AE title"), "{error}");
    }
}
