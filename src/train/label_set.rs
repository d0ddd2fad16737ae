//! What a run is told: the five paths of the original project's config file, and the label set that
//! stands beside it (`path_configs_25.json` goes with `labels_25.toml`).

use super::TrainError;
use serde::Deserialize;
use std::path::{Path, PathBuf};

pub use crate::labels::{Label, LabelSet};

/// The config file: exactly the original project's five keys. Relative paths start at the current folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathConfig {
    /// CSV of films, patients and labels.
    pub train_label_path: PathBuf,
    /// CSV of which film is in which part; written by the first run, checked by later ones.
    pub k_fold_path: PathBuf,
    /// Folder of the films of the parts `train` and `val`.
    pub train_img_path: PathBuf,
    /// Folder of the films of the part `test`, where the label file names any.
    pub test_img_path: PathBuf,
    /// Folder of snapshots, written.
    pub snapshot_path: PathBuf,
}

impl PathConfig {
    /// Reads a config file.
    ///
    /// # Errors
    /// [`TrainError`] that names the file and the key.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(|e| TrainError::file(path, e))?;
        serde_json::from_str(&text).map_err(|e| TrainError::content(path, e.to_string()))
    }
}

impl LabelSet {
    /// Where the label set of the config at `config` stands: `path_configs_X.json` -> `labels_X.toml`.
    pub fn beside(config: &Path) -> PathBuf {
        let stem = config.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let name = stem.strip_prefix("path_configs_").unwrap_or(&stem).to_owned();
        config.with_file_name(format!("labels_{name}.toml"))
    }

    /// Reads a label set.
    ///
    /// # Errors
    /// [`TrainError`] that names the file and the field.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(|e| TrainError::file(path, e))?;
        Self::parse(&text).map_err(|e| TrainError::content(path, e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_configs_hold_the_five_keys_and_their_label_sets() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        for (name, findings) in [("25", 25), ("10", 10), ("chexpert", 13)] {
            let config = root.join(format!("path_configs_{name}.json"));
            PathConfig::read(&config).unwrap();
            let set = LabelSet::read(&LabelSet::beside(&config)).unwrap();
            assert_eq!(set.findings.len(), findings);
            assert!(set.source.is_some() && !set.limits.is_empty());
            assert!(set.name.ends_with(name), "{}", set.name);
            for (i, label) in set.findings.iter().enumerate() {
                assert_eq!(label.variable, format!("var_{i}"));
            }
        }
    }

    #[test]
    fn a_sixth_key_is_refused_by_name() {
        let text =
            r#"{"train_label_path":"a","k_fold_path":"b","train_img_path":"c","test_img_path":"d","snapshot_path":"e","gpu":1}"#;
        assert!(serde_json::from_str::<PathConfig>(text).unwrap_err().to_string().contains("gpu"));
    }

    #[test]
    fn the_public_pool_has_labels_for_eleven_of_25_and_eight_of_10_findings() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let data = std::env::var_os("CHEXBOX_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
        let labels = data.join("nih-pool/labels.csv");
        if !labels.exists() {
            println!("skipped: {} is absent", labels.display());
            return;
        }
        for (name, with_labels) in [("25", 11), ("10", 8)] {
            let set = LabelSet::read(&root.join(format!("configs/labels_{name}.toml"))).unwrap();
            let (labels, images) = (labels.clone(), labels.clone());
            let (train_images, test_images) = (images.clone(), images);
            let origin = crate::train::origin::Origin {
                name: String::new(),
                labels,
                train_images,
                test_images,
                loss_weight: 1.0,
                sampling: 1.0,
            };
            let (records, faults) =
                crate::train::data::read(&[origin], &set, &crate::labels::UncertainPolicies::default()).unwrap();
            assert_eq!(faults[0].count, 0);
            assert_eq!(records.films.len(), 15_059);
            assert_eq!(records.columns.iter().filter(|c| !c.is_empty()).count(), with_labels);
        }
    }
}
