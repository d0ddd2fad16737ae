//! Who the film is of. The only place that holds a patient's identity.
//!
//! [`PatientIdentity`] shows nothing of itself through `Debug` or `Display`, so that no log, error or
//! record can carry it by accident; whoever needs a part asks for it by name. Reading a film never
//! needs it: `decode` does not return one. The store keeps it in columns of their own, apart from the
//! record. It is needed where a film is filed: a [`Lineage`] is what objects
//! made of the film repeat of it, and a [`PatientIdentity::pseudonym`] is all that a site keeps that must not know
//! its patients. The age, which reading does need, leaves in whole years.

mod lineage;

pub use lineage::{Equipment, Lineage, LineageError, PixelMeaning};

use super::header::Header;
use super::precheck::{Structure, is_dicom};
use super::refusal::{Code, Refusal};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Oldest age believed, years.
const AGE_MAX_YEARS: u32 = 150;
/// Length of a pseudonym, bytes before it is written in hexadecimal: 128 bits, so that no two patients of a site ever share one.
const PSEUDONYM_BYTES: usize = 16;

/// A patient's identity as the header states it; parts that are absent are `None`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PatientIdentity {
    name: Option<String>,
    id: Option<String>,
    birth_date: Option<String>,
    accession: Option<String>,
    form: IdentityForm,
}

/// How much an identity says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityForm {
    /// What the header says.
    #[default]
    Stated,
    /// A pseudonym in the place of the id, and nothing else.
    Pseudonym,
}

impl PatientIdentity {
    /// An identity that was kept apart from its film, by its parts.
    pub fn kept(name: Option<String>, id: Option<String>, birth_date: Option<String>, accession: Option<String>) -> Self {
        Self { name, id, birth_date, accession, form: IdentityForm::Stated }
    }

    /// A pseudonym that was kept apart from its film.
    pub fn kept_pseudonym(id: Option<String>) -> Self {
        Self { id, form: IdentityForm::Pseudonym, ..Self::default() }
    }

    /// Whether this is what the header says, or a pseudonym.
    pub fn form(&self) -> IdentityForm {
        self.form
    }

    /// Patient's Name (0010,0010).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Patient ID (0010,0020).
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Patient's Birth Date (0010,0030), as written.
    pub fn birth_date(&self) -> Option<&str> {
        self.birth_date.as_deref()
    }

    /// Accession Number (0008,0050).
    pub fn accession(&self) -> Option<&str> {
        self.accession.as_deref()
    }

    /// What a site keeps that must not know its patients: HMAC-SHA-256 (RFC 2104) of the patient's id under the site's
    /// key, its first 128 bits in hexadecimal. The same patient has the same pseudonym on the same site, and nobody without the key
    /// finds the id by trying all of them. `None` where the film names no id.
    pub fn pseudonym(&self, key: &[u8]) -> Option<String> {
        let id = self.id.as_deref()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(b"chexbox patient id\0");
        mac.update(id.trim().as_bytes());
        Some(mac.finalize().into_bytes().iter().take(PSEUDONYM_BYTES).map(|byte| format!("{byte:02x}")).collect())
    }

    /// This identity with nothing left of it but the pseudonym, in the place of the id.
    pub fn deidentified(&self, key: &[u8]) -> Self {
        Self::kept_pseudonym(self.pseudonym(key))
    }

    fn of(header: &Header<'_>) -> Self {
        let text = |tag: Tag| header.text(tag);
        Self {
            name: text(tags::PATIENT_NAME),
            id: text(tags::PATIENT_ID),
            birth_date: text(tags::PATIENT_BIRTH_DATE),
            accession: text(tags::ACCESSION_NUMBER),
            form: IdentityForm::Stated,
        }
    }
}

impl std::fmt::Debug for PatientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PatientIdentity(redacted)")
    }
}

impl std::fmt::Display for PatientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("redacted")
    }
}

/// The identity in a DICOM file's header.
///
/// # Errors
/// `UnknownFormat` where the bytes are not DICOM; otherwise as the structural check says.
pub fn identity(bytes: &[u8]) -> Result<PatientIdentity, Refusal> {
    if !is_dicom(bytes) {
        return Err(Refusal::new(Code::UnknownFormat, "only DICOM files hold an identity"));
    }
    let structure = Structure::of(bytes)?;
    Ok(PatientIdentity::of(&Header::of(&structure)?))
}

/// The patient's age in whole years: Patient's Age (0010,1010), and from birth date to study date; the younger of the two where
/// they disagree, so that a child is not read because one of them was typed wrongly.
pub(super) fn age_years(header: &Header<'_>) -> Option<u32> {
    let stated = header.text(tags::PATIENT_AGE).and_then(|age| stated_age(&age));
    let dates = || {
        let born = date(&header.text(tags::PATIENT_BIRTH_DATE)?)?;
        let taken = header.text(tags::STUDY_DATE).or_else(|| header.text(tags::CONTENT_DATE))?;
        years_between(born, date(&taken)?)
    };
    let believed = |years: &u32| *years <= AGE_MAX_YEARS;
    [stated.filter(believed), dates().filter(believed)].into_iter().flatten().min()
}

/// `081Y`, `018M`, `010W`, `003D` (PS3.5 AS), or plain years as some writers have it.
fn stated_age(age: &str) -> Option<u32> {
    let digits = age.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number = digits.trim().parse::<u32>().ok()?;
    match age.get(digits.len()..)?.to_ascii_uppercase().as_str() {
        "" | "Y" => Some(number),
        "M" => Some(number / 12),
        "W" => Some(number / 52),
        "D" => Some(number / 365),
        _ => None,
    }
}

/// A date of eight digits, also in the old form with points, as (year, month, day).
fn date(text: &str) -> Option<(u32, u32, u32)> {
    let digits: String = text.chars().filter(|c| !matches!(c, '.' | '-')).collect();
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| digits.get(range)?.parse::<u32>().ok();
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some((year, month, day))
}

fn years_between(born: (u32, u32, u32), taken: (u32, u32, u32)) -> Option<u32> {
    let before_birthday = (taken.1, taken.2) < (born.1, born.2);
    taken.0.checked_sub(born.0)?.checked_sub(u32::from(before_birthday))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_shows_nothing_of_itself() {
        let someone = PatientIdentity {
            name: Some("DOE^JANE".into()),
            id: Some("4711".into()),
            birth_date: Some("19700131".into()),
            accession: Some("A0815".into()),
            form: IdentityForm::Stated,
        };
        let shown = format!("{someone:?} {someone:#?} {someone}");
        for part in ["DOE", "JANE", "4711", "1970", "A0815"] {
            assert!(!shown.contains(part), "{shown}");
        }
        assert_eq!(someone.name(), Some("DOE^JANE"));
    }

    #[test]
    fn a_pseudonym_is_stable_keyed_and_all_that_is_left() {
        let someone = |id: &str| PatientIdentity { name: Some("DOE^JANE".into()), id: Some(id.into()), ..Default::default() };
        let one = someone("4711").pseudonym(b"a site's key").unwrap();
        assert_eq!(one.len(), 32);
        assert_eq!(Some(&one), someone("4711 ").pseudonym(b"a site's key").as_ref());
        assert_ne!(Some(&one), someone("4712").pseudonym(b"a site's key").as_ref());
        assert_ne!(Some(&one), someone("4711").pseudonym(b"another key").as_ref());
        let left = someone("4711").deidentified(b"a site's key");
        assert_eq!((left.id(), left.name(), left.birth_date(), left.accession()), (Some(one.as_str()), None, None, None));
        assert_eq!((left.form(), someone("4711").form()), (IdentityForm::Pseudonym, IdentityForm::Stated));
        assert_eq!(PatientIdentity::default().pseudonym(b"k"), None);
    }

    #[test]
    fn an_age_is_read_in_each_unit_and_as_plain_years() {
        for (text, years) in [
            ("081Y", Some(81)),
            ("81", Some(81)),
            ("018M", Some(1)),
            ("011M", Some(0)),
            ("104W", Some(2)),
            ("730D", Some(2)),
            ("Y", None),
            ("abc", None),
            ("12X", None),
            ("-5Y", None),
        ] {
            assert_eq!(stated_age(text), years, "{text}");
        }
    }

    #[test]
    fn a_year_is_complete_on_the_birthday() {
        for (born, taken, years) in [
            ("20000615", "20160614", Some(15)),
            ("20000615", "20160615", Some(16)),
            ("2000.06.15", "2016-06-16", Some(16)),
            ("20160615", "20000615", None),
        ] {
            assert_eq!(years_between(date(born).unwrap(), date(taken).unwrap()), years);
        }
        for broken in ["", "2000", "20001315", "2000061a", "20000600"] {
            assert_eq!(date(broken), None, "{broken}");
        }
    }
}
