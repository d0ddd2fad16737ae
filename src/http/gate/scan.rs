//! The end of a request's head, found byte by byte.
//!
//! In: the bytes so far. Out: where the head ends, that more is needed, or the first rule that a byte breaks. The verdict
//! depends on the bytes alone, never on the pieces they came in, and stands as soon as the offending byte is there.

use super::refusal::Refusal;
use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, TARGET_BYTES_MAX};

/// Longest request line, bytes: the longest target between a method and a version.
const REQUEST_LINE_MAX: usize = TARGET_BYTES_MAX + 32;

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A head that is not whole.
    Part,
    /// A whole head of so many bytes, its empty line included.
    Whole(usize),
}

/// How far a head has been looked at.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    at: usize,
    line_begin: usize,
    lines: usize,
    spaces: usize,
    after_return: bool,
}

impl Scan {
    /// Looks at what has come since the last call; `bytes` begins at the head's first byte each time.
    ///
    /// # Errors
    /// The rule that the first offending byte breaks.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Seen, Refusal> {
        for byte in bytes.iter().skip(self.at) {
            if self.step(*byte)? {
                return Ok(Seen::Whole(self.at));
            }
        }
        Ok(Seen::Part)
    }

    /// Looks at one byte; true where it ends the head.
    fn step(&mut self, byte: u8) -> Result<bool, Refusal> {
        if self.at >= HEAD_BYTES_MAX {
            return Err(Refusal::HeadTooLarge);
        }
        let begins_line = self.at == self.line_begin;
        self.at += 1;
        match byte {
            b'\n' if !self.after_return => return Err(Refusal::LineEnd),
            b'\n' => return self.line_ends(),
            _ if self.after_return => return Err(Refusal::LineEnd),
            b'\r' => self.after_return = true,
            b' ' | b'\t' if begins_line && self.lines == 0 => return Err(Refusal::RequestLine),
            b' ' | b'\t' if begins_line => return Err(Refusal::FoldedField),
            b'\t' | b' '..=b'~' => {}
            _ => return Err(Refusal::ForbiddenByte),
        }
        self.spaces += usize::from(byte == b' ');
        if self.lines == 0 && self.at > REQUEST_LINE_MAX {
            return Err(Refusal::TargetTooLong);
        }
        Ok(false)
    }

    fn line_ends(&mut self) -> Result<bool, Refusal> {
        let empty = self.at - self.line_begin == 2;
        self.after_return = false;
        self.line_begin = self.at;
        match (empty, self.lines) {
            (true, 0) => Err(Refusal::RequestLine),
            (true, _) => Ok(true),
            // A method, a target and a version: who speaks another protocol is told at once.
            (false, 0) if self.spaces != 2 => Err(Refusal::RequestLine),
            (false, fields) if fields > HEAD_FIELDS_MAX => Err(Refusal::TooManyFields),
            _ => {
                self.lines += 1;
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Result<Seen, Refusal> {
        Scan::default().advance(bytes)
    }

    fn with_fields(count: usize) -> Vec<u8> {
        format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count)).into_bytes()
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        assert_eq!(whole(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody"), Ok(Seen::Whole(27)));
        assert_eq!(whole(b"GET / HTTP/1.1\r\nHost: a\r\n\r"), Ok(Seen::Part));
        assert_eq!(whole(b""), Ok(Seen::Part));
    }

    #[test]
    fn the_first_offending_byte_decides() {
        let cases: [(&[u8], Refusal); 12] = [
            (b"SSH-2.0-OpenSSH_9.2\r\n", Refusal::RequestLine),
            (b"GET /\r\n", Refusal::RequestLine),
            (b"GET / HTTP/1.1\n", Refusal::LineEnd),
            (b"GET / HTTP/1.1\r\nHost: a\n", Refusal::LineEnd),
            (b"GET /\rx", Refusal::LineEnd),
            (b"GET / HTTP/1.1\r\r", Refusal::LineEnd),
            (b"GET /\0", Refusal::ForbiddenByte),
            (b"GET /\xC3", Refusal::ForbiddenByte),
            (b"GET / HTTP/1.1\r\na: \x7f", Refusal::ForbiddenByte),
            (b"GET / HTTP/1.1\r\n ", Refusal::FoldedField),
            (b"\r\n", Refusal::RequestLine),
            (b" ", Refusal::RequestLine),
        ];
        for (bytes, refusal) in cases {
            assert_eq!(whole(bytes), Err(refusal), "{}", bytes.escape_ascii());
            assert_eq!(whole(&bytes[..bytes.len() - 1]), Ok(Seen::Part), "refused too early: {}", bytes.escape_ascii());
        }
    }

    #[test]
    fn pieces_change_no_verdict() {
        for bytes in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody"[..], b"GET / HTTP/1.1\r\nHost: a\n\r\n", &with_fields(65)] {
            for split in 0..bytes.len() {
                let mut scan = Scan::default();
                let first = scan.advance(&bytes[..split]);
                let verdict = if first == Ok(Seen::Part) { scan.advance(bytes) } else { first };
                assert_eq!(verdict, whole(bytes), "split at {split}");
            }
        }
    }

    #[test]
    fn sixty_four_fields_pass_and_one_more_does_not() {
        assert!(matches!(whole(&with_fields(64)), Ok(Seen::Whole(_))));
        assert_eq!(whole(&with_fields(65)), Err(Refusal::TooManyFields));
    }

    #[test]
    fn a_head_of_16_kib_passes_and_one_byte_more_does_not() {
        let head = |length: usize| {
            let mut bytes = b"GET / HTTP/1.1\r\na: ".to_vec();
            bytes.resize(length - 4, b'x');
            bytes.extend(b"\r\n\r\n");
            bytes
        };
        assert_eq!(whole(&head(HEAD_BYTES_MAX)), Ok(Seen::Whole(HEAD_BYTES_MAX)));
        assert_eq!(whole(&head(HEAD_BYTES_MAX + 1)), Err(Refusal::HeadTooLarge));
        assert_eq!(whole(&vec![b'x'; HEAD_BYTES_MAX]), Err(Refusal::TargetTooLong));
    }
}
