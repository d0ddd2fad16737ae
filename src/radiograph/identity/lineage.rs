//! What a film hands down to the objects that are made of it: whose it is, and which study, series and
//! instance it is (PS3.3 C.7.1.1, C.7.2.1, C.12.1).
//!
//! In: the bytes of a DICOM file. Out: a [`Lineage`], or the attribute that is lacking. Never: a study that
//! was invented: an object under a made-up patient would lie in an archive where nobody looks for it.
//! Text is decoded here; whoever writes it declares ISO_IR 192.

use super::super::header::{Header, chinese, named};
use super::super::precheck::{Structure, is_dicom};
use super::{PatientIdentity, date};
use dicom_core::value::PrimitiveValue;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;

/// Longest UID, characters (PS3.5 section 9.1).
const UID_CHARS_MAX: usize = 64;

/// Why objects cannot be made of a film.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineageError {
    /// A picture file: no patient, no study.
    #[error("the file is not DICOM: it names no patient and no study")]
    NotDicom,
    /// The header cannot be read.
    #[error("the DICOM header cannot be read")]
    Unreadable,
    /// An attribute is absent, or is no UID.
    #[error("{0} is absent or not a UID")]
    NoUid(String),
}

/// The machine that took the film.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equipment {
    /// Manufacturer (0008,0070).
    pub manufacturer: String,
    /// Manufacturer's Model Name (0008,1090).
    pub model: Option<String>,
}

/// Whose film it is, and which.
#[derive(Clone)]
pub struct Lineage {
    patient: PatientIdentity,
    shared: Vec<InMemElement>,
    study_uid: String,
    series_uid: String,
    sop_class_uid: String,
    sop_instance_uid: String,
    study_date: Option<String>,
    equipment: Option<Equipment>,
    pixels: PixelMeaning,
}

/// How the film's stored values are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelMeaning {
    /// Pixel Representation (0028,0103) is 1.
    pub signed: bool,
    /// One channel, MONOCHROME1 or MONOCHROME2.
    pub grey: bool,
    /// The lowest value is white: MONOCHROME1, or a Presentation LUT Shape (2050,0020) of INVERSE.
    pub inverted: bool,
}

impl std::fmt::Debug for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lineage(redacted)")
    }
}

impl Lineage {
    /// The lineage that a DICOM file states.
    ///
    /// # Errors
    /// [`LineageError`], which names no value.
    pub fn of(bytes: &[u8]) -> Result<Self, LineageError> {
        if !is_dicom(bytes) {
            return Err(LineageError::NotDicom);
        }
        let structure = Structure::of(bytes).map_err(|_| LineageError::Unreadable)?;
        let header = Header::of(&structure).map_err(|_| LineageError::Unreadable)?;
        let study_uid = uid(&header, tags::STUDY_INSTANCE_UID)?;
        let undeclared = !header.has(tags::SPECIFIC_CHARACTER_SET);
        let text = |tag: Tag| header.text(tag).map(|text| if undeclared { chinese(&text) } else { text });
        let equipment =
            text(tags::MANUFACTURER).map(|manufacturer| Equipment { manufacturer, model: text(tags::MANUFACTURER_MODEL_NAME) });
        Ok(Self {
            patient: PatientIdentity::of(&header),
            shared: shared(&study_uid, text),
            series_uid: uid(&header, tags::SERIES_INSTANCE_UID)?,
            sop_class_uid: uid(&header, tags::SOP_CLASS_UID)?,
            sop_instance_uid: uid(&header, tags::SOP_INSTANCE_UID)?,
            study_date: text(tags::STUDY_DATE).and_then(|text| plain_date(&text)),
            pixels: pixels(&header),
            study_uid,
            equipment,
        })
    }

    /// Who the film is of.
    pub fn patient(&self) -> &PatientIdentity {
        &self.patient
    }

    /// The elements of the patient and the study that every object of this study repeats.
    pub fn shared(&self) -> &[InMemElement] {
        &self.shared
    }

    /// Study Instance UID (0020,000D).
    pub fn study_uid(&self) -> &str {
        &self.study_uid
    }

    /// Series Instance UID (0020,000E) of the film.
    pub fn series_uid(&self) -> &str {
        &self.series_uid
    }

    /// SOP Class UID (0008,0016) of the film.
    pub fn sop_class_uid(&self) -> &str {
        &self.sop_class_uid
    }

    /// SOP Instance UID (0008,0018) of the film.
    pub fn sop_instance_uid(&self) -> &str {
        &self.sop_instance_uid
    }

    /// Study Date (0008,0020), eight digits.
    pub fn study_date(&self) -> Option<&str> {
        self.study_date.as_deref()
    }

    /// The machine that took the film.
    pub fn equipment(&self) -> Option<&Equipment> {
        self.equipment.as_ref()
    }

    /// How the film's stored values are meant.
    pub fn pixels(&self) -> PixelMeaning {
        self.pixels
    }
}

fn pixels(header: &Header<'_>) -> PixelMeaning {
    let photometric = header.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
    let inverse = header.text(tags::PRESENTATION_LUT_SHAPE).is_some_and(|shape| shape == "INVERSE");
    PixelMeaning {
        signed: header.integer(tags::PIXEL_REPRESENTATION).is_ok_and(|value| value == Some(1)),
        grey: matches!(photometric.as_str(), "MONOCHROME1" | "MONOCHROME2"),
        inverted: inverse || photometric == "MONOCHROME1",
    }
}

fn uid(header: &Header<'_>, tag: Tag) -> Result<String, LineageError> {
    let sound = |uid: &String| {
        let parts_sound = uid.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        uid.len() <= UID_CHARS_MAX && uid.contains('.') && parts_sound
    };
    header.text(tag).filter(sound).ok_or_else(|| LineageError::NoUid(named(tag)))
}

/// The modules Patient and General Study. Dates, times and the sex are left empty where a value is not what its VR
/// allows; what archives match by is copied as it stands.
fn shared(study_uid: &str, text: impl Fn(Tag) -> Option<String>) -> Vec<InMemElement> {
    let day = |tag| text(tag).and_then(|value| plain_date(&value));
    let time = |tag| text(tag).and_then(|value| plain_time(&value));
    let sex = text(tags::PATIENT_SEX).filter(|sex| matches!(sex.as_str(), "M" | "F" | "O"));
    // Type 2: present, perhaps empty.
    let always = [
        (tags::STUDY_DATE, VR::DA, day(tags::STUDY_DATE)),
        (tags::STUDY_TIME, VR::TM, time(tags::STUDY_TIME)),
        (tags::ACCESSION_NUMBER, VR::SH, text(tags::ACCESSION_NUMBER)),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN, text(tags::REFERRING_PHYSICIAN_NAME)),
        (tags::PATIENT_NAME, VR::PN, text(tags::PATIENT_NAME)),
        (tags::PATIENT_ID, VR::LO, text(tags::PATIENT_ID)),
        (tags::PATIENT_BIRTH_DATE, VR::DA, day(tags::PATIENT_BIRTH_DATE)),
        (tags::PATIENT_SEX, VR::CS, sex),
        (tags::STUDY_INSTANCE_UID, VR::UI, Some(study_uid.to_owned())),
        (tags::STUDY_ID, VR::SH, text(tags::STUDY_ID)),
    ];
    // Type 3: present where the film has them.
    let where_stated = [
        (tags::STUDY_DESCRIPTION, VR::LO, text(tags::STUDY_DESCRIPTION)),
        (tags::ISSUER_OF_PATIENT_ID, VR::LO, text(tags::ISSUER_OF_PATIENT_ID)),
    ];
    let element = |(tag, vr, value): (Tag, VR, Option<String>)| {
        InMemElement::new(tag, vr, value.map_or(PrimitiveValue::Empty, PrimitiveValue::from))
    };
    always.into_iter().chain(where_stated.into_iter().filter(|(_, _, value)| value.is_some())).map(element).collect()
}

/// A date as DA wants it: eight digits.
fn plain_date(text: &str) -> Option<String> {
    let (year, month, day) = date(text)?;
    Some(format!("{year:04}{month:02}{day:02}"))
}

/// A time as TM wants it: HH, HHMM or HHMMSS with up to six digits behind a point.
fn plain_time(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| *c != ':').collect();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let within = |range: std::ops::Range<usize>, below: u32| {
        whole.get(range).is_none_or(|part| part.parse::<u32>().is_ok_and(|number| number < below))
    };
    let sound = matches!(whole.len(), 2 | 4 | 6)
        && digits(whole)
        && digits(fraction)
        && fraction.len() <= 6
        && (fraction.is_empty() || whole.len() == 6)
        && within(0..2, 24)
        && within(2..4, 60)
        && within(4..6, 61);
    sound.then(|| if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_handed_down_only_as_its_vr_allows() {
        for (text, want) in [
            ("101530", Some("101530")),
            ("10:15:30", Some("101530")),
            ("101530.123456", Some("101530.123456")),
            ("10", Some("10")),
            ("1015", Some("1015")),
            ("1015.5", None),
            ("101530.1234567", None),
            ("250000", None),
            ("106000", None),
            ("ten", None),
            ("", None),
        ] {
            assert_eq!(plain_time(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_picture_has_no_lineage() {
        assert_eq!(Lineage::of(b"\x89PNG\r\n\x1a\n").unwrap_err(), LineageError::NotDicom);
    }
}
