//! Short words for making data sets: an element, a sequence, an item.

use super::code::Code;
use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{Length, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

/// A text of any VR; `\` in a free text would part it into values, so it becomes `/`.
pub fn text(tag: Tag, vr: VR, value: &str) -> InMemElement {
    InMemElement::new(tag, vr, PrimitiveValue::from(value.replace('\\', "/")))
}

/// Several values of a text VR.
pub fn texts(tag: Tag, vr: VR, values: &[&str]) -> InMemElement {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    InMemElement::new(tag, vr, PrimitiveValue::Strs(values.into()))
}

/// A long string: cut at its 64 characters (PS3.5 section 6.2).
pub fn long_string(tag: Tag, value: &str) -> InMemElement {
    text(tag, VR::LO, &value.chars().take(64).collect::<String>())
}

/// An element without a value (type 2).
pub fn empty(tag: Tag, vr: VR) -> InMemElement {
    if vr == VR::SQ { sequence(tag, Vec::new()) } else { InMemElement::new(tag, vr, PrimitiveValue::Empty) }
}

/// A number of 16 bits.
pub fn word(tag: Tag, value: u16) -> InMemElement {
    InMemElement::new(tag, VR::US, PrimitiveValue::from(value))
}

/// A sequence.
pub fn sequence(tag: Tag, items: Vec<InMemDicomObject>) -> InMemElement {
    InMemElement::new(tag, VR::SQ, DataSetSequence::new(items, Length::UNDEFINED))
}

/// An item of a sequence.
pub fn item(elements: impl IntoIterator<Item = InMemElement>) -> InMemDicomObject {
    InMemDicomObject::from_element_iter(elements)
}

/// A coded entry (PS3.3 table 8.8-1).
pub fn coded(tag: Tag, code: &Code) -> InMemElement {
    let entry = item([
        text(tags::CODE_VALUE, VR::SH, &code.value),
        text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, code.scheme),
        long_string(tags::CODE_MEANING, &code.meaning),
    ]);
    sequence(tag, vec![entry])
}

/// A reference to an instance.
pub fn reference(class: &str, instance: &str) -> [InMemElement; 2] {
    [text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class), text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance)]
}
