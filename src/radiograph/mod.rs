//! From bytes to a film: recognise the format, check its structure, decode, set the polarity, and
//! decide whether it is a frontal chest film that the program may read.
//!
//! In: the bytes of one file, of unknown origin. Out: a [`Radiograph`], or a [`Refusal`] with a
//! code, a sentence and a remedy. Never: a panic, an allocation by a size only claimed, a film
//! that was guessed at.

mod admission;
mod colour;
mod contained;
mod decode;
mod deidentify;
mod dicom;
mod dicom_pixels;
mod dicom_walk;
pub mod drawn;
pub mod gate;
mod grey;
mod header;
mod header_gate;
mod identity;
mod jpeg;
mod jpeg2000;
mod jpeg_ls;
mod layout;
mod luts;
mod memory;
mod orientation;
pub(crate) mod part10;
mod picture;
mod picture_structure;
mod precheck;
mod refusal;
mod rle;
mod stored;
mod tone;
pub mod uid;

pub use admission::{gate, large_enough, of_age};
pub use decode::decode;
pub use deidentify::{Action, Caution, Deidentified, PROFILE_EDITION, deidentify, profile};
pub use dicom_pixels::TRANSFER_SYNTAXES;
pub use grey::{Grey, Samples, linear_tone};
// No part of the reading of films: for answers to an archive, which must go to the patient that the film is of.
pub use identity::{Equipment, IdentityForm, Lineage, LineageError, PatientIdentity, PixelMeaning, identity};
pub use memory::memory_estimate;
pub use refusal::{Code, Refusal};
pub use stored::{Raised, StoredPixels, stored_pixels};

use serde::Serialize;

/// A film that was decoded, upright, black for air and white for bone.
#[derive(Clone, Debug)]
pub struct Radiograph {
    /// The pixels.
    pub grey: Grey,
    /// What the file says about the film that matters for reading it; nothing of identity.
    pub facts: Facts,
    /// What happened to the pixels since the file, in order.
    pub steps: Vec<Step>,
}

/// What a header says about the film. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    /// `dicom`, `png`, `jpeg` or `tiff`.
    pub format: &'static str,
    /// Columns of the stored picture.
    pub columns: usize,
    /// Rows of the stored picture.
    pub rows: usize,
    /// DICOM Modality (0008,0060).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// DICOM Body Part Examined (0018,0015).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<String>,
    /// DICOM View Position (0018,5101), or Patient Position (0018,5100) where writers put it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// DICOM Patient's Age (0010,1010), or from the birth and study dates, whole years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_years: Option<u32>,
    /// DICOM Transfer Syntax UID (0002,0010).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_syntax: Option<String>,
    /// DICOM Photometric Interpretation (0028,0004).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photometric_interpretation: Option<String>,
    /// Bits of a sample.
    pub bits: u16,
}

/// One step of the pixels' way, for the record's provenance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Name of the step, stable: `decode`, `orientation`, `modality_lut`, `voi_lut`, `polarity`, `gate`, `reduce`,
    /// `enlarge`, `normalise`.
    pub step: &'static str,
    /// What exactly was done, with its parameters.
    pub detail: String,
}

impl Step {
    /// A step with its parameters.
    pub fn new(step: &'static str, detail: impl Into<String>) -> Self {
        Self { step, detail: detail.into() }
    }
}
