//! The networks of all folds together: each figure on the test part, which none of them has seen, and every film of the
//! folds read by the one network that has not seen it.
//!
//! In: a trained snapshot a fold. Out: `folds.csv` with the log's columns (a row a fold, one of the ensemble, both on the
//! test part, and one of the films out of their fold), and `out_of_fold.csv`, probabilities that can serve as soft labels.

use super::TrainError;
use super::batches::predict;
use super::data::Part;
use super::log::{Epoch, Figures, append};
use super::schedule::Options;
use super::snapshot::Snapshot;
use super::study::Study;
use std::path::Path;

/// What the networks' answers are averaged as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mean {
    /// Probabilities.
    OfProbabilities,
    /// Logits.
    OfLogits,
}

/// Logits of some films, [films][findings].
type Logits = Vec<Vec<f32>>;

/// Evaluates the folds of `study`, of which the last taken may be any; the lines for people, one a row of `folds.csv`.
///
/// # Errors
/// [`TrainError`] where a snapshot is missing or a file cannot be written.
pub fn evaluate(study: &mut Study, mean: Mean, options: &Options) -> Result<Vec<String>, TrainError> {
    let folder = study.snapshots().to_owned();
    let table = folder.join("folds.csv");
    if table.exists() {
        std::fs::remove_file(&table).map_err(|e| TrainError::file(&table, e))?;
    }
    let test = study.films.of(Part::Test);
    let (mut on_test, mut lines) = (Vec::new(), Vec::new());
    let (mut films, mut out_of_fold): (Vec<usize>, Logits) = (vec![], vec![]);
    for fold in 0..study.folds {
        study.take_fold(fold)?;
        let best = study.config.snapshot_path.join("best.pt");
        let path = if best.exists() { best } else { study.config.snapshot_path.join("latest.pt") };
        let snapshot = Snapshot::load(&path, options.device())?;
        let (net, size) = (snapshot.averaged(), snapshot.progress.size);
        let read = |films: &[usize]| predict(&net, study, films, size, options.device(), options.precision);
        let own = study.films.of(Part::Val);
        let (of_test, of_own) = (read(&test)?, read(&own)?);
        lines.push(write(study, &table, &format!("fold_{fold}"), &test, &of_test)?);
        on_test.push(of_test);
        films.extend(own);
        out_of_fold.extend(of_own);
    }
    lines.push(write(study, &table, "ensemble", &test, &averaged(&on_test, mean))?);
    lines.push(write(study, &table, "out_of_fold", &films, &out_of_fold)?);
    write_probabilities(study, &folder.join("out_of_fold.csv"), &films, &out_of_fold)?;
    Ok(lines)
}

fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

/// The mean answer of several networks, as a logit.
fn averaged(all: &[Logits], mean: Mean) -> Logits {
    let Some(first) = all.first() else { return vec![] };
    let one = |film: usize, finding: usize| {
        let n = all.len() as f32;
        let of = all.iter().map(|logits| logits[film][finding]);
        match mean {
            Mean::OfLogits => of.sum::<f32>() / n,
            Mean::OfProbabilities => {
                let p = (of.map(sigmoid).sum::<f32>() / n).clamp(1e-7, 1.0 - 1e-7);
                (p / (1.0 - p)).ln()
            }
        }
    };
    first.iter().enumerate().map(|(film, row)| (0..row.len()).map(|finding| one(film, finding)).collect()).collect()
}

/// A row of the table, and the line for people.
fn write(study: &Study, table: &Path, name: &str, films: &[usize], logits: &Logits) -> Result<String, TrainError> {
    let known = study.known(films, logits);
    let val_loss = study.loss(&known);
    let figures = Figures::of(&study.probabilities(&known));
    let line = format!(
        "{name}: {} films, mean AUC {:.4}, mean best F1 {:.4}, loss {val_loss:.4}",
        films.len(),
        figures.mean_auc(),
        figures.mean_f1()
    );
    let (rate, train_loss, seconds) = (f64::NAN, f64::NAN, f64::NAN);
    append(table, &Epoch { name: name.into(), rate, train_loss, val_loss, seconds, figures })?;
    Ok(line)
}

/// file, and a column of probabilities for each trained finding.
fn write_probabilities(study: &Study, path: &Path, films: &[usize], logits: &Logits) -> Result<(), TrainError> {
    let fault = |e: csv::Error| TrainError::file(path, e.into());
    let mut writer = csv::Writer::from_path(path).map_err(fault)?;
    let trained: Vec<usize> = (0..study.trained.len()).filter(|&f| study.trained[f]).collect();
    let ids = trained.iter().map(|&f| study.set.findings[f].id.as_str());
    writer.write_record(std::iter::once("file").chain(ids)).map_err(fault)?;
    for (&film, row) in films.iter().zip(logits) {
        let cells = trained.iter().map(|&f| format!("{:.4}", sigmoid(row[f])));
        writer.write_record(std::iter::once(study.films.records[film].file.clone()).chain(cells)).map_err(fault)?;
    }
    writer.flush().map_err(|e| TrainError::file(path, e))
}

#[cfg(test)]
mod tests {
    use super::super::architecture::Architecture;
    use super::super::fit::{Watch, fit};
    use super::super::{smoke, stratify};
    use super::*;
    use std::ops::ControlFlow;

    #[test]
    fn networks_are_averaged_as_probabilities_or_as_logits() {
        let all = [vec![vec![0.0_f32, 2.0]], vec![vec![2.0, -2.0]]];
        assert_eq!(averaged(&all, Mean::OfLogits), [[1.0, 0.0]]);
        let p = (0.5 + sigmoid(2.0)) / 2.0;
        let [mixed] = &averaged(&all, Mean::OfProbabilities)[..] else { panic!("one film") };
        assert!((sigmoid(mixed[0]) - p).abs() < 1e-6 && mixed[1].abs() < 1e-6, "{mixed:?}");
    }

    struct Silent;
    impl Watch for Silent {
        fn step(&mut self, _: f64, _: &str) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
        fn epoch(&mut self, _: &str) {}
    }

    #[test]
    fn every_film_is_read_once_out_of_its_fold_and_the_ensemble_on_the_test_part() {
        tch::set_num_threads(1);
        let folder = std::env::temp_dir().join(format!("chexbox-ensemble-{}", std::process::id()));
        let mut study = smoke::study(&folder, "all", 2).unwrap();
        let folds = stratify::split(&study.films.records, 2, 2, 1);
        for (film, fold) in study.films.records.iter_mut().zip(&folds) {
            film.fold = *fold;
        }
        study.folds = 2;
        let options =
            Options { epochs: Some(2), size: 32, first_size: 32, batch: 32, rate: 1e-2, ..Options::of(Architecture::tiny(2)) };
        for fold in 0..2 {
            study.take_fold(fold).unwrap();
            assert!(study.films.records.iter().all(|f| (f.part == Part::Val) == (f.fold == Some(fold))));
            fit(&study, &options, &mut Silent).unwrap();
        }
        let lines = evaluate(&mut study, Mean::OfProbabilities, &options).unwrap();
        assert!(
            lines.len() == 4 && lines[2].starts_with("ensemble: 160 films") && lines[3].starts_with("out_of_fold: 320 films")
        );
        let rows: Vec<csv::StringRecord> =
            csv::Reader::from_path(folder.join("all/folds.csv")).unwrap().records().map(Result::unwrap).collect();
        assert_eq!(rows.iter().map(|r| &r[0]).collect::<Vec<_>>(), ["fold_0", "fold_1", "ensemble", "out_of_fold"]);
        let probabilities = std::fs::read_to_string(folder.join("all/out_of_fold.csv")).unwrap();
        assert!(probabilities.starts_with("file,bright_spot,bright_base\n") && probabilities.lines().count() == 321);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
