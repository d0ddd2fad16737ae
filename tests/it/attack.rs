//! Clients that mean no good, as functions of an address: what they send, and what they got for it.

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a client got.
#[derive(Debug, Default)]
pub struct Got {
    /// All bytes of the answer.
    pub bytes: Vec<u8>,
    /// Whether the other side ended the connection.
    pub closed: bool,
    /// How long it took to the answer's last byte or the end.
    pub took: Duration,
    /// How long it took to the answer's first byte, or to the end where there was no answer; none where neither came.
    pub heard: Option<Duration>,
}

impl Got {
    /// The status of the first answer.
    pub fn status(&self) -> Option<u16> {
        let line = String::from_utf8_lossy(self.bytes.get(..12)?).into_owned();
        line.strip_prefix("HTTP/1.1 ")?.parse().ok()
    }

    /// The answer as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// What stands behind the first empty line.
    pub fn body(&self) -> String {
        self.text().split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

/// A connection from a source address of choice.
pub fn connect_from(source: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    // Closed in programs that other tests start meanwhile, or their few descriptors would be ours.
    let client = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&client, &SocketAddr::from((source, 0)))?;
    connect(&client, &to)?;
    Ok(TcpStream::from(client))
}

/// Sends `bytes` and reads until the other side ends or `patience` is over. What can no longer be sent is not: the answer counts.
pub fn send(to: SocketAddr, bytes: &[u8], patience: Duration) -> Got {
    let begin = Instant::now();
    let mut got = Got::default();
    let Ok(mut client) = TcpStream::connect(to) else {
        got.closed = true;
        got.heard = Some(begin.elapsed());
        return got;
    };
    let mut writer = client.try_clone().expect("a second handle of a socket");
    writer.set_write_timeout(Some(patience)).expect("a timeout");
    let all = bytes.to_vec();
    let sender = std::thread::spawn(move || drop(writer.write_all(&all)));
    let mut buffer = vec![0; 64 << 10];
    while let Some(left) = patience.checked_sub(begin.elapsed()).filter(|d| !d.is_zero()) {
        client.set_read_timeout(Some(left)).expect("a timeout");
        match client.read(&mut buffer) {
            Ok(0) => got.closed = true,
            Ok(count) => got.bytes.extend_from_slice(&buffer[..count]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(_) => got.closed = true,
        }
        got.took = begin.elapsed();
        got.heard.get_or_insert(got.took);
        if got.closed {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = sender.join();
    got
}

/// The quickest of up to five tries, the first of which that is within `bound` ends them: what is promised of the program is
/// no promise of a machine whose cores others have at the moment, and a program that is too slow is so each time.
pub fn quickest(bound: Duration, mut attempt: impl FnMut() -> Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        best = best.min(attempt());
        if best <= bound {
            break;
        }
    }
    best
}

/// Requests that must be refused with a status of 4xx or 5xx or just closed within a second, and never reach a router.
pub fn hostile_requests() -> Vec<(&'static str, Vec<u8>)> {
    let post = |fields: &str| format!("POST /v1/readings HTTP/1.1\r\nHost: a\r\n{fields}\r\nhello").into_bytes();
    let get = |fields: &str| format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    let mut endless = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Endless: ".to_vec();
    endless.resize(8 << 20, b'a');
    let text = |t: &str| t.as_bytes().to_vec();
    vec![
        ("length of 2^63", post("Content-Length: 9223372036854775808\r\n")),
        ("length of 2^64 - 1", post("Content-Length: 18446744073709551615\r\n")),
        ("length of 2^64", post("Content-Length: 18446744073709551616\r\n")),
        ("length of -1", post("Content-Length: -1\r\n")),
        ("length of +5", post("Content-Length: +5\r\n")),
        ("length in hexadecimal", post("Content-Length: 0x5\r\n")),
        ("length as a list", post("Content-Length: 5, 5\r\n")),
        ("length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n")),
        ("two lengths", post("Content-Length: 5\r\nContent-Length: 0\r\n")),
        ("length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        ("chunks and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("chunks", post("Transfer-Encoding: chunked\r\n")),
        ("chunks after a comma", post("Transfer-Encoding: ,chunked\r\n")),
        ("chunks of a vertical tab", post("Transfer-Encoding: \u{b}chunked\r\n")),
        ("chunks with a space before the colon", post("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n")),
        ("chunks in a folded field", post("X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("chunks behind a bare LF", post("X: a\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("chunks behind a bare CR", post("X: a\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("no length", post("")),
        ("a body larger than allowed", post("Content-Length: 10737418240\r\n")),
        ("a body of a GET", get("Content-Length: 5\r\n")),
        ("a length that Connection takes away", post("Content-Length: 5\r\nConnection: Content-Length\r\n")),
        ("an endless field", endless),
        ("a million fields", format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(1_000_000)).into_bytes()),
        ("an endless line", vec![b'G'; 8 << 20]),
        ("an endless target", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1 << 20)).into_bytes()),
        ("bare LF", text("GET /healthz HTTP/1.1\nHost: a\n\n")),
        ("bare LF in the middle", text("GET /healthz HTTP/1.1\r\nHost: a\n\r\n")),
        ("NUL in the target", text("GET /heal\0thz HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("NUL in a value", get("X: \0\r\n")),
        ("NULs only", vec![0; 4096]),
        ("an escape in a value", get("X: \u{1b}[2J\r\n")),
        ("UTF-8 in a value", get("X: 胸片\r\n")),
        ("a folded field", get("X: a\r\n b\r\n")),
        ("a space before the colon", get("X : a\r\n")),
        ("a field without colon", get("nothing\r\n")),
        ("a field without name", get(": a\r\n")),
        ("no Host", text("GET /healthz HTTP/1.1\r\n\r\n")),
        ("two Hosts", get("Host: b\r\n")),
        ("absolute form", text("GET http://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("asterisk form", text("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("CONNECT", text("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("a method in small letters", text("get /healthz HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("HTTP/0.9", text("GET /healthz\r\n\r\n")),
        ("HTTP/2's preface", text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        ("HTTP/1.2", text("GET /healthz HTTP/1.2\r\nHost: a\r\n\r\n")),
        ("two spaces", text("GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("an empty line first", text("\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("an unknown expectation", get("Expect: the-unexpected\r\n")),
        ("TLS without TLS", text("\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03")),
        ("SSH", text("SSH-2.0-OpenSSH_9.2\r\n")),
    ]
}

/// Slow clients that go on in a thread of their own until they are told to stop; those that are closed come again.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    again: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Crowd {
    /// `count` clients from up to 200 addresses 127.0.1.x: half drip a head, half a body, a byte each half second.
    pub fn gather(to: SocketAddr, count: usize) -> Self {
        let (stop, again) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&again));
        let thread = std::thread::spawn(move || {
            let mut clients: Vec<Option<TcpStream>> = (0..count).map(|n| slow_client(to, n)).collect();
            while !stopped.load(Ordering::Relaxed) {
                for (n, client) in clients.iter_mut().enumerate() {
                    if client.as_mut().is_none_or(|c| c.write_all(b"a").is_err()) {
                        counted.fetch_add(1, Ordering::Relaxed);
                        *client = slow_client(to, n);
                    }
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        Self { stop, again, thread }
    }

    /// Ends them; how often one had to come again.
    pub fn disperse(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the crowd does not fall");
        self.again.load(Ordering::Relaxed)
    }
}

fn slow_client(to: SocketAddr, n: usize) -> Option<TcpStream> {
    let source = Ipv4Addr::new(127, 0, 1, u8::try_from(n % 200).unwrap_or(0) + 1);
    let mut client = connect_from(source, to).ok()?;
    client.set_nonblocking(true).ok()?;
    let head: &[u8] = if n.is_multiple_of(2) {
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "
    } else {
        b"POST /v1/readings HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n"
    };
    client.write_all(head).ok()?;
    Some(client)
}

/// A number of `/proc/PID/status`, such as `VmRSS` (in kB) or `Threads`.
pub fn status_of(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is alive");
    let line = status.lines().find(|l| l.starts_with(field)).expect("a field of the status");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}
