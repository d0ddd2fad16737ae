//! Readings of many films by one model: made just now, or read from the records of `read --json` or the rows of `read --csv`.

use crate::labels::Faults;
use crate::model::Manifest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelName {
    /// Name.
    pub name: String,
    /// Version of the weights.
    pub version: String,
    /// SHA-256 of the model file.
    pub sha256: String,
}

/// One finding of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// English name in snake_case.
    pub id: String,
    /// English name.
    pub en: String,
    /// Chinese name.
    pub zh: String,
    /// Operating point of the calls; `None` for an untrained head.
    pub threshold: Option<f32>,
}

/// Why a film has no reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// One film.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadFilm {
    /// The file as it was named.
    pub file: String,
    /// Probability of each head, `None` for an untrained one; or why there is none.
    pub outcome: Result<Vec<Option<f32>>, Refused>,
}

/// Readings of many films by one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings {
    /// The model.
    pub model: ModelName,
    /// Its findings.
    pub heads: Vec<Head>,
    /// The films.
    pub films: Vec<ReadFilm>,
}

impl ModelName {
    /// The model of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        Self { name: manifest.name.clone(), version: manifest.version.clone(), sha256: manifest.file.sha256.clone() }
    }
}

impl Head {
    /// The findings of a model, with its own operating points.
    pub fn all(manifest: &Manifest) -> Vec<Self> {
        let head = |f: &crate::model::FindingSpec| Self {
            id: f.id.clone(),
            en: f.en.clone(),
            zh: f.zh.clone(),
            threshold: f.operating.filter(|_| f.trained).map(|o| o.threshold),
        };
        manifest.findings.iter().map(head).collect()
    }
}

/// A record as `read --json` writes it, as far as it is needed.
#[derive(Deserialize)]
struct Line {
    file: String,
    status: String,
    refusal: Option<LineRefusal>,
    model: Option<ModelName>,
    findings: Option<Vec<LineFinding>>,
}

#[derive(Deserialize)]
struct LineRefusal {
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Clone, Deserialize)]
struct LineFinding {
    id: String,
    probability: Option<f32>,
    threshold: Option<f32>,
}

/// A row of `read --csv`, as far as it is needed.
#[derive(Deserialize)]
struct Row {
    file: String,
    status: String,
    refusal_code: String,
    model: String,
    version: String,
    sha256: String,
    finding: String,
    probability: Option<f32>,
    threshold: Option<f32>,
}

impl Readings {
    /// Reads records or rows. Where they are of several models, `model` must name one.
    ///
    /// # Errors
    /// A sentence where no readings of one model can be had; faults of single records are added to `faults`.
    pub fn parse(text: &str, model: Option<&str>, faults: &mut Faults) -> Result<Self, String> {
        let lines = if text.trim_start().starts_with('{') { records(text, faults) } else { rows(text, faults)? };
        let models: BTreeSet<&ModelName> = lines.iter().filter_map(|(_, l)| l.model.as_ref()).collect();
        let wanted = models.iter().filter(|m| model.is_none_or(|name| m.name == name)).collect::<Vec<_>>();
        let chosen: ModelName = match wanted[..] {
            [one] => (*one).clone(),
            _ => {
                let names: Vec<String> = models.iter().map(|m| format!("{} {}", m.name, m.version)).collect();
                let names = if names.is_empty() { "no model".to_owned() } else { names.join(", ") };
                return Err(format!("the readings are of {names}; one model is needed, --model NAME chooses it"));
            }
        };
        Ok(gather(chosen, lines, faults))
    }

    /// Gives the findings their names for people, where `names` (id, English, Chinese) knows them.
    pub fn name<'a>(&mut self, names: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) {
        let names: BTreeMap<&str, (&str, &str)> = names.into_iter().map(|(id, en, zh)| (id, (en, zh))).collect();
        for head in &mut self.heads {
            if let Some((en, zh)) = names.get(head.id.as_str()) {
                (*en).clone_into(&mut head.en);
                (*zh).clone_into(&mut head.zh);
            }
        }
    }
}

fn records(text: &str, faults: &mut Faults) -> Vec<(usize, Line)> {
    let mut lines = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        match serde_json::from_str::<Line>(line) {
            Ok(record) => lines.push((i + 1, record)),
            Err(e) => faults.add(i + 1, format!("not a record of chexbox read --json: {e}")),
        }
    }
    lines
}

fn rows(text: &str, faults: &mut Faults) -> Result<Vec<(usize, Line)>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| e.to_string())?;
    if !["file", "status", "finding", "probability"].iter().all(|c| header.iter().any(|h| h == *c)) {
        return Err("neither records of chexbox read --json nor rows of chexbox read --csv".to_owned());
    }
    let mut films: Vec<(usize, Line)> = Vec::new();
    for (i, row) in reader.deserialize::<Row>().enumerate() {
        let row = match row {
            Ok(row) => row,
            Err(e) => {
                faults.add(i + 2, e);
                continue;
            }
        };
        // The guard that keeps a spreadsheet from taking a name for a formula.
        let file =
            row.file.strip_prefix('\'').filter(|f| f.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])).unwrap_or(&row.file);
        let model = ModelName { name: row.model, version: row.version, sha256: row.sha256 };
        let finding = LineFinding { id: row.finding, probability: row.probability, threshold: row.threshold };
        match films.last_mut() {
            Some((_, film)) if film.file == file && film.model.as_ref() == Some(&model) && film.findings.is_some() => {
                film.findings.get_or_insert_default().push(finding);
            }
            _ => {
                let refused = row.status != "read";
                let refusal = refused.then_some(LineRefusal { code: row.refusal_code, message: String::new() });
                let findings = (!refused).then(|| vec![finding]);
                films.push((i + 2, Line { file: file.to_owned(), status: row.status, refusal, model: Some(model), findings }));
            }
        }
    }
    Ok(films)
}

/// The films of one model; every film must have been read with the same findings and operating points.
fn gather(model: ModelName, lines: Vec<(usize, Line)>, faults: &mut Faults) -> Readings {
    let mut readings = Readings { model, heads: Vec::new(), films: Vec::new() };
    let mut seen = BTreeMap::new();
    for (row, line) in lines.into_iter().filter(|(_, l)| l.model.as_ref().is_none_or(|m| *m == readings.model)) {
        if let Some(first) = seen.insert(line.file.clone(), row) {
            faults.add(row, format!("{} stands in row {first} already", line.file));
            continue;
        }
        let outcome = match (line.status.as_str(), line.findings, line.refusal) {
            ("read", Some(findings), _) => {
                let heads: Vec<Head> = findings.iter().map(head).collect();
                if readings.heads.is_empty() {
                    readings.heads = heads;
                } else if readings.heads != heads {
                    faults
                        .add(row, "other findings or operating points than the films before: these are readings of several runs");
                }
                findings.iter().for_each(|f| check(f, row, faults));
                Ok(findings.iter().map(|f| f.probability).collect())
            }
            ("refused", _, Some(r)) => Err(Refused { code: r.code, message: r.message }),
            (status, ..) => {
                faults.add(row, format!("status {status:?} without what belongs to it, allowed are read and refused"));
                continue;
            }
        };
        readings.films.push(ReadFilm { file: line.file, outcome });
    }
    readings
}

fn head(finding: &LineFinding) -> Head {
    Head { id: finding.id.clone(), en: finding.id.replace('_', " "), zh: finding.id.clone(), threshold: finding.threshold }
}

fn check(finding: &LineFinding, row: usize, faults: &mut Faults) {
    match (finding.probability, finding.threshold) {
        (None, None) => {}
        (Some(p), Some(t)) if (0.0..=1.0).contains(&p) && t > 0.0 && t < 1.0 => {}
        (p, t) => faults
            .add(row, format!("{}: probability {p:?} and threshold {t:?}, allowed are numbers in 0 to 1, or none", finding.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(file: &str, model: &str, p: f32) -> String {
        format!(
            r#"{{"file":"{file}","status":"read","refusal":null,"model":{{"name":"{model}","version":"1","sha256":"aa"}},"findings":[{{"id":"mass","name":"x","trained":true,"probability":{p},"threshold":0.3,"positive":true}},{{"id":"picc","name":"x","trained":false,"probability":null,"threshold":null,"positive":null}}],"heatmaps":null}}"#
        )
    }

    #[test]
    fn records_and_rows_of_the_same_run_are_the_same_readings() {
        let refused = r#"{"file":"b","status":"refused","refusal":{"code":"blank_film","message":""},"model":{"name":"m","version":"1","sha256":"aa"},"findings":null}"#;
        let json = format!("{}\n{refused}\n", record("=a", "m", 0.25));
        let csv = "file,status,refusal_code,model,version,sha256,finding,trained,probability,threshold,positive\n\
                   '=a,read,,m,1,aa,mass,true,0.25,0.3,false\n'=a,read,,m,1,aa,picc,false,,,\nb,refused,blank_film,m,1,aa,,,,,\n";
        let mut faults = Faults::default();
        let a = Readings::parse(&json, None, &mut faults).unwrap();
        let b = Readings::parse(csv, None, &mut faults).unwrap();
        assert_eq!(faults.lines, Vec::<String>::new());
        assert_eq!(a, b);
        assert_eq!(a.films[0].outcome, Ok(vec![Some(0.25), None]));
        assert_eq!(a.films[1].outcome.as_ref().unwrap_err().code, "blank_film");
    }

    #[test]
    fn readings_of_several_models_need_a_choice() {
        let text = format!("{}\n{}\n", record("a", "m", 0.1), record("a", "n", 0.2));
        let error = Readings::parse(&text, None, &mut Faults::default()).unwrap_err();
        assert!(error.contains("m 1, n 1") && error.contains("--model"), "{error}");
        let mut faults = Faults::default();
        assert_eq!(Readings::parse(&text, Some("n"), &mut faults).unwrap().films[0].outcome, Ok(vec![Some(0.2), None]));
        assert_eq!(faults.count, 0);
    }

    #[test]
    fn what_is_no_reading_is_a_fault_with_its_row() {
        let text = format!("{}\n{{}}\n{}\n{}\n", record("a", "m", 0.1), record("a", "m", 0.1), record("c", "m", 7.0));
        let mut faults = Faults::default();
        Readings::parse(&text, None, &mut faults).unwrap();
        let all = faults.lines.join("\n");
        for what in ["row 2: not a record", "row 3: a stands in row 1", "row 4: mass: probability Some(7.0)"] {
            assert!(all.contains(what), "{what} not in\n{all}");
        }
        assert!(Readings::parse("x,y\n", None, &mut Faults::default()).is_err());
    }
}
