//! What a film will take of memory, estimated before it is decoded, so that a caller can decide how
//! many it decodes at once.
//!
//! In: the bytes of one file, of unknown origin. Out: bytes: the file, and the most that decoding
//! holds beside it at one time. Never: a failure, a decoded pixel, an allocation that grows with the
//! file, a number that follows a claim beyond the limits (such a file is refused before it is
//! decoded). The bytes a pixel of each format are compared with measured ones by a test.

use super::dicom_pixels::PixelCoding;
use super::picture::Format;
use super::picture_structure as picture;
use super::precheck::{self, inflated_most, is_dicom};
use crate::limits::{JPEG2000_PIXELS_MAX, PICTURE_BYTES_MAX, PIXELS_MAX};

/// Tone table, histogram and sorted greys of a film, the books of decoders for small ones, bytes.
const TABLES_BYTES: u64 = 4 << 20;
/// Memory for a file whose header does not tell, in lengths of the file.
const UNTOLD_FILES: u64 = 4;

/// Estimates what reading a file into memory and decoding it takes at its peak, bytes.
///
/// Reads the header only. A file that does not tell, which decoding most often refuses, counts four times its length.
pub fn memory_estimate(bytes: &[u8]) -> u64 {
    let file = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let decoding = match Format::of(bytes) {
        Some(format) => of_picture(bytes, format, file),
        None if is_dicom(bytes) => of_dicom(bytes, file),
        None => None,
    };
    decoding.map_or(file.saturating_mul(UNTOLD_FILES), |decoding| file.saturating_add(decoding).saturating_add(TABLES_BYTES))
}

/// Decoding a DICOM file. Copies that go with the file: the header and its attributes, or fragments
/// joined and closed; together at most two files.
fn of_dicom(bytes: &[u8], file: u64) -> Option<u64> {
    let claims = precheck::Claims::of(bytes)?;
    let coding = PixelCoding::of(&claims.transfer_syntax).ok()?;
    let Some(sizes) = claims.sizes else {
        // Inflated, its buffer doubled while growing, the samples of it.
        return Some(inflated_most(file).saturating_mul(3));
    };
    let [samples, rows, columns, bits] = sizes.map(u64::from);
    let pixels = (rows * columns).min(PIXELS_MAX);
    let grey = samples == 1;
    Some(match coding {
        PixelCoding::Native => {
            let header = file.saturating_sub(pixels * samples * (bits / 8));
            // Samples and their second form; of colours also planes brought together.
            2 * header + pixels * if grey { 3 } else { 7 }
        }
        // Byte planes and what they are joined to.
        PixelCoding::Rle => 2 * file + pixels * if grey { 4 } else { 9 },
        // Coefficients, planes, their bytes in order and the samples.
        PixelCoding::Jpeg => 2 * file + pixels * if grey { 8 } else { 26 },
        // Words, and the samples of eight bits; of colours the words alone are three.
        PixelCoding::JpegLs => 2 * file + pixels * if grey { 4 } else { 11 },
        // Coefficients, a buffer of the wavelet and the component in f32, the samples, the books of code-blocks.
        PixelCoding::Jpeg2000 => 2 * file + (pixels * samples.min(3)).min(JPEG2000_PIXELS_MAX) * 16 + pixels,
    })
}

/// Decoding a picture.
fn of_picture(bytes: &[u8], format: Format, file: u64) -> Option<u64> {
    let claims = picture::Claims::of(bytes, format)?;
    let pixels = claims.pixels.min(PIXELS_MAX);
    let stored = (pixels * claims.channels.min(4) * claims.sample_bytes).min(PICTURE_BYTES_MAX);
    // Bytes as decoded; of 16 bits also as words; grey samples, and those turned upright.
    let common = stored * claims.sample_bytes + 2 * pixels * claims.sample_bytes;
    Some(match format {
        Format::Png => common,
        // The decoder's copy of the file, and coefficients of two bytes where the scans are progressive.
        Format::Jpeg => file + common + 2 * stored,
        // The decoder's own copy of the picture, and of a strip.
        Format::Tiff => file + common.max(2 * stored + pixels),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
        let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
        [b"\x89PNG\r\n\x1a\n\0\0\0\x0DIHDR", sides.as_slice(), &[depth, colour, 0, 0, 0]].concat()
    }

    #[test]
    fn a_picture_counts_by_its_sides_and_samples_up_to_the_limits() {
        const MP: u64 = 1_000_000;
        for (width, height, depth, colour, decoding) in [
            (1_000, 1_000, 8, 0, 3 * MP),
            (1_000, 1_000, 16, 0, 8 * MP),
            (1_000, 1_000, 8, 2, 5 * MP),
            (1_000, 1_000, 16, 6, 20 * MP),
            (8_000, 5_000, 8, 0, 120 * MP),
            (u32::MAX, u32::MAX, 8, 0, 120 * MP),
            (u32::MAX, u32::MAX, 16, 6, 2 * PICTURE_BYTES_MAX + 160 * MP),
            (0, 0, 8, 0, 0),
        ] {
            let bytes = png(width, height, depth, colour);
            assert_eq!(memory_estimate(&bytes), bytes.len() as u64 + decoding + TABLES_BYTES, "{width} x {height}, {depth}");
        }
    }

    #[test]
    fn what_does_not_tell_counts_four_times_its_length() {
        let cut = png(1_000, 1_000, 8, 0);
        let dicom = [&[0; 128][..], b"DICM\x02\0\x10\0UI\xFF\xFF"].concat();
        for bytes in [&[][..], b"%PDF-1.7", &cut[..20], b"II*\0\xFF\xFF\xFF\xFF", b"\xFF\xD8\xFF\xE0", &dicom] {
            assert_eq!(memory_estimate(bytes), 4 * bytes.len() as u64, "{bytes:?}");
        }
    }
}
