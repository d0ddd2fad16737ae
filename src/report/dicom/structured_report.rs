//! The reading as a Comprehensive SR after TID 1500 "Measurement Report" (PS3.16).
//!
//! One measurement group (TID 1501) for each assessed finding: what it is, by which model, its calibrated probability and
//! operating point measured on the film, and the call. The call is a value of our own concept: below an operating point does not mean
//! absent. Untrained findings stand in a comment by name, without a number. The report is complete, unverified and
//! preliminary: nobody has looked at it yet.

use super::code::{self, Code};
use super::content::{self, Relation};
use super::elements::{coded, empty, item, sequence, text};
use super::modules::{self, MANUFACTURER};
use super::{Kind, Object, ObjectError, Source};
use crate::findings::Call;
use crate::radiograph::uid;
use crate::report::{Assessed, name, unavailable, words};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

const KIND: Kind = Kind::StructuredReport;

/// The structured report of a reading.
///
/// # Errors
/// [`ObjectError::Encode`].
pub fn structured_report(source: &Source) -> Result<Object, ObjectError> {
    let mut object = modules::shared(source, KIND);
    for element in [
        text(tags::CONTENT_DATE, VR::DA, &source.at.date()),
        text(tags::CONTENT_TIME, VR::TM, &source.at.time()),
        empty(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, VR::SQ),
        empty(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, VR::SQ),
        text(tags::COMPLETION_FLAG, VR::CS, "COMPLETE"),
        text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED"),
        text(tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY"),
        evidence(source),
        text(tags::VALUE_TYPE, VR::CS, "CONTAINER"),
        coded(tags::CONCEPT_NAME_CODE_SEQUENCE, &code::IMAGING_MEASUREMENT_REPORT),
        text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE"),
        template("1500"),
        sequence(tags::CONTENT_SEQUENCE, content(source)),
    ] {
        object.put(element);
    }
    source.finished(KIND, &object)
}

/// Current Requested Procedure Evidence Sequence (0040,A375): the film.
fn evidence(source: &Source) -> InMemElement {
    let study = item([
        text(tags::STUDY_INSTANCE_UID, VR::UI, source.lineage.study_uid()),
        sequence(tags::REFERENCED_SERIES_SEQUENCE, vec![modules::film_in_its_series(source, tags::REFERENCED_SOP_SEQUENCE)]),
    ]);
    sequence(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, vec![study])
}

fn template(number: &str) -> InMemElement {
    let template = item([text(tags::MAPPING_RESOURCE, VR::CS, "DCMR"), text(tags::TEMPLATE_IDENTIFIER, VR::CS, number)]);
    sequence(tags::CONTENT_TEMPLATE_SEQUENCE, vec![template])
}

/// TID 1500: language, observer (TID 1001, 1002, 1004), procedure, measurements, and our comments.
fn content(source: &Source) -> Vec<InMemDicomObject> {
    let model = source.view.manifest;
    let context = |name: &Code, value: &str| content::words(Relation::Context, name, value);
    let device = uid::derived(&[b"device", model.file.sha256.as_bytes()]);
    let groups = source.view.findings.iter().filter_map(Assessed::of).map(|assessed| group(source, &assessed)).collect();
    let mut items = vec![
        content::code(Relation::Modifies, &code::LANGUAGE, &code::of_language(source.lang)),
        content::code(Relation::Context, &code::OBSERVER_TYPE, &code::DEVICE),
        content::uid(Relation::Context, &code::DEVICE_OBSERVER_UID, &device),
        context(&code::DEVICE_OBSERVER_NAME, crate::report::record::PROGRAM),
        context(&code::DEVICE_OBSERVER_MANUFACTURER, MANUFACTURER),
        context(&code::DEVICE_OBSERVER_MODEL, &format!("{} {}", model.name, model.version)),
        content::code(Relation::Modifies, &code::PROCEDURE_REPORTED, &code::PLAIN_RADIOGRAPHY),
        content::container(Relation::Contains, &code::IMAGING_MEASUREMENTS, groups),
    ];
    items.extend(comments(source).iter().map(|text| content::words(Relation::Contains, &code::COMMENT, text)));
    items
}

fn comments(source: &Source) -> Vec<String> {
    let lang = source.lang;
    let mut comments = vec![modules::review(source), words::NOTICE.of(lang).to_owned()];
    let untrained = unavailable(source.view.findings, lang);
    if !untrained.is_empty() {
        let comma = lang.pick(", ", "、");
        comments.push(format!("{}: {}", words::UNAVAILABLE.of(lang), untrained.join(comma)));
    }
    comments
}

/// TID 1501: one finding.
fn group(source: &Source, assessed: &Assessed) -> InMemDicomObject {
    let (model, finding) = (source.view.manifest, assessed.finding);
    let film = || {
        let film = source.lineage;
        content::image(Relation::InferredFrom, &code::SOURCE_OF_MEASUREMENT, film.sop_class_uid(), film.sop_instance_uid())
    };
    let call = match assessed.call {
        Call::Positive => code::POSITIVE,
        Call::Negative => code::NEGATIVE,
    };
    let tracking = format!("{} ({})", name(finding, source.lang), finding.id);
    let algorithm = |name: &Code, value: &str| content::words(Relation::Modifies, name, value);
    let mut group = content::container(
        Relation::Contains,
        &code::MEASUREMENT_GROUP,
        vec![
            content::words(Relation::Context, &code::TRACKING_IDENTIFIER, &tracking),
            content::uid(Relation::Context, &code::TRACKING_UID, &source.uid(&format!("finding {}", finding.id))),
            content::code(Relation::Contains, &code::FINDING, &code::of_finding(finding, source.lang)),
            algorithm(&code::ALGORITHM_NAME, &model.name),
            algorithm(&code::ALGORITHM_VERSION, &model.version),
            algorithm(&code::ALGORITHM_PARAMETERS, &format!("model sha256 {}", model.file.sha256)),
            content::share(&code::PROBABILITY, assessed.probability, film()),
            content::share(&code::OPERATING_POINT, assessed.threshold, film()),
            content::code(Relation::Contains, &code::CALL, &call),
        ],
    );
    group.put(template("1501"));
    group
}
