//! The modules that all our objects share: patient and study as the film has them, a series of our own, the equipment
//! that made the object and the one that took the film, and the character set (PS3.3 C.7, C.12).

use super::code::{self, Code, SCHEME, SCHEME_NAME};
use super::elements::{coded, item, long_string, reference, sequence, text, texts};
use super::{Kind, Source};
use crate::report::record::PROGRAM;
use crate::report::words;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

/// Manufacturer (0008,0070) of what we make.
pub const MANUFACTURER: &str = "chexbox";

/// The shared modules of one object.
pub fn shared(source: &Source, kind: Kind) -> InMemDicomObject {
    let (view, lineage, at) = (source.view, source.lineage, source.at);
    let mut object = item(lineage.shared().iter().cloned());
    for element in [
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        text(tags::INSTANCE_CREATION_DATE, VR::DA, &at.date()),
        text(tags::INSTANCE_CREATION_TIME, VR::TM, &at.time()),
        text(tags::SOP_CLASS_UID, VR::UI, kind.class()),
        text(tags::SOP_INSTANCE_UID, VR::UI, &source.uid(kind.name())),
        coding_schemes(),
        text(tags::MODALITY, VR::CS, kind.modality()),
        long_string(tags::SERIES_DESCRIPTION, &format!("chexbox {} ({})", kind.name(), view.manifest.name)),
        text(tags::SERIES_INSTANCE_UID, VR::UI, &source.uid(&format!("series of the {}", kind.name()))),
        text(tags::SERIES_NUMBER, VR::IS, kind.series_number()),
        text(tags::INSTANCE_NUMBER, VR::IS, "1"),
        contributing_equipment(source),
    ] {
        object.put(element);
    }
    for element in equipment(source) {
        object.put(element);
    }
    object
}

/// Who made an object: General Equipment (C.7.5.1).
fn equipment(source: &Source) -> Vec<InMemElement> {
    let model = source.view.manifest;
    let versions = [PROGRAM.to_owned(), format!("{} {}", model.name, model.version)];
    vec![
        long_string(tags::MANUFACTURER, MANUFACTURER),
        long_string(tags::MANUFACTURER_MODEL_NAME, &format!("chexbox {}", model.name)),
        texts(tags::SOFTWARE_VERSIONS, VR::LO, &[&versions[0], &versions[1]]),
    ]
}

/// Contributing Equipment Sequence (0018,A001): the machine that took the film, where it is named, and this program.
fn contributing_equipment(source: &Source) -> InMemElement {
    let mut items = Vec::new();
    if let Some(machine) = source.lineage.equipment() {
        let mut film = item([long_string(tags::MANUFACTURER, &machine.manufacturer), purpose(&code::ACQUISITION_EQUIPMENT)]);
        if let Some(model) = &machine.model {
            film.put(long_string(tags::MANUFACTURER_MODEL_NAME, model));
        }
        items.push(film);
    }
    let mut us = item(equipment(source));
    us.put(purpose(&code::PROCESSING_EQUIPMENT));
    us.put(text(tags::CONTRIBUTION_DATE_TIME, VR::DT, &source.at.date_time()));
    us.put(text(tags::CONTRIBUTION_DESCRIPTION, VR::ST, &review(source)));
    items.push(us);
    sequence(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, items)
}

/// What stands on every object: software made it, and it is not for diagnosis without review.
pub fn review(source: &Source) -> String {
    format!("{PROGRAM}: {}", words::MADE_BY_SOFTWARE.of(source.lang))
}

/// Body Part Examined (0018,0015): only chest films are read, however a console writes it. It also settles that a laterality is not
/// asked for (PS3.3 C.7.3.1).
pub fn body_part() -> InMemElement {
    text(tags::BODY_PART_EXAMINED, VR::CS, "CHEST")
}

/// Coding Scheme Identification Sequence (0008,0110): what our private designator means.
fn coding_schemes() -> InMemElement {
    let ours = item([
        text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, SCHEME),
        text(tags::CODING_SCHEME_NAME, VR::ST, SCHEME_NAME),
        text(tags::CODING_SCHEME_RESPONSIBLE_ORGANIZATION, VR::ST, MANUFACTURER),
    ]);
    sequence(tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE, vec![ours])
}

fn purpose(code: &Code) -> InMemElement {
    coded(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, code)
}

/// The film as a source image (0008,2112), with what it was used for.
pub fn source_image(source: &Source) -> InMemElement {
    let mut film = item(reference(source.lineage.sop_class_uid(), source.lineage.sop_instance_uid()));
    film.put(purpose(&code::SOURCE_IMAGE));
    sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![film])
}

/// The film's instance inside its series, as references by series have it.
pub fn film_in_its_series(source: &Source, instances: dicom_core::Tag) -> InMemDicomObject {
    let film = item(reference(source.lineage.sop_class_uid(), source.lineage.sop_instance_uid()));
    item([text(tags::SERIES_INSTANCE_UID, VR::UI, source.lineage.series_uid()), sequence(instances, vec![film])])
}
