//! Figures by sex, age band and view, where the label file knows them.

use super::figures::figures;
use crate::labels::LabelledFilm;
use crate::stats::{Interval, delong};
use serde::Serialize;
use std::collections::BTreeSet;

/// Lower edges of the age bands, years. Below 16 is outside the default models' intended use.
const AGE_BANDS: [u32; 5] = [0, 16, 40, 60, 80];

/// Most groups of one kind: a column with more values is no grouping.
const GROUPS_MAX: usize = 8;

/// One finding in one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupFigures {
    /// Id of the finding.
    pub id: String,
    /// Films whose label is known.
    pub films: usize,
    /// Those with the finding.
    pub positives: usize,
    /// AUC with DeLong's interval.
    pub auc: Option<Interval>,
    /// Sensitivity at the operating point, with Wilson's interval.
    pub sensitivity: Option<Interval>,
    /// Specificity there.
    pub specificity: Option<Interval>,
}

/// The films of one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// `sex`, `age` or `view`.
    pub kind: &'static str,
    /// Its value: `F`, `40-59`, `PA`.
    pub value: String,
    /// Films.
    pub films: usize,
    /// The evaluated findings.
    pub findings: Vec<GroupFigures>,
}

/// One finding's films: the labelled film, probability and truth of each.
pub(super) struct Known<'a> {
    pub id: &'a str,
    pub threshold: f32,
    pub films: Vec<(&'a LabelledFilm, f32, bool)>,
}

/// A kind of group, and the value that puts a film into one.
type Kind = (&'static str, fn(&LabelledFilm) -> String);

/// The groups among `films`; none of a kind that the label file does not know.
pub(super) fn groups(films: &[&LabelledFilm], findings: &[Known]) -> Vec<Group> {
    let kinds: [Kind; 3] = [("sex", |f| f.sex.clone()), ("age", age_band), ("view", |f| f.view.clone())];
    let mut found = Vec::new();
    for (kind, value_of) in kinds {
        let mut values: BTreeSet<String> = films.iter().map(|f| value_of(f)).collect();
        values.remove("");
        if values.is_empty() || values.len() > GROUPS_MAX {
            continue;
        }
        found.extend(values.into_iter().map(|value| {
            let belongs = |f: &LabelledFilm| value_of(f) == value;
            let count = films.iter().filter(|f| belongs(f)).count();
            Group { kind, films: count, findings: findings.iter().map(|k| one(k, belongs)).collect(), value }
        }));
    }
    found
}

fn one(known: &Known, belongs: impl Fn(&LabelledFilm) -> bool) -> GroupFigures {
    let (scores, truths): (Vec<f32>, Vec<bool>) =
        known.films.iter().filter(|(f, ..)| belongs(f)).map(|(_, p, t)| (*p, *t)).unzip();
    let all = figures(&scores, &truths, known.threshold);
    GroupFigures {
        id: known.id.to_owned(),
        films: all.films,
        positives: all.positives,
        auc: delong(&scores, &truths),
        sensitivity: all.sensitivity,
        specificity: all.specificity,
    }
}

/// `40-59`, so that the text order of the bands is their order; empty where the age is not known.
fn age_band(film: &LabelledFilm) -> String {
    let Some(age) = film.age else { return String::new() };
    let at = AGE_BANDS.iter().rposition(|low| age >= f64::from(*low)).unwrap_or(0);
    match AGE_BANDS.get(at + 1) {
        Some(next) => format!("{:02}-{}", AGE_BANDS[at], next - 1),
        None => format!("{}+", AGE_BANDS[at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_falls_into_the_band_that_begins_at_it_or_below() {
        let film = |age| LabelledFilm {
            row: 2,
            file: String::new(),
            patient: String::new(),
            split: String::new(),
            age,
            sex: String::new(),
            view: String::new(),
            lateral: false,
            normal: None,
            truths: vec![],
            boxes: vec![],
        };
        for (age, band) in [
            (None, ""),
            (Some(0.0), "00-15"),
            (Some(15.9), "00-15"),
            (Some(16.0), "16-39"),
            (Some(79.0), "60-79"),
            (Some(90.0), "80+"),
        ] {
            assert_eq!(age_band(&film(age)), band);
        }
    }
}
