//! A DICOM file to a film. The order in which a file is refused is part of the promise: its structure
//! (`precheck`), no image, the header (`header_gate`: modality, body part, projection, intent), more
//! than one frame, the transfer syntax, the pixels. So a CT in a syntax that could not even be decoded
//! is refused for being a CT.

use super::decode::Decoded;
use super::dicom_pixels::{self, PixelCoding, syntax_name};
use super::grey::Samples;
use super::header::{Header, chinese, named, quoted};
use super::layout::{Layout, Photometric, Sign};
use super::precheck::{PixelData, Structure};
use super::refusal::{Code, Refusal};
use super::tone::{self, Modality, Polarity, Voi};
use super::{Facts, Radiograph, Step, header_gate, identity, luts};
use dicom_dictionary_std::tags;

/// Decodes a file that `precheck::is_dicom` recognised.
///
/// # Errors
/// In the order above.
pub(super) fn decode(bytes: &[u8]) -> Result<Radiograph, Refusal> {
    let structure = Structure::of(bytes)?;
    let header = Header::of(&structure)?;
    has_image(&structure, &header)?;
    header_gate::check(&header)?;
    one_frame(&header)?;
    let coding = PixelCoding::of(&structure.transfer_syntax)?;
    let layout = Layout::of(&header)?;
    let modality = luts::modality(&header, &layout)?;
    let voi = luts::voi(&header, &layout, &modality.0)?;
    let samples = dicom_pixels::samples(&structure, &layout, coding)?;

    let (voi, voi_step) = match voi {
        Some(stated) => stated,
        None => range_of(&header, &layout, &modality.0, &samples)?,
    };
    let (polarity, polarity_step) = polarity(&header, layout.photometric);
    let steps = vec![
        Step::new("decode", decoding(&structure, &layout)),
        Step::new("modality_lut", modality.1),
        Step::new("voi_lut", voi_step),
        Step::new("polarity", polarity_step),
    ];
    let facts = facts(&header, &structure, &layout);
    let decoded =
        Decoded { width: layout.columns, height: layout.rows, samples, sign: layout.sign, modality: modality.0, voi, polarity };
    decoded.film(facts, steps)
}

pub(super) fn has_image(structure: &Structure<'_>, header: &Header<'_>) -> Result<(), Refusal> {
    match &structure.pixels {
        Some(PixelData::Native { .. } | PixelData::Encapsulated { .. }) => Ok(()),
        Some(PixelData::Float) => Err(Refusal::new(
            Code::UnsupportedEncoding,
            format!("the pixels are floating point numbers, allowed is {}", named(tags::PIXEL_DATA)),
        )),
        None => {
            let class = header.text(tags::SOP_CLASS_UID);
            let class = class.map_or_else(|| "absent".to_owned(), |class| header_gate::class_name(&class));
            let detail = format!("{} is absent, {} is {class}", named(tags::PIXEL_DATA), named(tags::SOP_CLASS_UID));
            Err(Refusal::new(Code::NoPixelData, detail))
        }
    }
}

pub(super) fn one_frame(header: &Header<'_>) -> Result<(), Refusal> {
    match header.integer(tags::NUMBER_OF_FRAMES)? {
        None | Some(1) => Ok(()),
        Some(frames) => {
            Err(Refusal::new(Code::MultiFrame, format!("{} is {frames}, allowed is 1", named(tags::NUMBER_OF_FRAMES))))
        }
    }
}

/// Without a window: all that eight bits can hold, or from the film's lowest to its highest value.
fn range_of(header: &Header<'_>, layout: &Layout, modality: &Modality, samples: &Samples) -> Result<(Voi, String), Refusal> {
    if layout.bits_stored <= 8 {
        let (low, high) = tone::stored_range(layout.bits_stored, layout.sign, modality).unwrap_or_default();
        let step = format!("no window in the header: full range of {} stored bits, {low} to {high}", layout.bits_stored);
        return Ok((Voi::Range { low, high }, step));
    }
    let padding = luts::padding(header, layout)?;
    let left_out = |stored: f64| padding.is_some_and(|(low, high)| (low..=high).contains(&stored));
    let Some((low, high)) = tone::film_range(samples, layout.sign, modality, left_out) else {
        let detail = format!("every pixel has {}", named(tags::PIXEL_PADDING_VALUE));
        return Err(Refusal::new(Code::BlankFilm, detail));
    };
    let without = padding.map_or_else(String::new, |(low, high)| format!(", padding {low} to {high} left out"));
    Ok((Voi::Range { low, high }, format!("no window in the header: minimum {low} to maximum {high} of the film{without}")))
}

/// MONOCHROME1 or a Presentation LUT Shape (2050,0020) of INVERSE, which belongs to it and does not
/// turn the film a second time (PS3.3 C.11.6.1.2).
fn polarity(header: &Header<'_>, photometric: Photometric) -> (Polarity, String) {
    let shape = header.text(tags::PRESENTATION_LUT_SHAPE);
    let inverse = shape.is_some_and(|shape| shape == "INVERSE");
    let beside = if inverse { format!(", {} INVERSE", named(tags::PRESENTATION_LUT_SHAPE)) } else { String::new() };
    if inverse || photometric == Photometric::Monochrome1 {
        (Polarity::Inverted, format!("{}{beside}: inverted, the lowest value is white", photometric.name()))
    } else {
        (Polarity::AsStored, format!("{}: as stored, the lowest value is black", photometric.name()))
    }
}

fn decoding(structure: &Structure<'_>, layout: &Layout) -> String {
    let sign = if layout.sign == Sign::Signed { "signed" } else { "unsigned" };
    let grey = if layout.channels() == 3 { ", equal channels turned grey" } else { "" };
    format!(
        "dicom, transfer syntax {}, {} columns x {} rows, {} of {} bits stored, {sign}{grey}",
        syntax_name(&structure.transfer_syntax),
        layout.columns,
        layout.rows,
        layout.bits_stored,
        layout.bits_allocated
    )
}

fn facts(header: &Header<'_>, structure: &Structure<'_>, layout: &Layout) -> Facts {
    Facts {
        format: "dicom",
        columns: layout.columns,
        rows: layout.rows,
        modality: header.text(tags::MODALITY).map(|text| quoted(&text)),
        body_part: header.text(tags::BODY_PART_EXAMINED).map(|text| quoted(&chinese(&text))),
        view: header_gate::stated_view(header).map(|text| quoted(&text)),
        age_years: identity::age_years(header),
        transfer_syntax: Some(structure.transfer_syntax.clone()),
        photometric_interpretation: Some(layout.photometric.name().to_owned()),
        bits: layout.bits_stored,
    }
}
