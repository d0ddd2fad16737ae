//! The codes that stand in objects.
//!
//! A code of SNOMED CT (SCT) or of DICOM (DCM) is used only where it was found, with this meaning, in the dictionaries of
//! pydicom 3.0.2 (`pydicom/sr/_concepts_dict.py` and `_snomed_dict.py`, made from PS3.16), and where it means what the label set means: a
//! near miss would be a wrong statement in a patient's record. `tests/it/dicom_objects.rs` looks each of them up again. Everything else has
//! a code of our own scheme, with its meaning beside it and the scheme identified in the object (0008,0110).

use crate::findings::Finding;
use crate::lang::Lang;
use std::borrow::Cow;

/// Designator of our own scheme: private ones begin with 99 (PS3.16 section 8).
pub const SCHEME: &str = "99CHEXBOX";
/// What the scheme is called, and who answers for it.
pub const SCHEME_NAME: &str = "chexbox findings and measurements";

/// A coded concept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Code Value (0008,0100), at most 16 characters.
    pub value: Cow<'static, str>,
    /// Coding Scheme Designator (0008,0102).
    pub scheme: &'static str,
    /// Code Meaning (0008,0104), at most 64 characters.
    pub meaning: Cow<'static, str>,
}

impl Code {
    const fn new(value: &'static str, scheme: &'static str, meaning: &'static str) -> Self {
        Self { value: Cow::Borrowed(value), scheme, meaning: Cow::Borrowed(meaning) }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $scheme:expr, $meaning:literal;)+) => {
        $($(#[$doc])* pub const $name: Code = Code::new($value, $scheme, $meaning);)+
        /// Every code but those of findings.
        #[cfg(test)]
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// Title of the report.
    IMAGING_MEASUREMENT_REPORT = "126000", "DCM", "Imaging Measurement Report";
    LANGUAGE = "121049", "DCM", "Language of Content Item and Descendants";
    OBSERVER_TYPE = "121005", "DCM", "Observer Type";
    DEVICE = "121007", "DCM", "Device";
    DEVICE_OBSERVER_UID = "121012", "DCM", "Device Observer UID";
    DEVICE_OBSERVER_NAME = "121013", "DCM", "Device Observer Name";
    DEVICE_OBSERVER_MANUFACTURER = "121014", "DCM", "Device Observer Manufacturer";
    DEVICE_OBSERVER_MODEL = "121015", "DCM", "Device Observer Model Name";
    PROCEDURE_REPORTED = "121058", "DCM", "Procedure reported";
    PLAIN_RADIOGRAPHY = "168537006", "SCT", "Plain radiography";
    IMAGING_MEASUREMENTS = "126010", "DCM", "Imaging Measurements";
    MEASUREMENT_GROUP = "125007", "DCM", "Measurement Group";
    TRACKING_IDENTIFIER = "112039", "DCM", "Tracking Identifier";
    TRACKING_UID = "112040", "DCM", "Tracking Unique Identifier";
    FINDING = "121071", "DCM", "Finding";
    ALGORITHM_NAME = "111001", "DCM", "Algorithm Name";
    ALGORITHM_VERSION = "111003", "DCM", "Algorithm Version";
    ALGORITHM_PARAMETERS = "111002", "DCM", "Algorithm Parameters";
    SOURCE_OF_MEASUREMENT = "121112", "DCM", "Source of Measurement";
    COMMENT = "121106", "DCM", "Comment";
    POSITIVE = "10828004", "SCT", "Positive";
    NEGATIVE = "260385009", "SCT", "Negative";
    NO_UNITS = "1", "UCUM", "no units";
    ACQUISITION_EQUIPMENT = "109101", "DCM", "Acquisition Equipment";
    PROCESSING_EQUIPMENT = "109102", "DCM", "Processing Equipment";
    SOURCE_IMAGE = "121322", "DCM", "Source image for image processing operation";
    /// How sure the model is, after calibration.
    PROBABILITY = "probability", SCHEME, "Calibrated probability of the finding";
    /// Where the model calls a finding.
    OPERATING_POINT = "operating_point", SCHEME, "Operating point on the calibrated probability";
    /// At or above the operating point, or below it: not present or absent.
    CALL = "call", SCHEME, "Call: probability against operating point";
}

/// Findings whose public code means the same: id in the label sets, code, scheme, meaning.
static FINDINGS: [(&str, Code); 6] = [
    ("pneumothorax", Code::new("36118008", "SCT", "Pneumothorax")),
    ("cardiomegaly", Code::new("287272002", "SCT", "Cardiomegaly")),
    ("pleural_effusion", Code::new("60046008", "SCT", "Pleural effusion")),
    ("pulmonary_edema", Code::new("19242006", "SCT", "Pulmonary edema")),
    ("mass", Code::new("4147007", "SCT", "Mass")),
    ("nodule", Code::new("27925004", "SCT", "Nodule")),
];

/// The code of a finding: a public one where its meaning is the same, otherwise one of our scheme with the label set's own words.
pub fn of_finding(finding: &Finding, lang: Lang) -> Code {
    of_id(&finding.id, lang.pick(&finding.en, &finding.zh))
}

/// The same from a finding's id and name, as a record keeps them.
pub fn of_id(id: &str, name: &str) -> Code {
    if let Some((_, code)) = FINDINGS.iter().find(|(known, _)| *known == id) {
        return code.clone();
    }
    Code { value: Cow::Owned(short(id)), scheme: SCHEME, meaning: Cow::Owned(name.to_owned()) }
}

/// A finding's id as a code value: itself, or, above 16 characters, its beginning and six digits of its hash.
fn short(id: &str) -> String {
    if id.len() <= 16 && id.is_ascii() {
        return id.to_owned();
    }
    let uid = crate::radiograph::uid::derived(&[id.as_bytes()]);
    let begin: String = id.chars().filter(char::is_ascii_alphanumeric).take(9).collect();
    let end: String = uid.chars().rev().take(6).collect();
    format!("{begin}_{end}")
}

/// The code of a language (RFC 5646).
pub fn of_language(lang: Lang) -> Code {
    match lang {
        Lang::En => Code::new("en", "RFC5646", "English"),
        Lang::Zh => Code::new("zh", "RFC5646", "Chinese"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_fit_their_attributes() {
        let findings = FINDINGS.iter().map(|(_, code)| code);
        for code in ALL.iter().chain(findings) {
            assert!(code.value.len() <= 16 && code.meaning.len() <= 64 && code.scheme.len() <= 16, "{code:?}");
        }
    }

    #[test]
    fn a_finding_without_a_public_code_has_one_of_our_scheme_that_no_other_has() {
        let of = |id: &str| {
            let state = crate::findings::FindingState::Untrained;
            of_finding(&Finding { id: id.into(), en: "words".into(), zh: "文字".into(), state }, Lang::Zh)
        };
        assert_eq!(of("picc"), Code { value: "picc".into(), scheme: SCHEME, meaning: "文字".into() });
        let (one, other) = (of("aortic_arch_calcification"), of("aortic_arch_calcifications"));
        assert!(one.value.len() == 16 && one.value.starts_with("aorticarc_") && one != other, "{one:?} {other:?}");
        assert_eq!(of("mass").scheme, "SCT");
    }
}
