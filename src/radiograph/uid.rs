//! UIDs that are computed and not drawn: the same words give the same UID, so that an object made twice of one
//! reading is one object to an archive.
//!
//! `2.25.` and a 128-bit number (PS3.5 annex B.2, ITU-T X.667): a UUID of version 8, whose bits are the start of a
//! SHA-256 (RFC 9562 section 5.8).

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// What names this implementation in the files it writes (PS3.10 section 7.1).
const IMPLEMENTATION: &[&[u8]] = &[b"chexbox", b"implementation class"];
/// Implementation Version Name (0002,0013), at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = concat!("CHEXBOX_", env!("CARGO_PKG_VERSION"));

/// Whether this is a UID (PS3.5 9.1): 1 to 64 digits and dots.
pub fn is_sound(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// The UID of these words, in this order.
pub fn derived(words: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        // The length in front keeps ("ab", "c") apart from ("a", "bc").
        hash.update((word.len() as u64).to_be_bytes());
        hash.update(word);
    }
    of_digest(&hash.finalize())
}

/// The UID that stands for another one under a key: the same for the same, and not to be traced back without the key.
pub fn keyed(key: &[u8], uid: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(b"chexbox uid\0");
    mac.update(uid.as_bytes());
    Some(of_digest(&mac.finalize().into_bytes()))
}

/// Implementation Class UID (0002,0012).
pub fn implementation_class() -> String {
    derived(IMPLEMENTATION)
}

fn of_digest(digest: &[u8]) -> String {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest) {
        *to = *from;
    }
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_stable_sound_and_of_its_words_alone() {
        let one = derived(&[b"a", b"bc"]);
        assert_eq!(one, derived(&[b"a", b"bc"]));
        assert_ne!(one, derived(&[b"ab", b"c"]));
        for uid in [one, implementation_class(), keyed(b"key", "1.2.3").unwrap()] {
            let number = uid.strip_prefix("2.25.").unwrap();
            assert!(uid.len() <= 64 && !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit()), "{uid}");
        }
    }

    #[test]
    fn a_keyed_uid_changes_with_key_and_uid() {
        let one = keyed(b"key", "1.2.3").unwrap();
        assert_eq!(Some(&one), keyed(b"key", "1.2.3").as_ref());
        assert_ne!(Some(&one), keyed(b"another", "1.2.3").as_ref());
        assert_ne!(Some(&one), keyed(b"key", "1.2.4").as_ref());
    }

    #[test]
    fn the_version_name_fits_its_attribute() {
        assert!(IMPLEMENTATION_VERSION_NAME.len() <= 16);
    }
}
