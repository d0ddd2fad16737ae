//! DICOM objects of a reading, for an archive and its viewers: a Comprehensive SR after TID 1500, a Secondary Capture with
//! the overlays, a Grayscale Softcopy Presentation State. Each lies under the film's own study, in a series of its own.
//!
//! In: a [`Source`]: the reading, whose film it is, and when. Out: an [`Object`], a whole DICOM file. Pure: no clock, no
//! file, no chance. UIDs are derived from the film, the model, its operating points, the program and the language, so that the
//! same reading gives the same objects and an archive that gets them twice holds them once. Never: a study that was
//! invented ([`crate::radiograph::LineageError`]), a number for an untrained finding, a code of a vocabulary that was not looked
//! up (`code.rs` says where), an object that could be taken for a verified report.

mod code;
mod content;
mod elements;
mod modules;
mod moment;
mod presentation_state;
mod secondary_capture;
mod structured_report;

pub use code::{Code, of_finding, of_id};
pub use moment::Moment;
pub use presentation_state::presentation_state;
pub use secondary_capture::secondary_capture;
pub use structured_report::structured_report;

use super::{Assessed, PictureError, ReadView};
use crate::lang::Lang;
use crate::radiograph::{Lineage, part10, uid};
use dicom_object::InMemDicomObject;

/// What every object of a reading is made of.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The reading.
    pub view: &'a ReadView<'a>,
    /// Whose film it is, and which.
    pub lineage: &'a Lineage,
    /// SHA-256 of the film's file.
    pub film_sha256: &'a [u8],
    /// When the film was read.
    pub at: Moment,
    /// Language of the texts.
    pub lang: Lang,
}

/// A DICOM object as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: &'static str,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: String,
    /// The file: explicit VR little endian, uncompressed.
    pub file: Vec<u8>,
}

/// Why there is no object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The picture could not be drawn.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The data set could not be written.
    #[error("the {0} cannot be encoded")]
    Encode(&'static str),
    /// A presentation state of grey pictures cannot be of one in colour.
    #[error("the film is stored in colour: a grayscale presentation state cannot be of it")]
    NotGrey,
    /// A size is beyond what DICOM can say.
    #[error("the picture of {0} x {1} pixels is larger than DICOM's 65,535")]
    Size(usize, usize),
}

/// The kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    StructuredReport,
    SecondaryCapture,
    PresentationState,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Self::StructuredReport => "1.2.840.10008.5.1.4.1.1.88.33",
            Self::SecondaryCapture => "1.2.840.10008.5.1.4.1.1.7",
            Self::PresentationState => "1.2.840.10008.5.1.4.1.1.11.1",
        }
    }

    /// Modality (0008,0060) of its series.
    fn modality(self) -> &'static str {
        match self {
            Self::StructuredReport => "SR",
            Self::SecondaryCapture => "OT",
            Self::PresentationState => "PR",
        }
    }

    /// Series Number (0020,0011): far above those that modalities count.
    fn series_number(self) -> &'static str {
        match self {
            Self::StructuredReport => "9901",
            Self::SecondaryCapture => "9902",
            Self::PresentationState => "9903",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::StructuredReport => "structured report",
            Self::SecondaryCapture => "secondary capture",
            Self::PresentationState => "presentation state",
        }
    }
}

impl Source<'_> {
    /// The UID of `what` of this reading.
    fn uid(&self, what: &str) -> String {
        let points: Vec<u8> = self.view.findings.iter().flat_map(point).collect();
        uid::derived(&[
            what.as_bytes(),
            self.film_sha256,
            self.view.manifest.file.sha256.as_bytes(),
            &points,
            super::record::PROGRAM.as_bytes(),
            self.lang.pick("en", "zh").as_bytes(),
        ])
    }

    fn finished(&self, kind: Kind, object: &InMemDicomObject) -> Result<Object, ObjectError> {
        let instance = self.uid(kind.name());
        let file = part10::file(object, kind.class(), &instance, part10::EXPLICIT_LITTLE_UID)
            .map_err(|_| ObjectError::Encode(kind.name()))?;
        Ok(Object { sop_class_uid: kind.class(), sop_instance_uid: instance, file })
    }
}

/// A finding's name and operating point, as bytes.
fn point(finding: &crate::findings::Finding) -> Vec<u8> {
    let threshold = Assessed::of(finding).map_or(f32::NAN, |assessed| assessed.threshold);
    [finding.id.as_bytes(), &[0], &threshold.to_be_bytes()].concat()
}
