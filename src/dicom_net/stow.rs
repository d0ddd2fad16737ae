//! STOW-RS (PS3.18 10.5): one object in one request.

use super::send::{Kept, Meaning, Object, SendFault, meaning};
use super::socket::Channel;
use crate::limits::{HEAD_BYTES_MAX, STOW_REPLY_BYTES_MAX};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Failed SOP Sequence (0008,1198), Failure Reason (0008,1197), Referenced SOP Instance UID (0008,1155).
const FAILED_SOP_SEQUENCE: &str = "00081198";
const FAILURE_REASON: &str = "00081197";
const REFERENCED_SOP_INSTANCE: &str = "00081155";

/// Most interim answers (100 Continue and the like) in front of the answer.
const INTERIM_ANSWERS_MAX: usize = 8;

/// Where the service is.
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Without a slash at its end.
    pub(super) path: &'a str,
    /// Value of the field Authorization.
    pub(super) authorization: Option<&'a str>,
}

/// Stores the object.
pub(super) fn store(mut channel: Channel, object: &Object<'_>, place: &Place<'_>, answer: Duration) -> Result<Kept, SendFault> {
    channel.until(Instant::now() + answer);
    let boundary = boundary(object.file);
    let (before, after) = (format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"), format!("\r\n--{boundary}--\r\n"));
    let head = head(place, &boundary, before.len() + object.file.len() + after.len());
    let parts = [head.as_bytes(), before.as_bytes(), object.file, after.as_bytes()];
    let sent = parts.iter().try_for_each(|part| channel.write_all(part)).and_then(|()| channel.flush());
    // Who refuses early may stop reading; the answer says why.
    let said = heard(&mut channel, &object.sop_instance);
    let said = said.map_err(|e| sent.err().map_or(e, SendFault::from))?;
    channel.close();
    said
}

/// What no object holds by chance.
fn boundary(file: &[u8]) -> String {
    Sha256::digest(file).iter().take(16).fold("chexbox-".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn head(place: &Place<'_>, boundary: &str, length: usize) -> String {
    let Place { host, port, path, authorization } = place;
    let host = if host.contains(':') { format!("[{host}]") } else { (*host).to_owned() };
    let authorization = authorization.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
    format!(
        "POST {path}/studies HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{authorization}\
         Content-Type: multipart/related; type=\"application/dicom\"; boundary={boundary}\r\n\
         Accept: application/dicom+json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: u16,
    body: Vec<u8>,
}

/// Where a body ends.
#[derive(Clone, Copy)]
enum Length {
    Bytes(usize),
    Chunked,
    /// With the connection.
    Open,
}

/// Reads a whole answer of bounded size; the outer error where there is none.
fn heard(stream: &mut impl Read, instance: &str) -> Result<Result<Kept, SendFault>, SendFault> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let (whole, ended) = match stream.read(&mut buffer) {
            Ok(0) => (true, true),
            Ok(n) => {
                bytes.extend_from_slice(buffer.get(..n).unwrap_or_default());
                (false, false)
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            // TLS that was cut off, not closed: what has come may be whole by its length.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => (false, true),
            Err(e) => return Err(e.into()),
        };
        if let Some(said) = answer(&bytes, whole, instance)? {
            return Ok(said);
        }
        if ended {
            return Err(broken("the connection was closed before the answer was whole"));
        }
        if bytes.len() > STOW_REPLY_BYTES_MAX {
            return Err(broken("the answer is longer than any"));
        }
    }
}

/// What an answer says of the object of this SOP Instance UID, once it is whole; `closed` where nothing follows.
///
/// # Errors
/// Where it is no answer of HTTP.
pub fn answer(bytes: &[u8], closed: bool, instance: &str) -> Result<Option<Result<Kept, SendFault>>, SendFault> {
    Ok(parsed(bytes, closed)?.map(|reply| outcome(&reply, instance)))
}

/// The answer in these bytes, once it is whole.
fn parsed(bytes: &[u8], closed: bool) -> Result<Option<Reply>, SendFault> {
    let mut rest = bytes;
    for _ in 0..=INTERIM_ANSWERS_MAX {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let head = match response.parse(rest) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) if rest.len() <= HEAD_BYTES_MAX => return Ok(None),
            _ => return Err(broken("the answer is not HTTP")),
        };
        rest = rest.get(head..).unwrap_or_default();
        let status = response.code.unwrap_or_default();
        if !(100..200).contains(&status) {
            let body = match length(status, response.headers)? {
                Length::Bytes(length) => rest.get(..length).map(<[u8]>::to_vec),
                Length::Open => closed.then(|| rest.to_vec()),
                Length::Chunked => unchunked(rest).map_err(broken)?,
            };
            return Ok(body.map(|body| Reply { status, body }));
        }
    }
    Err(broken("the answer is announced and never comes"))
}

fn length(status: u16, fields: &[httparse::Header<'_>]) -> Result<Length, SendFault> {
    let field = |name: &str| {
        let found = fields.iter().find(|h| h.name.eq_ignore_ascii_case(name));
        found.and_then(|h| std::str::from_utf8(h.value).ok()).map(str::trim)
    };
    Ok(match (field("transfer-encoding"), field("content-length")) {
        _ if status == 204 => Length::Bytes(0),
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Length::Chunked,
        (Some(_), _) => return Err(broken("the answer is in a coding that was not asked for")),
        (None, Some(length)) => Length::Bytes(length.parse().map_err(|_| broken("the answer's length is no number"))?),
        (None, None) => Length::Open,
    })
}

fn broken(why: &str) -> SendFault {
    SendFault::Broken(why.to_owned())
}

/// The body in these chunks, once the last one is there.
fn unchunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    const WRONG: &str = "the answer's chunks have no lengths";
    let mut body = Vec::new();
    loop {
        let (start, length) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(WRONG),
        };
        if length == 0 {
            return Ok(Some(body));
        }
        let end = usize::try_from(length).ok().and_then(|n| start.checked_add(n)).ok_or(WRONG)?;
        let Some(chunk) = rest.get(start..end) else { return Ok(None) };
        body.extend_from_slice(chunk);
        let Some(next) = rest.get(end..).and_then(|r| r.strip_prefix(b"\r\n")) else {
            return if rest.len() < end + 2 { Ok(None) } else { Err(WRONG) };
        };
        rest = next;
    }
}

/// PS3.18 10.5.3.
fn outcome(reply: &Reply, instance: &str) -> Result<Kept, SendFault> {
    let reason = match reply.status {
        200 | 202 | 409 => failure_reason(&reply.body, instance),
        status => return Err(SendFault::Http(status)),
    };
    match (reply.status, reason) {
        (_, Some(reason)) => match meaning(reason) {
            // A reason stands for an object that was not stored, whatever the number means elsewhere.
            Meaning::Kept(Kept::Now) => Err(SendFault::Http(reply.status)),
            Meaning::Kept(Kept::Before) => Ok(Kept::Before),
            Meaning::Later | Meaning::Refused => Err(SendFault::Status(reason, None)),
        },
        (409, None) => Err(SendFault::Http(409)),
        // An answer in another form than was asked for must at least not name a failure.
        _ if names_failure(&reply.body) => Err(SendFault::Broken("it answers that something failed, and not what".to_owned())),
        _ => Ok(Kept::Now),
    }
}

/// Why the object is on the list of those that failed.
fn failure_reason(body: &[u8], instance: &str) -> Option<u16> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let sets = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
    let failed = |set: &Value| {
        let items = set.get(FAILED_SOP_SEQUENCE)?.get("Value")?.as_array()?.clone();
        let value = |item: &Value, tag: &str| Some(item.get(tag)?.get("Value")?.get(0)?.clone());
        let ours = items.iter().find(|item| value(item, REFERENCED_SOP_INSTANCE).is_none_or(|uid| uid == instance))?;
        Some(value(ours, FAILURE_REASON).and_then(|r| u16::try_from(r.as_u64()?).ok()).unwrap_or(0x0110))
    };
    sets.iter().find_map(failed)
}

/// In JSON and in XML the tag stands as the same eight digits.
fn names_failure(body: &[u8]) -> bool {
    let listed = |json: &Value| {
        let sets = json.as_array().map_or(std::slice::from_ref(json), Vec::as_slice);
        sets.iter().any(|set| {
            set.get(FAILED_SOP_SEQUENCE).and_then(|s| s.get("Value")).and_then(Value::as_array).is_some_and(|v| !v.is_empty())
        })
    };
    match serde_json::from_slice::<Value>(body) {
        Ok(json) => listed(&json),
        Err(_) => body.windows(FAILED_SOP_SEQUENCE.len()).any(|w| w == FAILED_SOP_SEQUENCE.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, closed: bool) -> Result<Option<Reply>, String> {
        parsed(text.as_bytes(), closed).map_err(|e| e.to_string())
    }

    #[test]
    fn an_answer_is_whole_by_its_length_its_last_chunk_or_its_end() {
        let reply = |status, body: &str| Some(Reply { status, body: body.as_bytes().to_vec() });
        let sized = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\nyou\r\n0\r\n\r\n";
        let open = "HTTP/1.0 503 Away\r\n\r\nhi";
        assert_eq!(text(sized, false), Ok(reply(200, "hi")));
        assert_eq!(text(chunked, false), Ok(reply(200, "hiyou")));
        assert_eq!((text(open, false), text(open, true)), (Ok(None), Ok(reply(503, "hi"))));
        for cut in 0..sized.len() {
            assert_eq!(text(&sized[..cut], false), Ok(None), "{cut}");
        }
        for cut in 0..chunked.len() - "\r\n".len() {
            assert_eq!(text(&chunked[..cut], false), Ok(None), "{cut}");
        }
        let never = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
        for wrong in [
            "SSH-2.0-x\r\n",
            never.as_str(),
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n",
        ] {
            assert!(text(wrong, true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_says_what_became_of_the_object_by_its_own_uid() {
        let failed = |uid: &str, reason: u16| {
            format!(
                r#"{{"00081198":{{"vr":"SQ","Value":[{{"00081155":{{"vr":"UI","Value":["{uid}"]}},"00081197":{{"vr":"US","Value":[{reason}]}}}}]}}}}"#
            )
        };
        let stored = r#"{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2"]}}]}}"#;
        for (status, body, wanted) in [
            (200, stored.to_owned(), "kept now"),
            (200, String::new(), "kept now"),
            (202, stored.to_owned(), "kept now"),
            (200, r#"{"00081198":{"vr":"SQ"}}"#.to_owned(), "kept now"),
            (202, failed("1.2", 0xA900), "status: A900"),
            (409, failed("1.2", 0xC000), "status: C000"),
            (409, format!("[{}]", failed("1.2", 0xA700)), "status: A700"),
            (409, failed("1.2", 0x0111), "kept before"),
            (202, failed("1.2", 0), "http: 202"),
            (202, failed("9.9", 0xA900), "broken: it answers that something failed, and not what"),
            (409, String::new(), "http: 409"),
            (202, "<DicomAttribute tag=\"00081198\"/>".to_owned(), "broken: it answers that something failed, and not what"),
            (204, String::new(), "http: 204"),
            (401, String::new(), "http: 401"),
            (301, String::new(), "http: 301"),
        ] {
            let found = match outcome(&Reply { status, body: body.clone().into_bytes() }, "1.2") {
                Ok(kept) => format!("kept {kept:?}").to_lowercase(),
                Err(fault) => fault.to_string(),
            };
            assert_eq!(found, wanted, "{status} {body}");
        }
    }
}
