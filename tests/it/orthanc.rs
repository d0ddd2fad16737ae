//! A real Orthanc on 127.0.0.1 for one test: started, asked over HTTP, ended.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long Orthanc may take to answer for the first time.
const START: Duration = Duration::from_secs(60);

/// Where one answers.
#[derive(Clone, Copy)]
pub struct Ports {
    /// HTTP.
    pub http: u16,
    /// DICOM.
    pub dicom: u16,
}

impl Ports {
    /// Two that nobody has.
    pub fn free() -> Self {
        let [http, dicom] = [0; 2].map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        Self { http: port(&http), dicom: port(&dicom) }
    }
}

/// A running server.
pub struct Orthanc {
    child: Child,
    port: u16,
}

impl Orthanc {
    /// Starts one that keeps its data below `folder`.
    pub fn start(program: &Path, folder: &Path) -> Self {
        Self::at(program, folder, Ports::free())
    }

    /// Starts one at these ports; one that was there before is found as it was left.
    pub fn at(program: &Path, folder: &Path, ports: Ports) -> Self {
        let port = ports.http;
        let store = folder.join("orthanc");
        std::fs::create_dir_all(&store).unwrap();
        let config = serde_json::json!({
            "Name": "test", "StorageDirectory": store, "IndexDirectory": store, "HttpPort": port, "DicomServerEnabled": true,
            "DicomPort": ports.dicom, "DicomAet": "ORTHANC", "DicomCheckCalledAet": false, "OverwriteInstances": false,
            "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "Plugins": [], "HttpBindAddresses": ["127.0.0.1"],
        });
        let file = folder.join("orthanc.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let child = Command::new(program).arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let orthanc = Self { child, port };
        let begun = Instant::now();
        while orthanc.ask("GET", "/system", &[]).is_none() {
            assert!(begun.elapsed() < START, "Orthanc does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        orthanc
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
