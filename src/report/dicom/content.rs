//! Content items of a structured report (PS3.3 C.17.3): how an item is related to its parent, what it is called, what it says.

use super::code::{Code, NO_UNITS};
use super::elements::{coded, item, reference, sequence, text};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

/// Relationship Type (0040,A010).
#[derive(Clone, Copy, Debug)]
pub enum Relation {
    /// The parent holds it.
    Contains,
    /// It says under which circumstances the parent was observed.
    Context,
    /// It modifies the meaning of the parent's name.
    Modifies,
    /// The parent was concluded from it.
    InferredFrom,
}

/// An item that holds others.
pub fn container(relation: Relation, name: &Code, items: Vec<InMemDicomObject>) -> InMemDicomObject {
    let mut container = begun(relation, "CONTAINER", name);
    container.put(text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE"));
    container.put(sequence(tags::CONTENT_SEQUENCE, items));
    container
}

/// A text.
pub fn words(relation: Relation, name: &Code, value: &str) -> InMemDicomObject {
    let mut words = begun(relation, "TEXT", name);
    words.put(text(tags::TEXT_VALUE, VR::UT, value));
    words
}

/// A coded value.
pub fn code(relation: Relation, name: &Code, value: &Code) -> InMemDicomObject {
    let mut code = begun(relation, "CODE", name);
    code.put(coded(tags::CONCEPT_CODE_SEQUENCE, value));
    code
}

/// A UID.
pub fn uid(relation: Relation, name: &Code, value: &str) -> InMemDicomObject {
    let mut uid = begun(relation, "UIDREF", name);
    uid.put(text(tags::UID, VR::UI, value));
    uid
}

/// A number without a unit, in [0, 1], and the image it was measured on.
pub fn share(name: &Code, value: f32, image: InMemDicomObject) -> InMemDicomObject {
    let mut number = begun(Relation::Contains, "NUM", name);
    let value = item([
        coded(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, &NO_UNITS),
        // DS holds 16 characters; eight decimals are more than a probability in f32 has near 1.
        text(tags::NUMERIC_VALUE, VR::DS, &format!("{value:.8}")),
    ]);
    number.put(sequence(tags::MEASURED_VALUE_SEQUENCE, vec![value]));
    number.put(sequence(tags::CONTENT_SEQUENCE, vec![image]));
    number
}

/// An image.
pub fn image(relation: Relation, name: &Code, class: &str, instance: &str) -> InMemDicomObject {
    let mut image = begun(relation, "IMAGE", name);
    image.put(sequence(tags::REFERENCED_SOP_SEQUENCE, vec![item(reference(class, instance))]));
    image
}

fn begun(relation: Relation, value_type: &str, name: &Code) -> InMemDicomObject {
    let relation = match relation {
        Relation::Contains => "CONTAINS",
        Relation::Context => "HAS OBS CONTEXT",
        Relation::Modifies => "HAS CONCEPT MOD",
        Relation::InferredFrom => "INFERRED FROM",
    };
    item([
        text(tags::RELATIONSHIP_TYPE, VR::CS, relation),
        text(tags::VALUE_TYPE, VR::CS, value_type),
        coded(tags::CONCEPT_NAME_CODE_SEQUENCE, name),
    ])
}
