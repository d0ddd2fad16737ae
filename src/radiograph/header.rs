//! The header of a DICOM file as typed attributes.
//!
//! In: a [`Structure`] that was checked. Out: attributes by tag, first value, padding cut, `None`
//! where absent or empty. Never: a value of an identifying attribute in a text for people; what is
//! quoted in a refusal or a record passes [`quoted`], which shows only the repertoire of code strings.

use super::contained::contained;
use super::precheck::{Encoding, Structure};
use super::refusal::{Code, Refusal};
use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::StandardDataDictionary;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries;

/// Longest value that is quoted, characters: code strings have 16, Patient Position of some writers more.
const QUOTED_CHARS: usize = 24;
/// Most values read of one attribute that may have several, for example windows.
const VALUES_MAX: usize = 64;

/// The elements in front of the pixel data, or an item of a sequence among them.
pub(super) struct Header<'a>(std::borrow::Cow<'a, InMemDicomObject>);

impl Header<'static> {
    /// Reads the header of a checked file.
    ///
    /// # Errors
    /// `DamagedFile` where an element cannot be read as its VR says.
    pub(super) fn of(structure: &Structure<'_>) -> Result<Self, Refusal> {
        let syntax = match structure.encoding {
            Encoding::ImplicitLittle => entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
            Encoding::ExplicitLittle => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
            Encoding::ExplicitBig => entries::EXPLICIT_VR_BIG_ENDIAN.erased(),
        };
        let object = contained("data set", || InMemDicomObject::read_dataset_with_ts(&*structure.header(), &syntax))?;
        // The reader's own message may quote a value, and the value may be a name.
        let object =
            object.map_err(|_| Refusal::new(Code::DamagedFile, "an element of the data set cannot be read as its VR says"))?;
        Ok(Self(std::borrow::Cow::Owned(object)))
    }
}

impl Header<'_> {
    /// The first value as text.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let value = self.primitive(tag)?;
        let first = match value {
            PrimitiveValue::Str(s) => s.as_str(),
            PrimitiveValue::Strs(s) => s.first()?.as_str(),
            PrimitiveValue::Date(_) | PrimitiveValue::U8(_) => {
                let text = value.to_str();
                return cleaned(&text);
            }
            _ => return None,
        };
        // Text VRs may hold more than one value in one string.
        cleaned(first.split('\\').next().unwrap_or_default())
    }

    /// All values as numbers; `None` where there is none or one of them is not a number.
    pub(super) fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        let value = self.primitive(tag)?;
        let mut numbers = value.to_multi_float64().ok()?;
        numbers.truncate(VALUES_MAX);
        (!numbers.is_empty() && numbers.iter().all(|n| n.is_finite())).then_some(numbers)
    }

    /// Whether the attribute is there and not empty.
    pub(super) fn has(&self, tag: Tag) -> bool {
        self.primitive(tag).is_some()
    }

    /// The first value as a whole number.
    ///
    /// # Errors
    /// `DamagedFile` where the value is there but is no whole number.
    pub(super) fn integer(&self, tag: Tag) -> Result<Option<i64>, Refusal> {
        match self.primitive(tag) {
            None => Ok(None),
            Some(value) => value
                .to_int::<i64>()
                .map(Some)
                .map_err(|_| Refusal::new(Code::DamagedFile, format!("{} is not a whole number", named(tag)))),
        }
    }

    /// The values as 16-bit words; 8-bit values are widened as they stand.
    pub(super) fn words(&self, tag: Tag) -> Option<Vec<u16>> {
        Some(match self.primitive(tag)? {
            PrimitiveValue::U16(v) => v.to_vec(),
            PrimitiveValue::I16(v) => v.iter().map(|x| x.cast_unsigned()).collect(),
            PrimitiveValue::U8(v) => v.iter().map(|x| u16::from(*x)).collect(),
            other => other.to_multi_int::<u16>().ok()?,
        })
    }

    /// Every element.
    pub(super) fn object(&self) -> &InMemDicomObject {
        &self.0
    }

    /// The first item of a sequence.
    pub(super) fn item(&self, tag: Tag) -> Option<Header<'_>> {
        self.0.get(tag)?.items()?.first().map(|item| Header(std::borrow::Cow::Borrowed(item)))
    }

    fn primitive(&self, tag: Tag) -> Option<&PrimitiveValue> {
        let value = self.0.get(tag)?.value().primitive()?;
        let blank = match value {
            PrimitiveValue::Empty => true,
            PrimitiveValue::Str(s) => cleaned(s).is_none(),
            PrimitiveValue::Strs(s) => s.iter().all(|s| cleaned(s).is_none()),
            _ => value.multiplicity() == 0,
        };
        (!blank).then_some(value)
    }
}

fn cleaned(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// An attribute as refusals name it: keyword and tag, for example `Rows (0028,0010)`.
pub(super) fn named(tag: Tag) -> String {
    match StandardDataDictionary.by_tag(tag) {
        Some(entry) => format!("{} {tag}", entry.alias()),
        None => tag.to_string(),
    }
}

/// A value as it may be shown: letters, digits, blanks, `_ - . /` and Chinese characters, short.
/// Anything else is described, not quoted: a `^` or a long text may be a name in the wrong attribute.
pub(super) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " _-./".contains(c) || ('\u{4E00}'..='\u{9FFF}').contains(&c);
    let count = value.chars().count();
    if count <= QUOTED_CHARS && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("a text of {count} characters that is not a code string")
    }
}

/// Undoes the reading of Chinese bytes as ISO 8859-1, which code strings always get (PS3.5 6.1.2.2
/// allows them ASCII only, yet consoles write Chinese there): UTF-8 if it is, GB 18030 otherwise.
pub(super) fn chinese(text: &str) -> String {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    let Some(bytes) = bytes.filter(|b| !b.is_ascii()) else { return text.to_owned() };
    if let Ok(utf8) = std::str::from_utf8(&bytes) {
        return utf8.to_owned();
    }
    SpecificCharacterSet::from_code("GB18030").and_then(|gb| gb.decode(&bytes).ok()).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_a_code_string_is_quoted() {
        for (value, shown) in [
            ("CHEST", "CHEST"),
            ("胸部", "胸部"),
            ("AP SUPINE", "AP SUPINE"),
            ("DOE^JOHN", "a text of 8 characters that is not a code string"),
            ("A BODY PART THAT IS RATHER LONG", "a text of 31 characters that is not a code string"),
            ("x\ny", "a text of 3 characters that is not a code string"),
        ] {
            assert_eq!(quoted(value), shown);
        }
    }

    #[test]
    fn chinese_read_as_latin_1_is_recovered() {
        let latin1 = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect::<String>();
        assert_eq!(chinese(&latin1("胸部".as_bytes())), "胸部");
        assert_eq!(chinese(&latin1(&[0xD0, 0xD8, 0xB2, 0xBF])), "胸部");
        assert_eq!(chinese("CHEST"), "CHEST");
        assert_eq!(chinese("胸部"), "胸部");
    }

    #[test]
    fn an_attribute_is_named_by_keyword_and_tag() {
        assert_eq!(named(Tag(0x0028, 0x0010)), "Rows (0028,0010)");
        assert_eq!(named(Tag(0x0009, 0x1001)), "(0009,1001)");
    }
}
