//! Elements of command sets (PS3.7 6.3.1): group 0000, implicit VR little endian.

/// The one application context (PS3.7 A.2.1).
pub(super) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

/// Adds an element.
pub(super) fn element(out: &mut Vec<u8>, number: u16, value: &[u8]) {
    out.extend([0, 0]);
    out.extend(number.to_le_bytes());
    out.extend(u32::try_from(value.len()).unwrap_or_default().to_le_bytes());
    out.extend(value);
}

/// The value of an element of VR US.
pub(super) fn word(value: &[u8]) -> Option<u16> {
    <[u8; 2]>::try_from(value).ok().map(u16::from_le_bytes)
}

/// The value of an element of VR UI.
pub(super) fn uid(value: &[u8]) -> Option<String> {
    let text = value.trim_ascii_end();
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let sound = text.len() <= 64 && text.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    sound.then(|| text.iter().map(|b| char::from(*b)).collect())
}

/// A UID as a value, of even length.
pub(super) fn padded(uid: &str) -> Vec<u8> {
    let mut bytes = uid.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}
