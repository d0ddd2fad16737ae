//! A zip archive whose entries are stored as they are: the form of PyTorch's files (PKWARE's APPNOTE, sections 4.3 and 4.4).
//!
//! In: bytes. Out: names and the bytes that belong to them, borrowed. Never: an entry from outside the archive, or one that
//! has to be unpacked; PyTorch stores without compression.

/// First bytes of an archive: those of its first entry.
pub(super) const SIGNATURE: &[u8] = b"PK\x03\x04";
const CENTRAL_ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
/// Bytes of the parts without their names.
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
/// A comment after the end has at most 65,535 bytes.
const COMMENT_MAX: usize = 65_535;
/// Stands where the value is in the extra field of zip64.
const ELSEWHERE: usize = 0xffff_ffff;
/// Most entries that are read: a state dict has one for each tensor, DenseNet201 a thousand.
const ENTRIES_MAX: usize = 100_000;

/// The entries, in the order of the central directory.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, String> {
    let from = bytes.len().saturating_sub(END_BYTES + COMMENT_MAX);
    let tail = bytes.get(from..).unwrap_or_default();
    let end = tail.windows(END.len()).rposition(|w| w == END).ok_or("the archive has no end")? + from;
    let (count, start) = directory(bytes, end)?;
    if count > ENTRIES_MAX {
        return Err(format!("{count} entries, allowed are {ENTRIES_MAX}"));
    }
    let (mut at, mut found) = (start, Vec::new());
    for _ in 0..count {
        let head = part(bytes, at, CENTRAL_BYTES)?;
        if !head.starts_with(CENTRAL_ENTRY) {
            return Err("the archive's directory is damaged".into());
        }
        let [name, extra, comment] = [28, 30, 32].map(|field| number(head, field, 2));
        let label = std::str::from_utf8(part(bytes, at + CENTRAL_BYTES, name)?).map_err(|e| e.to_string())?;
        if number(head, 10, 2) != 0 {
            return Err(format!("{label} is compressed, which PyTorch's files are not"));
        }
        let wide = Zip64 { rest: part(bytes, at + CENTRAL_BYTES + name, extra)? };
        let (length, offset) = wide.resolve(number(head, 24, 4), number(head, 20, 4), number(head, 42, 4))?;
        found.push((label, content(bytes, offset, length)?));
        at += CENTRAL_BYTES + name + extra + comment;
    }
    Ok(found)
}

/// Number of entries, and where the directory starts: in the end record, or in zip64's where that says so.
fn directory(bytes: &[u8], end: usize) -> Result<(usize, usize), String> {
    let record = part(bytes, end, END_BYTES)?;
    let (count, start) = (number(record, 10, 2), number(record, 16, 4));
    if count != 0xffff && start != ELSEWHERE {
        return Ok((count, start));
    }
    // The locator stands right before the end record and names the place of zip64's.
    let locator = end.checked_sub(20).and_then(|at| part(bytes, at, 20).ok()).filter(|l| l.starts_with(b"PK\x06\x07"));
    let record = part(bytes, number(locator.ok_or("the archive's end is damaged")?, 8, 8), 56)?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err("the archive's end is damaged".into());
    }
    Ok((number(record, 32, 8), number(record, 48, 8)))
}

/// The stored bytes of the entry whose local head is at `offset`.
fn content(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8], String> {
    let head = part(bytes, offset, LOCAL_BYTES)?;
    if !head.starts_with(SIGNATURE) {
        return Err("an entry of the archive is not where its directory says".into());
    }
    let start = offset + LOCAL_BYTES + number(head, 26, 2) + number(head, 28, 2);
    part(bytes, start, length)
}

/// The extra fields of a central entry.
struct Zip64<'a> {
    rest: &'a [u8],
}

impl Zip64<'_> {
    /// Length and offset, from zip64's field where they are too large for their own.
    fn resolve(&self, length: usize, stored: usize, offset: usize) -> Result<(usize, usize), String> {
        if length != ELSEWHERE && offset != ELSEWHERE {
            return Ok((length, offset));
        }
        let mut rest = self.rest;
        while rest.len() >= 4 {
            let (kind, size) = (number(rest, 0, 2), number(rest, 2, 2));
            let field = part(rest, 4, size)?;
            if kind == 1 {
                let mut at = 0;
                let mut next = |own: usize| -> Result<usize, String> {
                    if own != ELSEWHERE {
                        return Ok(own);
                    }
                    at += 8;
                    part(field, at - 8, 8).map(|f| number(f, 0, 8))
                };
                let length = next(length)?;
                next(stored)?;
                return Ok((length, next(offset)?));
            }
            rest = rest.get(4 + size..).unwrap_or_default();
        }
        Err("an entry's length is missing".into())
    }
}

fn part(bytes: &[u8], from: usize, length: usize) -> Result<&[u8], String> {
    let end = from.checked_add(length);
    end.and_then(|end| bytes.get(from..end)).ok_or_else(|| "the archive ends early".to_owned())
}

/// The little-endian number of `width` bytes at `from`; what is not there counts as 0, and [`part`] has checked that it is.
fn number(bytes: &[u8], from: usize, width: usize) -> usize {
    let field = bytes.get(from..from + width).unwrap_or_default();
    field.iter().rev().fold(0_u64, |sum, b| sum << 8 | u64::from(*b)).try_into().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of one entry `d/data/0` with the content `abc`, made by Python's zipfile.
    const SMALL: &[u8] = b"PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00!\x00\xc2A$5\x03\x00\x00\x00\x03\x00\x00\x00\x08\x00\x00\x00d/data/0abc\
        PK\x01\x02\x14\x03\x14\x00\x00\x00\x00\x00\x00\x00!\x00\xc2A$5\x03\x00\x00\x00\x03\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01\x00\x00\x00\x00d/data/0\
        PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x006\x00\x00\x00)\x00\x00\x00\x00\x00";

    #[test]
    fn stored_entries_are_found_and_every_cut_is_a_sentence() {
        assert_eq!(entries(SMALL).unwrap(), [("d/data/0", &b"abc"[..])]);
        for end in 0..SMALL.len() {
            assert!(entries(&SMALL[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_claim_that_points_outside_and_a_compressed_entry_are_refused() {
        // Places in the directory: method, length, offset; and the directory's own offset in the end record.
        for (at, what) in
            [(51, "compressed"), (65 + 3, "ends early"), (83 + 3, "ends early"), (SMALL.len() - 6 + 2, "ends early")]
        {
            let mut bytes = SMALL.to_vec();
            bytes[at] = 0x7f;
            let error = entries(&bytes).unwrap_err();
            assert!(error.contains(what), "{at}: {error}");
        }
    }
}
