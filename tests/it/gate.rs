//! The gate keeps what it promises: with tiny_http behind it, and whatever comes.

use crate::attack::{Crowd, Got, connect_from, hostile_requests, quickest, send, status_of};
use crate::run::Scratch;
use chexbox::http::gate::{Gate, GateConfig, GateLimits, Listening, Socket, TlsFiles};
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tiny_http::{Header, Response, Server};

const SECOND: Duration = Duration::from_secs(1);
const LARGE: usize = 24 << 20;
/// Threads that answer behind the gate.
const ROUTERS: usize = 3;

/// A gate with a small router behind it that notes what reaches it.
struct Guarded {
    gate: Gate,
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    scratch: Scratch,
}

fn small_router(path: &std::path::Path, seen: &Arc<Mutex<Vec<String>>>) {
    let server = Arc::new(Server::http_unix(path).expect("a router"));
    for _ in 0..ROUTERS {
        let (server, seen) = (Arc::clone(&server), Arc::clone(seen));
        std::thread::spawn(move || {
            while let Ok(request) = server.recv() {
                answer(request, &seen);
            }
        });
    }
}

fn answer(mut request: tiny_http::Request, seen: &Mutex<Vec<String>>) {
    let ours: String = request
        .headers()
        .iter()
        .filter(|h| h.field.as_str().as_str().starts_with("x-chexbox"))
        .map(|h| format!(" {h}"))
        .collect();
    let line = format!("{} {}{ours}", request.method(), request.url());
    seen.lock().unwrap().push(line.clone());
    let url = request.url().to_owned();
    let plain = |text: String| Response::from_string(text);
    let sent = match url.as_str() {
        "/large" => request.respond(Response::from_data(vec![7; LARGE])),
        "/chunks" => request.respond(plain("abc".repeat(30_000)).with_chunked_threshold(1)),
        "/sleep" => {
            std::thread::sleep(Duration::from_millis(700));
            request.respond(plain("slept".to_owned()))
        }
        "/cut" => {
            let mut writer = request.into_writer();
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").and_then(|()| writer.flush())
        }
        "/nothing" => {
            drop(request.into_writer());
            Ok(())
        }
        _ => {
            let mut body = Vec::new();
            let count = request.as_reader().read_to_end(&mut body).unwrap_or(0);
            let sum: u64 = body.iter().map(|b| u64::from(*b)).sum();
            let header = Header::from_bytes(&b"Content-Type"[..], &b"text/plain"[..]).unwrap();
            request.respond(plain(format!("{line} bytes={count} sum={sum}")).with_header(header))
        }
    };
    drop(sent);
}

fn start(name: &str, limits: GateLimits, listeners: Vec<Listening>) -> Guarded {
    let scratch = Scratch::new(name);
    let backend = scratch.join("router");
    let seen = Arc::default();
    small_router(&backend, &seen);
    let gate = Gate::start(GateConfig { listeners, backend, limits }).expect("a gate");
    Guarded { address: gate.addresses()[0], gate, seen, scratch }
}

fn on(address: &str) -> Vec<Listening> {
    vec![Listening { socket: Socket::Bind(address.parse().unwrap()), tls: None }]
}

fn plain(name: &str, limits: GateLimits) -> Guarded {
    start(name, limits, on("127.0.0.1:0"))
}

impl Guarded {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// How often the gate refused so; it counts just after the client has its answer, so that a first one is waited for.
    fn refused(&self, code: &str) -> u64 {
        let asked = Instant::now();
        while self.counted(code) == 0 && asked.elapsed() < 2 * SECOND {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.counted(code)
    }

    /// Waits until so many requests are being answered.
    fn until_answering(&self, count: u64) {
        let asked = Instant::now();
        while self.gate.counters().exchanges < count {
            assert!(asked.elapsed() < 10 * SECOND, "{:?}", self.gate.counters());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn counted(&self, code: &str) -> u64 {
        self.gate.counters().refused.iter().find(|(c, _)| *c == code).map_or(0, |(_, n)| *n)
    }

    fn get(&self, target: &str) -> Got {
        get(self.address, target)
    }
}

fn get(address: SocketAddr, target: &str) -> Got {
    send(address, format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes(), 10 * SECOND)
}

fn post(address: SocketAddr, body: &[u8]) -> Got {
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    send(address, &[head.as_bytes(), body].concat(), 20 * SECOND)
}

/// Reads one answer with a length from a connection that stays open.
pub fn one_answer(client: &mut (impl Read + ?Sized)) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).expect("an answer in time") == 0 {
            return String::from_utf8_lossy(&text).into_owned();
        }
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body).expect("the body in time");
    head + &String::from_utf8(body).unwrap()
}

fn client(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(10 * SECOND)).unwrap();
    client
}

#[test]
fn a_request_reaches_the_router_whole_and_says_who_sent_it() {
    let gate = plain("gate-whole", GateLimits::default());
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nX-Chexbox-Peer: 9.9.9.9\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut sender = connect_from(Ipv4Addr::new(127, 0, 1, 9), gate.address).unwrap();
    sender.write_all(head.as_bytes()).unwrap();
    for piece in body.chunks(100_001) {
        sender.write_all(piece).unwrap();
    }
    let answer = one_answer(&mut sender);
    let sum: u64 = body.iter().map(|b| u64::from(*b)).sum();
    assert!(
        answer.ends_with(&format!("POST /echo x-chexbox-peer: 127.0.1.9 x-chexbox-scheme: http bytes=3000000 sum={sum}")),
        "{answer}"
    );
    // The same connection again.
    sender.write_all(b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(one_answer(&mut sender).contains("GET /again"));
    assert_eq!(gate.gate.counters().accepted, 1);
}

#[test]
fn hostile_requests_are_refused_within_a_second_and_never_reach_the_router() {
    let gate = plain("gate-hostile", GateLimits::default());
    for (name, bytes) in hostile_requests() {
        let heard = quickest(SECOND, || {
            let got = send(gate.address, &bytes, 10 * SECOND);
            let refused = got.status().is_some_and(|s| (400..=599).contains(&s) && s != 500 && s != 502);
            assert!(refused || (got.closed && got.bytes.is_empty()), "{name}: {got:?}");
            assert!(got.closed, "{name}: the connection stays open: {}", got.text());
            got.heard.unwrap_or(Duration::MAX)
        });
        assert!(heard <= SECOND, "{name}: answered or closed after {heard:?}");
    }
    assert_eq!(gate.seen(), Vec::<String>::new());
    assert_eq!(gate.get("/alive").status(), Some(200));
    let counters = gate.gate.counters();
    assert!(counters.held_bytes < 1 << 20 && counters.refused.len() > 10, "{counters:?}");
}

#[test]
fn nothing_behind_a_refused_request_is_read_as_another() {
    let gate = plain("gate-smuggle", GateLimits::default());
    let second = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (_, mut bytes) in hostile_requests() {
        bytes.truncate(20_000);
        bytes.extend_from_slice(second);
        send(gate.address, &bytes, 10 * SECOND);
    }
    let body =
        [b"POST /one HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 35\r\n\r\n", &second[..], second].concat();
    assert_eq!(send(gate.address, &body, 10 * SECOND).status(), Some(200));
    assert_eq!(gate.seen().len(), 1, "{:?}", gate.seen());
    assert!(gate.seen()[0].starts_with("POST /one"));
}

#[test]
fn requests_sent_at_once_are_answered_in_their_order() {
    let gate = plain("gate-pipeline", GateLimits::default());
    let mut sender = client(gate.address);
    let three: String = (0..3).map(|n| format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")).collect();
    sender.write_all(three.as_bytes()).unwrap();
    for n in 0..3 {
        assert!(one_answer(&mut sender).contains(&format!("POST /{n} ")));
    }
}

#[test]
fn a_body_at_the_limit_passes_and_one_byte_more_is_refused_from_its_head() {
    let limits = GateLimits { body_bytes: 5 << 20, ..GateLimits::default() };
    let gate = plain("gate-body", limits);
    let body = vec![1; 5 << 20];
    assert!(post(gate.address, &body).body().contains("bytes=5242880"));
    let mut sender = client(gate.address);
    sender.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5242881\r\n\r\n").unwrap();
    let answer = one_answer(&mut sender);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("urn:chexbox:problem:body_too_large"), "{answer}");
    assert_eq!(gate.seen().len(), 1);
}

#[test]
fn late_heads_and_idle_connections_end_in_their_time() {
    let limits = GateLimits { head_ms: 1_500, idle_ms: 1_500, ..GateLimits::default() };
    let gate = plain("gate-late", limits);
    let late = send(gate.address, b"GET / HTTP/1.1\r\nHost:", 10 * SECOND);
    assert_eq!((late.status(), late.closed), (Some(408), true));
    assert!(late.took >= Duration::from_millis(1_490));
    let idle = send(gate.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 10 * SECOND);
    assert_eq!((idle.status(), idle.closed), (Some(200), true));
    assert_eq!((gate.refused("head_too_slow"), gate.counted("taken_back")), (1, 0));
}

#[test]
fn a_slow_body_is_refused_although_its_beginning_was_fast() {
    let limits = GateLimits { rate_grace_ms: 400, ..GateLimits::default() };
    let gate = plain("gate-slow-body", limits);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n";
    let got = send(gate.address, &[&head[..], &[0; 3_000_000]].concat(), 8 * SECOND);
    assert_eq!((got.status(), got.closed), (Some(408), true));
    assert_eq!((gate.refused("body_too_slow"), gate.seen().len()), (1, 0));
}

#[test]
fn readers_that_do_not_read_keep_no_router_from_others() {
    let limits = GateLimits { rate_grace_ms: 1_500, ..GateLimits::default() };
    let gate = plain("gate-readers", limits);
    let sleepers: Vec<TcpStream> = (0..2 * ROUTERS)
        .map(|_| {
            let mut sleeper = client(gate.address);
            sleeper.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            sleeper
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(gate.get("/honest").status(), Some(200));
    let begin = Instant::now();
    while gate.counted("reader_too_slow") + gate.counted("answer_cut") < sleepers.len() as u64 {
        assert!(begin.elapsed() < 20 * SECOND, "{:?}", gate.gate.counters());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(gate.gate.counters().held_bytes < 1 << 20, "{:?}", gate.gate.counters());
}

#[test]
fn when_all_places_are_taken_who_makes_no_progress_gives_way() {
    let limits = GateLimits { connections: 20, ..GateLimits::default() };
    let gate = plain("gate-places", limits);
    let slow: Vec<TcpStream> = (0..20)
        .map(|n| {
            let mut slow = connect_from(Ipv4Addr::new(127, 0, 1, n + 1), gate.address).unwrap();
            slow.write_all(b"GET / HTTP").unwrap();
            slow
        })
        .collect();
    std::thread::sleep(Duration::from_millis(400));
    for n in 0..20 {
        assert_eq!(gate.get("/honest").status(), Some(200), "honest request {n}: {:?}", gate.gate.counters());
    }
    assert!(gate.refused("taken_back") >= 1);
    assert!(gate.gate.counters().open <= 20);
    drop(slow);
}

#[test]
fn one_peer_has_its_share_of_places_and_no_more() {
    let limits = GateLimits { connections_per_peer: 4, ..GateLimits::default() };
    let gate = plain("gate-peer", limits);
    let busy: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut busy = client(gate.address);
            busy.write_all(b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            busy
        })
        .collect();
    gate.until_answering(4);
    let fifth = gate.get("/fifth");
    assert!(fifth.closed && fifth.status().is_none_or(|s| s == 429), "{fifth:?}");
    let other = connect_from(Ipv4Addr::new(127, 0, 1, 77), gate.address).unwrap();
    (&other).write_all(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(one_answer(&mut &other).starts_with("HTTP/1.1 200 "));
    for mut busy in busy {
        assert!(one_answer(&mut busy).ends_with("slept"));
    }
    assert_eq!(gate.refused("peer_connections"), 1);
}

#[test]
fn memory_for_bodies_is_bounded_for_one_peer_and_for_all() {
    let limits = GateLimits { body_bytes: 3_900_000, held_bytes: 6 << 20, held_bytes_per_peer: 4 << 20, ..GateLimits::default() };
    let gate = plain("gate-memory", limits);
    let half = |source: u8| {
        let mut sender = connect_from(Ipv4Addr::new(127, 0, 1, source), gate.address).unwrap();
        sender.set_read_timeout(Some(10 * SECOND)).unwrap();
        sender.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3900000\r\n\r\n").unwrap();
        let _ = sender.write_all(&vec![0; 3 << 20]);
        sender
    };
    let first = half(1);
    let begin = Instant::now();
    while gate.gate.counters().held_bytes < 3 << 20 {
        assert!(begin.elapsed() < 10 * SECOND);
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut greedy = half(1);
    assert!(one_answer(&mut greedy).starts_with("HTTP/1.1 429 "));
    std::thread::sleep(2 * SECOND);
    // The first has made no progress for two seconds: it gives way to others.
    let (second, third) = (half(2), half(3));
    assert!(one_answer(&mut &first).starts_with("HTTP/1.1 503 "));
    assert!(gate.gate.counters().held_bytes <= 7 << 20);
    drop((second, third));
}

#[test]
fn answers_of_every_form_pass_and_one_cut_short_is_never_whole() {
    let gate = plain("gate-answers", GateLimits::default());
    let chunks = gate.get("/chunks");
    assert!(chunks.text().contains("Transfer-Encoding: chunked") && chunks.text().ends_with("0\r\n\r\n"));
    let old = send(gate.address, b"GET /chunks HTTP/1.0\r\n\r\n", 5 * SECOND);
    assert!(old.text().starts_with("HTTP/1.1 200 ") && !old.text().contains("chunked") && old.body().len() == 90_000);
    let head = send(gate.address, b"HEAD /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 5 * SECOND);
    assert!(head.status() == Some(200) && head.body().is_empty());
    let large = gate.get("/large");
    assert_eq!(large.bytes.iter().filter(|b| **b == 7).count(), LARGE);
    let cut = gate.get("/cut");
    assert!(cut.closed && !cut.text().ends_with("half") || cut.body().len() < 10, "{}", cut.text());
    assert_eq!(gate.get("/nothing").status(), Some(502));
    assert_eq!((gate.refused("answer_cut"), gate.refused("no_answer")), (1, 1));
}

#[test]
fn more_requests_than_the_router_may_have_wait_in_line() {
    let gate = plain("gate-line", GateLimits { exchanges: 2, ..GateLimits::default() });
    let address = gate.address;
    let clients: Vec<_> = (0..6).map(|_| std::thread::spawn(move || get(address, "/sleep").status())).collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), Some(200));
    }
}

#[test]
fn ipv6_and_inherited_sockets_are_served_too() {
    let inherited = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut listeners = vec![Listening { socket: Socket::Inherited(inherited), tls: None }];
    let six = TcpListener::bind("[::1]:0").is_ok();
    if six {
        listeners.extend(on("[::1]:0"));
    } else {
        println!("skipped: IPv6 (this machine has no ::1)");
    }
    let gate = start("gate-six", GateLimits::default(), listeners);
    assert_eq!(gate.get("/").status(), Some(200));
    if six {
        assert!(get(gate.gate.addresses()[1], "/").body().contains("x-chexbox-peer: ::1 "));
    }
}

#[test]
fn a_drain_lets_what_has_begun_finish_and_nobody_in() {
    let gate = plain("gate-drain", GateLimits::default());
    let idle = client(gate.address);
    let mut busy = client(gate.address);
    busy.write_all(b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    gate.until_answering(1);
    let Guarded { gate, address, scratch, .. } = gate;
    let begin = Instant::now();
    gate.drain(9 * SECOND);
    assert!(begin.elapsed() < 9 * SECOND);
    assert!(one_answer(&mut busy).ends_with("slept"));
    assert_eq!((&idle).read(&mut [0]).unwrap_or(0), 0);
    assert!(TcpStream::connect(address).is_err());
    drop(scratch);
}

/// A gate in a process of its own, told what it is by a line of its output.
struct Process {
    child: Child,
    /// Kept open, or the process would end at its next word.
    _words: std::io::Lines<BufReader<std::process::ChildStdout>>,
    address: SocketAddr,
}

impl Process {
    fn start(descriptors: u32) -> Self {
        let exe = std::env::current_exe().unwrap();
        let line =
            format!("ulimit -n {descriptors}; exec \"$0\" --exact gate::the_process_that_others_start --ignored --nocapture");
        let mut child =
            Command::new("sh").arg("-c").arg(line).arg(exe).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut words = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = words.by_ref().map_while(Result::ok).find_map(|l| l.split("listening on ").nth(1)?.parse().ok());
        Self { address: address.expect("the process says where it listens"), _words: words, child }
    }

    fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "no test by itself: the process that other tests of this file start with --ignored, and end"]
fn the_process_that_others_start() {
    let gate = plain("gate-process", GateLimits::default());
    println!("listening on {}", gate.address);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// 200 slow clients for 10 s; with `CHEXBOX_LONG` set 1,000 for 60 s.
#[test]
fn slow_clients_cost_little_memory_no_threads_and_no_honest_request() {
    let (count, seconds) = if std::env::var_os("CHEXBOX_LONG").is_some() { (1_000, 60) } else { (200, 10) };
    let mut process = Process::start(4_096);
    let pid = process.child.id();
    let film = vec![5; 300_000];
    for _ in 0..4 {
        assert_eq!(post(process.address, &film).status(), Some(200));
    }
    let idle_kb = status_of(pid, "VmRSS");
    let crowd = Crowd::gather(process.address, count);
    let begin = Instant::now();
    let (mut good, mut all, mut most_kb, mut most_threads) = (0, 0, 0, 0);
    while begin.elapsed() < Duration::from_secs(seconds) || all < 200 {
        all += 1;
        good += usize::from(post(process.address, &film).status() == Some(200));
        most_kb = most_kb.max(status_of(pid, "VmRSS"));
        most_threads = most_threads.max(status_of(pid, "Threads"));
        std::thread::sleep(Duration::from_millis(1_000 * seconds / 210));
    }
    let again = crowd.disperse();
    println!(
        "{good} of {all} honest requests; {idle_kb} kB idle, {most_kb} kB at most; {most_threads} threads; {again} came again"
    );
    assert!(process.is_alive());
    assert!(good * 100 >= all * 99, "{good} of {all} honest requests");
    assert!(most_kb <= idle_kb + (64 << 10), "{idle_kb} kB idle, {most_kb} kB at most");
    // The harness's two, the gate, the routers, tiny_http's own.
    assert!(most_threads <= 24, "{most_threads} threads");
    assert!(again > 0, "the slow ones were never ended");
}

#[test]
fn with_few_descriptors_it_answers_again_as_soon_as_the_crowd_is_gone() {
    let mut process = Process::start(64);
    let mut busy = 0;
    let answered = quickest(SECOND, || {
        let crowd: Vec<TcpStream> = (0..500_u16)
            .filter_map(|n| connect_from(Ipv4Addr::new(127, 0, 1, u8::try_from(n % 200).unwrap() + 1), process.address).ok())
            .collect();
        assert!(crowd.len() > 400, "only {} connects", crowd.len());
        std::thread::sleep(SECOND);
        busy = busy.max(status_of(process.child.id(), "Threads"));
        drop(crowd);
        let begin = Instant::now();
        while get(process.address, "/again").status() != Some(200) {
            assert!(begin.elapsed() < 20 * SECOND, "it does not answer again");
        }
        begin.elapsed()
    });
    assert!(answered <= SECOND, "it answered {answered:?} after the last connection was closed");
    assert!(process.is_alive() && busy < 24);
}

fn certificate(scratch: &Scratch, name: &str) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let files = TlsFiles { certificate: scratch.join(&format!("{name}.pem")), key: scratch.join(&format!("{name}.key")) };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

fn with_tls(name: &str, limits: GateLimits) -> (Guarded, TlsFiles, Scratch) {
    let scratch = Scratch::new(&format!("{name}-tls"));
    let files = certificate(&scratch, "box");
    let socket = Socket::Bind("127.0.0.1:0".parse().unwrap());
    let gate = start(name, limits, vec![Listening { socket, tls: Some(files.clone()) }]);
    (gate, files, scratch)
}

type Tls = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// A client that trusts this certificate alone.
fn tls_client(address: SocketAddr, files: &TlsFiles) -> Tls {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.certificate).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    rustls::StreamOwned::new(connection, client(address))
}

#[test]
fn tls_carries_requests_and_answers_of_any_size() {
    let (gate, files, _scratch) = with_tls("gate-tls", GateLimits::default());
    let mut sender = tls_client(gate.address, &files);
    let body = vec![3; 2_000_000];
    sender.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n").unwrap();
    std::io::copy(&mut Cursor::new(&body), &mut sender).unwrap();
    sender.flush().unwrap();
    assert!(one_answer(&mut sender).ends_with("x-chexbox-scheme: https bytes=2000000 sum=6000000"));
    sender.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut all = Vec::new();
    sender.read_to_end(&mut all).expect("an end that TLS announces");
    assert_eq!(all.iter().filter(|b| **b == 7).count(), LARGE);
}

#[test]
fn a_new_certificate_serves_new_connections_and_loses_no_old_one() {
    let (gate, files, scratch) = with_tls("gate-reload", GateLimits::default());
    let old_file = TlsFiles { certificate: scratch.join("old.pem"), key: files.key.clone() };
    std::fs::copy(&files.certificate, &old_file.certificate).unwrap();
    let mut old = tls_client(gate.address, &old_file);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    old.write_all(request).unwrap();
    assert!(one_answer(&mut old).starts_with("HTTP/1.1 200 "));
    certificate(&scratch, "box");
    gate.gate.reload_tls().unwrap();
    old.write_all(request).unwrap();
    assert!(one_answer(&mut old).starts_with("HTTP/1.1 200 "), "the old connection goes on");
    let mut new = tls_client(gate.address, &files);
    new.write_all(request).unwrap();
    assert!(one_answer(&mut new).starts_with("HTTP/1.1 200 "));
    assert!(tls_client(gate.address, &old_file).write_all(request).is_err(), "the old certificate is gone");
    std::fs::write(&files.key, "no key").unwrap();
    let fault = gate.gate.reload_tls().unwrap_err().to_string();
    assert!(fault.contains("box.key") && fault.contains("private key"), "{fault}");
    let mut still = tls_client(gate.address, &files);
    still.write_all(request).unwrap();
    assert!(one_answer(&mut still).starts_with("HTTP/1.1 200 "), "a bad file changes nothing");
}

#[test]
fn http_where_tls_is_spoken_is_told_so_and_noise_ends() {
    let (gate, files, _scratch) = with_tls("gate-noise", GateLimits { head_ms: 3_000, ..GateLimits::default() });
    let told = gate.get("/");
    assert!(told.status() == Some(400) && told.body().contains("https://"), "{told:?}");
    assert!(send(gate.address, &[0x16, 3, 1, 255, 255, 0, 0, 0, 0, 1], 10 * SECOND).closed);
    let silent = send(gate.address, b"", 10 * SECOND);
    assert!(silent.closed && !silent.text().contains("HTTP"), "{silent:?}");
    let mut honest = tls_client(gate.address, &files);
    honest.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(one_answer(&mut honest).starts_with("HTTP/1.1 200 "));
}

#[test]
fn curl_and_openssl_agree_with_the_gate() {
    let (gate, files, _scratch) = with_tls("gate-curl", GateLimits::default());
    let url = format!("https://127.0.0.1:{}", gate.address.port());
    let run = |program: &str, args: &[&str]| match Command::new(program).args(args).stdin(Stdio::null()).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            println!("skipped: {program} is not installed");
            None
        }
    };
    let ca = files.certificate.to_str().unwrap();
    let film = gate.scratch.join("film");
    std::fs::write(&film, vec![1; 2_500_000]).unwrap();
    let data = format!("@{}", film.display());
    for version in ["--tlsv1.2", "--tlsv1.3"] {
        let args = [
            "-sS",
            version,
            "--cacert",
            ca,
            "--data-binary",
            &data,
            &format!("{url}/a"),
            &format!("{url}/b"),
            "-w",
            "%{http_version}",
        ];
        if let Some(text) = run("curl", &args) {
            assert_eq!(text.matches("bytes=2500000 sum=25000001.1").count(), 2, "{text}");
        }
    }
    let connect = format!("127.0.0.1:{}", gate.address.port());
    if let Some(text) = run("openssl", &["s_client", "-connect", &connect, "-CAfile", ca, "-verify_return_error", "-tls1_3"]) {
        assert!(text.contains("Verify return code: 0 (ok)") && text.contains("TLSv1.3"), "{text}");
    }
    if let Some(text) = run("openssl", &["s_client", "-connect", &connect, "-CAfile", ca, "-tls1_1"]) {
        assert!(!text.contains("Cipher is ECDHE"), "TLS 1.1 is spoken: {text}");
    }
}
