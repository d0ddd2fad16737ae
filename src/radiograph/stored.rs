//! The samples that a DICOM file stores, before any table or window, for comparing our decoding with others'.
//!
//! In: the bytes of one file, of unknown origin. Out: [`StoredPixels`]. Whether a film may be read is
//! not asked: a CT is decoded as a chest film is, and never read. Nothing of the patient comes out.

use super::dicom;
use super::dicom_pixels::{self, PixelCoding, syntax_name};
use super::grey::Samples;
use super::header::{Header, named, quoted};
use super::layout::{Layout, Sign};
use super::luts;
use super::precheck::{self, Structure};
use super::refusal::{Code, Refusal};
use crate::limits::FILE_BYTES;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Attributes that say what the samples are.
const DESCRIBING: [Tag; 17] = [
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::PIXEL_PADDING_VALUE,
    tags::PIXEL_PADDING_RANGE_LIMIT,
    tags::LOSSY_IMAGE_COMPRESSION,
    tags::PRESENTATION_LUT_SHAPE,
    tags::PRESENTATION_INTENT_TYPE,
    tags::MODALITY,
    tags::PIXEL_INTENSITY_RELATIONSHIP,
];

/// How samples below zero come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// The samples are unsigned, as they are.
    No,
    /// They are signed: 32,768 was added.
    By32768,
}

/// Samples as they are stored: Bits Stored alone, overlays in other bits removed.
pub struct StoredPixels {
    /// Columns of the picture.
    pub columns: usize,
    /// Rows of the picture.
    pub rows: usize,
    /// Row by row from the top left.
    pub samples: Vec<u16>,
    /// Whether the samples were raised to be above zero.
    pub raised: Raised,
    /// What the header says of them: name and value.
    pub attributes: Vec<(String, String)>,
}

/// Decodes the samples of a DICOM file.
///
/// # Errors
/// `UnknownFormat` for anything but DICOM, and what its decoding as a film says, without asking what the film shows.
pub fn stored_pixels(bytes: &[u8]) -> Result<StoredPixels, Refusal> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > FILE_BYTES {
        return Err(Refusal::new(Code::TooLarge, format!("the file has {size} bytes, the most allowed is {FILE_BYTES}")));
    }
    if !precheck::is_dicom(bytes) {
        return Err(Refusal::new(Code::UnknownFormat, "stored samples are those of a DICOM file"));
    }
    let structure = Structure::of(bytes)?;
    let header = Header::of(&structure)?;
    dicom::has_image(&structure, &header)?;
    dicom::one_frame(&header)?;
    let coding = PixelCoding::of(&structure.transfer_syntax)?;
    let layout = Layout::of(&header)?;
    let samples = match dicom_pixels::samples(&structure, &layout, coding)? {
        Samples::U8(bytes) => bytes.into_iter().map(u16::from).collect(),
        Samples::U16(words) => words,
    };
    let raised = if layout.sign == Sign::Signed { Raised::By32768 } else { Raised::No };
    let attributes = attributes(&structure, &header, &layout);
    Ok(StoredPixels { columns: layout.columns, rows: layout.rows, samples, raised, attributes })
}

fn attributes(structure: &Structure<'_>, header: &Header<'_>, layout: &Layout) -> Vec<(String, String)> {
    let mut found = vec![(named(tags::TRANSFER_SYNTAX_UID), syntax_name(&structure.transfer_syntax))];
    for tag in DESCRIBING {
        let number = header.integer(tag).ok().flatten().map(|n| n.to_string());
        if let Some(value) = number.or_else(|| header.text(tag).map(|text| quoted(&text))) {
            found.push((named(tag), value));
        }
    }
    let modality = luts::modality(header, layout);
    if let Ok((modality, _)) = &modality
        && let Some(step) = luts::voi(header, layout, modality)
            .map_or_else(|refusal| Some(refusal.detail().to_owned()), |voi| voi.map(|(_, step)| step))
    {
        found.push(("VOI LUT".to_owned(), step));
    }
    found.push(("modality LUT".to_owned(), modality.map_or_else(|refusal| refusal.detail().to_owned(), |(_, step)| step)));
    found
}
