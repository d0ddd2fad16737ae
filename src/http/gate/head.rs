//! A request's head: what it says, and what the router is told of it (RFC 9110, RFC 9112).
//!
//! In: the bytes that [`super::scan`] found to be one head. Out: a head with one length, and the text for the router, in which
//! nothing can be read in two ways: fields of the connection are gone, the length is written by us, who the client is too.

use super::refusal::Refusal;
use crate::limits::{HEAD_FIELDS_MAX, TARGET_BYTES_MAX};
use std::net::IpAddr;

/// Fields that belong to one connection (RFC 9110, 7.6.1) or that the gate answers itself.
const OF_THE_CONNECTION: [&str; 9] =
    ["connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Fields without which a request is another one: Connection must not take them away.
const OF_THE_MESSAGE: [&str; 8] =
    ["host", "content-length", "content-type", "authorization", "expect", "transfer-encoding", "accept", "cookie"];

/// Prefix of the fields that the gate alone writes.
const OURS: &str = "x-chexbox-";

/// How the client reached the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

/// What becomes of the connection behind the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Further requests may follow.
    KeepAlive,
    /// It ends.
    Close,
}

/// Whether the client waits for a word before it sends the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It sends at once.
    None,
    /// It waits for `100 Continue`.
    Continue,
}

/// A head that may be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    method: String,
    target: String,
    minor_version: u8,
    fields: Vec<(String, String)>,
    body_bytes: u64,
    afterwards: Afterwards,
    expectation: Expectation,
}

impl Head {
    /// Reads a whole head; a body of more than `body_max` bytes is refused here, before any of it is read.
    ///
    /// # Errors
    /// The rule that the head breaks.
    pub fn parse(bytes: &[u8], body_max: u64) -> Result<Self, Refusal> {
        let mut room = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX];
        let mut request = httparse::Request::new(&mut room);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            Ok(_) => return Err(Refusal::Field),
            Err(httparse::Error::Version) => return Err(version_refusal(bytes)),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(Refusal::Field),
            Err(_) => return Err(Refusal::RequestLine),
        }
        let (Some(method), Some(target), Some(minor_version)) = (request.method, request.path, request.version) else {
            return Err(Refusal::RequestLine);
        };
        check_method(method)?;
        check_target(target)?;
        let mut fields = Vec::with_capacity(request.headers.len());
        for field in request.headers.iter() {
            let value = std::str::from_utf8(field.value).map_err(|_| Refusal::ForbiddenByte)?;
            fields.push((field.name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
        }
        let (method, target) = (method.to_owned(), target.to_owned());
        check_host(&fields, minor_version)?;
        let body_bytes = length(&fields, &method, body_max)?;
        let expectation = expectation(&fields, minor_version, body_bytes)?;
        let afterwards = afterwards(&fields, minor_version)?;
        Ok(Self { method, target, minor_version, fields, body_bytes, afterwards, expectation })
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The target: a path, perhaps with a query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether chunks may be sent to the client: HTTP/1.0 knows none.
    pub fn is_http_1_1(&self) -> bool {
        self.minor_version == 1
    }

    /// Length of the body.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// What becomes of the connection.
    pub fn afterwards(&self) -> Afterwards {
        self.afterwards
    }

    /// Whether the client waits.
    pub fn expectation(&self) -> Expectation {
        self.expectation
    }

    /// The head that the router gets, from `peer`. HTTP/1.0 stays what it is, so that the router sends no chunks.
    pub fn for_router(&self, peer: IpAddr, scheme: Scheme) -> String {
        let scheme = if scheme == Scheme::Https { "https" } else { "http" };
        let mut text = format!("{} {} HTTP/1.{}\r\n", self.method, self.target, self.minor_version);
        let named: Vec<String> = connection_options(&self.fields).iter().map(|o| o.to_ascii_lowercase()).collect();
        for (name, value) in &self.fields {
            let of_connection = OF_THE_CONNECTION.contains(&name.as_str()) || named.contains(name);
            if !of_connection && !name.starts_with(OURS) {
                text.extend([name, ": ", value, "\r\n"]);
            }
        }
        text += &format!(
            "{OURS}peer: {}\r\n{OURS}scheme: {scheme}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            peer.to_canonical(),
            self.body_bytes
        );
        text
    }
}

/// A first line whose last word begins like a version is of another version; anything else is no request line.
fn version_refusal(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
    let last = line.rsplit(|b| *b == b' ').next().unwrap_or_default();
    if last.len() < line.len() && last.starts_with(b"HTTP/") { Refusal::Version } else { Refusal::RequestLine }
}

/// Methods are words in capital letters; CONNECT asks for a tunnel, which is not here.
fn check_method(method: &str) -> Result<(), Refusal> {
    let word = (1..=16).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase());
    if word && method != "CONNECT" { Ok(()) } else { Err(Refusal::Method) }
}

fn check_target(target: &str) -> Result<(), Refusal> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    let path = target.starts_with('/') && target.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b'#');
    if path { Ok(()) } else { Err(Refusal::Target) }
}

fn values<'a>(fields: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn check_host(fields: &[(String, String)], minor_version: u8) -> Result<(), Refusal> {
    let mut hosts = values(fields, "host");
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@,\"<>\\".contains(&b)) => Ok(()),
        (None, None) if minor_version == 0 => Ok(()),
        _ => Err(Refusal::Host),
    }
}

/// The length of the body (RFC 9112, 6.3), stricter: one length in digits, never chunks.
fn length(fields: &[(String, String)], method: &str, body_max: u64) -> Result<u64, Refusal> {
    let encoded = values(fields, "transfer-encoding").next().is_some();
    let mut lengths = values(fields, "content-length");
    let text = match (lengths.next(), lengths.next(), encoded) {
        (Some(_), _, true) | (_, Some(_), _) => return Err(Refusal::TwoLengths),
        (None, None, true) => return Err(Refusal::NoLength),
        (None, None, false) if matches!(method, "POST" | "PUT" | "PATCH") => return Err(Refusal::NoLength),
        (None, None, false) => return Ok(0),
        (Some(text), None, false) => text,
    };
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::Length);
    }
    // Digits that are no u64 are a length beyond any limit.
    let length = text.parse().unwrap_or(u64::MAX);
    match length {
        0 => Ok(0),
        _ if matches!(method, "GET" | "HEAD" | "TRACE") => Err(Refusal::Body),
        length if length > body_max => Err(Refusal::BodyTooLarge),
        length => Ok(length),
    }
}

fn expectation(fields: &[(String, String)], minor_version: u8, body_bytes: u64) -> Result<Expectation, Refusal> {
    let mut all = values(fields, "expect");
    match (all.next(), all.next()) {
        (None, _) => Ok(Expectation::None),
        (Some(value), None) if value.eq_ignore_ascii_case("100-continue") => {
            // RFC 9110 (10.1.1): an expectation of HTTP/1.0, or without a body, is ignored.
            Ok(if minor_version == 1 && body_bytes > 0 { Expectation::Continue } else { Expectation::None })
        }
        _ => Err(Refusal::Expectation),
    }
}

fn connection_options(fields: &[(String, String)]) -> Vec<&str> {
    values(fields, "connection").flat_map(|v| v.split(',')).map(str::trim).filter(|o| !o.is_empty()).collect()
}

fn afterwards(fields: &[(String, String)], minor_version: u8) -> Result<Afterwards, Refusal> {
    let options: Vec<String> = connection_options(fields).iter().map(|o| o.to_ascii_lowercase()).collect();
    let has = |name: &str| options.iter().any(|o| o == name);
    if OF_THE_MESSAGE.iter().any(|name| has(name)) {
        return Err(Refusal::Field);
    }
    let keep = !has("close") && (minor_version == 1 || has("keep-alive"));
    Ok(if keep { Afterwards::KeepAlive } else { Afterwards::Close })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 64 << 20;

    fn parse(text: &str) -> Result<Head, Refusal> {
        Head::parse(text.as_bytes(), MAX)
    }

    fn get(fields: &str) -> Result<Head, Refusal> {
        parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    fn post(fields: &str) -> Result<Head, Refusal> {
        parse(&format!("POST /v1/readings HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    #[test]
    fn a_browsers_head_passes_with_its_own_fields() {
        let head = post("Accept-Language: zh-CN,zh;q=0.9\r\nContent-Length: 12\r\nAuthorization: Bearer a.b\r\n").unwrap();
        assert_eq!((head.method(), head.target(), head.body_bytes()), ("POST", "/v1/readings", 12));
        assert_eq!((head.afterwards(), head.expectation()), (Afterwards::KeepAlive, Expectation::None));
        let text = head.for_router(IpAddr::from([192, 0, 2, 7]), Scheme::Https);
        assert_eq!(
            text,
            "POST /v1/readings HTTP/1.1\r\nhost: a\r\naccept-language: zh-CN,zh;q=0.9\r\nauthorization: Bearer a.b\r\n\
             x-chexbox-peer: 192.0.2.7\r\nx-chexbox-scheme: https\r\ncontent-length: 12\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn lengths_are_one_number_within_the_limit() {
        let cases = [
            ("Content-Length: 67108864\r\n", Ok(67_108_864)),
            ("Content-Length: 67108865\r\n", Err(Refusal::BodyTooLarge)),
            ("Content-Length: 0\r\n", Ok(0)),
            ("Content-Length: 007\r\n", Ok(7)),
            ("Content-Length: 9223372036854775808\r\n", Err(Refusal::BodyTooLarge)),
            ("Content-Length: 18446744073709551615\r\n", Err(Refusal::BodyTooLarge)),
            ("Content-Length: 18446744073709551616\r\n", Err(Refusal::BodyTooLarge)),
            ("Content-Length: -1\r\n", Err(Refusal::Length)),
            ("Content-Length: +1\r\n", Err(Refusal::Length)),
            ("Content-Length: 0x10\r\n", Err(Refusal::Length)),
            ("Content-Length: 5, 5\r\n", Err(Refusal::Length)),
            ("Content-Length: 5 5\r\n", Err(Refusal::Length)),
            ("Content-Length:\r\n", Err(Refusal::Length)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(Refusal::TwoLengths)),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(Refusal::TwoLengths)),
            ("Transfer-Encoding: chunked\r\n", Err(Refusal::NoLength)),
            ("Transfer-Encoding: identity\r\n", Err(Refusal::NoLength)),
            ("", Err(Refusal::NoLength)),
        ];
        for (fields, expected) in cases {
            assert_eq!(post(fields).map(|h| h.body_bytes()), expected, "{fields}");
        }
        assert_eq!(get("Content-Length: 1\r\n"), Err(Refusal::Body));
        assert!(get("Content-Length: 0\r\n").is_ok());
    }

    #[test]
    fn known_ways_to_smuggle_are_refused() {
        let cases = [
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
            ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::RequestLine),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refusal::RequestLine),
            ("GET /\r\nHost: a\r\n\r\n", Refusal::RequestLine),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refusal::Version),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refusal::Field),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", Refusal::Field),
            ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Refusal::Field),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refusal::Host),
            ("GET / HTTP/1.1\r\n\r\n", Refusal::Host),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal::Host),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refusal::Host),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n", Refusal::Field),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n", Refusal::Field),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length\r\n\r\n", Refusal::Field),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", Refusal::Expectation),
        ];
        for (text, refusal) in cases {
            assert_eq!(parse(text), Err(refusal), "{text}");
        }
    }

    #[test]
    fn the_router_sees_no_field_of_the_connection_and_none_of_ours() {
        let head = get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nTE: trailers\r\n\
             X-Chexbox-Peer: 127.0.0.1\r\nx-chexbox-scheme: https\r\nKeep-Alive: 5\r\n");
        // Upgrade is a wish that a server may ignore (RFC 9110, 7.8).
        let text = head.unwrap().for_router("::ffff:192.0.2.7".parse().unwrap(), Scheme::Http);
        assert_eq!(
            text,
            "GET / HTTP/1.1\r\nhost: a\r\nx-chexbox-peer: 192.0.2.7\r\nx-chexbox-scheme: http\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn the_connection_goes_on_as_version_and_option_say() {
        let cases = [
            ("1.1", "", Afterwards::KeepAlive),
            ("1.1", "Connection: close\r\n", Afterwards::Close),
            ("1.1", "Connection: keep-alive, CLOSE\r\n", Afterwards::Close),
            ("1.0", "", Afterwards::Close),
            ("1.0", "Connection: Keep-Alive\r\n", Afterwards::KeepAlive),
        ];
        for (version, field, expected) in cases {
            let head = parse(&format!("GET / HTTP/{version}\r\nHost: a\r\n{field}\r\n")).unwrap();
            assert_eq!(head.afterwards(), expected, "{version} {field}");
        }
    }
}
