//! How one audit record is tied to the one before it.
//!
//! `hash = SHA-256(NAME || previous hash || seq || at_ms || fields)`: numbers as 8 bytes big-endian, each of event, actor,
//! peer, subject and detail as its length in 4 bytes big-endian and its bytes, an absent one as the length 2^32 - 1. The
//! first record's previous hash is SHA-256(NAME). Every edit, deletion and swap changes a hash that a later record, or the
//! head outside the database, holds.

use super::reading::Digest;
use sha2::{Digest as _, Sha256};

/// Sets these hashes apart from all others.
const NAME: &[u8] = b"chexbox audit 1\0";

/// What a record says.
pub(super) struct Link<'a> {
    pub(super) seq: i64,
    pub(super) at_ms: i64,
    pub(super) event: &'a str,
    pub(super) actor: &'a str,
    pub(super) peer: Option<&'a str>,
    pub(super) subject: Option<&'a str>,
    pub(super) detail: &'a str,
}

/// What the first record follows.
pub(super) fn origin() -> Digest {
    Digest::of(NAME)
}

impl Link<'_> {
    /// The record's hash behind `previous`.
    pub(super) fn after(&self, previous: &Digest) -> Digest {
        let mut sum = Sha256::new_with_prefix(NAME);
        sum.update(previous.0);
        sum.update(self.seq.to_be_bytes());
        sum.update(self.at_ms.to_be_bytes());
        for field in [Some(self.event), Some(self.actor), self.peer, self.subject, Some(self.detail)] {
            update_sized(&mut sum, field.map(str::as_bytes));
        }
        Digest(sum.finalize().into())
    }
}

/// A length and the bytes, so that no two lists of fields give the same sum.
pub(super) fn update_sized(sum: &mut Sha256, field: Option<&[u8]>) {
    // A field of 2^32 - 1 bytes or more cannot come: every part that is stored has a bound far below.
    let length = field.map_or(u32::MAX, |f| u32::try_from(f.len()).unwrap_or(u32::MAX - 1));
    sum.update(length.to_be_bytes());
    sum.update(field.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link<'_> =
        Link { seq: 1, at_ms: 5, event: "started", actor: "chexbox", peer: None, subject: Some("s"), detail: "{}" };

    #[test]
    fn every_field_and_the_place_of_a_field_change_the_hash() {
        let base = LINK.after(&origin());
        let others = [
            Link { seq: 2, ..LINK },
            Link { at_ms: 6, ..LINK },
            Link { event: "stopped", ..LINK },
            Link { actor: "chexbo", ..LINK },
            Link { peer: Some(""), ..LINK },
            Link { subject: None, ..LINK },
            Link { peer: Some("s"), subject: None, ..LINK },
            Link { detail: "{ }", ..LINK },
        ];
        let mut hashes: Vec<Digest> = others.iter().map(|l| l.after(&origin())).collect();
        hashes.push(LINK.after(&Digest::of(b"")));
        hashes.push(base);
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 2);
    }
}
