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

/// The elements of a command set, number and value, in their order; `None` where it is not one.
pub(super) fn elements(mut bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut found = Vec::new();
    while let Some(([0, 0, e0, e1, l0, l1, l2, l3], tail)) = bytes.split_first_chunk::<8>() {
        let length = usize::try_from(u32::from_le_bytes([*l0, *l1, *l2, *l3])).ok()?;
        let (value, tail) = tail.split_at_checked(length)?;
        found.push((u16::from_le_bytes([*e0, *e1]), value));
        bytes = tail;
    }
    bytes.is_empty().then_some(found)
}

/// A command set of these elements, which begins with their length.
pub(super) fn command_set(elements: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(elements.len() + 12);
    // A few hundred bytes: two UIDs of 64 characters at most.
    element(&mut whole, 0x0000, &u32::try_from(elements.len()).unwrap_or_default().to_le_bytes());
    whole.extend(elements);
    whole
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
