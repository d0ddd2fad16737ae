//! RLE Lossless (PS3.5 Annex G): PackBits by byte plane, most significant plane first.
//!
//! Our own, because the common decoder believes the number of segments that a fragment claims.

use super::refusal::{Code, Refusal};

/// Header of a frame: the number of segments and 15 offsets, four bytes each.
const HEADER_BYTES: usize = 64;
const SEGMENTS_MAX: usize = 15;

/// Decodes one frame of `pixels` pixels into its `planes` byte planes (channel by channel, most
/// significant byte first), each `pixels` long.
///
/// # Errors
/// `DamagedFile` where segments are missing, lie outside the fragment, or end early.
pub(super) fn byte_planes(fragment: &[u8], pixels: usize, planes: usize) -> Result<Vec<Vec<u8>>, Refusal> {
    let header = fragment
        .get(..HEADER_BYTES)
        .ok_or_else(|| damaged(format!("the RLE frame has {} bytes, its header alone takes {HEADER_BYTES}", fragment.len())))?;
    let words: Vec<usize> = header
        .chunks_exact(4)
        .filter_map(|four| Some(u32::from_le_bytes(*four.first_chunk()?)))
        .filter_map(|word| usize::try_from(word).ok())
        .collect();
    let (&count, offsets) = words.split_first().ok_or_else(|| damaged("the RLE frame has no header".to_owned()))?;
    if count != planes || count > SEGMENTS_MAX {
        return Err(damaged(format!("the RLE frame has {count} segments, allowed here is {planes}")));
    }
    let ends = offsets.iter().skip(1).take(planes.saturating_sub(1)).copied().chain([fragment.len()]);
    offsets
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let segment = fragment.get(*start..end).filter(|_| *start >= HEADER_BYTES);
            let segment = segment.ok_or_else(|| damaged(format!("an RLE segment lies outside the frame, {start} to {end}")))?;
            unpack(segment, pixels)
        })
        .collect()
}

/// Undoes PackBits; grows with what the segment really yields.
fn unpack(segment: &[u8], pixels: usize) -> Result<Vec<u8>, Refusal> {
    // A run of 128 takes two bytes: a segment cannot yield more than 64 times its length.
    let mut plane = Vec::with_capacity(pixels.min(segment.len().saturating_mul(64)));
    let mut rest = segment;
    while plane.len() < pixels {
        let Some((&head, tail)) = rest.split_first() else {
            return Err(damaged(format!("an RLE segment yields {} bytes, {pixels} are needed", plane.len())));
        };
        rest = match head {
            0..=127 => {
                let length = usize::from(head) + 1;
                let Some((literal, tail)) = tail.split_at_checked(length) else {
                    return Err(damaged("an RLE segment ends inside a literal run".to_owned()));
                };
                plane.extend_from_slice(literal);
                tail
            }
            128 => tail,
            129..=255 => {
                let Some((&value, tail)) = tail.split_first() else {
                    return Err(damaged("an RLE segment ends inside a replicate run".to_owned()));
                };
                plane.resize(plane.len() + 257 - usize::from(head), value);
                tail
            }
        };
    }
    // The last run may reach beyond the plane; encoders pad so.
    plane.truncate(pixels);
    Ok(plane)
}

fn damaged(detail: String) -> Refusal {
    Refusal::new(Code::DamagedFile, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = vec![u32::try_from(segments.len()).unwrap()];
        let mut at = HEADER_BYTES;
        for segment in segments {
            header.push(u32::try_from(at).unwrap());
            at += segment.len();
        }
        header.resize(16, 0);
        header.iter().flat_map(|w| w.to_le_bytes()).chain(segments.concat()).collect()
    }

    #[test]
    fn runs_and_literals_give_the_plane_back() {
        // The example of the PackBits specification.
        let packed = [0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A, 0xFD, 0xAA, 0x03, 0x80, 0x00, 0x2A, 0x22, 0x80, 0xF7, 0xAA];
        let plain = [
            0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0x22, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA,
            0xAA, 0xAA, 0xAA, 0xAA, 0xAA,
        ];
        assert_eq!(byte_planes(&frame(&[&packed]), 24, 1).unwrap(), [plain.to_vec()]);
        assert_eq!(byte_planes(&frame(&[&[0x81, 7], &[0x00, 1, 0xFF, 2]]), 3, 2).unwrap(), [vec![7; 3], vec![1, 2, 2]]);
    }

    #[test]
    fn a_frame_that_lies_is_refused() {
        let mut many = frame(&[&[0x81, 7]]);
        many[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut outside = frame(&[&[0x81, 7]]);
        outside[4..8].copy_from_slice(&60_000_u32.to_le_bytes());
        let mut inside_header = frame(&[&[0x81, 7]]);
        inside_header[4..8].copy_from_slice(&0_u32.to_le_bytes());
        let short = frame(&[&[0x81, 7]]);
        for (what, bytes, pixels) in [
            ("no header", &short[..10], 1),
            ("segments claimed", &many, 1),
            ("an offset outside", &outside, 1),
            ("an offset inside the header", &inside_header, 1),
            ("too few bytes", &short, 129),
            ("a literal cut", &frame(&[&[5, 1, 2]]), 6),
            ("a run cut", &frame(&[&[0x90]]), 6),
        ] {
            assert_eq!(byte_planes(bytes, pixels, 1).unwrap_err().code(), Code::DamagedFile, "{what}");
        }
    }
}
