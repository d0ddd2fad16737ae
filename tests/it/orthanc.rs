//! A real Orthanc on 127.0.0.1 for one test: started, asked over HTTP, ended.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long Orthanc may take to answer for the first time.
const START: Duration = Duration::from_secs(60);

/// A running server.
pub struct Orthanc {
    child: Child,
    port: u16,
}

impl Orthanc {
    /// Starts one that keeps its data below `folder`.
    pub fn start(program: &Path, folder: &Path) -> Self {
        // It takes no port 0; one that was free a moment ago may be another test's by now.
        let started = (0..5).find_map(|_| Self::attempt(program, folder));
        started.expect("Orthanc answers")
    }

    /// None where it ended before it answered.
    fn attempt(program: &Path, folder: &Path) -> Option<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let store = folder.join("orthanc");
        std::fs::create_dir_all(&store).unwrap();
        let config = serde_json::json!({
            "Name": "test", "StorageDirectory": store, "IndexDirectory": store, "HttpPort": port, "DicomServerEnabled": false,
            "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "Plugins": [], "HttpBindAddresses": ["127.0.0.1"],
        });
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
