//! The record of one film on one model: one JSON object on one line, for machines.
//!
//! Every record has the same keys; what does not apply is `null`. A refused film's `findings` is
//! `null` and not an empty list, which could be taken for "nothing found".

use super::{Assessed, ReadView, View, name, words};
use crate::findings::{Call, Finding};
use crate::lang::Lang;
use crate::model::Manifest;
use crate::radiograph::{Code, Facts, Step};
use crate::{grad_cam, radiograph::Refusal};
use serde::Serialize;

/// The record of one film on one model.
#[derive(Clone, Debug, Serialize)]
pub struct Record<'a> {
    /// The file as the user named it.
    pub file: &'a str,
    /// `read` or `refused`.
    pub status: Status,
    /// Why it was not read; `null` when it was.
    pub refusal: Option<RefusalRecord>,
    /// The model; may be `null` when refused.
    pub model: Option<ModelRecord<'a>>,
    /// The whole label set in its order; `null` when refused.
    pub findings: Option<Vec<FindingRecord<'a>>>,
    /// Pictures written; `null` unless asked for.
    pub heatmaps: Option<&'a HeatMapFiles>,
    /// How the numbers came about.
    pub provenance: Provenance<'a>,
    /// The intended use.
    pub notice: &'static str,
}

/// Whether the film was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was.
    Read,
    /// It was not.
    Refused,
}

/// Why a film was not read.
#[derive(Clone, Debug, Serialize)]
pub struct RefusalRecord {
    /// Stable code.
    pub code: Code,
    /// One sentence in the user's language.
    pub message: String,
    /// What the user can do.
    pub remedy: &'static str,
}

/// Which model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelRecord<'a> {
    /// Name.
    pub name: &'a str,
    /// Version of the weights.
    pub version: &'a str,
    /// SHA-256 of the model file.
    pub sha256: &'a str,
}

/// One finding; the numbers are `null` for an untrained head.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRecord<'a> {
    /// English name in snake_case; stable.
    pub id: &'a str,
    /// Name in the user's language.
    pub name: &'a str,
    /// Whether the head has learnt from evidence.
    pub trained: bool,
    /// Calibrated probability in [0, 1].
    pub probability: Option<f32>,
    /// Operating point in (0, 1).
    pub threshold: Option<f32>,
    /// Whether the probability is at or above the operating point.
    pub positive: Option<bool>,
}

/// Names of the pictures written for a film.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeatMapFiles {
    /// The contact sheet.
    pub sheet: String,
    /// An overlay for each positive finding.
    pub overlays: Vec<OverlayFile>,
}

/// Name of the overlay of one finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverlayFile {
    /// Id of the finding.
    pub finding: String,
    /// The file written.
    pub file: String,
}

/// How the numbers came about.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance<'a> {
    /// Program and version.
    pub program: &'static str,
    /// Language of the texts.
    pub language: Lang,
    /// What ran the model; `null` when refused.
    pub engine: Option<&'a str>,
    /// How the heat maps were made; `null` unless asked for.
    pub heatmap_method: Option<&'static str>,
    /// What the file says about the film; `null` when refused.
    pub facts: Option<&'a Facts>,
    /// Every step the pixels went through, in order; empty when refused.
    pub steps: &'a [Step],
}

/// Program and version, as records carry it.
pub const PROGRAM: &str = concat!("chexbox ", env!("CARGO_PKG_VERSION"));

impl<'a> Record<'a> {
    /// The record of a film; `heatmaps` where pictures were asked for.
    pub fn of(view: &View<'a>, heatmaps: Option<&'a HeatMapFiles>, lang: Lang) -> Self {
        match view {
            View::Read(read) => Self::read(read, heatmaps, lang),
            View::Refused(refused) => Self {
                file: refused.file,
                status: Status::Refused,
                refusal: Some(RefusalRecord::of(refused.refusal, lang)),
                model: refused.manifest.map(ModelRecord::of),
                findings: None,
                heatmaps: None,
                provenance: Provenance {
                    program: PROGRAM,
                    language: lang,
                    engine: None,
                    heatmap_method: None,
                    facts: None,
                    steps: &[],
                },
                notice: words::NOTICE.of(lang),
            },
        }
    }

    fn read(view: &ReadView<'a>, heatmaps: Option<&'a HeatMapFiles>, lang: Lang) -> Self {
        Self {
            file: view.file,
            status: Status::Read,
            refusal: None,
            model: Some(ModelRecord::of(view.manifest)),
            findings: Some(view.findings.iter().map(|f| FindingRecord::of(f, lang)).collect()),
            heatmaps,
            provenance: Provenance {
                program: PROGRAM,
                language: lang,
                engine: Some(view.engine),
                heatmap_method: heatmaps.map(|_| grad_cam::METHOD),
                facts: Some(view.facts),
                steps: view.steps,
            },
            notice: words::NOTICE.of(lang),
        }
    }

    /// The record as one line of JSON, without the line's end.
    ///
    /// # Errors
    /// What serde_json says; no record that [`Record::of`] makes gives cause for it.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl RefusalRecord {
    fn of(refusal: &Refusal, lang: Lang) -> Self {
        Self { code: refusal.code(), message: refusal.message(lang), remedy: refusal.remedy(lang) }
    }
}

impl<'a> ModelRecord<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        Self { name: &manifest.name, version: &manifest.version, sha256: &manifest.file.sha256 }
    }
}

impl<'a> FindingRecord<'a> {
    fn of(finding: &'a Finding, lang: Lang) -> Self {
        let numbers = Assessed::of(finding);
        Self {
            id: &finding.id,
            name: name(finding, lang),
            trained: numbers.is_some(),
            probability: numbers.map(|n| n.probability),
            threshold: numbers.map(|n| n.threshold),
            positive: numbers.map(|n| n.call == Call::Positive),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RefusedView, examples};
    use super::*;
    use serde_json::{Value, json};

    fn value(record: &Record) -> Value {
        let line = record.to_line().unwrap();
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_read_film_carries_findings_model_and_provenance_and_no_number_for_an_untrained_head() {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3)), ("picc", "PICC", None)]);
        let mut findings = examples::findings(&[(0.75, 0.3)]);
        findings.push(examples::untrained("picc", "PICC"));
        let (facts, steps) = (examples::facts(), examples::steps());
        let read = ReadView {
            file: "片/a.dcm",
            facts: &facts,
            steps: &steps,
            manifest: &manifest,
            findings: &findings,
            engine: "tract",
        };
        let record = value(&Record::of(&View::Read(read), None, Lang::Zh));
        assert_eq!(record["file"], "片/a.dcm");
        assert_eq!((&record["status"], &record["refusal"]), (&json!("read"), &Value::Null));
        assert_eq!(record["model"], json!({"name": "findings25", "version": "1.2.0", "sha256": "5a".repeat(32)}));
        assert_eq!(
            record["findings"],
            json!([
                {"id": "finding_0", "name": "征象 0", "trained": true, "probability": 0.75, "threshold": 0.3, "positive": true},
                {"id": "picc", "name": "PICC", "trained": false, "probability": null, "threshold": null, "positive": null},
            ])
        );
        assert_eq!((&record["heatmaps"], &record["provenance"]["heatmap_method"]), (&Value::Null, &Value::Null));
        assert_eq!(record["provenance"]["language"], "zh");
        assert_eq!(record["provenance"]["engine"], "tract");
        assert_eq!(record["provenance"]["facts"]["rows"], 2500);
        assert_eq!(record["provenance"]["steps"][1], json!({"step": "polarity", "detail": "MONOCHROME1, inverted"}));
        assert_eq!(record["notice"], "仅供专业人员筛查辅助，不作为诊断依据。");
    }

    #[test]
    fn pictures_are_named_with_their_method_when_they_were_written() {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3))]);
        let (findings, facts) = (examples::findings(&[(0.75, 0.3)]), examples::facts());
        let files = HeatMapFiles {
            sheet: "a.sheet.png".to_owned(),
            overlays: vec![OverlayFile { finding: "finding_0".to_owned(), file: "a.finding_0.png".to_owned() }],
        };
        let read = ReadView { file: "a", facts: &facts, steps: &[], manifest: &manifest, findings: &findings, engine: "tract" };
        let record = value(&Record::of(&View::Read(read), Some(&files), Lang::En));
        assert_eq!(
            record["heatmaps"],
            json!({"sheet": "a.sheet.png", "overlays": [{"finding": "finding_0", "file": "a.finding_0.png"}]})
        );
        assert!(record["provenance"]["heatmap_method"].as_str().unwrap().starts_with("grad-cam"));
    }

    #[test]
    fn a_refused_film_carries_no_findings_and_needs_no_model() {
        let refusal = Refusal::new(Code::WrongModality, "Modality (0008,0060) is CT, allowed are CR, DX");
        for manifest in [None, Some(&examples::manifest(&[("mass", "肺内占位", Some(0.3))]))] {
            let view = View::Refused(RefusedView { file: "ct.dcm", refusal: &refusal, manifest });
            let record = value(&Record::of(&view, None, Lang::En));
            assert_eq!(record["status"], "refused");
            assert_eq!(record["findings"], Value::Null);
            assert_eq!(record["model"].is_null(), manifest.is_none());
            assert_eq!(
                record["refusal"],
                json!({
                    "code": "wrong_modality",
                    "message": "not a chest radiograph: another modality (Modality (0008,0060) is CT, allowed are CR, DX)",
                    "remedy": "send a CR or DX chest radiograph",
                })
            );
        }
    }

    #[test]
    fn every_record_has_the_same_keys() {
        let refusal = Refusal::new(Code::BlankFilm, "");
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3))]);
        let facts = examples::facts();
        let read = ReadView { file: "a", facts: &facts, steps: &[], manifest: &manifest, findings: &[], engine: "tract" };
        let keys = |view: View| {
            let record = value(&Record::of(&view, None, Lang::En));
            let inner: Vec<String> = record["provenance"].as_object().unwrap().keys().cloned().collect();
            (record.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), inner)
        };
        assert_eq!(keys(View::Read(read)), keys(View::Refused(RefusedView { file: "a", refusal: &refusal, manifest: None })));
    }
}
