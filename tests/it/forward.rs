//! Promise: what the service has queued reaches each archive once, as it was made, by C-STORE and by STOW-RS; an archive that is
//! away, hangs, rejects or refuses loses nothing and holds up no other; neither does a death of the forwarder or of the service.

use crate::daemon::{Daemon, film, state};
use crate::dicom_file::{DicomFile, drawn};
use crate::dicom_objects::{self, tool};
use crate::orthanc::{Orthanc, dicom_web, free_port};
use crate::run::{Scratch, chexbox, stderr, stdout};
use crate::scp::tls_of;
use crate::store_crash::spread;
use crate::stored::{NOW, open, reading, someone};
use chexbox::dicom_net::scp::{Intake, IntakeFault, Peer, Peers, Scp, ScpConfig, SecondaryCapture, Times};
use chexbox::store::{NewForward, NewReading, ReadingId, Store, verify_audit};
use dicom_object::InMemDicomObject;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
const SECONDARY: &str = "1.2.840.10008.5.1.4.1.1.7";

/// A running `chexbox forward`; killed when dropped.
struct Forwarder {
    child: Child,
    log: Arc<Mutex<String>>,
}

/// The verb, with a configuration of these tables.
fn forward(state: &Path, tables: &str, arguments: &[&str]) -> Command {
    let config = state.with_extension("forward.toml");
    std::fs::write(&config, tables).unwrap();
    let mut command = chexbox(&["forward", "--config"]);
    command.arg(config).arg("--state").arg(state).args(arguments);
    command.env("RUST_LOG", "warn").stdin(Stdio::null());
    command
}

/// A table of the configuration; short times, so that a test need not wait.
fn table(name: &str, to: &str, more: &str) -> String {
    format!("[[forward]]\nname = \"{name}\"\nto = \"{to}\"\nconnect-seconds = 2\nanswer-seconds = 20\n{more}\n")
}

fn status(state: &Path, tables: &str, lang: &str) -> String {
    let output = forward(state, tables, &["--status", "--lang", lang]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

impl Forwarder {
    fn start(state: &Path, tables: &str) -> Self {
        Self::of(forward(state, tables, &[]))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (log, lines) = (Arc::new(Mutex::new(String::new())), BufReader::new(child.stderr.take().unwrap()).lines());
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *written.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(what: &str, mut true_by_now: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !true_by_now() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A DICOM file of a secondary capture.
fn capture(n: u64) -> Vec<u8> {
    part10(SECONDARY, &format!("2.25.{}", 1_000 + n), &data_set(n))
}

fn data_set(n: u64) -> Vec<u8> {
    let file = DicomFile::chest(60, 52, &drawn(60, 52, 4095)).with((0x0008, 0x0016), "UI", SECONDARY);
    let file = file.with((0x0008, 0x0018), "UI", format!("2.25.{}", 1_000 + n).as_str()).with((0x0008, 0x0060), "CS", "OT");
    let file = file.with((0x0020, 0x000D), "UI", "2.25.7").with((0x0020, 0x000E), "UI", "2.25.8").bytes();
    behind_meta(&file).to_vec()
}

/// A data set without the meta information in front of it.
fn behind_meta(file: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(*file[140..].first_chunk().unwrap());
    &file[144 + usize::try_from(length).unwrap()..]
}

fn part10(class: &str, instance: &str, data_set: &[u8]) -> Vec<u8> {
    let meta = dicom_object::FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(class)
        .media_storage_sop_instance_uid(instance)
        .transfer_syntax("1.2.840.10008.1.2.1")
        .implementation_class_uid("2.25.1")
        .build()
        .unwrap();
    let mut file = [&[0; 128][..], b"DICM"].concat();
    meta.write(&mut file).unwrap();
    file.extend(data_set);
    file
}

fn forward_to(destination: &str, kind: &str, payload: Vec<u8>) -> NewForward {
    NewForward { destination: destination.to_owned(), kind: kind.to_owned(), payload }
}

/// A store with these readings, each with a capture for every one of these destinations.
fn queued(state: &Path, readings: Range<u64>, destinations: &[&str]) {
    std::fs::create_dir_all(state).unwrap();
    let store = open(state);
    for n in readings {
        let forwards = destinations.iter().map(|to| forward_to(to, "sc", capture(n))).collect();
        store.record(&NewReading { forwards, ..reading(n) }, &someone(NOW)).unwrap();
    }
}

fn waiting(state: &Path) -> u64 {
    Store::open_beside(state).unwrap().outbox_waiting().unwrap()
}

/// An archive of our own, which keeps what comes or answers with a fault.
#[derive(Default)]
struct Shelf {
    got: Mutex<Vec<Vec<u8>>>,
    fault: Mutex<Option<IntakeFault>>,
    /// Takes longer than anybody waits.
    slow: AtomicBool,
}

impl Intake for Shelf {
    fn film(&self, file: Vec<u8>, _from: &Peer) -> Result<(), IntakeFault> {
        if let Some(fault) = *self.fault.lock().unwrap() {
            return Err(fault);
        }
        if self.slow.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_secs(3));
        }
        self.got.lock().unwrap().push(behind_meta(&file).to_vec());
        Ok(())
    }
}

impl Shelf {
    /// How often each of the first `count` captures came.
    fn counts(&self, count: u64) -> Vec<usize> {
        let got = self.got.lock().unwrap();
        (0..count).map(|n| got.iter().filter(|bytes| **bytes == data_set(n)).count()).collect()
    }
}

fn scp_config(title: &str) -> ScpConfig {
    ScpConfig {
        ae_title: title.to_owned(),
        peers: Peers::Any,
        secondary_capture: SecondaryCapture::Taken,
        tls: None,
        times: Times::default(),
    }
}

fn scp(port: u16, config: ScpConfig) -> (Scp, Arc<Shelf>) {
    let shelf = Arc::new(Shelf::default());
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    (Scp::start(listener, config, Arc::clone(&shelf) as Arc<dyn Intake>).unwrap(), shelf)
}

/// The objects of a real reading.
fn made(scratch: &Scratch) -> Vec<(&'static str, Vec<u8>)> {
    let film = scratch.join("film.dcm");
    std::fs::write(&film, dicom_objects::film("Wang^XiaoDong=王^小东".as_bytes(), "ISO_IR 192").bytes()).unwrap();
    let out = scratch.join("objects");
    let mut command = chexbox(&["read", "--model", "findings25"]);
    for kind in ["--sr", "--sc", "--gsps"] {
        command.arg(kind).arg(&out);
    }
    let output = command.arg(film).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    ["sr", "sc", "gsps"].map(|kind| (kind, std::fs::read(out.join(format!("film.findings25.{kind}.dcm"))).unwrap())).to_vec()
}

/// The objects of one reading, queued for these destinations.
fn queue_made(state: &Path, objects: &[(&'static str, Vec<u8>)], destinations: &[&str]) {
    std::fs::create_dir_all(state).unwrap();
    let each = |to: &&str| objects.iter().map(|(kind, file)| forward_to(to, kind, file.clone())).collect::<Vec<_>>();
    let forwards = destinations.iter().flat_map(each).collect();
    open(state).record(&NewReading { forwards, ..reading(0) }, &someone(NOW)).unwrap();
}

#[test]
fn every_kind_of_object_arrives_once_by_either_way_as_it_was_made() {
    let Some(program) = tool("Orthanc", "sending objects to Orthanc") else { return };
    let Some(plugin) = dicom_web("sending objects by STOW-RS") else { return };
    let scratch = Scratch::new("forward-orthanc");
    let (state, objects) = (state(&scratch), made(&scratch));
    queue_made(&state, &objects, &["pacs", "web"]);
    let (one, two) = (scratch.join("one"), scratch.join("two"));
    std::fs::create_dir_all(&one).unwrap();
    std::fs::create_dir_all(&two).unwrap();
    let port = free_port();
    let by_store = Orthanc::archive(&program, &one, "PACS", port, None);
    let by_web = Orthanc::archive(&program, &two, "WEB", free_port(), Some(&plugin));
    let kinds = "objects = [\"sr\", \"sc\", \"gsps\"]";
    let tables = table("pacs", &format!("dicom://PACS@127.0.0.1:{port}"), kinds)
        + &table("web", &format!("http://127.0.0.1:{}/dicom-web", by_web.port()), kinds);
    let output = forward(&state, &tables, &["--once"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for archive in [&by_store, &by_web] {
        let instances = archive.json("/instances");
        let ids: Vec<&str> = instances.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let instances = ids.iter().map(|id| archive.get(&format!("/instances/{id}/file")));
        // Orthanc writes lengths in a way of its own.
        let kept: BTreeSet<Vec<String>> = instances.map(|file| parsed(&file)).collect();
        let sent: BTreeSet<Vec<String>> = objects.iter().map(|(_, file)| parsed(file)).collect();
        assert_eq!(ids.len(), 3);
        assert!(kept == sent, "an object is not as it was made");
    }
    assert!(status(&state, &tables, "en").contains("nothing waits"));
    let store = Store::open_beside(&state).unwrap();
    assert_eq!(store.audit_records(Some("forwarded"), None, 99).unwrap().len(), 6);
}

#[test]
fn an_archive_that_takes_implicit_little_endian_alone_gets_the_same_elements() {
    let Some(program) = tool("storescp", "an archive that takes implicit little endian alone") else { return };
    let scratch = Scratch::new("forward-implicit");
    let (state, objects) = (state(&scratch), made(&scratch));
    queue_made(&state, &objects, &["pacs"]);
    let (port, into) = (free_port(), scratch.join("into"));
    std::fs::create_dir_all(&into).unwrap();
    let mut peer = Command::new(program).args(["+xi", "-aet", "PACS", "-od"]).arg(&into).arg(port.to_string()).spawn().unwrap();
    wait_for("storescp listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let output = forward(&state, &table("pacs", &format!("dicom://PACS@127.0.0.1:{port}"), ""), &["--once"]).output();
    let _ = peer.kill();
    let _ = peer.wait();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let files: Vec<PathBuf> = std::fs::read_dir(&into).unwrap().flatten().map(|entry| entry.path()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let kept = dicom_object::open_file(&file).unwrap();
        let instance = kept.meta().media_storage_sop_instance_uid.trim_end_matches('\0').to_owned();
        assert_eq!(kept.meta().transfer_syntax(), "1.2.840.10008.1.2", "{instance}");
        let sent = objects.iter().map(|(_, bytes)| dicom_object::from_reader(&bytes[..]).unwrap());
        let mut sent = sent.filter(|o| o.meta().media_storage_sop_instance_uid.trim_end_matches('\0') == instance);
        let sent = sent.next().unwrap();
        assert_eq!(lines_of(&kept), lines_of(&sent), "{instance}");
    }
}

fn parsed(file: &[u8]) -> Vec<String> {
    lines_of(&dicom_object::from_reader(file).unwrap())
}

/// Every element as a line, with the bytes of its value; lengths of sequences and items aside.
fn lines_of(object: &InMemDicomObject) -> Vec<String> {
    let mut lines = Vec::new();
    for element in object.iter() {
        match element.items() {
            Some(items) => {
                for (at, item) in items.iter().enumerate() {
                    lines.extend(lines_of(item).into_iter().map(|line| format!("{} {at} > {line}", element.header().tag)));
                }
            }
            None => lines.push(format!("{} {:?}", element.header().tag, element.to_bytes().unwrap())),
        }
    }
    lines
}

#[test]
fn an_archive_that_was_away_gets_everything_once_it_is_back() {
    let scratch = Scratch::new("forward-away");
    let state = state(&scratch);
    queued(&state, 0..5, &["pacs"]);
    let port = free_port();
    let tables = table("pacs", &format!("dicom://PACS@127.0.0.1:{port}"), "");
    let forwarder = Forwarder::start(&state, &tables);
    wait_for("the failure is noted", || status(&state, &tables, "en").contains("nothing answers there"));
    assert!(status(&state, &tables, "zh").contains("无法连接"), "{}", status(&state, &tables, "zh"));
    assert!(status(&state, &tables, "en").contains("5 wait, 0 of them refused"));
    let (_scp, shelf) = scp(port, scp_config("PACS"));
    wait_for("everything is sent", || waiting(&state) == 0);
    assert_eq!(shelf.counts(5), [1; 5], "{}", forwarder.log());
}

#[test]
fn an_archive_that_hangs_holds_up_no_other_and_not_the_end_of_the_process() {
    let scratch = Scratch::new("forward-hangs");
    let state = state(&scratch);
    queued(&state, 0..5, &["hangs", "pacs"]);
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = hangs.local_addr().unwrap();
    let (scp, shelf) = scp(0, scp_config("PACS"));
    // The one that hangs has all the time there is.
    let tables = format!("[[forward]]\nname = \"hangs\"\nto = \"dicom://HANGS@{silent}\"\nconnect-seconds = 3600\n")
        + &table("pacs", &format!("dicom://PACS@{}", scp.address()), "");
    let mut forwarder = Forwarder::start(&state, &tables);
    let (_held, _) = hangs.accept().unwrap();
    wait_for("the other has everything", || shelf.counts(5) == [1; 5]);
    wait_for("it is noted", || waiting(&state) == 5);
    let begun = Instant::now();
    forwarder.signal("TERM");
    assert!(forwarder.ended().success(), "{}", forwarder.log());
    assert!(begun.elapsed() < Duration::from_secs(12), "systemd would have killed it: {:?}", begun.elapsed());
    assert_eq!(waiting(&state), 5);
}

#[test]
fn an_archive_that_goes_silent_in_the_middle_is_given_up_in_time_and_asked_again() {
    let scratch = Scratch::new("forward-silent");
    let state = state(&scratch);
    queued(&state, 0..1, &["pacs"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let tables = table("pacs", &format!("dicom://PACS@{}", silent.local_addr().unwrap()), "");
    let forwarder = Forwarder::start(&state, &tables);
    for attempt in 0..2 {
        let (mut stream, _) = silent.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It asks for an association, hears nothing, and goes; with a farewell or without one.
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert_eq!(heard.first(), Some(&1), "attempt {attempt} asks for an association: {}", forwarder.log());
    }
    assert!(status(&state, &tables, "en").contains("gives us no association"), "{}", status(&state, &tables, "en"));
}

#[test]
fn an_archive_that_answers_too_late_gets_the_same_object_again() {
    let scratch = Scratch::new("forward-late");
    let state = state(&scratch);
    queued(&state, 0..1, &["pacs"]);
    let (scp, shelf) = scp(0, scp_config("PACS"));
    shelf.slow.store(true, Ordering::SeqCst);
    let tables = format!("[[forward]]\nname = \"pacs\"\nto = \"dicom://PACS@{}\"\nanswer-seconds = 1\n", scp.address());
    let _forwarder = Forwarder::start(&state, &tables);
    wait_for("it is given up", || status(&state, &tables, "en").contains("the transfer broke off"));
    shelf.slow.store(false, Ordering::SeqCst);
    wait_for("it is sent again", || waiting(&state) == 0);
    let got = shelf.got.lock().unwrap();
    assert!(got.len() >= 2 && got.iter().all(|bytes| *bytes == data_set(0)), "{} came", got.len());
}

#[test]
fn what_an_archive_rejects_or_refuses_is_shown_with_its_reason_and_tried_again() {
    let scratch = Scratch::new("forward-refuses");
    let state = state(&scratch);
    queued(&state, 0..3, &["rejects", "refuses", "full"]);
    let (rejects, _) = scp(0, scp_config("ANOTHER"));
    let (refuses, refusing) = scp(0, scp_config("PACS"));
    let (full, overflowing) = scp(0, scp_config("PACS"));
    *refusing.fault.lock().unwrap() = Some(IntakeFault::NotUnderstood);
    *overflowing.fault.lock().unwrap() = Some(IntakeFault::OutOfResources);
    let to = |name: &str, scp: &Scp| table(name, &format!("dicom://PACS@{}", scp.address()), "");
    let tables = to("rejects", &rejects) + &to("refuses", &refuses) + &to("full", &full);
    let _forwarder = Forwarder::start(&state, &tables);
    let shows = |words: &str| wait_for(words, || status(&state, &tables, "en").contains(words));
    shows("called AE title not recognized");
    shows("3 wait, 3 of them refused");
    shows("refused by refuses: sc of reading");
    shows("cannot understand the object");
    shows("status: C000");
    shows("out of resources");
    assert_eq!(waiting(&state), 9, "something was dropped");
    for shelf in [&refusing, &overflowing] {
        *shelf.fault.lock().unwrap() = None;
    }
    wait_for("they changed their mind", || refusing.counts(3) == [1; 3] && overflowing.counts(3) == [1; 3]);
    wait_for("it is noted", || waiting(&state) == 3);
}

#[test]
fn a_class_that_an_archive_does_not_take_is_shown_and_the_others_arrive() {
    let scratch = Scratch::new("forward-class");
    let (state, objects) = (state(&scratch), made(&scratch));
    queue_made(&state, &objects, &["pacs"]);
    // It takes secondary captures and neither reports nor presentation states.
    let (scp, shelf) = scp(0, scp_config("PACS"));
    let tables = table("pacs", &format!("dicom://PACS@{}", scp.address()), "objects = [\"sr\", \"sc\", \"gsps\"]");
    let output = forward(&state, &tables, &["--once"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(shelf.got.lock().unwrap().len(), 1);
    let said = status(&state, &tables, "en");
    assert!(said.contains("2 wait, 2 of them refused") && said.contains("1.2.840.10008.5.1.4.1.1.88.33"), "{said}");
    assert!(said.contains("allow the class there"), "{said}");
}

/// Answers each request with the next of these, and the last one for ever; what came stands in `heard`.
fn web(answers: &'static [&'static str]) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&heard);
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut buffer = [0; 65_536];
            while let Ok(n) = stream.read(&mut buffer) {
                request.extend_from_slice(&buffer[..n]);
                let head = request.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
                let length = head.and_then(|head| {
                    let text = String::from_utf8_lossy(&request[..head]).into_owned();
                    let length = text.lines().find_map(|l| l.strip_prefix("Content-Length: "))?.parse::<usize>().ok()?;
                    Some(head + length)
                });
                if n == 0 || length.is_some_and(|whole| request.len() >= whole) {
                    break;
                }
            }
            noted.lock().unwrap().push(request);
            let _ = stream.write_all(answers[at.min(answers.len() - 1)].as_bytes());
        }
    });
    (port, heard)
}

#[test]
fn answers_of_a_web_archive_are_taken_at_their_word_and_no_other() {
    let scratch = Scratch::new("forward-web");
    let state = state(&scratch);
    queued(&state, 0..1, &["web"]);
    let secret = scratch.join("authorization");
    std::fs::write(&secret, "Basic dXNlcjpzZWNyZXQ=\n").unwrap();
    let (port, heard) = web(&[
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\ncut off",
        "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ]);
    let more = format!("authorization-file = \"{}\"", secret.display());
    let tables = table("web", &format!("http://127.0.0.1:{port}/dicom-web/"), &more);
    let forwarder = Forwarder::start(&state, &tables);
    wait_for("the refusal is shown", || status(&state, &tables, "en").contains("authorization-file (http: 401)"));
    wait_for("half an answer is none", || status(&state, &tables, "en").contains("before the answer was whole"));
    wait_for("it is there", || waiting(&state) == 0);
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 3, "{}", forwarder.log());
    for request in heard.iter() {
        let text = String::from_utf8_lossy(request);
        for part in [
            "POST /dicom-web/studies HTTP/1.1\r\n",
            "Authorization: Basic dXNlcjpzZWNyZXQ=\r\n",
            "multipart/related; type=\"application/dicom\"",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(request.windows(capture(0).len()).any(|w| w == capture(0)), "the file is not in it as it was made");
    }
    let everything = forwarder.log() + &status(&state, &tables, "en");
    assert!(!everything.contains("dXNlcjpzZWNyZXQ"), "{everything}");
}

#[test]
fn objects_go_under_tls_to_the_archive_that_is_trusted_and_to_nobody_else() {
    let scratch = Scratch::new("forward-tls");
    let state = state(&scratch);
    queued(&state, 0..2, &["pacs", "stranger"]);
    let tls = tls_of("127.0.0.1", &scratch.join("pacs.pem"));
    tls_of("127.0.0.1", &scratch.join("other.pem"));
    let (scp, shelf) = scp(0, ScpConfig { tls: Some(tls), ..scp_config("PACS") });
    let to = |name: &str, ca: &str| {
        let ca = format!("ca = \"{}\"", scratch.join(ca).display());
        table(name, &format!("dicom+tls://PACS@{}", scp.address()), &ca)
    };
    let tables = to("pacs", "pacs.pem") + &to("stranger", "other.pem");
    let output = forward(&state, &tables, &["--once"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(shelf.counts(2), [1; 2]);
    let said = status(&state, &tables, "en");
    assert!(said.contains("no secure connection") && said.contains("2 wait"), "{said}");
}

#[test]
fn killed_at_any_instant_it_loses_and_doubles_nothing() {
    const DEATHS: u64 = 12;
    /// New objects before each death: more than are sent until it comes.
    const EACH: u64 = 5;
    let Some(program) = tool("Orthanc", "killing the forwarder while objects flow") else { return };
    let scratch = Scratch::new("forward-killed");
    let state = state(&scratch);
    let port = free_port();
    let orthanc = Orthanc::archive(&program, scratch.path(), "PACS", port, None);
    let tables = table("pacs", &format!("dicom://PACS@127.0.0.1:{port}"), "");
    for round in 0..DEATHS {
        queued(&state, round * EACH..(round + 1) * EACH, &["pacs"]);
        let before = waiting(&state);
        let mut forwarder = Forwarder::start(&state, &tables);
        // By the clock, which may be before its first object; or by what is sent, which is amid them on any machine.
        if round % 3 == 0 {
            std::thread::sleep(Duration::from_millis(20 + spread(round, 400)));
        } else {
            let sent = 1 + spread(round, EACH - 1);
            wait_for("some are sent", || waiting(&state) + sent <= before);
        }
        forwarder.signal("KILL");
        forwarder.ended();
    }
    let mut last = Forwarder::start(&state, &tables);
    wait_for("everything is sent", || waiting(&state) == 0);
    last.signal("TERM");
    assert!(last.ended().success(), "{}", last.log());
    let kept: BTreeSet<String> = orthanc
        .json("/instances?expand")
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["MainDicomTags"]["SOPInstanceUID"].as_str().unwrap().to_owned())
        .collect();
    let sent: BTreeSet<String> = (0..DEATHS * EACH).map(|n| format!("2.25.{}", 1_000 + n)).collect();
    assert_eq!(kept, sent);
    assert_eq!(orthanc.json("/instances").as_array().unwrap().len() as u64, DEATHS * EACH, "an object is doubled");
    assert_eq!(verify_audit(&state).unwrap().faults, []);
    let store = Store::open_beside(&state).unwrap();
    assert_eq!(store.audit_records(Some("forwarded"), None, 9_999).unwrap().len() as u64, DEATHS * EACH);
}

/// Queues a capture for a reading that the service has made.
fn add(state: &Path, daemon: &Daemon, n: u64) -> ReadingId {
    let answer = daemon.read("", &film(n)).json();
    let id: ReadingId = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
    assert!(Store::open_beside(state).unwrap().outbox_add(&id, &[forward_to("pacs", "sc", capture(n))]).unwrap());
    id
}

#[test]
fn service_and_forwarder_survive_each_other_s_death_and_the_service_counts_what_waits() {
    let scratch = Scratch::new("forward-beside");
    let state = state(&scratch);
    let port = free_port();
    let tables = table("pacs", &format!("dicom://PACS@127.0.0.1:{port}"), "");
    // It may start first: then it waits until the service has made the store, or brought an older one to its own schema.
    std::fs::create_dir_all(&state).unwrap();
    let mut forwarder = Forwarder::start(&state, &tables);
    wait_for("it waits for the store", || forwarder.log().contains("holds no store"));
    for file in ["audit.head", "chexbox.db"] {
        let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store/v1").join(file);
        std::fs::copy(old, state.join(file)).unwrap();
    }
    wait_for("it waits for the migration", || forwarder.log().contains("schema 1"));
    let model = ["--model", "findings10"];
    let daemon = Daemon::start(&state, &model);
    add(&state, &daemon, 1);
    wait_for("the failure is noted", || status(&state, &tables, "en").contains("nothing answers there"));
    let metrics = daemon.get("/metrics").text();
    for line in [
        "chexbox_outbox_waiting 1",
        "chexbox_forward_waiting{destination=\"pacs\"} 1",
        "chexbox_forward_refused{destination=\"pacs\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(metrics.contains("chexbox_forward_oldest_seconds{destination=\"pacs\"} "), "{metrics}");
    daemon.signal("KILL");
    forwarder.signal("KILL");
    forwarder.ended();
    let forwarder = Forwarder::start(&state, &tables);
    let daemon = Daemon::start(&state, &model);
    add(&state, &daemon, 2);
    daemon.signal("KILL");
    let (_scp, shelf) = scp(port, scp_config("PACS"));
    wait_for("both are sent without the service", || shelf.counts(3) == [0, 1, 1]);
    let daemon = Daemon::start(&state, &model);
    add(&state, &daemon, 0);
    wait_for("the third follows", || shelf.counts(3) == [1, 1, 1]);
    wait_for("the service knows", || daemon.get("/metrics").text().contains("chexbox_outbox_waiting 0"));
    let mut second = Forwarder::start(&state, &tables);
    assert_eq!(second.ended().code(), Some(3));
    assert!(second.log().contains("another chexbox forward sends from here"), "{}", second.log());
    drop((forwarder, daemon));
    assert_eq!(verify_audit(&state).unwrap().faults, []);
}

#[test]
fn it_tells_systemd_when_it_is_ready_and_that_it_lives() {
    let scratch = Scratch::new("forward-notify");
    let state = state(&scratch);
    queued(&state, 0..1, &["hangs"]);
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let notified = UnixDatagram::bind(scratch.join("notify")).unwrap();
    notified.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = forward(&state, &table("hangs", &format!("dicom://HANGS@{}", hangs.local_addr().unwrap()), ""), &[]);
    command.env("NOTIFY_SOCKET", scratch.join("notify")).env("WATCHDOG_USEC", "400000");
    let mut forwarder = Forwarder::of(command);
    let mut heard = Vec::new();
    let mut hear = |what: &str, times: usize| {
        let mut buffer = [0; 1_000];
        while heard.iter().filter(|word: &&String| *word == what).count() < times {
            let length = notified.recv(&mut buffer).unwrap_or_else(|e| panic!("{what}: {e}, heard {heard:?}"));
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
    };
    hear("READY=1", 1);
    hear("WATCHDOG=1", 5);
    hear("STATUS=1 object(s) wait", 1);
    forwarder.signal("TERM");
    hear("STOPPING=1", 1);
    assert!(forwarder.ended().success());
}

#[test]
fn a_configuration_without_an_archive_or_with_a_wrong_one_is_refused_with_what_to_write() {
    let scratch = Scratch::new("forward-config");
    let state = state(&scratch);
    let refused = |output: Output, parts: &[&str]| {
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        for part in parts {
            assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        }
    };
    refused(forward(&state, "", &[]).output().unwrap(), &["[[forward]]", "name", "to"]);
    let wrong = table("pacs", "dicom://PACS", "objects = [\"pdf\"]");
    refused(forward(&state, &wrong, &[]).output().unwrap(), &["dicom://PACS", "dicom://TITLE@HOST:PORT", "\"pdf\"", "\"gsps\""]);
    let no_file = table("web", "https://127.0.0.1/", "ca = \"nowhere.pem\"");
    refused(forward(&state, &no_file, &[]).output().unwrap(), &["forward web", "nowhere.pem"]);
    let flag = forward(&state, "", &["--forward", "name=pacs,to=ftp://x"]).output().unwrap();
    refused(flag, &["ftp://x"]);
    // What waits for a name that is configured no more is said, and kept.
    queued(&state, 0..2, &["old"]);
    let said = status(&state, &table("new", "dicom://A@127.0.0.1:1", ""), "en");
    assert!(said.contains("old  not in the configuration any more") && said.contains("2 wait"), "{said}");
}
