//! A reading as JSON, in the language of whoever asks. The document at /openapi.json describes it.

use super::problem::refused;
use super::request::escaped;
use crate::http::desk::Entry;
use crate::lang::Lang;
use crate::report::kept::KeptFinding;
use crate::report::words;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Which heat maps an answer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maps {
    /// Of every trained finding.
    All,
    /// Of the positive ones.
    Positive,
    /// None.
    None,
}

impl Maps {
    /// As the query names them.
    pub const NAMES: [(&'static str, Self); 3] = [("all", Self::All), ("positive", Self::Positive), ("none", Self::None)];
}

/// How much an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All.
    Whole,
    /// Without provenance and notice, for lists.
    Short,
}

/// The address of a reading.
pub fn address(entry: &Entry) -> String {
    format!("/v1/readings/{}", entry.id)
}

/// A moment as RFC 3339 has it, in UTC.
pub fn moment(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|t| t.to_string())
}

/// The reading.
pub fn reading(entry: &Entry, maps: Maps, form: Form, lang: Lang) -> Value {
    let (kept, at) = (&entry.kept, address(entry));
    let refusal = kept.refusal().map(|r| json!({"code": r.code(), "message": r.message(lang), "remedy": r.remedy(lang)}));
    let finding = |f| self::finding(entry, f, maps, lang);
    let findings: Option<Vec<Value>> = kept.findings.as_ref().map(|f| f.iter().map(finding).collect());
    let patient = entry
        .patient
        .as_ref()
        .map(|p| json!({"id": p.id(), "name": p.name(), "birth_date": p.birth_date(), "accession": p.accession()}));
    let mut value = json!({
        "id": entry.id,
        "created": moment(entry.created_ms),
        "status": if refusal.is_some() { "refused" } else { "read" },
        "film": {
            "sha256": entry.film_sha256,
            "name": entry.film_name,
            "bytes": entry.film_bytes,
            "href": entry.film_kept.then(|| format!("{at}/film.png")),
        },
        "patient": patient,
        "model": {"name": kept.model, "version": kept.version, "sha256": kept.sha256},
        "refusal": refusal,
        "findings": findings,
        "links": {
            "self": at,
            "report": format!("{at}/report.html"),
            "fhir": kept.refusal.is_none().then(|| format!("{at}/fhir")),
        },
    });
    if let (Form::Whole, Some(object)) = (form, value.as_object_mut()) {
        let method = kept.findings.is_some().then_some(crate::grad_cam::METHOD);
        let provenance = json!({
            "program": kept.program,
            "language": lang,
            "engine": kept.engine,
            "heatmap_method": method,
            "facts": kept.facts,
            "steps": kept.steps,
        });
        object.insert("provenance".to_owned(), provenance);
        object.insert("notice".to_owned(), json!(words::NOTICE.of(lang)));
    }
    value
}

fn finding(entry: &Entry, finding: &KeptFinding, maps: Maps, lang: Lang) -> Value {
    let numbers = finding.assessed;
    let wanted = match maps {
        Maps::All => true,
        Maps::Positive => numbers.is_some_and(|n| n.positive),
        Maps::None => false,
    };
    let heatmap = (wanted && numbers.is_some()).then(|| format!("{}/heatmaps/{}.png", address(entry), escaped(&finding.id)));
    json!({
        "id": finding.id,
        "name": lang.pick(&finding.en, &finding.zh),
        "trained": numbers.is_some(),
        "probability": numbers.map(|n| shortest(n.probability)),
        "threshold": numbers.map(|n| shortest(n.threshold)),
        "positive": numbers.map(|n| n.positive),
        "heatmap": heatmap,
    })
}

/// The number as records write it: with the fewest digits that mean it and no other `f32`.
pub fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

/// A reading as an answer to the film that was sent: a refused one is a problem.
pub fn outcome(entry: &Entry, maps: Maps, lang: Lang) -> Value {
    match entry.kept.refusal() {
        Some(refusal) => Value::Object(refused(&refusal, &entry.id, lang)),
        None => reading(entry, maps, Form::Whole, lang),
    }
}
