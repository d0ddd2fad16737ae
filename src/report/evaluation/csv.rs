//! The figures as CSV: a row for each finding over all films and in each group. The columns are language-neutral.

use super::super::csv::guarded;
use crate::evaluation::{BoxFigures, Evaluation, Figures, GroupFigures};
use crate::stats::Interval;

const COLUMNS: &str = "model,version,sha256,labels,group,finding,films,positives,auc,auc_low,auc_high,average_precision,threshold,\
true_positives,false_positives,true_negatives,false_negatives,f1,accuracy,accuracy_low,accuracy_high,sensitivity,sensitivity_low,\
sensitivity_high,specificity,specificity_low,specificity_high,ppv,ppv_low,ppv_high,npv,npv_low,npv_high,brier,ece,\
box_films,pointing,pointing_low,pointing_high,box_energy,box_energy_low,box_energy_high,box_chance";

/// Cells after `positives`.
const NUMBERS: usize = 35;

fn number(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

fn three(interval: Option<Interval>) -> [String; 3] {
    [number(interval.map(|i| i.value)), number(interval.map(|i| i.low)), number(interval.map(|i| i.high))]
}

/// An evaluation as CSV with a header.
///
/// # Errors
/// What the csv package says; writing to memory gives no cause for it.
pub fn csv(e: &Evaluation) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.split(','))?;
    let model = [guarded(&e.model.name), guarded(&e.model.version), guarded(&e.model.sha256), guarded(&e.labels)];
    let mut row = |group: &str, finding: &str, films: usize, positives: usize, cells: Vec<String>| {
        let front = [guarded(group).into_owned(), guarded(finding).into_owned(), films.to_string(), positives.to_string()];
        writer.write_record(model.iter().map(|c| c.as_ref()).chain(front.iter().chain(&cells).map(String::as_str)))
    };
    for f in &e.findings {
        let boxes = e.boxes.iter().find(|b| b.id == f.id).map(|b| &b.of);
        row("all", &f.id, f.of.films, f.of.positives, whole(&f.of, boxes))?;
    }
    for group in &e.groups {
        for f in &group.findings {
            row(&format!("{}={}", group.kind, group.value), &f.id, f.films, f.positives, grouped(f))?;
        }
    }
    writer.into_inner().map_err(|e| csv::Error::from(std::io::Error::from(e.error().kind())))
}

fn whole(f: &Figures, boxes: Option<&BoxFigures>) -> Vec<String> {
    let c = &f.counts;
    let auc = [number(f.auc), number(f.auc_interval.map(|i| i.low)), number(f.auc_interval.map(|i| i.high))];
    let counts = [c.true_positives, c.false_positives, c.true_negatives, c.false_negatives].map(|n| n.to_string());
    let mut cells: Vec<String> =
        auc.into_iter().chain([number(f.average_precision), f.threshold.to_string()]).chain(counts).collect();
    cells.push(number(f.f1));
    for share in [f.accuracy, f.sensitivity, f.specificity, f.positive_predictive_value, f.negative_predictive_value] {
        cells.extend(three(share));
    }
    cells.extend([number(f.brier), number(f.expected_calibration_error)]);
    if let Some(b) = boxes {
        cells.push(b.films.to_string());
        cells.extend(three(Some(b.pointing)));
        cells.extend(three(Some(b.energy)));
        cells.push(b.chance.to_string());
    }
    cells.resize(NUMBERS, String::new());
    cells
}

fn grouped(f: &GroupFigures) -> Vec<String> {
    let mut cells = vec![String::new(); NUMBERS];
    for (at, interval) in [(0, f.auc), (13, f.sensitivity), (16, f.specificity)] {
        cells[at..at + 3].clone_from_slice(&three(interval));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_fill_the_columns_named_for_them() {
        let names: Vec<&str> = COLUMNS.split(',').collect();
        assert_eq!(names.len(), 8 + NUMBERS);
        assert_eq!((names[8], names[8 + 13], names[8 + 16]), ("auc", "sensitivity", "specificity"));
        let figures = crate::evaluation::figures(&[0.2, 0.8, 0.7], &[false, true, false], 0.5);
        let cells = whole(&figures, None);
        assert_eq!(cells.len(), NUMBERS);
        let at = |name: &str| cells[names.iter().position(|n| *n == name).unwrap() - 8].as_str();
        assert_eq!(
            (at("auc"), at("sensitivity"), at("specificity"), at("false_positives"), at("npv")),
            ("1", "1", "0.5", "1", "1")
        );
    }
}
