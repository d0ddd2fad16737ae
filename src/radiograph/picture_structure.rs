//! The structure of a PNG, JPEG or TIFF file, walked before a decoder sees it.
//!
//! Out: how many compressed bytes there are and how far they can expand, whether the lowest value is
//! white. Refused: a file that ends before its end marker, animations, several pages, CMYK.

use super::jpeg::Frame;
use super::picture::Format;
use super::refusal::{Code, Refusal};
use crate::limits::{PNG_CHUNKS_MAX, TIFF_DIRECTORIES_MAX};

/// Most bytes that one byte of deflate yields (RFC 1951: 258 bytes for two bits), rounded up.
const DEFLATE_EXPANSION_MAX: u64 = 1_040;
/// Most bytes that one byte of a TIFF strip yields: a 12-bit code of LZW stands for up to 3,840.
const TIFF_EXPANSION_MAX: u64 = 2_600;
/// Bytes that a file may fall short of its expansion: headers of tiny pictures.
const SLACK_BYTES: u64 = 4_096;

/// The type of TIFF values of two bytes.
const TYPE_SHORT: u64 = 3;
const IMAGE_WIDTH: u64 = 256;
const IMAGE_LENGTH: u64 = 257;
const BITS_PER_SAMPLE: u64 = 258;
const SAMPLES_PER_PIXEL: u64 = 277;
const NEW_SUBFILE_TYPE: u16 = 254;
const PHOTOMETRIC_INTERPRETATION: u16 = 262;

/// Which value a TIFF shows white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whiteness {
    Highest,
    Lowest,
}

/// A picture file whose structure holds.
pub(super) struct Structure {
    format: Format,
    /// Bytes of compressed picture data, where the format tells them apart.
    compressed: Option<u64>,
    pub(super) whiteness: Whiteness,
}

impl Structure {
    /// Walks the file.
    ///
    /// # Errors
    /// `DamagedFile` where it ends early, `MultiFrame` where it holds several pictures, `TooLarge`
    /// beyond the limits, `UnsupportedEncoding` for CMYK.
    pub(super) fn of(bytes: &[u8], format: Format) -> Result<Self, Refusal> {
        let plain = |compressed| Self { format, compressed, whiteness: Whiteness::Highest };
        match format {
            Format::Png => Ok(plain(Some(png(bytes)?))),
            Format::Jpeg => match Frame::of(bytes)?.components {
                1 | 3 => Ok(plain(None)),
                other => Err(unsupported(format!("the JPEG has {other} channels, allowed are 1 and 3"))),
            },
            Format::Tiff => Ok(Self { whiteness: Tiff::of(bytes)?.pages()?, ..plain(None) }),
        }
    }

    /// Whether so few compressed bytes can hold `pixels` pixels of `decoded` bytes in all.
    ///
    /// # Errors
    /// `DamagedFile` where they cannot.
    pub(super) fn can_hold(&self, pixels: u64, decoded: u64, file: usize) -> Result<(), Refusal> {
        let held = self.compressed.unwrap_or_else(|| u64::try_from(file).unwrap_or(u64::MAX));
        let (needed, expansion) = match self.format {
            // A palette or fewer bits may yield up to 64 times its stored bytes: a bit becomes RGBA of 16 bits.
            Format::Png => (pixels / 8, DEFLATE_EXPANSION_MAX),
            // The walk over its markers has compared them.
            Format::Jpeg => return Ok(()),
            Format::Tiff => (decoded, TIFF_EXPANSION_MAX),
        };
        if needed > held.saturating_mul(expansion).saturating_add(SLACK_BYTES) {
            return Err(damaged(format!("the picture claims {pixels} pixels, its {held} bytes cannot hold them")));
        }
        Ok(())
    }
}

/// What a picture's header claims; nothing of it was checked.
pub(super) struct Claims {
    pub(super) pixels: u64,
    pub(super) channels: u64,
    pub(super) sample_bytes: u64,
}

impl Claims {
    /// Reads the header alone (of a JPEG the markers, which may stand anywhere). `None` where it does not say.
    pub(super) fn of(bytes: &[u8], format: Format) -> Option<Self> {
        match format {
            Format::Png => {
                let (sides, kind) = bytes.get(16..26)?.split_first_chunk::<8>()?;
                let side = |four: &[u8]| Some(u64::from(u32::from_be_bytes(*four.first_chunk()?)));
                let &[depth, colour] = kind.first_chunk()?;
                let channels = match colour {
                    0 => 1,
                    2 => 3,
                    4 => 2,
                    // A palette may have transparency.
                    _ => 4,
                };
                let pixels = side(sides)?.saturating_mul(side(sides.get(4..)?)?);
                Some(Self { pixels, channels, sample_bytes: if depth == 16 { 2 } else { 1 } })
            }
            Format::Jpeg => {
                let frame = Frame::of(bytes).ok()?;
                let pixels = u64::from(frame.rows) * u64::from(frame.columns);
                Some(Self { pixels, channels: u64::from(frame.components), sample_bytes: 1 })
            }
            Format::Tiff => Tiff::of(bytes).ok()?.claims(),
        }
    }
}

/// Walks the chunks of a PNG to its end: bytes of picture data.
fn png(bytes: &[u8]) -> Result<u64, Refusal> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    let mut data = 0_u64;
    for _ in 0..PNG_CHUNKS_MAX {
        let cut = || damaged("the PNG ends before its IEND chunk".to_owned());
        let ([a, b, c, d, kind @ ..], behind) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let length = u32::from_be_bytes([*a, *b, *c, *d]);
        // The four bytes behind a chunk's content are its check sum, which the decoder compares.
        let content = usize::try_from(length).ok().and_then(|n| behind.split_at_checked(n)).ok_or_else(cut)?;
        rest = content.1.get(4..).ok_or_else(cut)?;
        match kind {
            b"IEND" => return Ok(data),
            b"IDAT" => data += u64::from(length),
            b"acTL" if content.0.first_chunk::<4>() != Some(&[0, 0, 0, 1]) => {
                return Err(Refusal::new(Code::MultiFrame, "the PNG is animated, allowed is one picture"));
            }
            _ => {}
        }
    }
    Err(Refusal::new(Code::TooLarge, format!("the PNG has more than {PNG_CHUNKS_MAX} chunks, the most allowed")))
}

/// The directories of a TIFF (TIFF 6.0, BigTIFF).
struct Tiff<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    /// Whether offsets have eight bytes.
    long: bool,
}

impl<'a> Tiff<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let big_endian = bytes.first() == Some(&b'M');
        let mut tiff = Self { bytes, big_endian, long: false };
        tiff.long = tiff.number(2, 2)? == 43;
        Ok(tiff)
    }

    /// Counts the full pages and says what white is in the first.
    fn pages(&self) -> Result<Whiteness, Refusal> {
        let (offset_bytes, entry_bytes, count_bytes) = if self.long { (8, 20, 8) } else { (4, 12, 2) };
        let mut at = self.number(if self.long { 8 } else { 4 }, offset_bytes)?;
        let mut whiteness = Whiteness::Highest;
        let mut pages = 0;
        for directory in 0..TIFF_DIRECTORIES_MAX {
            if at == 0 {
                return Ok(whiteness);
            }
            let entries = self.number(at, count_bytes)?;
            // Tags are 16 bits: no directory has more entries.
            if entries > 65_536 {
                return Err(damaged(format!("a TIFF directory claims {entries} entries, allowed are 65536")));
            }
            let mut reduced = false;
            for entry in 0..entries {
                let entry = at.saturating_add(count_bytes + entry * entry_bytes);
                let (tag, value) = (self.number(entry, 2)?, entry.saturating_add(if self.long { 12 } else { 8 }));
                if tag == u64::from(NEW_SUBFILE_TYPE) {
                    // Bit 0: a reduced copy of another page; bit 2: a mask.
                    reduced = self.number(value, 4)? & 0b101 != 0;
                } else if tag == u64::from(PHOTOMETRIC_INTERPRETATION) && directory == 0 {
                    whiteness = photometric(self.number(value, 2)?)?;
                }
            }
            pages += u32::from(!reduced);
            if pages > 1 {
                return Err(Refusal::new(Code::MultiFrame, "the TIFF has more than one page, allowed is one"));
            }
            at = self.number(at.saturating_add(count_bytes + entries * entry_bytes), offset_bytes)?;
        }
        Err(Refusal::new(Code::TooLarge, format!("the TIFF has more than {TIFF_DIRECTORIES_MAX} directories, the most allowed")))
    }

    /// Sides and samples of the first page.
    fn claims(&self) -> Option<Claims> {
        let (offset_bytes, entry_bytes, count_bytes) = if self.long { (8, 20, 8) } else { (4, 12, 2) };
        let at = self.number(if self.long { 8 } else { 4 }, offset_bytes).ok()?;
        let entries = self.number(at, count_bytes).ok()?.min(65_536);
        let (mut width, mut height, mut bits, mut channels) = (None, None, 1, 1);
        for entry in 0..entries {
            let entry = at.saturating_add(count_bytes + entry * entry_bytes);
            let short = self.number(entry.saturating_add(2), 2).ok()? == TYPE_SHORT;
            let count = self.number(entry.saturating_add(4), offset_bytes).ok()?;
            let value = self.number(entry.saturating_add(4 + offset_bytes), if short { 2 } else { 4 }).ok()?;
            match self.number(entry, 2).ok()? {
                IMAGE_WIDTH => width = Some(value),
                IMAGE_LENGTH => height = Some(value),
                // Of several channels they may lie elsewhere: then taken as 16.
                BITS_PER_SAMPLE => bits = if count == 1 { value } else { 16 },
                SAMPLES_PER_PIXEL => channels = value,
                _ => {}
            }
        }
        Some(Claims { pixels: width?.saturating_mul(height?), channels, sample_bytes: if bits > 8 { 2 } else { 1 } })
    }

    /// The unsigned number of `width` bytes at `at`.
    fn number(&self, at: u64, width: u64) -> Result<u64, Refusal> {
        let range = usize::try_from(at).ok().zip(usize::try_from(at.saturating_add(width)).ok());
        let bytes = range.and_then(|(from, to)| self.bytes.get(from..to));
        let bytes = bytes.ok_or_else(|| damaged(format!("the TIFF points to byte {at}, it has {}", self.bytes.len())))?;
        let join = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Ok(if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }
}

fn photometric(value: u64) -> Result<Whiteness, Refusal> {
    match value {
        0 => Ok(Whiteness::Lowest),
        1 | 2 => Ok(Whiteness::Highest),
        other => Err(unsupported(format!(
            "the TIFF's PhotometricInterpretation (262) is {other}, allowed are 0, 1 and 2: grey and RGB"
        ))),
    }
}

fn unsupported(detail: String) -> Refusal {
    Refusal::new(Code::UnsupportedEncoding, detail)
}

fn damaged(detail: String) -> Refusal {
    Refusal::new(Code::DamagedFile, detail)
}
