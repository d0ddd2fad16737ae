//! Everything a run learns from, read and checked: config, label set, films, and which heads have evidence.

use super::TrainError;
use super::data::{self, Part, Records, Truth};
use super::films::Films;
use super::folds;
use super::label_set::{LabelSet, PathConfig};
use crate::model::InputSpec;
use std::path::Path;

/// Fewest positives of a finding in a part for which it is learnt, or a figure is given.
pub const POSITIVES_MIN: usize = 20;

/// Subtracted from greys and dividing them: greys in [0, 1] become [-2, 2]. Constants, so that
/// weights pass from one data set to another.
const MEAN: f32 = 0.5;
const STD: f32 = 0.25;

/// What a run learns from.
pub struct Study {
    /// Paths.
    pub config: PathConfig,
    /// Findings.
    pub set: LabelSet,
    /// Films.
    pub films: Films,
    /// The kept films as records.
    pub records: Records,
    /// For each finding, whether its loss counts.
    pub trained: Vec<bool>,
}

impl Study {
    /// Reads and checks everything that `config` names, and checks the parts against its `k_fold_path`, or writes them there.
    ///
    /// # Errors
    /// [`TrainError`] with every fault of the label file and of the films at once.
    pub fn read(config: &Path, labels: &Path, detail: usize, seen: impl FnMut(usize)) -> Result<Self, TrainError> {
        let config = PathConfig::read(config)?;
        let set = LabelSet::read(labels)?;
        let records = data::read(&config.train_label_path, &set)?;
        let films = Films::load(&records, &config.train_label_path, &config.train_img_path, &config.test_img_path, detail, seen)?;
        Self::of(config, set, films, &records.columns)
    }

    /// A study of these films.
    ///
    /// # Errors
    /// [`TrainError`] where no finding has evidence or the parts differ from `k_fold_path`.
    pub fn of(config: PathConfig, set: LabelSet, films: Films, columns: &[Vec<String>]) -> Result<Self, TrainError> {
        let records = films.kept(columns);
        let enough = |f| records.positives(Part::Train, f) >= POSITIVES_MIN && records.positives(Part::Val, f) > 0;
        let trained: Vec<bool> = (0..set.findings.len()).map(enough).collect();
        if !trained.contains(&true) {
            let what = format!("no finding of {} has {POSITIVES_MIN} positives in train and one in val", set.name);
            return Err(TrainError::content(&config.train_label_path, what));
        }
        folds::keep(&records, &config.k_fold_path)?;
        Ok(Self { config, set, films, records, trained })
    }

    /// How a film becomes the input of a network of side `size`.
    pub fn input(&self, size: usize) -> InputSpec {
        InputSpec { size, detail: self.films.detail, mean: MEAN, std: STD }
    }

    /// Factor on the loss of a finding's positives: the square root of negatives / positives, at most 5. Enough that
    /// a rare finding is learnt, not so much that its few positives are learnt by heart.
    pub fn positive_weights(&self) -> Vec<f32> {
        (0..self.set.findings.len())
            .map(|f| {
                let (positives, known) = self.counts(f);
                if positives == 0 { 1.0 } else { ((known - positives) as f32 / positives as f32).sqrt().clamp(1.0, 5.0) }
            })
            .collect()
    }

    /// The logit a finding starts from: that of its weighted share in train.
    pub fn start_biases(&self) -> Vec<f32> {
        let weights = self.positive_weights();
        (0..self.set.findings.len())
            .map(|f| {
                let (positives, known) = self.counts(f);
                if !self.trained[f] { 0.0 } else { (weights[f] * positives as f32 / (known - positives).max(1) as f32).ln() }
            })
            .collect()
    }

    fn counts(&self, finding: usize) -> (usize, usize) {
        let known = self.films.records.iter().filter(|r| r.part == Part::Train && r.truths[finding] != Truth::Unknown).count();
        (self.records.positives(Part::Train, finding), known)
    }

    /// Scores and truths of each finding over `films`, where the truth is known. `logits` [films][findings].
    pub fn known(&self, films: &[usize], logits: &[Vec<f32>]) -> Vec<(Vec<f32>, Vec<bool>)> {
        (0..self.set.findings.len())
            .map(|f| {
                let known = films.iter().zip(logits).filter(|(i, _)| self.films.records[**i].truths[f] != Truth::Unknown);
                known.map(|(i, l)| (l[f], self.films.records[*i].truths[f] == Truth::Positive)).unzip()
            })
            .collect()
    }
}
