//! The model against readers, on the films that all of them read and the label file knows: the original project's table.
//!
//! In: labels, the model's readings, the readers' calls. Out: a row for each finding and reader with accuracies, their
//! difference in points, a verdict, McNemar's exact test and Cohen's kappa. Never: a film compared that one side did not
//! see; every such film is listed with the reason.

use super::readings::{ModelName, Readings};
use crate::labels::path::{FilmIndex, Found};
use crate::labels::{LabelFile, LabelSet};
use crate::stats::{Agreement, Counts, Interval, wilson};
use serde::Serialize;

/// Points of accuracy within which two sides count as near: the original project's table.
const NEAR_POINTS: i64 = 5;

/// The calls of one reader, in the form of a label file.
#[derive(Clone, Debug)]
pub struct Readers {
    /// Name of the reader.
    pub name: String,
    /// The calls.
    pub calls: LabelFile,
}

/// Who is better, by the rule of the original project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// The same number of right calls.
    Equal,
    /// Within five points.
    Near,
    /// The model.
    #[serde(rename = "CNN")]
    Cnn,
    /// The readers.
    Radiologists,
}

impl Verdict {
    fn of(right_model: usize, right_reader: usize, films: usize) -> Self {
        let difference = i64::try_from(right_model).unwrap_or(i64::MAX) - i64::try_from(right_reader).unwrap_or(i64::MAX);
        match difference {
            0 => Self::Equal,
            d if d.saturating_abs().saturating_mul(100) <= NEAR_POINTS.saturating_mul(films as i64) => Self::Near,
            d if d > 0 => Self::Cnn,
            _ => Self::Radiologists,
        }
    }

    /// The word of the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "Equal",
            Self::Near => "Near",
            Self::Cnn => "CNN",
            Self::Radiologists => "Radiologists",
        }
    }
}

/// One side's calls against the labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Side {
    /// Right calls of all, with Wilson's interval.
    pub accuracy: Interval,
    /// Sensitivity; `None` without a film that has the finding.
    pub sensitivity: Option<Interval>,
    /// Specificity; `None` without a film that does not.
    pub specificity: Option<Interval>,
    /// Agreement with the labels beyond chance.
    pub kappa: Option<f64>,
}

/// One finding and one reader.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// Id of the finding.
    pub id: String,
    /// English name.
    pub en: String,
    /// Chinese name.
    pub zh: String,
    /// Reader.
    pub reader: String,
    /// Films on which the labels and both sides speak.
    pub films: usize,
    /// Those with the finding, by the labels.
    pub positives: usize,
    /// The model.
    pub model: Side,
    /// The reader.
    pub readers: Side,
    /// Accuracy of the model minus that of the reader, in points of a hundred.
    pub difference_points: f64,
    /// By the rule of the original project.
    pub verdict: Verdict,
    /// McNemar's exact p of the model and the reader being right equally often.
    pub mcnemar_p: f64,
    /// Cohen's kappa of the model's and the reader's calls.
    pub kappa: Option<f64>,
}

/// The comparison of a model with readers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Program and version.
    pub program: &'static str,
    /// The model.
    pub model: ModelName,
    /// Readers, the majority of several last.
    pub readers: Vec<String>,
    /// Films that all sides have.
    pub films: usize,
    /// A row for each finding and reader.
    pub rows: Vec<ComparisonRow>,
    /// Films that one side lacks: the file and why.
    pub left_out: Vec<(String, String)>,
}

/// Name of the majority of several readers.
const MAJORITY: &str = "Radiologists (majority)";

/// One film that all sides have.
struct Film<'a> {
    label: usize,
    probabilities: &'a [Option<f32>],
    calls: Vec<usize>,
}

/// Compares the model with each of the readers, and with their majority where there are several (a tie counts as a call:
/// in screening a doubt is followed up).
pub fn compare(labels: &LabelFile, readings: &Readings, readers: &[Readers], set: &LabelSet) -> Comparison {
    let (films, left_out) = common(labels, readings, readers);
    let mut rows = Vec::new();
    for (h, head) in readings.heads.iter().enumerate() {
        let Some(f) = set.findings.iter().position(|l| l.id == head.id) else { continue };
        let Some(threshold) = head.threshold else { continue };
        // Truth, the model's call and each reader's, on the films where all of them speak.
        let spoken: Vec<(bool, bool, Vec<bool>)> = films
            .iter()
            .filter_map(|film| {
                let calls = readers.iter().zip(&film.calls).map(|(r, &i)| r.calls.films[i].truths[f].known());
                let call = film.probabilities[h]? >= threshold;
                Some((labels.films[film.label].truths[f].known()?, call, calls.collect::<Option<Vec<bool>>>()?))
            })
            .collect();
        let names = (head.id.as_str(), head.en.as_str(), head.zh.as_str());
        for (r, reader) in readers.iter().enumerate() {
            let of_one = spoken.iter().map(|(truth, call, calls)| (*truth, *call, calls[r]));
            rows.extend(row(names, &reader.name, of_one.collect()));
        }
        if readers.len() > 1 {
            let majority = |calls: &[bool]| 2 * calls.iter().filter(|c| **c).count() >= calls.len();
            rows.extend(row(names, MAJORITY, spoken.iter().map(|(t, c, calls)| (*t, *c, majority(calls))).collect()));
        }
    }
    let names = readers.iter().map(|r| r.name.clone());
    let majority = (readers.len() > 1).then(|| MAJORITY.to_owned());
    Comparison {
        program: crate::report::record::PROGRAM,
        model: readings.model.clone(),
        readers: names.chain(majority).collect(),
        films: films.len(),
        rows,
        left_out,
    }
}

/// The films that labels, model and every reader have, and the others with what they lack.
fn common<'a>(labels: &LabelFile, readings: &'a Readings, readers: &[Readers]) -> (Vec<Film<'a>>, Vec<(String, String)>) {
    let read = FilmIndex::new(readings.films.iter().map(|f| f.file.as_str()));
    let called: Vec<FilmIndex> = readers.iter().map(|r| FilmIndex::new(r.calls.films.iter().map(|f| f.file.as_str()))).collect();
    let (mut films, mut left_out) = (Vec::new(), Vec::new());
    for (label, film) in labels.films.iter().enumerate() {
        let mut lacks = Vec::new();
        let probabilities = match read.find(&film.file) {
            Found::One(i) => match &readings.films[i].outcome {
                Ok(probabilities) => Some(probabilities.as_slice()),
                Err(refused) => {
                    lacks.push(format!("refused by the model: {}", refused.code));
                    None
                }
            },
            Found::None => {
                lacks.push("no reading of the model".to_owned());
                None
            }
            Found::Several(_) => {
                lacks.push("fits several readings of the model".to_owned());
                None
            }
        };
        let mut calls = Vec::new();
        for (reader, index) in readers.iter().zip(&called) {
            match index.find(&film.file) {
                Found::One(i) => calls.push(i),
                Found::None => lacks.push(format!("no call of {}", reader.name)),
                Found::Several(_) => lacks.push(format!("fits several calls of {}", reader.name)),
            }
        }
        match probabilities {
            Some(probabilities) if lacks.is_empty() => films.push(Film { label, probabilities, calls }),
            _ => left_out.push((film.file.clone(), lacks.join("; "))),
        }
    }
    let known = FilmIndex::new(labels.films.iter().map(|f| f.file.as_str()));
    let of_readers = readers.iter().flat_map(|r| r.calls.films.iter().map(move |f| (&f.file, r.name.as_str())));
    for (file, who) in readings.films.iter().map(|f| (&f.file, "the model")).chain(of_readers) {
        if known.find(file) == Found::None {
            left_out.push((file.clone(), format!("no label; read by {who}")));
        }
    }
    (films, left_out)
}

/// The row of one finding and reader; `None` where there is no film on which all speak.
fn row((id, en, zh): (&str, &str, &str), reader: &str, films: Vec<(bool, bool, bool)>) -> Option<ComparisonRow> {
    let n = films.len();
    let right = |of: fn(&(bool, bool, bool)) -> bool| films.iter().filter(|f| of(f) == f.0).count();
    let (right_model, right_reader) = (right(|f| f.1), right(|f| f.2));
    let rightness = Agreement::of(films.iter().map(|(truth, model, reader)| (model == truth, reader == truth)));
    Some(ComparisonRow {
        id: id.to_owned(),
        en: en.to_owned(),
        zh: zh.to_owned(),
        reader: reader.to_owned(),
        films: n,
        positives: films.iter().filter(|f| f.0).count(),
        model: side(films.iter().map(|f| (f.0, f.1)))?,
        readers: side(films.iter().map(|f| (f.0, f.2)))?,
        difference_points: (right_model as f64 - right_reader as f64) * 100.0 / n as f64,
        verdict: Verdict::of(right_model, right_reader, n),
        mcnemar_p: rightness.mcnemar(),
        kappa: Agreement::of(films.iter().map(|f| (f.1, f.2))).kappa(),
    })
}

/// Calls against truths.
fn side(pairs: impl Iterator<Item = (bool, bool)>) -> Option<Side> {
    let with_truth = Agreement::of(pairs);
    let counts = Counts {
        true_positives: with_truth.both,
        false_negatives: with_truth.first_only,
        false_positives: with_truth.second_only,
        true_negatives: with_truth.neither,
    };
    let Counts { true_positives: tp, false_positives: fp, true_negatives: tn, false_negatives: fnn } = counts;
    Some(Side {
        accuracy: wilson(tp + tn, with_truth.pairs())?,
        sensitivity: wilson(tp, tp + fnn),
        specificity: wilson(tn, tn + fp),
        kappa: with_truth.kappa(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_equal_near_or_the_better_side() {
        for (model, reader, films, want) in [
            (90, 90, 100, Verdict::Equal),
            (95, 90, 100, Verdict::Near),
            (85, 90, 100, Verdict::Near),
            (96, 90, 100, Verdict::Cnn),
            (84, 90, 100, Verdict::Radiologists),
            (2, 1, 20, Verdict::Near),
            (2, 1, 19, Verdict::Cnn),
            (0, 0, 0, Verdict::Equal),
        ] {
            assert_eq!(Verdict::of(model, reader, films), want, "{model} {reader} of {films}");
        }
    }

    #[test]
    fn a_row_counts_each_side_against_the_labels() {
        // Truth, model, reader.
        let films = vec![(true, true, false), (true, true, true), (false, false, false), (false, true, false)];
        let row = row(("mass", "mass", "肺内占位"), "A", films).unwrap();
        assert_eq!((row.films, row.positives), (4, 2));
        assert_eq!((row.model.accuracy.value, row.readers.accuracy.value), (0.75, 0.75));
        assert_eq!((row.difference_points, row.verdict, row.mcnemar_p), (0.0, Verdict::Equal, 1.0));
        assert_eq!(row.model.sensitivity.map(|s| s.value), Some(1.0));
        assert_eq!(row.readers.sensitivity.map(|s| s.value), Some(0.5));
        assert!(super::row(("mass", "", ""), "A", vec![]).is_none());
    }
}
