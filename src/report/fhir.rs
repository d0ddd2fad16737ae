//! A reading as FHIR R4 (4.0.1): a Bundle with one DiagnosticReport, one Observation for each assessed finding, and the Device that
//! made them.
//!
//! In: a [`Reading`]: plain values, of a film just read or of a record kept. Out: JSON. Everything is `preliminary`: nobody has looked
//! at it yet. The probability is the value, the call its interpretation, the operating point a component. Identities are
//! identifiers alone: no name, no birth date. Never: an Observation of an untrained finding; they are named in the conclusion.

use super::dicom::{Code, Moment, of_finding};
use super::kept::KeptReading;
use super::{Assessed, ReadView, name, record::PROGRAM, unavailable, words};
use crate::findings::{Call, Finding};
use crate::lang::Lang;
use crate::radiograph::{Lineage, PatientIdentity};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Media type of what [`bundle`] gives.
pub const MEDIA_TYPE: &str = "application/fhir+json";

/// A reading, as FHIR needs it.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// Id of the reading: 1 to 50 letters, digits, `-` and `.`.
    pub id: &'a str,
    /// When it was read, RFC 3339 with an offset.
    pub issued: String,
    /// Name, version and sha256 of the model.
    pub model: (&'a str, &'a str, &'a str),
    /// Patient ID, or the pseudonym that stands for it.
    pub patient_id: Option<&'a str>,
    /// Accession Number of the order.
    pub accession: Option<&'a str>,
    /// Study Instance UID.
    pub study_uid: Option<&'a str>,
    /// Study Date, eight digits.
    pub study_date: Option<&'a str>,
    /// The assessed findings.
    pub findings: Vec<Measured<'a>>,
    /// Names of the findings without a number.
    pub unavailable: Vec<&'a str>,
    /// Language of the texts.
    pub lang: Lang,
}

/// One assessed finding.
#[derive(Clone, Debug)]
pub struct Measured<'a> {
    /// Its code.
    pub code: Code,
    /// Its name in the user's language.
    pub name: &'a str,
    /// Calibrated probability in [0, 1].
    pub probability: f32,
    /// Operating point in (0, 1).
    pub threshold: f32,
    /// Whether the probability reaches it.
    pub call: Call,
}

impl<'a> Reading<'a> {
    /// The reading of a film just read.
    pub fn of(view: &ReadView<'a>, lineage: Option<&'a Lineage>, id: &'a str, at: Moment, lang: Lang) -> Self {
        let model = view.manifest;
        Self {
            id,
            issued: at.rfc_3339(),
            model: (&model.name, &model.version, &model.file.sha256),
            patient_id: lineage.and_then(|film| film.patient().id()),
            accession: lineage.and_then(|film| film.patient().accession()),
            study_uid: lineage.map(Lineage::study_uid),
            study_date: lineage.and_then(Lineage::study_date),
            findings: measurements(view.findings, lang),
            unavailable: unavailable(view.findings, lang),
            lang,
        }
    }

    /// The reading of a record, with its findings; `issued` is when it was made. A record does not know the film's study.
    pub fn kept(
        kept: &'a KeptReading,
        findings: &'a [Finding],
        patient: Option<&'a PatientIdentity>,
        id: &'a str,
        issued: String,
        lang: Lang,
    ) -> Self {
        Self {
            id,
            issued,
            model: (&kept.model, &kept.version, &kept.sha256),
            patient_id: patient.and_then(PatientIdentity::id),
            accession: patient.and_then(PatientIdentity::accession),
            study_uid: None,
            study_date: None,
            findings: measurements(findings, lang),
            unavailable: unavailable(findings, lang),
            lang,
        }
    }
}

/// The assessed ones of these findings.
fn measurements(findings: &[Finding], lang: Lang) -> Vec<Measured<'_>> {
    let measured = |Assessed { finding, probability, threshold, call }| Measured {
        code: of_finding(finding, lang),
        name: name(finding, lang),
        probability,
        threshold,
        call,
    };
    findings.iter().filter_map(Assessed::of).map(measured).collect()
}

/// The Bundle of a reading.
pub fn bundle(reading: &Reading) -> Value {
    let device = format!("{}.device", reading.id);
    let observation = |at: usize| format!("{}.{at}", reading.id);
    let mut entries = vec![entry(&report(reading, observation))];
    entries.extend(reading.findings.iter().enumerate().map(|(at, finding)| {
        let mut resource = base(reading, "Observation", &observation(at));
        resource.extend(measured(reading, finding, &device));
        entry(&resource)
    }));
    entries.push(entry(&maker(reading, &device)));
    json!({"resourceType": "Bundle", "type": "collection", "timestamp": reading.issued, "entry": entries})
}

fn entry(resource: &Map<String, Value>) -> Value {
    let id = resource.get("id").and_then(Value::as_str).unwrap_or_default();
    json!({"fullUrl": urn(id), "resource": resource})
}

/// The name of a resource inside the bundle: a UUID of version 8 (RFC 9562), from its id.
fn urn(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// What report and observations share.
fn base(reading: &Reading, kind: &str, id: &str) -> Map<String, Value> {
    let mut map = object(json!({
        "resourceType": kind,
        "id": id,
        "language": reading.lang.pick("en", "zh"),
        "status": "preliminary",
        "issued": reading.issued,
    }));
    if let Some(patient) = reading.patient_id {
        map.insert("subject".into(), json!({"type": "Patient", "identifier": {"value": patient}}));
    }
    let date = reading.study_date.and_then(|date| Some([date.get(..4)?, date.get(4..6)?, date.get(6..)?].join("-")));
    if let Some(date) = date {
        map.insert("effectiveDateTime".into(), date.into());
    }
    map
}

fn report(reading: &Reading, observation: impl Fn(usize) -> String) -> Map<String, Value> {
    let mut map = base(reading, "DiagnosticReport", reading.id);
    let positive: Vec<&str> = reading.findings.iter().filter(|f| f.call == Call::Positive).map(|f| f.name).collect();
    let lang = reading.lang;
    let mut conclusion = words::positive_count(positive.len(), reading.findings.len(), lang);
    if !positive.is_empty() {
        conclusion = format!("{conclusion}{}{}", lang.pick(": ", "："), positive.join(lang.pick(", ", "、")));
    }
    let mut sentences = vec![conclusion];
    if !reading.unavailable.is_empty() {
        let names = reading.unavailable.join(lang.pick(", ", "、"));
        sentences.push(format!("{}: {names}", words::UNAVAILABLE.of(lang)));
    }
    sentences.push(notice(reading));
    let results: Vec<Value> = (0..reading.findings.len()).map(|at| json!({"reference": urn(&observation(at))})).collect();
    map.extend(object(json!({
        "category": [{"text": lang.pick("Radiology, automated screening", "放射，自动筛查")}],
        "code": {
            // pydicom 3.0.2, _concepts_dict.py: CID 10005.
            "coding": [{"system": "http://snomed.info/sct", "code": "168537006", "display": "Plain radiography"}],
            "text": lang.pick("Chest radiograph, automated screening", "胸部X线片自动筛查"),
        },
        "conclusion": sentences.join("\n"),
    })));
    if !results.is_empty() {
        map.insert("result".into(), results.into());
    }
    if let Some(study) = study(reading) {
        map.insert("imagingStudy".into(), json!([study]));
    }
    if let Some(accession) = reading.accession {
        let kind = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]});
        map.insert("basedOn".into(), json!([{"type": "ServiceRequest", "identifier": {"type": kind, "value": accession}}]));
    }
    map
}

/// The film's study, by its UID as DICOM and FHIR agree on it.
fn study(reading: &Reading) -> Option<Value> {
    let uid = reading.study_uid?;
    Some(json!({"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": format!("urn:oid:{uid}")}}))
}

fn measured(reading: &Reading, finding: &Measured, device: &str) -> Map<String, Value> {
    let lang = reading.lang;
    let (code, display) = match finding.call {
        Call::Positive => ("POS", "Positive"),
        Call::Negative => ("NEG", "Negative"),
    };
    let mut map = object(json!({
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}]}],
        "code": {"coding": [coding(&finding.code)], "text": finding.name},
        "valueQuantity": share(finding.probability),
        "interpretation": [{
            "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": code, "display": display,
            }],
            "text": lang.pick("probability against the operating point", "概率与判定阈值之比较"),
        }],
        "component": [{
            "code": {
                "coding": [{"system": "urn:chexbox:measurement", "code": "operating_point"}],
                "text": words::OPERATING_POINT.of(lang),
            },
            "valueQuantity": share(finding.threshold),
        }],
        "method": {"text": format!("{} {}", reading.model.0, reading.model.1)},
        "device": {"reference": urn(device), "display": PROGRAM},
        "note": [{"text": notice(reading)}],
    }));
    if let Some(study) = study(reading) {
        map.insert("derivedFrom".into(), json!([study]));
    }
    map
}

fn maker(reading: &Reading, id: &str) -> Map<String, Value> {
    let (model, version, sha256) = reading.model;
    object(json!({
        "resourceType": "Device",
        "id": id,
        "status": "active",
        "identifier": [{"system": "urn:chexbox:model-sha256", "value": sha256}],
        "manufacturer": "chexbox",
        "deviceName": [{"name": PROGRAM, "type": "other"}, {"name": model, "type": "model-name"}],
        "version": [{"value": version}],
        "note": [{"text": words::NOTICE.of(reading.lang)}],
    }))
}

fn coding(code: &Code) -> Value {
    let system = match code.scheme {
        "SCT" => "http://snomed.info/sct",
        "DCM" => "http://dicom.nema.org/resources/ontology/DCM",
        _ => "urn:chexbox:finding",
    };
    json!({"system": system, "code": code.value, "display": code.meaning})
}

/// A number in [0, 1] without a unit, with the digits that its record shows.
fn share(value: f32) -> Value {
    let value = value.to_string().parse::<f64>().unwrap_or_else(|_| f64::from(value));
    json!({"value": value, "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"})
}

fn notice(reading: &Reading) -> String {
    format!("{} {PROGRAM}: {}", words::NOTICE.of(reading.lang), words::MADE_BY_SOFTWARE.of(reading.lang))
}

/// The members of a JSON object that was just written as one.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;

    fn reading<'a>(view: &ReadView<'a>) -> Reading<'a> {
        Reading::of(view, None, "abc", Moment::new((2020, 1, 31), (8, 0, 0), 480).unwrap(), Lang::Zh)
    }

    #[test]
    fn each_assessed_finding_is_an_observation_and_an_untrained_one_is_a_word() {
        let model = examples::manifest(&[("a", "a", Some(0.3)), ("picc", "PICC", None)]);
        let mut findings = examples::findings(&[(0.75, 0.3), (0.1, 0.3)]);
        findings.push(examples::untrained("picc", "PICC"));
        let facts = examples::facts();
        let view = ReadView { file: "a", facts: &facts, steps: &[], manifest: &model, findings: &findings, engine: "e" };
        let bundle = bundle(&reading(&view));
        let entries = bundle["entry"].as_array().unwrap();
        let kinds: Vec<_> = entries.iter().map(|e| e["resource"]["resourceType"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["DiagnosticReport", "Observation", "Observation", "Device"]);
        let report = &entries[0]["resource"];
        assert_eq!(report["status"], "preliminary");
        assert_eq!(report["result"][1]["reference"], entries[2]["fullUrl"]);
        assert!(report["conclusion"].as_str().unwrap().contains("PICC"));
        assert_eq!(report.get("subject"), None);
        let first = &entries[1]["resource"];
        assert_eq!(
            (&first["valueQuantity"]["value"], &first["interpretation"][0]["coding"][0]["code"]),
            (&json!(0.75), &json!("POS"))
        );
        assert_eq!(first["component"][0]["valueQuantity"]["value"], json!(0.3));
        assert_eq!(first["device"]["reference"], entries[3]["fullUrl"]);
        assert_eq!(entries[2]["resource"]["interpretation"][0]["coding"][0]["code"], "NEG");
    }

    #[test]
    fn the_name_of_a_resource_is_a_uuid() {
        let urn = urn("abc");
        assert!(urn.len() == 45 && urn.as_bytes()[23] == b'8', "{urn}");
    }
}
