//! The label file and label set of an evaluation or comparison, checked before a film is read.

use super::super::{Failure, WrongCommandLine, load};
use super::EvaluateArgs;
use chexbox::evaluation::ModelName;
use chexbox::labels::{Faults, LabelFile, LabelSet, Request, UncertainPolicies};
use chexbox::limits::{LABELS_BYTES_MAX, MANIFEST_BYTES_MAX};
use chexbox::model::Manifest;
use std::path::Path;

/// Labels and what they mean.
pub struct Study {
    /// The findings and their columns.
    pub set: LabelSet,
    /// The labelled films.
    pub labels: LabelFile,
    /// The label file as the user named it.
    pub name: String,
}

/// The labels that the options ask for.
///
/// # Errors
/// A sentence, or all faults of the label file with their rows.
pub fn study(args: &EvaluateArgs, manifest: Option<&Manifest>, model: &ModelName) -> Result<Study, Failure> {
    let set = label_set(args.label_set.as_deref(), manifest, model)?;
    let uncertain = UncertainPolicies::parse(&args.uncertain).map_err(|e| WrongCommandLine(e.to_string()))?;
    let known: Vec<&str> = set.findings.iter().map(|l| l.id.as_str()).collect();
    if let Some(id) = uncertain.unknown(&known).first() {
        return Err(WrongCommandLine(format!("--uncertain {id}=...: no such finding, allowed are {}", known.join(", "))).into());
    }
    let wanted = Request { uncertain, only: args.only.clone(), boxes: args.boxes.clone() };
    let labels = label_file(&args.labels, &set, &wanted)?;
    Ok(Study { set, labels, name: args.labels.display().to_string() })
}

/// The label set that a file holds, or the model's.
///
/// # Errors
/// A sentence that names the file and the field, or asks for a label set.
pub fn label_set(path: Option<&Path>, manifest: Option<&Manifest>, model: &ModelName) -> Result<LabelSet, Failure> {
    match (path, manifest) {
        (Some(path), _) => {
            let set = LabelSet::parse(&text(path, MANIFEST_BYTES_MAX)?);
            set.map_err(|e| format!("{}: {e}", path.display()).into())
        }
        (None, Some(manifest)) => Ok(LabelSet::of_model(manifest)),
        (None, None) => {
            let (name, version) = (&model.name, &model.version);
            Err(format!("the readings are of {name} {version}, which this binary does not have: name its bundle with --model DIR or its label set with --label-set TOML").into())
        }
    }
}

/// The label file, without a fault and with at least one film and one finding.
///
/// # Errors
/// A sentence, or all faults with their rows.
pub fn label_file(path: &Path, set: &LabelSet, wanted: &Request) -> Result<LabelFile, Failure> {
    let mut faults = Faults::default();
    let text = text(path, LABELS_BYTES_MAX)?;
    let labels =
        chexbox::labels::read(text.as_bytes(), set, wanted, &mut faults).map_err(|e| format!("{}: {e}", path.display()))?;
    faults.check(path.display())?;
    let columns = |l: &chexbox::labels::Label| [vec![l.variable.clone()], l.columns.clone()].concat().join(", ");
    if labels.columns.iter().all(Vec::is_empty) {
        let examples: Vec<String> = set.findings.iter().take(3).map(columns).collect();
        return Err(format!(
            "{}: no column speaks of a finding of {}; looked for {} ...",
            path.display(),
            set.name,
            examples.join(", ")
        )
        .into());
    }
    if labels.films.is_empty() {
        return Err(format!("{}: no film is left of {} rows", path.display(), labels.left_out).into());
    }
    Ok(labels)
}

/// The text of a file.
///
/// # Errors
/// A sentence that names the file.
pub fn text(path: &Path, limit: u64) -> Result<String, Failure> {
    let bytes = load::read_bounded(path, limit).map_err(|e| format!("{}: {e}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|e| format!("{} is not UTF-8: {e}", path.display()))?;
    // A byte order mark, as spreadsheets write it, is no part of the first column's name.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
