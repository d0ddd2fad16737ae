//! PNG, JPEG and TIFF to a film.
//!
//! In: bytes that begin like one of them. The structure is walked first (`picture_structure`, `jpeg`):
//! a picture that ends early or holds several is refused, for the decoders would fill or skip what is
//! missing. Sides and bytes are compared with the limits, and with what so few compressed bytes can
//! hold at all, before anything is allocated. Out: grey samples of 8 or 16 bits, upright as EXIF says.

use super::contained::contained;
use super::decode::Decoded;
use super::grey::Samples;
use super::layout::Sign;
use super::picture_structure::{Structure, Whiteness};
use super::refusal::{Code, Refusal};
use super::tone::{self, Modality, Polarity, Voi};
use super::{Facts, Radiograph, Step, colour, orientation};
use crate::limits::{PICTURE_BYTES_MAX, PIXELS_MAX, SIDE_MAX_PX, SIDE_MIN_PX};
use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, tiff::TiffDecoder};
use image::error::ImageError;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, Limits};
use std::io::Cursor;

/// A picture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    Tiff,
}

impl Format {
    /// The format by the first bytes.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(Self::Png),
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            _ => None,
        }
    }

    /// The name in [`Facts::format`].
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Tiff => "tiff",
        }
    }
}

/// A decoded picture before it is turned grey.
struct Picture {
    width: usize,
    height: usize,
    colour: ColorType,
    bytes: Vec<u8>,
    orientation: Orientation,
}

/// Decodes a picture.
///
/// # Errors
/// `DamagedFile`, `TooLarge`, `TooSmall`, `MultiFrame`, `UnsupportedEncoding`, `ColourPicture`, `BlankFilm`.
pub(super) fn decode(bytes: &[u8], format: Format) -> Result<Radiograph, Refusal> {
    let structure = Structure::of(bytes, format)?;
    let picture = contained(format.name(), || match format {
        Format::Png => pixels(PngDecoder::with_limits(Cursor::new(bytes), limits()), &structure, bytes),
        Format::Jpeg => pixels(JpegDecoder::new(Cursor::new(bytes)), &structure, bytes),
        Format::Tiff => pixels(TiffDecoder::new(Cursor::new(bytes)), &structure, bytes),
    })??;
    let Picture { width: columns, height: rows, colour, bytes: stored, orientation } = picture;
    let samples = grey(colour, stored)?;
    let (samples, (width, height)) = orientation::upright(samples, (columns, rows), orientation);
    let modality = Modality::Rescale { slope: 1.0, intercept: 0.0 };
    let bits: u16 = if matches!(samples, Samples::U8(_)) { 8 } else { 16 };
    let (voi, voi_step) = range(bits, &samples, &modality);
    let polarity = match structure.whiteness {
        Whiteness::Highest => "as stored, the highest value is white",
        Whiteness::Lowest => "PhotometricInterpretation WhiteIsZero: inverted while decoding",
    };
    let mut steps =
        vec![Step::new("decode", format!("{}, {columns} columns x {rows} rows, {}", format.name(), described(colour)))];
    if orientation != Orientation::NoTransforms {
        steps.push(Step::new("orientation", format!("EXIF orientation {}: {orientation:?}", orientation.to_exif())));
    }
    steps.push(Step::new("voi_lut", voi_step));
    steps.push(Step::new("polarity", polarity));
    let facts = Facts { format: format.name(), columns, rows, bits, ..Facts::default() };
    Decoded { width, height, samples, sign: Sign::Unsigned, modality, voi, polarity: Polarity::AsStored }.film(facts, steps)
}

/// Eight bits keep their full range; sixteen are stretched over the film's own.
fn range(bits: u16, samples: &Samples, modality: &Modality) -> (Voi, String) {
    if bits == 8 {
        return (Voi::Range { low: 0.0, high: 255.0 }, "full range of 8 bits, 0 to 255".to_owned());
    }
    let (low, high) = tone::film_range(samples, Sign::Unsigned, modality, |_| false).unwrap_or_default();
    (Voi::Range { low, high }, format!("16 bits without a window: minimum {low} to maximum {high} of the film"))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX_PX);
    limits.max_image_height = Some(SIDE_MAX_PX);
    limits.max_alloc = Some(PICTURE_BYTES_MAX);
    limits
}

/// Checks what the decoder found of the picture, then has it decoded.
fn pixels<D: ImageDecoder>(decoder: Result<D, ImageError>, structure: &Structure, bytes: &[u8]) -> Result<Picture, Refusal> {
    let mut decoder = decoder.map_err(|e| refusal_of(&e))?;
    let (width, height) = decoder.dimensions();
    sides(width, height)?;
    let colour = decoder.color_type();
    let needed = decoder.total_bytes();
    if needed > PICTURE_BYTES_MAX {
        let detail = format!("the picture takes {needed} bytes, the most allowed is {PICTURE_BYTES_MAX}");
        return Err(Refusal::new(Code::TooLarge, detail));
    }
    structure.can_hold(u64::from(width) * u64::from(height), needed, bytes.len())?;
    decoder.set_limits(limits()).map_err(|e| refusal_of(&e))?;
    // What EXIF says wrongly is no reason to refuse a film: it is then taken as it lies.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut stored = vec![0_u8; usize::try_from(needed).unwrap_or_default()];
    decoder.read_image(&mut stored).map_err(|e| refusal_of(&e))?;
    let size = |side: u32| usize::try_from(side).unwrap_or_default();
    Ok(Picture { width: size(width), height: size(height), colour, bytes: stored, orientation })
}

fn sides(width: u32, height: u32) -> Result<(), Refusal> {
    let detail = |most: &str| format!("the picture is {width} x {height} pixels, allowed are {most}");
    if width.min(height) < SIDE_MIN_PX {
        return Err(Refusal::new(Code::TooSmall, detail(&format!("sides of {SIDE_MIN_PX} and more"))));
    }
    if width.max(height) > SIDE_MAX_PX || u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(Refusal::new(Code::TooLarge, detail(&format!("sides to {SIDE_MAX_PX} and {PIXELS_MAX} pixels"))));
    }
    Ok(())
}

fn grey(colour: ColorType, stored: Vec<u8>) -> Result<Samples, Refusal> {
    let words = |bytes: &[u8]| -> Vec<u16> { bytes.as_chunks::<2>().0.iter().map(|two| u16::from_ne_bytes(*two)).collect() };
    Ok(match colour {
        ColorType::L8 => Samples::U8(stored),
        ColorType::La8 => Samples::U8(colour::grey_of_grey_alpha(&stored)),
        ColorType::Rgb8 => Samples::U8(colour::grey_of_rgb(&stored)?),
        ColorType::Rgba8 => Samples::U8(colour::grey_of_rgba(&stored)?),
        ColorType::L16 => Samples::U16(words(&stored)),
        ColorType::La16 => Samples::U16(colour::grey_of_grey_alpha(&words(&stored))),
        ColorType::Rgb16 => Samples::U16(colour::grey_of_rgb(&words(&stored))?),
        ColorType::Rgba16 => Samples::U16(colour::grey_of_rgba(&words(&stored))?),
        _ => {
            return Err(Refusal::new(
                Code::UnsupportedEncoding,
                "the samples are floating point numbers, allowed are 8 and 16 bits",
            ));
        }
    })
}

fn described(colour: ColorType) -> &'static str {
    match colour {
        ColorType::L8 => "8 bits grey",
        ColorType::L16 => "16 bits grey",
        ColorType::La8 => "8 bits grey and alpha, laid over black",
        ColorType::La16 => "16 bits grey and alpha, laid over black",
        ColorType::Rgb8 => "8 bits RGB without colours, turned grey",
        ColorType::Rgb16 => "16 bits RGB without colours, turned grey",
        ColorType::Rgba8 => "8 bits RGBA without colours, laid over black, turned grey",
        ColorType::Rgba16 => "16 bits RGBA without colours, laid over black, turned grey",
        _ => "another kind of sample",
    }
}

/// The decoder's own message stays out: it may quote what the file holds.
fn refusal_of(error: &ImageError) -> Refusal {
    match error {
        ImageError::Limits(_) => Refusal::new(Code::TooLarge, "the picture needs more memory than a film may"),
        ImageError::Unsupported(_) => Refusal::new(
            Code::UnsupportedEncoding,
            "the picture's kind of samples or compression, allowed are 8 and 16 bits grey or RGB",
        ),
        _ => Refusal::new(Code::DamagedFile, "the picture data do not decode"),
    }
}
