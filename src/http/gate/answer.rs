//! The router's answer: where its head and its body end, and the head that the client gets.
//!
//! In: bytes of the router's connection, which carries one answer. Out: a head whose fields of the connection are ours, and
//! how the end of the body is known. The router is ours too, but an answer cut short must never look whole.

use super::head::Afterwards;
use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX};

/// The router's bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks; the last bytes seen, newest last.
    Chunks([u8; 5]),
}

/// Whether the request asks for a body in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// HEAD.
    HeadOnly,
    /// Every other method.
    Whole,
}

/// The head of an answer.
#[derive(Debug)]
pub struct AnswerHead {
    /// Bytes of the router's head.
    pub length: usize,
    /// The head for the client.
    pub text: Vec<u8>,
    /// How the body ends.
    pub framing: Framing,
}

impl AnswerHead {
    /// Reads the head of an answer; none while it is not whole.
    ///
    /// # Errors
    /// Bytes that are no answer with a known end.
    pub fn parse(bytes: &[u8], asked: Asked, afterwards: Afterwards) -> Result<Option<Self>, NoAnswer> {
        let mut room = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX];
        let mut response = httparse::Response::new(&mut room);
        let length = match response.parse(bytes).map_err(|_| NoAnswer)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if bytes.len() > HEAD_BYTES_MAX => return Err(NoAnswer),
            httparse::Status::Partial => return Ok(None),
        };
        let status = response.code.ok_or(NoAnswer)?;
        let bodiless = asked == Asked::HeadOnly || matches!(status, 100..=199 | 204 | 304);
        let mut text = format!("HTTP/1.1 {status} {}\r\n", response.reason.unwrap_or_default()).into_bytes();
        let mut framing = None;
        for field in response.headers.iter() {
            let named = |name: &str| field.name.eq_ignore_ascii_case(name);
            if named("connection") || named("keep-alive") || named("server") {
                continue;
            }
            if named("content-length") {
                let value = std::str::from_utf8(field.value).ok().and_then(|v| v.trim().parse().ok());
                framing = Some(Framing::Length(value.ok_or(NoAnswer)?));
            }
            if named("transfer-encoding") {
                framing = Some(Framing::Chunks([0; 5]));
            }
            text.extend_from_slice(field.name.as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(field.value);
            text.extend_from_slice(b"\r\n");
        }
        let last = if afterwards == Afterwards::Close { "Connection: close\r\n\r\n" } else { "Connection: keep-alive\r\n\r\n" };
        text.extend_from_slice(last.as_bytes());
        let framing = if bodiless { Framing::Length(0) } else { framing.ok_or(NoAnswer)? };
        Ok(Some(Self { length, text, framing }))
    }
}

impl Framing {
    /// Takes note of bytes of the body; how many of them belong to it.
    pub fn pass(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                count
            }
            Self::Chunks(tail) => {
                for byte in bytes.iter().skip(bytes.len().saturating_sub(tail.len())) {
                    tail.rotate_left(1);
                    tail[4] = *byte;
                }
                bytes.len()
            }
        }
    }

    /// Whether the body is whole as soon as these bytes are through: no need to wait for the router's end.
    pub fn is_over(self) -> bool {
        self == Self::Length(0)
    }

    /// Whether the body is whole where the router's connection ends.
    pub fn may_end(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunks([b'0', b'\r', b'\n', b'\r', b'\n']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<AnswerHead>, NoAnswer> {
        AnswerHead::parse(text.as_bytes(), Asked::Whole, Afterwards::KeepAlive)
    }

    #[test]
    fn the_client_gets_the_answer_with_the_gates_own_word_on_the_connection() {
        let head =
            parse("HTTP/1.1 200 OK\r\nServer: x\r\nConnection: close\r\nContent-Length: 3\r\nA: b\r\n\r\nabc").unwrap().unwrap();
        assert_eq!(head.text, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: b\r\nConnection: keep-alive\r\n\r\n");
        let mut framing = head.framing;
        assert_eq!((framing.pass(b"abcd"), framing.is_over()), (3, true));
    }

    #[test]
    fn an_answer_cut_short_is_never_whole() {
        let mut framing = Framing::Length(3);
        framing.pass(b"ab");
        assert!(!framing.may_end());
        let mut framing = Framing::Chunks([0; 5]);
        for (bytes, whole) in [("3\r\nabc\r\n", false), ("0\r\n", false), ("\r", false), ("\n", true)] {
            framing.pass(bytes.as_bytes());
            assert_eq!((framing.may_end(), framing.is_over()), (whole, false), "{bytes}");
        }
    }

    #[test]
    fn an_answer_without_a_known_end_is_none() {
        assert!(parse("HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
        assert!(parse("SSH-2.0").is_err());
        assert!(parse("HTTP/1.1 200 OK\r\nContent-Le").unwrap().is_none());
        assert!(parse("HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().framing.is_over());
        let head = AnswerHead::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Asked::HeadOnly, Afterwards::Close);
        assert!(head.unwrap().unwrap().framing.is_over());
    }
}
