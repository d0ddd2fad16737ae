//! The contact sheet of a reading as a Secondary Capture: film, heat maps, findings, and burned into it the words that software
//! made it and that it is not for diagnosis without review. No patient is written on it: viewers do that.

use super::elements::{empty, sequence, text, texts, word};
use super::modules;
use super::{Kind, Object, ObjectError, Source};
use crate::report::record::PROGRAM;
use crate::report::sheet::capture;
use crate::report::{Display, ReadView, Tile};
use dicom_core::VR;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;

const KIND: Kind = Kind::SecondaryCapture;

/// The secondary capture of a reading; `tiles` are the heat maps of the findings that [`crate::report::shown`] names.
///
/// # Errors
/// [`ObjectError::Size`], [`ObjectError::Encode`].
pub fn secondary_capture(source: &Source, film: &Display, tiles: &[Tile]) -> Result<Object, ObjectError> {
    // A file's name may be the patient's.
    let view = ReadView { file: PROGRAM, ..*source.view };
    let (width, height, mut pixels) = capture(&view, film, tiles, &modules::review(source), source.lang);
    let (Ok(columns), Ok(rows)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(ObjectError::Size(width, height));
    };
    if pixels.len() % 2 == 1 {
        pixels.push(0);
    }
    let mut object = modules::shared(source, KIND);
    for element in [
        texts(tags::IMAGE_TYPE, VR::CS, &["DERIVED", "SECONDARY"]),
        text(tags::CONTENT_DATE, VR::DA, &source.at.date()),
        text(tags::CONTENT_TIME, VR::TM, &source.at.time()),
        text(tags::CONVERSION_TYPE, VR::CS, "WSD"),
        text(tags::DERIVATION_DESCRIPTION, VR::ST, &modules::review(source)),
        modules::source_image(source),
        sequence(tags::REFERENCED_SERIES_SEQUENCE, vec![modules::film_in_its_series(source, tags::REFERENCED_INSTANCE_SEQUENCE)]),
        empty(tags::PATIENT_ORIENTATION, VR::CS),
        modules::body_part(),
        text(tags::IMAGE_COMMENTS, VR::LT, &modules::review(source)),
        word(tags::SAMPLES_PER_PIXEL, 3),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB"),
        word(tags::PLANAR_CONFIGURATION, 0),
        word(tags::ROWS, rows),
        word(tags::COLUMNS, columns),
        word(tags::BITS_ALLOCATED, 8),
        word(tags::BITS_STORED, 8),
        word(tags::HIGH_BIT, 7),
        word(tags::PIXEL_REPRESENTATION, 0),
        // What is burned in names no patient, which is what this attribute says (PS3.3 C.7.6.1).
        text(tags::BURNED_IN_ANNOTATION, VR::CS, "NO"),
        text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00"),
        InMemElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(pixels.into())),
    ] {
        object.put(element);
    }
    source.finished(KIND, &object)
}
