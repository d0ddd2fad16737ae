//! The log of a run: a CSV with the original project's columns, one row an epoch.

use super::TrainError;
use crate::stats::{OperatingPoint, auc, best_f1};
use std::io::Write;
use std::path::Path;

const COLUMNS: &str =
    "epochID,lr,trainLoss,valLoss,epoch_time,mean(val_f1),mean(val_auc),val_threshold,val_f1,val_auc,precision_list,recall_list";

/// What val says about each finding; `None` for one without positives or negatives there.
#[derive(Clone, Debug)]
pub struct Figures {
    /// AUC of each finding.
    pub auc: Vec<Option<f64>>,
    /// Operating point of best F1 on the plain sigmoid of the logit.
    pub points: Vec<Option<OperatingPoint>>,
}

impl Figures {
    /// Of the known labels: for each finding its scores and truths.
    pub fn of(findings: &[(Vec<f32>, Vec<bool>)]) -> Self {
        Self {
            auc: findings.iter().map(|(s, t)| auc(s, t)).collect(),
            points: findings.iter().map(|(s, t)| best_f1(s, t)).collect(),
        }
    }

    /// Mean AUC of the findings that have one; NaN where none has.
    pub fn mean_auc(&self) -> f64 {
        mean(self.auc.iter().flatten().copied())
    }

    /// Mean best F1 of the findings that have one; NaN where none has.
    pub fn mean_f1(&self) -> f64 {
        mean(self.points.iter().flatten().map(|p| p.f1))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
    sum / n
}

/// One epoch.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Number, from 0; or what else the row is of.
    pub name: String,
    /// Learning rate at its end.
    pub rate: f64,
    /// Mean loss on train.
    pub train_loss: f64,
    /// Mean loss on val.
    pub val_loss: f64,
    /// Seconds.
    pub seconds: f64,
    /// Figures on val.
    pub figures: Figures,
}

/// Appends a row, with the header where the file is new.
///
/// # Errors
/// [`TrainError::File`] where it cannot be written.
pub fn append(path: &Path, epoch: &Epoch) -> Result<(), TrainError> {
    let fault = |e| TrainError::file(path, e);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(fault)?;
    if file.metadata().map_err(fault)?.len() == 0 {
        writeln!(file, "{COLUMNS}").map_err(fault)?;
    }
    writeln!(file, "{}", row(epoch)).map_err(fault)
}

fn row(e: &Epoch) -> String {
    let points = |of: fn(&OperatingPoint) -> f64| list(e.figures.points.iter().map(|p| p.as_ref().map(of)));
    [
        e.name.clone(),
        format!("{:.3e}", e.rate),
        format!("{:.5}", e.train_loss),
        format!("{:.5}", e.val_loss),
        format!("{:.1}", e.seconds),
        format!("{:.4}", e.figures.mean_f1()),
        format!("{:.4}", e.figures.mean_auc()),
        points(|p| f64::from(p.threshold)),
        points(|p| p.f1),
        list(e.figures.auc.iter().copied()),
        points(|p| p.precision),
        points(|p| p.recall),
    ]
    .join(",")
}

fn list(values: impl Iterator<Item = Option<f64>>) -> String {
    let all: Vec<String> = values.map(|v| v.map_or("nan".to_owned(), |v| format!("{v:.4}"))).collect();
    format!("\"[{}]\"", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_original_columns_and_lists_one_entry_a_finding() {
        let findings = [(vec![0.1, 0.9], vec![false, true]), (vec![0.1, 0.9], vec![false, false])];
        let epoch =
            Epoch { name: "3".into(), rate: 1e-3, train_loss: 0.2, val_loss: 0.3, seconds: 9.0, figures: Figures::of(&findings) };
        let text = format!("{COLUMNS}\n{}\n", row(&epoch));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap().len(), 12);
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(record.len(), 12);
        assert_eq!(&record[6], "1.0000");
        assert_eq!(&record[9], "[1.0000, nan]");
    }
}
