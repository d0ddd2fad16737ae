//! One row of a label file: what it says of one film.

use super::Truth;
use super::boxes::{self, BoxColumn};
use super::faults::Faults;
use super::film::LabelledFilm;
use super::header::Header;
use super::listed::Listed;
use super::set::{Label, LabelSet};
use super::uncertain::{Uncertain, UncertainPolicies};

/// Greatest age that is believed, years, as in the manifest.
pub const AGE_MAX: f64 = 120.0;

/// Columns that a request names.
pub(super) struct Asked<'a> {
    pub only: Vec<(usize, &'a str)>,
    pub boxes: Vec<(usize, &'a BoxColumn)>,
}

/// What every row is read with.
pub(super) struct Rows<'a> {
    pub names: &'a csv::StringRecord,
    pub header: &'a Header,
    pub set: &'a LabelSet,
    pub asked: Asked<'a>,
    pub uncertain: &'a UncertainPolicies,
}

impl Rows<'_> {
    pub(super) fn wanted(&self, line: &csv::StringRecord) -> bool {
        self.asked.only.iter().all(|(i, value)| line.get(*i).unwrap_or("").trim() == *value)
    }

    pub(super) fn film(&self, row: usize, line: &csv::StringRecord, faults: &mut Faults) -> LabelledFilm {
        let header = self.header;
        let text = |at: Option<usize>| at.and_then(|i| line.get(i)).unwrap_or("").trim().to_owned();
        let file = text(Some(header.file));
        if file.is_empty() {
            faults.add(row, "file is blank");
        }
        if std::path::Path::new(&file).components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
            faults.add(row, format!("file is {file}, allowed is a path below the image folder"));
        }
        let listed = Listed::of(header.listed.and_then(|i| line.get(i)).unwrap_or("")).unwrap_or_else(|what| {
            faults.add(row, what);
            Listed::default()
        });
        let truth = |(at, label): (&Vec<usize>, &Label)| match at.as_slice() {
            [] => listed.truth(label),
            at => self.truth(row, line, at, self.uncertain.of(&label.id), faults),
        };
        let truths = header.labels.iter().zip(&self.set.findings).map(truth).collect();
        // CheXpert leaves the cell blank where something was found, or was uncertain.
        let none = header.no_finding.map(|i| self.truth(row, line, &[i], Uncertain::Ignore, faults) == Truth::Positive);
        let age = age_of(&text(header.age)).unwrap_or_else(|what| {
            faults.add(row, what);
            None
        });
        let mut found = Vec::new();
        for (i, column) in &self.asked.boxes {
            match boxes::parse(line.get(*i).unwrap_or(""), column) {
                Ok(of_cell) => found.extend(of_cell),
                Err(what) => faults.add(row, what),
            }
        }
        let patient = match header.patient {
            Some(i) => text(Some(i)),
            None => patient_in_path(&file),
        };
        LabelledFilm {
            row,
            patient,
            split: text(header.split),
            age,
            sex: sex(&text(header.sex)),
            view: text(header.view).to_ascii_uppercase(),
            lateral: text(header.projection).eq_ignore_ascii_case("lateral"),
            normal: none.or_else(|| listed.normal()),
            truths,
            boxes: found,
            file,
        }
    }

    /// Positive if any column is; negative if any is and none is positive.
    fn truth(&self, row: usize, line: &csv::StringRecord, columns: &[usize], uncertain: Uncertain, faults: &mut Faults) -> Truth {
        let mut truth = Truth::Unknown;
        for &i in columns {
            let said = match line.get(i).unwrap_or("").trim() {
                "" => Truth::Unknown,
                "0" | "0.0" => Truth::Negative,
                "1" | "1.0" => Truth::Positive,
                "-1" | "-1.0" => match uncertain {
                    Uncertain::Ignore => Truth::Unknown,
                    Uncertain::Zeros => Truth::Negative,
                    Uncertain::Ones => Truth::Positive,
                },
                other => {
                    faults.add(row, format!("{} is {other}, allowed are 0, 1, -1 and blank", &self.names[i]));
                    Truth::Unknown
                }
            };
            truth = match (truth, said) {
                (Truth::Positive, _) | (_, Truth::Positive) => Truth::Positive,
                (Truth::Negative, _) | (_, Truth::Negative) => Truth::Negative,
                _ => Truth::Unknown,
            };
        }
        truth
    }
}

/// An age in years; the NIH's first edition wrote 058Y.
fn age_of(text: &str) -> Result<Option<f64>, String> {
    match text.strip_suffix('Y').unwrap_or(text).parse::<f64>() {
        _ if text.is_empty() => Ok(None),
        Ok(age) if (0.0..=AGE_MAX).contains(&age) => Ok(Some(age)),
        _ => Err(format!("age is {text}, allowed are 0 to {AGE_MAX} years and blank")),
    }
}

fn sex(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "m" | "male" => "M".to_owned(),
        "f" | "female" => "F".to_owned(),
        _ => text.to_owned(),
    }
}

/// CheXpert has no column for the patient: `CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg`.
fn patient_in_path(file: &str) -> String {
    let numbered =
        |part: &&str| part.strip_prefix("patient").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    file.split('/').find(numbered).unwrap_or("").to_owned()
}
