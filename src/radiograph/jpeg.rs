//! JPEG (ITU-T T.81): what its markers claim, checked before a decoder allocates, and the decoding
//! of DICOM's JPEG transfer syntaxes.
//!
//! Decoders fill what is missing of a truncated file with grey. A film must not be read half, so the
//! walk over the markers insists on the end-of-image marker. Eight bits that lose go to jpeg-decoder;
//! lossless films and sequential ones of 12 bits have decoders of our own, which it lacks or has for
//! some predictors only.

mod extended;
mod huffman;
mod lossless;
mod scans;

use super::contained::contained;
use super::dicom_pixels::Raw;
use super::layout::{Layout, Sign};
use super::refusal::{Code, Refusal};
use crate::limits::{JPEG_SCANS_MAX, PICTURE_BYTES_MAX};
use jpeg_decoder::{Decoder, Error, PixelFormat};

/// What the markers say of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bits of a sample.
    pub(super) precision: u8,
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) components: u8,
    /// The marker of the frame header, which is the process.
    marker: u8,
    /// Scans of the picture.
    scans: usize,
    /// Most pixels that a byte of its data can code.
    pixels_a_byte: u64,
}

/// Bytes that tiny pictures may fall short of the bound on their pixels.
const SLACK_BYTES: u64 = 64;
/// Whole bytes that may be left of a scan when all samples are there. A damaged scan falls out of step and leaves many.
const LEFT_BYTES_MAX: usize = 16;
/// Frame headers of sequential coding (extended) and of lossless coding, both with Huffman codes.
const EXTENDED: u8 = 0xC1;
const LOSSLESS: u8 = 0xC3;

impl Frame {
    /// Walks the markers from start to end of image.
    ///
    /// # Errors
    /// `DamagedFile` where a segment or the end is missing, `TooLarge` beyond the allowed scans.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Refusal> {
        if !bytes.starts_with(&[0xFF, 0xD8]) {
            return Err(damaged("the JPEG data do not begin with a start-of-image marker"));
        }
        let mut at = 2_usize;
        let mut frame: Option<Self> = None;
        let (mut scans, mut coded) = (0_usize, 0_usize);
        loop {
            let (marker, behind) = next_marker(bytes, at)?;
            at = behind;
            match marker {
                0xD9 => break,
                // Markers that stand alone: RST0-7, TEM, a repeated SOI.
                0x01 | 0xD0..=0xD8 => continue,
                _ => {}
            }
            let (payload, end) = segment(bytes, at)?;
            at = end;
            match marker {
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF if frame.is_none() => {
                    frame = Some(Self::sof(marker, payload)?);
                }
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                    return Err(damaged("the JPEG data hold more than one picture"));
                }
                0xDA => {
                    scans += 1;
                    if scans > JPEG_SCANS_MAX {
                        let detail = format!("the JPEG data have more than {JPEG_SCANS_MAX} scans, the most allowed");
                        return Err(Refusal::new(Code::TooLarge, detail));
                    }
                    let behind = behind_scan(bytes, at)?;
                    coded += behind - at;
                    at = behind;
                }
                _ => {}
            }
        }
        let frame = frame.ok_or_else(|| damaged("the JPEG data have no frame header"))?;
        if scans == 0 {
            return Err(damaged("the JPEG data have no scan"));
        }
        frame.fits_into(coded)?;
        Ok(Self { scans, ..frame })
    }

    /// A frame header. A block of 64 pixels takes two bits at least, in progressive scans one, a
    /// lossless pixel one; where there are several channels the first may be subsampled four times.
    fn sof(marker: u8, payload: &[u8]) -> Result<Self, Refusal> {
        let Some([precision, r0, r1, c0, c1, components]) = payload.first_chunk::<6>().copied() else {
            return Err(damaged("the JPEG frame header is too short"));
        };
        let (rows, columns) = (u16::from_be_bytes([r0, r1]), u16::from_be_bytes([c0, c1]));
        let densest = match marker {
            LOSSLESS => 8,
            0xC0 | EXTENDED => 64 * 8 / 2,
            _ => 64 * 8,
        };
        let pixels_a_byte = if components == 1 { densest } else { densest * 4 };
        Ok(Self { precision, rows, columns, components, marker, scans: 0, pixels_a_byte })
    }

    /// Whether so few bytes can hold the picture: a decoder would fill the rest with grey.
    fn fits_into(&self, bytes: usize) -> Result<(), Refusal> {
        let (rows, columns) = (u64::from(self.rows), u64::from(self.columns));
        let held = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(SLACK_BYTES).saturating_mul(self.pixels_a_byte);
        if rows * columns > held {
            return Err(Refusal::new(
                Code::DamagedFile,
                format!("the JPEG data claim {columns} x {rows} pixels, {bytes} coded bytes cannot hold them"),
            ));
        }
        Ok(())
    }
}

/// The marker at or, behind fill bytes, after `at`, and the position behind it.
pub(super) fn next_marker(bytes: &[u8], at: usize) -> Result<(u8, usize), Refusal> {
    let mut at = at;
    if bytes.get(at) != Some(&0xFF) {
        return Err(match bytes.get(at) {
            None => damaged("the JPEG data end before the end-of-image marker"),
            Some(_) => damaged("the JPEG data hold bytes where a marker must stand"),
        });
    }
    while bytes.get(at) == Some(&0xFF) {
        at += 1;
    }
    match bytes.get(at) {
        Some(marker) => Ok((*marker, at + 1)),
        None => Err(damaged("the JPEG data end before the end-of-image marker")),
    }
}

/// The payload of the segment at `at` (its length field included in the length) and where it ends.
pub(super) fn segment(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Refusal> {
    let cut = || damaged("the JPEG data end inside a segment");
    let two = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>).ok_or_else(cut)?;
    let end = at.checked_add(usize::from(u16::from_be_bytes(*two))).ok_or_else(cut)?;
    let payload = bytes.get(at.saturating_add(2)..end).ok_or_else(cut)?;
    Ok((payload, end))
}

/// The position of the first marker behind the entropy-coded data at `at`.
fn behind_scan(bytes: &[u8], at: usize) -> Result<usize, Refusal> {
    let mut at = at;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(step) = rest.iter().position(|b| *b == 0xFF) else {
            return Err(damaged("the JPEG data end before the end-of-image marker"));
        };
        at += step;
        match bytes.get(at + 1) {
            Some(0x00 | 0xD0..=0xD7) => at += 2,
            Some(0xFF) => at += 1,
            _ => return Ok(at),
        }
    }
}

/// Whether the samples of a codestream, of `precision` bits, are those that the header lays out.
///
/// # Errors
/// `DamagedFile` where they do not fit, or have a sign that would be lost.
pub(super) fn precise(coding: &str, precision: u8, layout: &Layout) -> Result<(), Refusal> {
    let precision = u16::from(precision);
    if precision > layout.bits_allocated {
        let detail = format!("the {coding} data have {precision} bits, BitsAllocated (0028,0100) is {}", layout.bits_allocated);
        return Err(Refusal::new(Code::DamagedFile, detail));
    }
    if layout.sign == Sign::Signed && precision < layout.bits_stored {
        let detail = format!("the {coding} data have {precision} bits, BitsStored (0028,0101) is {}, signed", layout.bits_stored);
        return Err(Refusal::new(Code::DamagedFile, detail));
    }
    Ok(())
}

/// Decodes the JPEG data of one frame: baseline, extended (to 12 bit), progressive (8 bit) and lossless (to 16 bit).
///
/// # Errors
/// `DamagedFile` where the data are broken or contradict the header, `UnsupportedEncoding` for
/// progressive coding of 12 bits and arithmetic coding, naming `syntax`.
pub(super) fn decode(data: &[u8], layout: &Layout, syntax: &str) -> Result<Raw, Refusal> {
    let frame = Frame::of(data)?;
    let header = (layout.rows, layout.columns, layout.channels());
    let found = (usize::from(frame.rows), usize::from(frame.columns), usize::from(frame.components));
    if found != header {
        return Err(Refusal::new(
            Code::DamagedFile,
            format!("the JPEG data are {found:?} (rows, columns, channels), the header says {header:?}"),
        ));
    }
    precise("JPEG", frame.precision, layout)?;
    match (frame.marker, frame.precision) {
        (LOSSLESS, _) => return lossless::decode(data, &frame).map(Raw::U16),
        (EXTENDED, 12) => return extended::decode(data, &frame).map(Raw::U16),
        _ => {}
    }
    let (info, samples) = contained("JPEG", || {
        let mut decoder = Decoder::new(data);
        decoder.set_max_decoding_buffer_size(usize::try_from(PICTURE_BYTES_MAX).unwrap_or(usize::MAX));
        decoder.read_info()?;
        let samples = decoder.decode()?;
        Ok((decoder.info(), samples))
    })?
    .map_err(|error| refusal_of(&error, frame, syntax))?;
    let expected = layout.pixels() * layout.channels();
    match info.map(|i| i.pixel_format) {
        Some(PixelFormat::L8 | PixelFormat::RGB24) if samples.len() == expected => Ok(Raw::U8(samples)),
        _ => Err(damaged("the JPEG data do not yield the picture that their header says")),
    }
}

fn refusal_of(error: &Error, frame: Frame, syntax: &str) -> Refusal {
    match error {
        Error::Unsupported(_) => Refusal::new(
            Code::UnsupportedEncoding,
            format!("{syntax} with {} bits in {} scans is not supported", frame.precision, frame.scans),
        ),
        _ => damaged("the JPEG data do not decode"),
    }
}

fn unsupported(what: &str) -> Refusal {
    Refusal::new(Code::UnsupportedEncoding, format!("JPEG with {what} is not supported"))
}

fn damaged(detail: &str) -> Refusal {
    Refusal::new(Code::DamagedFile, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};

    fn jpeg() -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..64 * 48).map(|i| u8::try_from(i % 251).unwrap()).collect();
        JpegEncoder::new(&mut bytes).write_image(&pixels, 64, 48, ExtendedColorType::L8).unwrap();
        bytes
    }

    #[test]
    fn the_markers_tell_the_picture() {
        let frame = Frame::of(&jpeg()).unwrap();
        assert_eq!((frame.precision, frame.rows, frame.columns, frame.components, frame.scans), (8, 48, 64, 1, 1));
    }

    #[test]
    fn a_jpeg_cut_anywhere_has_no_end() {
        let whole = jpeg();
        for cut in 0..whole.len() {
            assert_eq!(Frame::of(&whole[..cut]).unwrap_err().code(), Code::DamagedFile, "cut at {cut}");
        }
    }

    #[test]
    fn scans_without_number_are_too_large() {
        let whole = jpeg();
        let scan = whole.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
        let mut bomb = whole[..scan].to_vec();
        for _ in 0..JPEG_SCANS_MAX {
            bomb.extend_from_slice(&whole[scan..whole.len() - 2]);
        }
        let at_the_bound = [&bomb[..], &[0xFF, 0xD9]].concat();
        assert_eq!(Frame::of(&at_the_bound).unwrap().scans, JPEG_SCANS_MAX);
        bomb.extend_from_slice(&whole[scan..]);
        assert_eq!(Frame::of(&bomb).unwrap_err().code(), Code::TooLarge);
    }
}
