//! Everything a run learns from, read and checked: config, label set, films, and which heads have evidence.

use super::TrainError;
use super::auxiliary::Auxiliary;
use super::data::{self, Part, Records, Truth};
use super::films::Films;
use super::films::Smaller;
use super::folds;
use super::label_set::{LabelSet, PathConfig};
use super::soft::Soft;
use super::targets::Targets;
use crate::model::InputSpec;
use std::path::{Path, PathBuf};

/// Fewest positives of a finding in a part for which it is learnt, or a figure is given.
pub const POSITIVES_MIN: usize = 20;

/// Subtracted from greys and dividing them: greys in [0, 1] become [-2, 2]. Constants, so that
/// weights pass from one data set to another.
const MEAN: f32 = 0.5;
const STD: f32 = 0.25;

/// Which films and labels of the label file a run learns from.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Side that films are reduced to before anything else, pixels.
    pub detail: usize,
    /// Films of patients known to be younger are left out, years.
    pub minimum_age: f64,
    /// What becomes of films stored smaller than `detail`.
    pub smaller: Smaller,
    /// Whether there are auxiliary heads.
    pub auxiliary: bool,
    /// A teacher's probabilities and their share of the loss.
    pub soft: Option<(PathBuf, f32)>,
}

impl Selection {
    /// Films of at least `detail` pixels of patients of the intended age, with their own labels alone.
    pub fn plain(detail: usize) -> Self {
        let minimum_age = f64::from(super::bundle::MINIMUM_AGE_YEARS);
        Self { detail, minimum_age, smaller: Smaller::LeaveOut, auxiliary: false, soft: None }
    }
}

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
    /// What each head shall say of each film.
    pub targets: Targets,
    /// Films left out because their patients are too young.
    pub too_young: usize,
    /// Age below which they are, years.
    pub minimum_age: f64,
}

impl Study {
    /// Reads and checks everything that `config` names, and checks the parts against its `k_fold_path`, or writes them there.
    ///
    /// # Errors
    /// [`TrainError`] with every fault of the label file and of the films at once.
    pub fn read(config: &Path, labels: &Path, selection: &Selection, seen: impl FnMut(usize)) -> Result<Self, TrainError> {
        let config = PathConfig::read(config)?;
        let set = LabelSet::read(labels)?;
        let mut records = data::read(&config.train_label_path, &set)?;
        folds::keep(&records, &config.k_fold_path)?;
        let all = records.films.len();
        records.films.retain(|f| f.age.is_none_or(|age| age >= selection.minimum_age));
        let too_young = all - records.films.len();
        let (labels, train, test) = (&config.train_label_path, &config.train_img_path, &config.test_img_path);
        let films = Films::load(&records, labels, train, test, selection.detail, selection.smaller, seen)?;
        let auxiliary = match selection.auxiliary {
            true => Auxiliary::read(labels, &set, &films.records)?,
            false => Auxiliary::none(films.records.len()),
        };
        let soft = match &selection.soft {
            Some((path, share)) => Some((Soft::read(path, &set, &auxiliary.heads)?, *share)),
            None => None,
        };
        let study = Self::of(config, set, films, &records.columns, auxiliary, soft.as_ref().map(|(s, share)| (s, *share)))?;
        if let Some((path, _)) = selection.soft.as_ref().filter(|_| study.targets.softened == 0) {
            return Err(TrainError::content(path, "its column file names no film of the label file"));
        }
        Ok(Self { too_young, minimum_age: selection.minimum_age, ..study })
    }

    /// A study of these films.
    ///
    /// # Errors
    /// [`TrainError`] where no finding has evidence.
    pub fn of(
        config: PathConfig,
        set: LabelSet,
        films: Films,
        columns: &[Vec<String>],
        auxiliary: Auxiliary,
        soft: Option<(&Soft, f32)>,
    ) -> Result<Self, TrainError> {
        let records = films.kept(columns);
        let enough = |f| records.positives(Part::Train, f) >= POSITIVES_MIN && records.positives(Part::Val, f) > 0;
        let trained: Vec<bool> = (0..set.findings.len()).map(enough).collect();
        if !trained.contains(&true) {
            let what = format!("no finding of {} has {POSITIVES_MIN} positives in train and one in val", set.name);
            return Err(TrainError::content(&config.train_label_path, what));
        }
        let targets = Targets::of(&films.records, &trained, auxiliary, soft);
        Ok(Self { config, set, films, records, trained, targets, too_young: 0, minimum_age: 0.0 })
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

    /// The logit a head starts from: that of its weighted share in train.
    pub fn start_biases(&self) -> Vec<f32> {
        let (weights, train, findings) = (self.positive_weights(), self.films.of(Part::Train), self.set.findings.len());
        let auxiliary = (findings..findings + self.targets.auxiliary.len()).map(|h| {
            let mean = self.targets.mean(h, &train).clamp(0.01, 0.99);
            (mean / (1.0 - mean)).ln()
        });
        (0..findings)
            .map(|f| {
                let (positives, known) = self.counts(f);
                if !self.trained[f] { 0.0 } else { (weights[f] * positives as f32 / (known - positives).max(1) as f32).ln() }
            })
            .chain(auxiliary)
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
