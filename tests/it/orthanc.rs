//! A real Orthanc on 127.0.0.1 for one test: started, asked over HTTP, ended.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long Orthanc may take to answer for the first time.
const START: Duration = Duration::from_secs(60);

/// Where Debian's package orthanc-dicomweb puts its plugin.
const DICOM_WEB: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

/// DICOMweb for Orthanc, or a line that says what was skipped.
pub fn dicom_web(what: &str) -> Option<PathBuf> {
    let plugin = Some(PathBuf::from(DICOM_WEB)).filter(|path| path.is_file());
    if plugin.is_none() {
        println!("skipped: {what} ({DICOM_WEB} is not installed; tools/dicom_tools.sh)");
    }
    plugin
}

/// A port that nobody listens on, and that no other test of this process gets. It lies below those that the system gives to
/// whoever asks for any: one of these could be a connection's by the time that it is used.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_process = u16::try_from(std::process::id() % 100).unwrap() * 100;
    let ports = std::iter::repeat_with(|| 20_000 + (of_process + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000);
    ports.take(10_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// A running server.
pub struct Orthanc {
    child: Child,
    port: u16,
}

impl Orthanc {
    /// Starts one that keeps its data below `folder`.
    pub fn start(program: &Path, folder: &Path) -> Self {
        Self::with(program, folder, &serde_json::json!({"DicomServerEnabled": false, "Plugins": []}))
    }

    /// Starts an archive of this title that takes whatever comes by C-STORE to this port, and by STOW-RS where it has the
    /// plugin. One that was there before in the same folder is the same archive.
    pub fn archive(program: &Path, folder: &Path, title: &str, dicom_port: u16, dicom_web: Option<&Path>) -> Self {
        let more = serde_json::json!({
            "DicomServerEnabled": true, "DicomAet": title, "DicomPort": dicom_port, "DicomCheckCalledAet": true,
            "DicomAlwaysAllowStore": true, "Plugins": dicom_web.into_iter().collect::<Vec<_>>(),
            "DicomWeb": {"Enable": true, "Root": "/dicom-web/"},
        });
        Self::with(program, folder, &more)
    }

    fn with(program: &Path, folder: &Path, more: &Value) -> Self {
        // It takes no port 0; one that was free a moment ago may be another test's by now.
        let started = (0..5).find_map(|_| Self::attempt(program, folder, more));
        started.expect("Orthanc answers")
    }

    /// None where it ended before it answered.
    fn attempt(program: &Path, folder: &Path, more: &Value) -> Option<Self> {
        let port = free_port();
        let store = folder.join("orthanc");
        std::fs::create_dir_all(&store).unwrap();
        let mut config = serde_json::json!({
            "Name": "test", "StorageDirectory": store, "IndexDirectory": store, "HttpPort": port,
            "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "HttpBindAddresses": ["127.0.0.1"],
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let file = folder.join("orthanc.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let child = Command::new(program).arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut orthanc = Self { child, port };
        let begun = Instant::now();
        while orthanc.ask("GET", "/system", &[]).is_none() {
            assert!(begun.elapsed() < START, "Orthanc does not answer");
            if orthanc.child.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(orthanc)
    }

    /// Where it answers over HTTP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The body of an answer.
    pub fn get(&self, path: &str) -> Vec<u8> {
        self.ask("GET", path, &[]).unwrap_or_else(|| panic!("{path}: no answer"))
    }

    /// The answer as JSON.
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path)).unwrap()
    }

    /// Sends a body.
    pub fn post(&self, path: &str, body: &[u8]) -> Value {
        serde_json::from_slice(&self.ask("POST", path, body).unwrap_or_else(|| panic!("{path}: not taken"))).unwrap()
    }

    /// Sets what lies at a path.
    pub fn put(&self, path: &str, body: &[u8]) {
        self.ask("PUT", path, body).unwrap_or_else(|| panic!("{path}: not taken"));
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(START)).ok()?;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let head = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
        let status = String::from_utf8_lossy(&answer[..head.min(16)]).into_owned();
        status.contains(" 200").then(|| answer[head + 4..].to_vec())
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
