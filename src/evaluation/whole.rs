//! The evaluation of one model on one label file.

use super::boxes::BoxFigures;
use super::figures::{Figures, figures};
use super::groups::{Group, Known, groups};
use super::matching::Matched;
use super::readings::{ModelName, Readings};
use super::thresholds::ThresholdFile;
use crate::labels::{LabelFile, LabelSet, LabelledFilm};
use crate::stats::Rule;
use serde::Serialize;

/// Everything that an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Program and version.
    pub program: &'static str,
    /// The model.
    pub model: ModelName,
    /// The label file as the user named it.
    pub labels: String,
    /// How many films took part, and how many did not.
    pub films: FilmCounts,
    /// The findings that have figures.
    pub findings: Vec<Named<Figures>>,
    /// Means over them.
    pub means: Means,
    /// Groups by sex, age and view.
    pub groups: Vec<Group>,
    /// Heat maps against boxes; empty unless asked for.
    pub boxes: Vec<Named<BoxFigures>>,
    /// Findings without figures.
    pub unavailable: Vec<Unavailable>,
    /// Every labelled film that took no part.
    pub left_out: Vec<LeftOut>,
}

/// Something about one finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named<T> {
    /// English name in snake_case.
    pub id: String,
    /// English name.
    pub en: String,
    /// Chinese name.
    pub zh: String,
    /// Columns of the label file that speak of it.
    pub columns: Vec<String>,
    /// What is known.
    #[serde(flatten)]
    pub of: T,
}

/// How many films took part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilmCounts {
    /// In the label file, of those asked for.
    pub labelled: usize,
    /// Read and labelled.
    pub evaluated: usize,
    /// Refused by the program.
    pub refused: usize,
    /// Without a reading.
    pub unread: usize,
    /// Laterals by the label file, which are not read.
    pub laterals: usize,
    /// Read, but not in the label file.
    pub unlabelled: usize,
    /// Rows of the label file that were not asked for.
    pub not_asked_for: usize,
}

/// Unweighted means over the findings that have the figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Means {
    /// Findings with an AUC.
    pub findings: usize,
    /// AUC.
    pub auc: Option<f64>,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// F1.
    pub f1: Option<f64>,
    /// Precision.
    pub precision: Option<f64>,
    /// Sensitivity, also called recall.
    pub sensitivity: Option<f64>,
    /// Specificity.
    pub specificity: Option<f64>,
    /// Brier score.
    pub brier: Option<f64>,
    /// Expected calibration error.
    pub expected_calibration_error: Option<f64>,
}

/// A finding without figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    /// English name in snake_case.
    pub id: String,
    /// English name.
    pub en: String,
    /// Chinese name.
    pub zh: String,
    /// `untrained` or `no_labels`.
    pub why: &'static str,
}

/// A labelled film that took no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The film as the label file names it.
    pub file: String,
    /// Row of the label file.
    pub row: usize,
    /// The refusal's code, `lateral` or `no_reading`.
    pub why: String,
    /// The refusal's sentence.
    pub message: String,
}

/// The label set's position of each head, by id.
fn positions(readings: &Readings, set: &LabelSet) -> Vec<Option<usize>> {
    readings.heads.iter().map(|h| set.findings.iter().position(|l| l.id == h.id)).collect()
}

/// The figures of `readings` against `labels`, matched by [`super::match_films`].
pub fn evaluate(readings: &Readings, labels: &LabelFile, set: &LabelSet, matched: &Matched, name: &str) -> Evaluation {
    let at = positions(readings, set);
    let evaluated: Vec<(&LabelledFilm, &Vec<Option<f32>>)> =
        matched.pairs.iter().filter_map(|&(l, r)| Some((&labels.films[l], readings.films[r].outcome.as_ref().ok()?))).collect();
    let (mut findings, mut known_films, mut unavailable) = (Vec::new(), Vec::new(), Vec::new());
    for (h, head) in readings.heads.iter().enumerate() {
        let columns = at[h].map(|f| labels.columns[f].clone()).unwrap_or_default();
        let without = |why| Unavailable { id: head.id.clone(), en: head.en.clone(), zh: head.zh.clone(), why };
        let (Some(threshold), Some(f)) = (head.threshold, at[h].filter(|_| !columns.is_empty())) else {
            unavailable.push(without(if head.threshold.is_none() { "untrained" } else { "no_labels" }));
            continue;
        };
        let films: Vec<(&LabelledFilm, f32, bool)> =
            evaluated.iter().filter_map(|(film, p)| Some((*film, p[h]?, film.truths[f].known()?))).collect();
        if films.is_empty() {
            unavailable.push(without("no_labels"));
            continue;
        }
        let (scores, truths): (Vec<f32>, Vec<bool>) = films.iter().map(|(_, p, t)| (*p, *t)).unzip();
        let of = figures(&scores, &truths, threshold);
        findings.push(Named { id: head.id.clone(), en: head.en.clone(), zh: head.zh.clone(), columns, of });
        known_films.push(Known { id: &head.id, threshold, films });
    }
    let films: Vec<&LabelledFilm> = evaluated.iter().map(|(f, _)| *f).collect();
    let left_out = left_out(readings, labels, matched);
    let count = |why: &str| left_out.iter().filter(|f| f.why == why).count();
    let (unread, laterals) = (count("no_reading"), count("lateral"));
    Evaluation {
        program: crate::report::record::PROGRAM,
        model: readings.model.clone(),
        labels: name.to_owned(),
        films: FilmCounts {
            labelled: labels.films.len(),
            evaluated: evaluated.len(),
            refused: left_out.len() - unread - laterals,
            unread,
            laterals,
            unlabelled: matched.unlabelled.len(),
            not_asked_for: labels.left_out,
        },
        means: means(&findings),
        groups: groups(&films, &known_films),
        findings,
        boxes: Vec::new(),
        unavailable,
        left_out,
    }
}

fn left_out(readings: &Readings, labels: &LabelFile, matched: &Matched) -> Vec<LeftOut> {
    let of = |film: &LabelledFilm, why: &str, message: &str| LeftOut {
        file: film.file.clone(),
        row: film.row,
        why: if film.lateral { "lateral".to_owned() } else { why.to_owned() },
        message: message.to_owned(),
    };
    let refused = matched.pairs.iter().filter_map(|&(l, r)| {
        let refused = readings.films[r].outcome.as_ref().err()?;
        Some(of(&labels.films[l], &refused.code, &refused.message))
    });
    let unread = matched.unread.iter().map(|&l| of(&labels.films[l], "no_reading", ""));
    let mut all: Vec<LeftOut> = refused.chain(unread).collect();
    all.sort_by_key(|f| f.row);
    all
}

fn means(findings: &[Named<Figures>]) -> Means {
    let mean = |of: &dyn Fn(&Figures) -> Option<f64>| {
        let values: Vec<f64> = findings.iter().filter_map(|f| of(&f.of)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Means {
        findings: findings.iter().filter(|f| f.of.auc.is_some()).count(),
        auc: mean(&|f| f.auc),
        average_precision: mean(&|f| f.average_precision),
        f1: mean(&|f| f.f1),
        precision: mean(&|f| f.positive_predictive_value.map(|i| i.value)),
        sensitivity: mean(&|f| f.sensitivity.map(|i| i.value)),
        specificity: mean(&|f| f.specificity.map(|i| i.value)),
        brier: mean(&|f| f.brier),
        expected_calibration_error: mean(&|f| f.expected_calibration_error),
    }
}

impl ThresholdFile {
    /// Operating points that `rule` chooses on the films of `matched`; the findings for which it can choose none are left out.
    pub fn choose(rule: Rule, readings: &Readings, labels: &LabelFile, set: &LabelSet, matched: &Matched, name: &str) -> Self {
        let mut file = Self::new(readings.model.clone(), rule, name);
        for (h, f) in positions(readings, set).into_iter().enumerate() {
            let Some(f) = f else { continue };
            let pair = |&(l, r): &(usize, usize)| {
                Some((readings.films[r].outcome.as_ref().ok()?[h]?, labels.films[l].truths[f].known()?))
            };
            let (scores, truths): (Vec<f32>, Vec<bool>) = matched.pairs.iter().filter_map(pair).unzip();
            file.add(&readings.heads[h].id, &scores, &truths);
        }
        file
    }
}
