//! Requests: what the gate hands on is one request, whoever reads it.

use crate::small::Target;
use chexbox::http::gate::GateLimits;
use chexbox::http::gate::conversation::Conversation;
use chexbox::http::gate::head::Scheme;
use chexbox::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// The target.
pub const TARGET: Target = Target { name: "request_head", property: what_is_handed_on_is_one_request, draw: corpus };

fn corpus() -> Vec<(String, Vec<u8>)> {
    let get = |fields: &str| format!("GET /v1/readings?since=2026-01-01 HTTP/1.1\r\nHost: box.local:8080\r\n{fields}\r\n");
    let post = |fields: &str| format!("POST /v1/readings HTTP/1.1\r\nHost: a\r\n{fields}\r\nhello");
    let files = [
        ("get", get("")),
        ("browser", get("User-Agent: Mozilla/5.0\r\nAccept-Language: zh-CN,zh;q=0.9\r\nCookie: a=b\r\nSec-Fetch-Mode: cors\r\n")),
        ("token", get("Authorization: Bearer v4.public.AAAA\r\nConnection: keep-alive\r\n")),
        ("post", post("Content-Type: application/dicom\r\nContent-Length: 5\r\n")),
        ("two_requests", post("Content-Length: 5\r\n") + &get("Connection: close\r\n")),
        ("waits", post("Expect: 100-continue\r\nContent-Length: 5\r\n")),
        ("old", "GET / HTTP/1.0\r\n\r\n".to_owned()),
        ("upgrade", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n")),
        ("ours", get("X-Chexbox-Peer: 127.0.0.1\r\nx-chexbox-scheme: https\r\n")),
        ("chunks", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("lengths", post("Content-Length: 5\r\ncontent-length: 0\r\n")),
        ("length_taken_away", post("Content-Length: 5\r\nConnection: close, Content-Length\r\n")),
        ("length_beyond", post("Content-Length: 18446744073709551616\r\n")),
        ("length_minus", post("Content-Length: -1\r\n")),
        ("space_before_colon", post("Content-Length : 5\r\n")),
        ("folded", post("X: a\r\n Content-Length: 5\r\n")),
        ("bare_lf", post("X: a\nContent-Length: 5\r\n")),
        ("bare_cr", post("X: a\rContent-Length: 5\r\n")),
        ("nul", get("X: a\0b\r\n")),
        ("absolute", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("hosts", get("Host: b\r\n")),
        ("many_fields", get(&"a: b\r\n".repeat(HEAD_FIELDS_MAX))),
        ("tls", "\u{16}\u{3}\u{1}\u{2}\0\u{1}".to_owned()),
    ];
    files.map(|(name, text)| (name.to_owned(), text.into_bytes())).to_vec()
}

/// What became of bytes that a client sent.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    refusals: Vec<&'static str>,
    handed_on: Option<Vec<u8>>,
}

fn fed(bytes: &[u8], split: usize) -> Outcome {
    static LIMITS: OnceLock<Arc<GateLimits>> = OnceLock::new();
    let limits = LIMITS.get_or_init(Arc::default);
    let mut talk = Conversation::new(Arc::clone(limits), IpAddr::from([192, 0, 2, 1]), Scheme::Http, 0);
    for piece in [&bytes[..split], &bytes[split..]] {
        if talk.wants_client() && !piece.is_empty() {
            talk.client_sent(piece, 1);
        }
    }
    assert!(talk.held() <= 2 * bytes.len() + 4 * HEAD_BYTES_MAX, "{} bytes held of {}", talk.held(), bytes.len());
    let mut handed_on = talk.is_whole().then(Vec::new);
    if let Some(text) = &mut handed_on {
        while !talk.for_router().is_empty() {
            text.extend_from_slice(talk.for_router());
            talk.router_took(talk.for_router().len());
        }
    }
    Outcome { refusals: talk.take_refusals().iter().map(|r| r.code()).collect(), handed_on }
}

/// The verdict is the same whatever the pieces the bytes come in; and what is handed on has one method, one target, one length
/// and one sender, read as tiny_http reads it, as httparse reads it, and as it stood in what came.
fn what_is_handed_on_is_one_request(bytes: &[u8]) -> &'static str {
    let outcome = fed(bytes, bytes.len());
    let sum = bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    assert_eq!(outcome, fed(bytes, sum % (bytes.len() + 1)), "the pieces change the verdict");
    match (&outcome.handed_on, outcome.refusals.as_slice()) {
        (Some(text), []) => {
            one_request(text, bytes);
            "handed on"
        }
        (None, [code]) => code,
        (None, []) => "waits for more",
        other => panic!("{other:?}"),
    }
}

fn one_request(text: &[u8], sent: &[u8]) {
    let end = text.windows(4).position(|w| w == b"\r\n\r\n").expect("a head with an end");
    let (head, body) = (std::str::from_utf8(&text[..end]).expect("ASCII"), &text[end + 4..]);
    assert!(head.is_ascii());
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let &[method, target, version] = words.as_slice() else { panic!("{words:?} is no request line") };
    assert!(sent.starts_with(format!("{method} {target} {version}\r\n").as_bytes()), "another request line than what was sent");
    assert!(target.starts_with('/') && matches!(version, "HTTP/1.1" | "HTTP/1.0"));
    // As tiny_http reads it: a name up to the first colon, without any white space.
    let fields: Vec<(String, &str)> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a colon");
            assert!(!name.is_empty() && !name.contains(char::is_whitespace) && !line.contains(['\r', '\n', '\0']));
            (name.to_ascii_lowercase(), value.trim())
        })
        .collect();
    let all = |name: &str| -> Vec<&str> { fields.iter().filter(|(n, _)| n == name).map(|(_, v)| *v).collect() };
    assert_eq!(all("content-length"), [body.len().to_string()]);
    assert_eq!(all("connection"), ["close"]);
    assert!(all("host").len() <= 1 && (version == "HTTP/1.0" || all("host").len() == 1));
    for gone in ["transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive", "proxy-connection"] {
        assert!(all(gone).is_empty(), "{gone} is handed on");
    }
    assert_eq!((all("x-chexbox-peer"), all("x-chexbox-scheme")), (vec!["192.0.2.1"], vec!["http"]));
    assert_eq!(fields.iter().filter(|(n, _)| n.starts_with("x-chexbox-")).count(), 2);
    as_httparse_reads_it(&text[..end + 4], method, target, fields.len());
    as_it_was_sent(sent, body);
}

fn as_httparse_reads_it(head: &[u8], method: &str, target: &str, fields: usize) {
    let mut room = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX + 8];
    let mut request = httparse::Request::new(&mut room);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())));
    assert_eq!((request.method, request.path, request.headers.len()), (Some(method), Some(target), fields));
}

/// Whoever reads what came line by line, however loosely, finds at most this one length, no chunks, and this body.
fn as_it_was_sent(sent: &[u8], body: &[u8]) {
    let end = sent.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of the head");
    assert!(sent[end + 4..].starts_with(body));
    let head = String::from_utf8_lossy(&sent[..end]).to_ascii_lowercase();
    let loosely = |name: &str| -> Vec<String> {
        let lines = head.split(['\r', '\n']).map(str::trim).filter(|l| l.starts_with(name));
        lines.filter_map(|l| Some(l.split_once(':')?.1.trim().to_owned())).collect()
    };
    let named = |name: &str| head.split(['\r', '\n']).filter(|l| l.split(':').next().is_some_and(|n| n.trim() == name)).count();
    assert_eq!(named("transfer-encoding"), 0);
    assert!(named("content-length") <= 1);
    let lengths: Vec<usize> = loosely("content-length:").iter().filter_map(|l| l.parse().ok()).collect();
    assert_eq!(lengths.first().copied().unwrap_or(0), body.len());
}
