//! A reading as it is stored: what came of one film on one model.

use crate::limits::{IDENTITY_CHARS_MAX, STORED_FILM_NAME_CHARS_MAX, STORED_IMAGE_BYTES_MAX, STORED_RECORD_BYTES_MAX};
use crate::radiograph::PatientIdentity;
use crate::store::{NewForward, StoreError};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Base 32 of RFC 4648 in lower case: nothing in it needs escaping in a URL or a file name.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Characters of an id: 130 bits of a SHA-256.
const ID_CHARS: usize = 26;

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The text is not what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

impl FromStr for Digest {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const WRONG: Malformed = Malformed("a SHA-256 has 64 lower-case hexadecimal digits");
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(WRONG);
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| WRONG)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(digest))
    }
}

/// Names a reading: the same film on the same model with the same operating points is the same reading by construction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReadingId(String);

impl ReadingId {
    /// SHA-256 of film digest, model digest and operating points, the first 130 bits in base 32.
    pub fn of(film: &Digest, model: &Digest, operating_points: &[u8]) -> Self {
        let digest: [u8; 32] =
            Sha256::new().chain_update(film.0).chain_update(model.0).chain_update(operating_points).finalize().into();
        let bit = |i: usize| digest.get(i / 8).map_or(0, |byte| byte >> (7 - i % 8) & 1);
        let character = |c: usize| {
            let index = (0..5).fold(0, |value, i| value << 1 | bit(5 * c + i));
            BASE32.get(usize::from(index)).map_or('a', |b| char::from(*b))
        };
        Self((0..ID_CHARS).map(character).collect())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReadingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ReadingId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.len() == ID_CHARS && text.bytes().all(|b| BASE32.contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("a reading's id has 26 characters of a-z and 2-7"))
        }
    }
}

/// The film as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilmRef {
    /// Of the whole file.
    pub sha256: Digest,
    /// File name that came with it; it may name the patient and is treated so.
    pub name: Option<String>,
    /// Size of the file.
    pub bytes: u64,
}

/// The model that read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRef {
    /// `findings25`, `findings10` or a site's own.
    pub name: String,
    /// Version of its manifest.
    pub version: String,
    /// Of its weights.
    pub sha256: Digest,
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has findings.
    Read,
    /// The film was refused; the record says why.
    Refused,
}

impl Status {
    /// `read` or `refused`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Refused => "refused",
        }
    }
}

impl FromStr for Status {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "read" => Ok(Self::Read),
            "refused" => Ok(Self::Refused),
            _ => Err(Malformed("a reading's status is read or refused")),
        }
    }
}

/// A reading that is to be recorded. `record_json` and `maps` are opaque here and hold no identity.
#[derive(Clone, Debug)]
pub struct NewReading {
    /// Its name.
    pub id: ReadingId,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
    /// The film.
    pub film: FilmRef,
    /// The model.
    pub model: ModelRef,
    /// Read or refused.
    pub status: Status,
    /// The record, as it is answered, without the identity.
    pub record_json: String,
    /// Ids of the findings that are called.
    pub positives: Vec<String>,
    /// Every finding with its probability; none for untrained heads.
    pub findings: Vec<(String, Option<f32>)>,
    /// Grids of the heat maps.
    pub maps: Vec<u8>,
    /// What the header says of the patient.
    pub identity: Option<PatientIdentity>,
    /// The film's picture; kept only where the settings say so.
    pub image: Option<Vec<u8>>,
    /// Idempotency key and the digest of the request it came with.
    pub idempotency: Option<(String, Digest)>,
    /// What must be sent on; queued in the same transaction.
    pub forwards: Vec<NewForward>,
}

impl NewReading {
    /// # Errors
    /// `TooLarge` names the part and its bound.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let image = self.image.as_ref().map_or(0, Vec::len);
        for (what, found, allowed) in [
            ("the record", self.record_json.len(), STORED_RECORD_BYTES_MAX),
            ("the heat maps", self.maps.len(), STORED_RECORD_BYTES_MAX),
            ("the picture", image, STORED_IMAGE_BYTES_MAX),
        ] {
            if found > allowed {
                return Err(StoreError::TooLarge { what, found, allowed });
            }
        }
        Ok(())
    }

    /// The film's name, cut to what is stored.
    pub(super) fn film_name(&self) -> Option<String> {
        self.film.name.as_ref().map(|name| name.chars().take(STORED_FILM_NAME_CHARS_MAX).collect())
    }
}

/// One part of an identity, cut to what is stored: a header may claim megabytes.
pub(super) fn cut(part: Option<&str>) -> Option<String> {
    part.map(|text| text.chars().take(IDENTITY_CHARS_MAX).collect())
}

/// A reading as it was recorded. Heat maps and picture are fetched by themselves.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its name.
    pub id: ReadingId,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
    /// The film.
    pub film: FilmRef,
    /// The model.
    pub model: ModelRef,
    /// Read or refused.
    pub status: Status,
    /// The record, without the identity.
    pub record_json: String,
    /// Ids of the findings that are called.
    pub positives: Vec<String>,
    /// What the header said of the patient.
    pub identity: Option<PatientIdentity>,
    /// Is the film's picture stored?
    pub has_image: bool,
}

/// What recording came to.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What is stored now.
    pub reading: Stored,
    /// True where it was not stored before.
    pub fresh: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_first_130_bits_of_the_digest_in_base_32() {
        let film = Digest::of(b"film");
        let model = Digest::of(b"model");
        let id = ReadingId::of(&film, &model, b"points");
        // python3: base64.b32encode(sha256(sha256(b"film") + sha256(b"model") + b"points"))[:26].lower()
        assert_eq!(id.as_str(), "ukdidhk2laqq6scdx27a564anp");
        assert_eq!(id.as_str().parse::<ReadingId>().as_ref(), Ok(&id));
        assert_ne!(ReadingId::of(&film, &model, b"other"), id);
    }

    #[test]
    fn only_an_id_parses_as_an_id() {
        for text in [
            "",
            "abc",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "abcdefghijklmnopqrstuvwxy1",
            "abcdefghijklmnopqrstuvwxyz2",
            "../../../../etc/passwd----",
        ] {
            assert!(text.parse::<ReadingId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_digest_survives_its_text() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in ["", "00", &"G".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
