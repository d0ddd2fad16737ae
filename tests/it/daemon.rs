//! The real daemon on a port of its own, and a client that says what it means.

use super::run::{Scratch, chexbox};
use chexbox::radiograph::drawn::DrawnFilm;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest that a start or an end may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Head as text.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|l| l.split_once(':'));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The drawn film, small, of a seed.
pub fn film(seed: u64) -> Vec<u8> {
    DrawnFilm { width: 256, height: 256, seed }.png()
}

/// A command that serves with its state in this folder.
pub fn serve(state: &Path, args: &[&str]) -> Command {
    // The machine's own configuration is none of a test's.
    let config = state.with_extension("toml");
    std::fs::write(&config, "").expect("a configuration can be written");
    let mut command = chexbox(&["serve", "--config"]);
    command.arg(config).args(["--listen", "127.0.0.1:0", "--state"]).arg(state).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Daemon {
    /// Starts one with its state in this folder.
    pub fn start(state: &Path, args: &[&str]) -> Self {
        Self::of(serve(state, args))
    }

    /// Starts this command and waits until it listens.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the daemon starts");
        let stderr = child.stderr.take().expect("its standard error is a pipe");
        let log = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let end = Instant::now() + PATIENCE;
        loop {
            let text = log.lock().unwrap().clone();
            let address = text.lines().find_map(|l| l.split_once("listening on ")?.1.split_once("://")?.1.trim().parse().ok());
            if let Some(address) = address {
                return Self { child, address, log };
            }
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < end, "the daemon did not start: {text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the daemon does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One request on a connection of its own; an answer is expected.
    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        ask(self.address, method, target, headers, body).unwrap_or_else(|e| panic!("{method} {target}: {e}\n{}", self.log()))
    }

    /// GET.
    pub fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[], b"")
    }

    /// A film sent as the body.
    pub fn read(&self, query: &str, film: &[u8]) -> Reply {
        self.ask("POST", &format!("/v1/readings{query}"), &[("Content-Type", "application/octet-stream")], film)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own.
pub fn ask(to: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    // Who refuses early may stop reading; the answer says why.
    let sent = stream.write_all(body);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    if bytes.is_empty() {
        sent?;
        read?;
    }
    let broken = || std::io::Error::other(format!("no answer: {:?}", String::from_utf8_lossy(&bytes)));
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(broken)?;
    let reply = Reply { status, head, body: bytes[end + 4..].to_vec() };
    // An answer that was cut is none: what it says may not be what was meant.
    match reply.header("content-length").and_then(|l| l.parse::<usize>().ok()) {
        Some(length) if length != reply.body.len() && method != "HEAD" => Err(broken()),
        _ => Ok(reply),
    }
}

/// A form with these files.
pub fn form(files: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, content) in files {
        let head = format!("--XbX\r\nContent-Disposition: form-data; name=\"film\"; filename=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XbX--\r\n");
    ("multipart/form-data; boundary=XbX".to_owned(), body)
}

/// A folder for a daemon's state.
pub fn state(scratch: &Scratch) -> PathBuf {
    scratch.join("state")
}
