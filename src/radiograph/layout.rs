//! How a DICOM header says its pixels are laid out (PS3.3 C.7.6.3.1), checked before anything is allocated.

use super::header::{Header, named, quoted};
use super::refusal::{Code, Refusal};
use crate::limits::{PIXELS_MAX, SIDE_MAX_PX, SIDE_MIN_PX};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Whether stored values are two's complement, Pixel Representation (0028,0103).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Unsigned,
    Signed,
}

/// Photometric Interpretation (0028,0004), as far as films use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    /// The lowest value is white.
    Monochrome1,
    /// The lowest value is black.
    Monochrome2,
    Rgb,
    YbrFull,
    YbrFull422,
    /// YBR_RCT and YBR_ICT: JPEG 2000 undoes them itself.
    YbrJpeg2000,
}

/// Whether the channels of a pixel lie together or plane by plane, Planar Configuration (0028,0006).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planes {
    Together,
    Apart,
}

/// A picture's layout; every number was checked against the limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) photometric: Photometric,
    pub(super) planes: Planes,
    /// 8 or 16.
    pub(super) bits_allocated: u16,
    /// 1 to `bits_allocated`.
    pub(super) bits_stored: u16,
    /// `bits_stored` - 1 to `bits_allocated` - 1.
    pub(super) high_bit: u16,
    pub(super) sign: Sign,
}

impl Layout {
    /// Reads the layout.
    ///
    /// # Errors
    /// `DamagedFile` where an attribute is absent or contradicts another, `TooSmall`, `TooLarge`,
    /// `UnsupportedEncoding` for palettes and depths that films do not have.
    pub(super) fn of(header: &Header<'_>) -> Result<Self, Refusal> {
        let photometric = photometric(header)?;
        let samples = header.integer(tags::SAMPLES_PER_PIXEL)?.unwrap_or(photometric.channels());
        if samples != photometric.channels() {
            return Err(contradiction(tags::SAMPLES_PER_PIXEL, samples, &photometric.channels().to_string()));
        }
        let (rows, columns) = sides(header)?;
        let bits_allocated = required(header, tags::BITS_ALLOCATED)?;
        let Some(bits_allocated) = u16::try_from(bits_allocated).ok().filter(|bits| matches!(bits, 8 | 16)) else {
            return Err(Refusal::new(
                Code::UnsupportedEncoding,
                format!("{} is {bits_allocated}, allowed are 8 and 16", named(tags::BITS_ALLOCATED)),
            ));
        };
        let bits_stored = header.integer(tags::BITS_STORED)?.unwrap_or(i64::from(bits_allocated));
        let Some(bits_stored) = u16::try_from(bits_stored).ok().filter(|bits| (1..=bits_allocated).contains(bits)) else {
            return Err(contradiction(tags::BITS_STORED, bits_stored, &format!("1 to {bits_allocated}")));
        };
        let high_bit = header.integer(tags::HIGH_BIT)?.unwrap_or(i64::from(bits_stored) - 1);
        let Some(high_bit) = u16::try_from(high_bit).ok().filter(|bit| (bits_stored - 1..bits_allocated).contains(bit)) else {
            return Err(contradiction(tags::HIGH_BIT, high_bit, &format!("{} to {}", bits_stored - 1, bits_allocated - 1)));
        };
        let sign = match header.integer(tags::PIXEL_REPRESENTATION)? {
            None | Some(0) => Sign::Unsigned,
            Some(1) => Sign::Signed,
            Some(other) => return Err(contradiction(tags::PIXEL_REPRESENTATION, other, "0 and 1")),
        };
        let planes = match header.integer(tags::PLANAR_CONFIGURATION)? {
            None | Some(0) => Planes::Together,
            Some(1) => Planes::Apart,
            Some(other) => return Err(contradiction(tags::PLANAR_CONFIGURATION, other, "0 and 1")),
        };
        Ok(Self { rows, columns, photometric, planes, bits_allocated, bits_stored, high_bit, sign })
    }

    /// Pixels: rows x columns, within the limits.
    pub(super) fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Channels of a pixel, 1 or 3.
    pub(super) fn channels(&self) -> usize {
        if self.photometric.channels() == 1 { 1 } else { 3 }
    }
}

impl Photometric {
    fn channels(self) -> i64 {
        match self {
            Self::Monochrome1 | Self::Monochrome2 => 1,
            Self::Rgb | Self::YbrFull | Self::YbrFull422 | Self::YbrJpeg2000 => 3,
        }
    }

    /// The defined term.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Monochrome1 => "MONOCHROME1",
            Self::Monochrome2 => "MONOCHROME2",
            Self::Rgb => "RGB",
            Self::YbrFull => "YBR_FULL",
            Self::YbrFull422 => "YBR_FULL_422",
            Self::YbrJpeg2000 => "YBR_RCT",
        }
    }
}

fn photometric(header: &Header<'_>) -> Result<Photometric, Refusal> {
    let tag = tags::PHOTOMETRIC_INTERPRETATION;
    let Some(term) = header.text(tag) else { return Err(absent(tag)) };
    match term.as_str() {
        "MONOCHROME1" => Ok(Photometric::Monochrome1),
        "MONOCHROME2" => Ok(Photometric::Monochrome2),
        "RGB" => Ok(Photometric::Rgb),
        "YBR_FULL" => Ok(Photometric::YbrFull),
        "YBR_FULL_422" => Ok(Photometric::YbrFull422),
        "YBR_RCT" | "YBR_ICT" => Ok(Photometric::YbrJpeg2000),
        other => Err(Refusal::new(
            Code::UnsupportedEncoding,
            format!("{} is {}, allowed are MONOCHROME1 and MONOCHROME2, RGB or YBR of a grey picture", named(tag), quoted(other)),
        )),
    }
}

fn sides(header: &Header<'_>) -> Result<(usize, usize), Refusal> {
    let side = |tag: Tag| {
        let value = required(header, tag)?;
        let detail = || format!("{} is {value}, allowed are {SIDE_MIN_PX} to {SIDE_MAX_PX}", named(tag));
        match u32::try_from(value) {
            Ok(0) | Err(_) => Err(Refusal::new(Code::DamagedFile, detail())),
            Ok(px) if px < SIDE_MIN_PX => Err(Refusal::new(Code::TooSmall, detail())),
            Ok(px) if px > SIDE_MAX_PX => Err(Refusal::new(Code::TooLarge, detail())),
            Ok(px) => Ok(px),
        }
    };
    let (rows, columns) = (side(tags::ROWS)?, side(tags::COLUMNS)?);
    let pixels = u64::from(rows) * u64::from(columns);
    if pixels > PIXELS_MAX {
        let detail = format!(
            "{} x {} is {rows} x {columns}, {pixels} pixels, the most allowed is {PIXELS_MAX}",
            named(tags::ROWS),
            named(tags::COLUMNS)
        );
        return Err(Refusal::new(Code::TooLarge, detail));
    }
    match (usize::try_from(rows), usize::try_from(columns)) {
        (Ok(rows), Ok(columns)) => Ok((rows, columns)),
        _ => Err(Refusal::new(Code::TooLarge, "the picture does not fit this machine's memory")),
    }
}

fn required(header: &Header<'_>, tag: Tag) -> Result<i64, Refusal> {
    header.integer(tag)?.ok_or_else(|| absent(tag))
}

fn absent(tag: Tag) -> Refusal {
    Refusal::new(Code::DamagedFile, format!("{} is absent", named(tag)))
}

fn contradiction(tag: Tag, value: i64, allowed: &str) -> Refusal {
    Refusal::new(Code::DamagedFile, format!("{} is {value}, allowed here is {allowed}", named(tag)))
}
