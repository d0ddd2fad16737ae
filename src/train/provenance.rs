//! How much a label counts by where it is from.
//!
//! In: a label file whose columns `COLUMN@source` say where each label of COLUMN is from (a merge of label files writes
//! them), and a weight for each source. Out: for each film a factor per finding. A label of a source without a weight, or
//! without a source, counts 1. Never: a label changed.

use super::TrainError;
use super::data::Record;
use super::origin::Origin;
use crate::labels::SOURCE_SUFFIX;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A weight for each source of labels.
pub type SourceWeights = BTreeMap<String, f32>;

/// How much each label of each film counts by where it is from; empty where no source has a weight. [films][findings].
///
/// # Errors
/// [`TrainError`] where a label file cannot be read, or none names a weighted source.
pub fn factors(
    origins: &[Origin],
    columns: &[Vec<String>],
    weights: &SourceWeights,
    films: &[Record],
) -> Result<Vec<Vec<f32>>, TrainError> {
    if weights.is_empty() {
        return Ok(vec![]);
    }
    let files: Vec<Option<HashMap<String, Vec<f32>>>> =
        origins.iter().map(|o| of_file(&o.labels, columns, weights)).collect::<Result<_, _>>()?;
    if files.iter().all(Option::is_none) {
        return Err(TrainError::Run(none_named(weights)));
    }
    let of = |film: &Record| files[film.origin].as_ref()?.get(origins[film.origin].plain(&film.file)).cloned();
    Ok(films.iter().map(|f| of(f).unwrap_or_default()).collect())
}

/// Factors of the films of the label file at `path`; `columns` [findings] are the columns that each finding is read from.
/// Of several columns the one that counts most decides; `None` where no label is from a weighted source.
///
/// # Errors
/// [`TrainError`] where the file cannot be read.
fn of_file(
    path: &Path,
    columns: &[Vec<String>],
    weights: &SourceWeights,
) -> Result<Option<HashMap<String, Vec<f32>>>, TrainError> {
    let fault = |e: csv::Error| TrainError::content(path, e.to_string());
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(fault)?;
    let names = reader.headers().map_err(fault)?.clone();
    let Some(film) = crate::labels::file_column(&names) else { return Ok(None) };
    let source_of = |column: &String| names.iter().position(|n| n.strip_suffix(SOURCE_SUFFIX) == Some(column.trim()));
    let at: Vec<Vec<usize>> = columns.iter().map(|c| c.iter().filter_map(source_of).collect()).collect();
    let (mut found, mut named) = (HashMap::new(), false);
    for line in reader.records() {
        let line = line.map_err(fault)?;
        let factor = |columns: &Vec<usize>| {
            let of = columns.iter().filter_map(|&i| weights.get(line.get(i).unwrap_or("").trim())).copied();
            of.reduce(f32::max)
        };
        let row: Vec<Option<f32>> = at.iter().map(factor).collect();
        named |= row.iter().any(Option::is_some);
        found.insert(line.get(film).unwrap_or("").trim().to_owned(), row.into_iter().map(|f| f.unwrap_or(1.0)).collect());
    }
    Ok(named.then_some(found))
}

/// Why weights of sources cannot be followed.
fn none_named(weights: &SourceWeights) -> String {
    let sources = weights.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("no column COLUMN{SOURCE_SUFFIX} of the label files names {sources}: `chexbox labels merge` writes such columns")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_counts_as_its_source_does() {
        let path = std::env::temp_dir().join(format!("chexbox-provenance-{}.csv", std::process::id()));
        std::fs::write(&path, "file,Mass,Nodule,Edema,Mass@source,Nodule@source\na,1,0,1,ct,reports\nb,1,,0,reports,\n").unwrap();
        let columns = [vec!["Mass".to_owned(), "Nodule".to_owned()], vec!["Edema".to_owned()]];
        let weights = SourceWeights::from([("ct".into(), 2.0), ("reports".into(), 0.5)]);
        let found = of_file(&path, &columns, &weights).unwrap().unwrap();
        assert_eq!((found["a"].clone(), found["b"].clone()), (vec![2.0, 1.0], vec![0.5, 1.0]));
        assert_eq!(of_file(&path, &columns, &SourceWeights::from([("mri".into(), 2.0)])).unwrap(), None);
        std::fs::remove_file(path).unwrap();
    }
}
