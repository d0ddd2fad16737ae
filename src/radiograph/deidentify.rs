//! A copy of a DICOM film from which its patient cannot be known, for sending a refused film to support: the Basic
//! Application Level Confidentiality Profile of PS3.15 annex E, table-driven, without any of its options.
//!
//! In: the bytes of a DICOM file and a key. Out: a file with the same pixels and the attributes that decoding needs. Each
//! attribute of table E.1-1 gets its action (`profile.tsv`), in sequences at any depth; where the table leaves a choice,
//! the one that keeps the object valid is taken. Beyond the profile: private attributes go, every person's name goes, what
//! stands behind the pixel data goes, and text is written in UTF-8. UIDs become keyed hashes, the same for the same,
//! so that films of one study stay together under one key.
//! Never: a look at the pixels. What is burned into them stays, and a [`Caution`] says so.

mod profile;

pub use profile::{Action, PROFILE_EDITION, profile};

use super::contained::contained;
use super::header::Header;
use super::part10;
use super::precheck::{EXPLICIT_LITTLE_UID, Encoding, PixelData, Structure, is_dicom};
use super::refusal::{Code, Refusal};
use super::uid;
use crate::lang::Lang;
use dicom_core::value::{DataSetSequence, PixelFragmentSequence, PrimitiveValue, Value};
use dicom_core::{Length, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

/// What stands for a text that was removed where one must stand.
const DUMMY_TEXT: &str = "REMOVED";
const DUMMY_NAME: &str = "Anonymous";
const DUMMY_DATE: &str = "19000101";
const DUMMY_TIME: &str = "000000";
const DUMMY_DATE_TIME: &str = "19000101000000";
/// (0012,0062).
const IDENTITY_REMOVED: Tag = Tag(0x0012, 0x0062);
/// How the file says what was done to it; LO, at most 64 characters.
const METHOD: &str = "chexbox: PS3.15 Basic Profile 2026c, no options, UIDs hashed";

/// What the profile cannot take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caution {
    /// Burned In Annotation (0028,0301) is YES.
    BurnedIn,
    /// The file does not say whether anything is burned in.
    PerhapsBurnedIn,
    /// Overlays may lie in unused bits of the pixels.
    OverlayInPixels,
}

impl Caution {
    /// A sentence for the user.
    pub fn message(self, lang: Lang) -> &'static str {
        match self {
            Self::BurnedIn => lang.pick(
                "the file says that text is burned into the picture; look at it, and do not send it if it names the patient",
                "文件声明图像中有烧录文字；请先查看图像，如能辨认患者则不要外发",
            ),
            Self::PerhapsBurnedIn => lang.pick(
                "the file does not say whether text is burned into the picture; look at it before you send it",
                "文件未声明图像中是否有烧录文字；外发前请先查看图像",
            ),
            Self::OverlayInPixels => lang.pick(
                "an overlay may lie in unused bits of the pixels, which are copied as they are",
                "像素的空闲位中可能有叠加层，像素按原样复制",
            ),
        }
    }
}

/// A file without its patient.
#[derive(Clone, Debug)]
pub struct Deidentified {
    /// The file.
    pub file: Vec<u8>,
    /// Its new SOP Instance UID.
    pub sop_instance_uid: String,
    /// What a person must still look at.
    pub cautions: Vec<Caution>,
    /// How many attributes were removed, emptied or replaced.
    pub changed: usize,
}

/// De-identifies one DICOM file.
///
/// # Errors
/// `UnknownFormat` for what is not DICOM, `UnsupportedEncoding` for floating point pixels or where no SOP Class UID stands,
/// otherwise as the structural check says.
pub fn deidentify(bytes: &[u8], key: &[u8]) -> Result<Deidentified, Refusal> {
    if !is_dicom(bytes) {
        return Err(Refusal::new(Code::UnknownFormat, "only DICOM files can be de-identified"));
    }
    let structure = Structure::of(bytes)?;
    let header = Header::of(&structure)?;
    let class = header
        .text(tags::SOP_CLASS_UID)
        .filter(|class| uid::is_sound(class))
        .ok_or_else(|| Refusal::new(Code::UnsupportedEncoding, "SOPClassUID (0008,0016) is absent: not an object of DICOM"))?;
    let cautions = cautions(&header);
    let mut pass = Pass { key, changed: 0 };
    // The writer behind is not ours: what it makes of an odd value must cost this file alone.
    let (file, sop_instance_uid) = contained("copy without its patient", || pass.file(&header, &structure, &class))??;
    Ok(Deidentified { file, sop_instance_uid, cautions, changed: pass.changed })
}
fn cautions(header: &Header<'_>) -> Vec<Caution> {
    let mut cautions = Vec::new();
    match header.text(tags::BURNED_IN_ANNOTATION).as_deref() {
        Some("YES") => cautions.push(Caution::BurnedIn),
        Some("NO") => {}
        _ => cautions.push(Caution::PerhapsBurnedIn),
    }
    // Overlay Bit Position (60xx,0102) other than 0: in the pixels (PS3.3 C.9.2, until 2004).
    let in_pixels = |element: &InMemElement| {
        let tag = element.header().tag;
        (tag.group() & 0xFF00, tag.element()) == (0x6000, 0x0102) && element.to_int::<u16>().is_ok_and(|position| position > 0)
    };
    if header.object().iter().any(in_pixels) {
        cautions.push(Caution::OverlayInPixels);
    }
    cautions
}

/// PS3.3 C.12.1 (Patient Identity Removed and the method) and PS3.15 E.2.
fn state_what_was_done(object: &mut InMemDicomObject) {
    let code = InMemDicomObject::from_element_iter([
        text(tags::CODE_VALUE, VR::SH, "113100"),
        text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM"),
        text(tags::CODE_MEANING, VR::LO, "Basic Application Confidentiality Profile"),
    ]);
    object.put(text(IDENTITY_REMOVED, VR::CS, "YES"));
    object.put(text(tags::DEIDENTIFICATION_METHOD, VR::LO, METHOD));
    object.put(sequence(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, vec![code]));
    object.put(text(tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED, VR::CS, "REMOVED"));
}

/// Puts the pixels back as they were; returns the transfer syntax that they are now in: uncompressed ones become explicit VR
/// little endian.
fn put_pixels(object: &mut InMemDicomObject, header: &Header<'_>, structure: &Structure<'_>) -> Result<String, Refusal> {
    let uncompressed = EXPLICIT_LITTLE_UID.to_owned();
    match &structure.pixels {
        None => Ok(uncompressed),
        Some(PixelData::Float) => Err(Refusal::new(Code::UnsupportedEncoding, "the pixels are floating point numbers")),
        Some(PixelData::Native { vr, bytes }) => {
            let mut pixels = structure.bytes(bytes).to_vec();
            // Samples of two bytes are words whatever VR the file gives them, and are decoded so.
            let words = *vr == VR::OW || header.integer(tags::BITS_ALLOCATED)?.is_some_and(|bits| bits > 8);
            if structure.encoding == Encoding::ExplicitBig && words {
                pixels.chunks_exact_mut(2).for_each(<[u8]>::reverse);
            }
            let vr = match vr {
                VR::OB | VR::OW => *vr,
                _ if words => VR::OW,
                _ => VR::OB,
            };
            object.put(InMemElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::U8(pixels.into())));
            Ok(uncompressed)
        }
        Some(PixelData::Encapsulated { fragments }) => {
            let fragments: Vec<Vec<u8>> = fragments.iter().map(|range| structure.bytes(range).to_vec()).collect();
            let value = Value::PixelSequence(PixelFragmentSequence::new_fragments(fragments));
            object.put(InMemElement::new(tags::PIXEL_DATA, VR::OB, value));
            Ok(structure.transfer_syntax.clone())
        }
    }
}

/// One pass over a file.
struct Pass<'a> {
    key: &'a [u8],
    changed: usize,
}

impl Pass<'_> {
    /// The whole copy, and its SOP Instance UID.
    fn file(&mut self, header: &Header<'_>, structure: &Structure<'_>, class: &str) -> Result<(Vec<u8>, String), Refusal> {
        let mut object = self.data_set(header.object());
        let stated = object.get(tags::SOP_INSTANCE_UID).and_then(|element| element.to_multi_str().ok()?.first().cloned());
        let instance = stated
            .filter(|uid| uid::is_sound(uid))
            .or_else(|| uid::keyed(self.key, "absent"))
            .unwrap_or_else(uid::implementation_class);
        object.put(text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"));
        // Whatever VR the file gives it.
        object.put(text(tags::SOP_CLASS_UID, VR::UI, class));
        object.put(text(tags::SOP_INSTANCE_UID, VR::UI, &instance));
        state_what_was_done(&mut object);
        let transfer_syntax = put_pixels(&mut object, header, structure)?;
        let file = part10::file(&object, class, &instance, &transfer_syntax)
            .map_err(|e| Refusal::new(Code::InternalFault, e.to_string()))?;
        Ok((file, instance))
    }

    /// A data set or an item without what identifies.
    fn data_set(&mut self, from: &InMemDicomObject) -> InMemDicomObject {
        let elements: Vec<InMemElement> = from.iter().filter_map(|element| self.element(element)).collect();
        InMemDicomObject::from_element_iter(elements)
    }

    fn element(&mut self, element: &InMemElement) -> Option<InMemElement> {
        let (tag, vr) = (element.header().tag, element.header().vr);
        let action = match profile::action(tag) {
            // Groups below 0008 are of files and messages; in a data set a reader would take them for the file's own.
            _ if tag.group() < 0x0008 => Some(Action::Remove),
            _ if tag.group() % 2 == 1 || vr == VR::UN || tag == tags::SPECIFIC_CHARACTER_SET => Some(Action::Remove),
            Some(action) => Some(action),
            None if vr == VR::PN => Some(Action::Empty),
            None => None,
        };
        let Some(action) = action else {
            return Some(self.kept(element));
        };
        self.changed += 1;
        match action {
            Action::Remove => None,
            Action::Empty => Some(emptied(tag, vr)),
            Action::Dummy => Some(self.dummy(element)),
            Action::Uid => Some(self.replaced(element)),
        }
    }

    /// An element that the table does not name: as it is, if it can be; a sequence with its items cleaned.
    fn kept(&mut self, element: &InMemElement) -> InMemElement {
        match element.items() {
            Some(items) => {
                let items = items.iter().map(|item| self.data_set(item)).collect();
                sequence(element.header().tag, items)
            }
            None if outside_its_repertoire(element) => {
                self.changed += 1;
                emptied(element.header().tag, element.header().vr)
            }
            None => element.clone(),
        }
    }

    fn replaced(&mut self, element: &InMemElement) -> InMemElement {
        if element.items().is_some() {
            return self.kept(element);
        }
        let uids = element.to_multi_str().unwrap_or_default();
        let uids: Vec<String> = uids
            .iter()
            .map(|uid| uid.trim_matches(|c: char| c.is_whitespace() || c == '\0'))
            .filter(|uid| !uid.is_empty())
            .filter_map(|uid| uid::keyed(self.key, uid))
            .collect();
        InMemElement::new(element.header().tag, VR::UI, PrimitiveValue::Strs(uids.into()))
    }

    fn dummy(&mut self, element: &InMemElement) -> InMemElement {
        let (tag, vr) = (element.header().tag, element.header().vr);
        match vr {
            VR::UI => self.replaced(element),
            VR::DA => text(tag, vr, DUMMY_DATE),
            VR::TM => text(tag, vr, DUMMY_TIME),
            VR::DT => text(tag, vr, DUMMY_DATE_TIME),
            VR::PN => text(tag, vr, DUMMY_NAME),
            VR::AS => text(tag, vr, "000Y"),
            VR::DS | VR::IS => text(tag, vr, "0"),
            VR::AE | VR::CS | VR::LO | VR::LT | VR::SH | VR::ST | VR::UC | VR::UR | VR::UT => text(tag, vr, DUMMY_TEXT),
            // Numbers, bytes, sequences: nothing can be in an empty one.
            _ => emptied(tag, vr),
        }
    }
}

/// Whether it is no text that its VR allows in any character set (PS3.5 6.2): no reader needs it, and no two write it alike.
fn outside_its_repertoire(element: &InMemElement) -> bool {
    let ascii =
        matches!(element.header().vr, VR::AE | VR::AS | VR::CS | VR::DA | VR::DS | VR::DT | VR::IS | VR::TM | VR::UI | VR::UR);
    ascii && element.to_multi_str().is_ok_and(|texts| !texts.iter().all(|text| text.is_ascii()))
}

fn emptied(tag: Tag, vr: VR) -> InMemElement {
    if vr == VR::SQ { sequence(tag, Vec::new()) } else { InMemElement::new(tag, vr, PrimitiveValue::Empty) }
}

fn text(tag: Tag, vr: VR, value: &str) -> InMemElement {
    InMemElement::new(tag, vr, PrimitiveValue::from(value))
}

fn sequence(tag: Tag, items: Vec<InMemDicomObject>) -> InMemElement {
    InMemElement::new(tag, VR::SQ, DataSetSequence::new(items, Length::UNDEFINED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> InMemDicomObject {
        let inner = InMemDicomObject::from_element_iter([
            text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.1"),
            text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, "1.2.3"),
            text(Tag(0x0009, 0x1001), VR::LO, "secret"),
            text(Tag(0x0010, 0x0010), VR::PN, "DOE^JANE"),
        ]);
        InMemDicomObject::from_element_iter([
            text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3"),
            text(Tag(0x0008, 0x1080), VR::LO, "secret"),
            text(Tag(0x0010, 0x0010), VR::PN, "DOE^JANE"),
            text(tags::VIEW_POSITION, VR::CS, "PA"),
            text(Tag(0x0018, 0x9074), VR::DT, "20200101"),
            text(Tag(0x6002, 0x4000), VR::LT, "secret"),
            sequence(Tag(0x0008, 0x2112), vec![inner]),
        ])
    }

    #[test]
    fn every_action_is_applied_at_every_depth() {
        let mut pass = Pass { key: b"key", changed: 0 };
        let clean = pass.data_set(&object());
        let text = |object: &InMemDicomObject, tag| object.get(tag).map(|e: &InMemElement| e.to_str().unwrap().into_owned());
        let uid = uid::keyed(b"key", "1.2.3");
        assert_eq!(text(&clean, tags::SOP_INSTANCE_UID), uid);
        assert_eq!(text(&clean, Tag(0x0008, 0x1080)), None);
        assert_eq!(text(&clean, Tag(0x0010, 0x0010)).as_deref(), Some(""));
        assert_eq!(text(&clean, tags::VIEW_POSITION).as_deref(), Some("PA"));
        assert_eq!(text(&clean, Tag(0x0018, 0x9074)).as_deref(), Some(DUMMY_DATE_TIME));
        assert_eq!(text(&clean, Tag(0x6002, 0x4000)), None);
        let inner = &clean.get(Tag(0x0008, 0x2112)).unwrap().items().unwrap()[0];
        assert_eq!(text(inner, tags::REFERENCED_SOP_INSTANCE_UID), uid);
        assert_eq!(text(inner, tags::REFERENCED_SOP_CLASS_UID).as_deref(), Some("1.2.840.10008.5.1.4.1.1.1"));
        assert_eq!(text(inner, Tag(0x0009, 0x1001)), None);
        assert_eq!(text(inner, Tag(0x0010, 0x0010)).as_deref(), Some(""));
        assert_eq!(pass.changed, 9);
    }

    #[test]
    fn what_is_stated_fits_its_attribute() {
        assert!(METHOD.len() <= 64);
    }

    #[test]
    fn a_picture_is_not_taken() {
        assert_eq!(deidentify(b"\x89PNG\r\n\x1a\n", b"key").unwrap_err().code(), Code::UnknownFormat);
    }
}
