//! Everything a run learns from, read and checked: config, label set, films, and which heads have evidence.

use super::TrainError;
use super::auxiliary::Auxiliary;
use super::data::{self, Part, Record, Records, Truth};
use super::films::Films;
use super::folds::{self, Kept};
use super::label_set::{LabelSet, PathConfig};
use super::normals::Normals;
use super::objective::Imbalance;
use super::origin::Origin;
use super::provenance;
use super::selection::Selection;
use super::soft::Soft;
use super::targets::{Evidence, Targets};
use crate::labels::{FaultList, Faults};
use crate::model::{Fit, InputSpec};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Fewest positives of a finding in a part for which it is learnt, or a figure is given.
pub const POSITIVES_MIN: usize = 20;

/// Least share that a head starts from: a head without a positive starts from a logit all the same.
const SHARE_MIN: f32 = 1e-4;

/// Share of the films below which a finding is rare, for sampling.
const RARE: f32 = 0.1;

/// Subtracted from greys and dividing them: greys in [0, 1] become [-2, 2]. Constants, so that
/// weights pass from one data set to another.
const MEAN: f32 = 0.5;
const STD: f32 = 0.25;

/// What a study is made of.
pub struct Parts {
    /// Paths.
    pub config: PathConfig,
    /// Findings.
    pub set: LabelSet,
    /// Films.
    pub films: Films,
    /// Name of each finding's columns.
    pub columns: Vec<Vec<String>>,
    /// Sources of the films.
    pub origins: Vec<Origin>,
    /// Auxiliary answers of the films.
    pub auxiliary: Auxiliary,
    /// A teacher's probabilities and their share of the loss.
    pub soft: Option<(Soft, f32)>,
    /// What a film without a finding counts of the others, 0 to 1.
    pub normal_weight: f32,
    /// [films][findings]: how much a label counts by where it is from; empty where all count the same.
    pub factors: Vec<Vec<f32>>,
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
    /// Sources of the films.
    pub origins: Vec<Origin>,
    /// Films left out because their patients are too young.
    pub too_young: usize,
    /// Age below which they are, years.
    pub minimum_age: f64,
    /// Laterals, which are left out.
    pub laterals: usize,
    /// Number of folds; 0 where the films are in parts.
    pub folds: usize,
    auxiliary: Auxiliary,
    soft: Option<(Soft, f32)>,
    normals: Normals,
    factors: Vec<Vec<f32>>,
    snapshots: PathBuf,
}

/// The records that `config` and the further sources name, and the folds kept at `k_fold_path`; the first run writes its parts there.
///
/// # Errors
/// [`TrainError`] with every fault of the label files at once.
pub fn labels_and_parts(
    config: &PathConfig,
    set: &LabelSet,
    selection: &Selection,
) -> Result<(Vec<Origin>, Records, Vec<Faults>), TrainError> {
    let unknown = selection.uncertain.unknown(&set.findings.iter().map(|f| f.id.as_str()).collect::<Vec<_>>());
    if !unknown.is_empty() {
        return Err(TrainError::Run(format!(
            "a policy for uncertain labels names {}: no finding of {}",
            unknown.join(", "),
            set.name
        )));
    }
    let origins: Vec<Origin> = [Origin::own(config)].into_iter().chain(selection.further.iter().cloned()).collect();
    let (records, faults) = data::read(&origins, set, &selection.uncertain)?;
    Ok((origins, records, faults))
}

/// Every fault of every label file.
///
/// # Errors
/// [`TrainError::Labels`], or [`TrainError::Run`] with those of several files.
pub fn check(origins: &[Origin], faults: Vec<Faults>) -> Result<(), TrainError> {
    let lists = origins.iter().zip(faults).filter_map(|(origin, faults)| faults.check(origin.labels.display()).err());
    let lists: Vec<FaultList> = lists.collect();
    match <[FaultList; 1]>::try_from(lists) {
        Ok([one]) => Err(one.into()),
        Err(none) if none.is_empty() => Ok(()),
        Err(several) => Err(TrainError::Run(several.iter().map(FaultList::to_string).collect::<Vec<_>>().join("\n"))),
    }
}

impl Study {
    /// Reads and checks everything that `config` names, and checks the parts against its `k_fold_path`, or writes them there.
    ///
    /// # Errors
    /// [`TrainError`] with every fault of the label files and of the films at once.
    pub fn read(config: &Path, labels: &Path, selection: &Selection, seen: impl FnMut(usize)) -> Result<Self, TrainError> {
        let config = PathConfig::read(config)?;
        let set = LabelSet::read(labels)?;
        let (origins, mut records, mut faults) = labels_and_parts(&config, &set, selection)?;
        let all = std::mem::take(&mut records.films);
        records.films = all.iter().filter(|f| f.age.is_none_or(|age| age >= selection.minimum_age)).cloned().collect();
        let too_young = all.len() - records.films.len();
        let mut films = Films::load(&records, &origins, selection.detail, selection.smaller, &mut faults, seen)?;
        check(&origins, faults)?;
        let folds = match folds::keep(&all, &config.k_fold_path)? {
            Kept::Parts => 0,
            Kept::Folds { of, count } => {
                let fold: HashMap<&str, Option<usize>> = all.iter().zip(of).map(|(f, of)| (f.file.as_str(), of)).collect();
                for film in &mut films.records {
                    film.fold = fold.get(film.file.as_str()).copied().flatten();
                }
                count
            }
        };
        let mut auxiliary = match selection.auxiliary {
            true => Auxiliary::read(&origins, &set, &films.records)?,
            false => Auxiliary::none(films.records.len()),
        };
        let soft = match &selection.soft {
            Some((path, share)) => Some((Soft::read(path, &set, &auxiliary.heads)?, *share)),
            None => None,
        };
        if let Some((soft, _)) = soft.as_ref().filter(|_| selection.auxiliary) {
            auxiliary.add_features(soft, &films.records);
        }
        let factors = provenance::factors(&origins, &records.columns, &selection.source_weights, &films.records)?;
        let (columns, laterals) = (records.columns, records.laterals);
        if let Some(fold) = fold_of(folds, selection.fold, &config.k_fold_path)? {
            put_in_parts(&mut films.records, fold);
        }
        let normal_weight = selection.normal_weight;
        let parts = Parts { config, set, films, columns, origins, auxiliary, soft, normal_weight, factors };
        let mut study = Self::of(parts)?;
        if let Some((path, _)) = &selection.soft {
            study.targets.check().map_err(|what| TrainError::content(path, what))?;
        }
        (study.too_young, study.minimum_age, study.laterals, study.folds) = (too_young, selection.minimum_age, laterals, folds);
        match selection.fold {
            Some(fold) => study.take_fold(fold).map(|()| study),
            None => Ok(study),
        }
    }

    /// A study of these films.
    ///
    /// # Errors
    /// [`TrainError`] where no finding has evidence.
    pub fn of(parts: Parts) -> Result<Self, TrainError> {
        let Parts { config, set, films, columns, origins, auxiliary, soft, normal_weight, factors } = parts;
        let normals = Normals::of(normal_weight, &set, &auxiliary);
        let records = films.kept(&columns);
        let snapshots = config.snapshot_path.clone();
        let targets = Targets { auxiliary: vec![], films: vec![], softened: 0, unshifted: 0 };
        let (too_young, minimum_age, laterals, folds, trained) = (0, 0.0, 0, 0, vec![]);
        let mut study = Self {
            config,
            set,
            films,
            records,
            trained,
            targets,
            origins,
            too_young,
            minimum_age,
            laterals,
            folds,
            auxiliary,
            soft,
            normals,
            factors,
            snapshots,
        };
        study.weigh_evidence()?;
        Ok(study)
    }

    /// Makes fold `fold` the part `val` and the others `train`; snapshots go to a folder of its own.
    ///
    /// # Errors
    /// [`TrainError`] where no finding has evidence then.
    pub fn take_fold(&mut self, fold: usize) -> Result<(), TrainError> {
        put_in_parts(&mut self.films.records, fold);
        self.records.films.clone_from(&self.films.records);
        self.config.snapshot_path = self.snapshots.join(format!("fold_{fold}"));
        self.weigh_evidence()
    }

    /// Where snapshots lie, or the folders of the folds.
    pub fn snapshots(&self) -> &Path {
        &self.snapshots
    }

    /// Which heads have evidence, and the targets that follow.
    fn weigh_evidence(&mut self) -> Result<(), TrainError> {
        let records = &self.records;
        let enough = |f| records.positives(Part::Train, f) >= POSITIVES_MIN && records.positives(Part::Val, f) > 0;
        self.trained = (0..self.set.findings.len()).map(enough).collect();
        if !self.trained.contains(&true) {
            let what = format!("no finding of {} has {POSITIVES_MIN} positives in train and one in val", self.set.name);
            return Err(TrainError::content(&self.config.train_label_path, what));
        }
        let evidence = Evidence {
            trained: &self.trained,
            auxiliary: &self.auxiliary,
            soft: self.soft.as_ref().map(|(soft, share)| (soft, *share)),
            normals: &self.normals,
            factors: &self.factors,
            origins: &self.origins,
            set: &self.set,
        };
        self.targets = Targets::of(&self.films.records, &evidence);
        Ok(())
    }

    /// How a film becomes the input of a network of side `size`.
    pub fn input(&self, size: usize) -> InputSpec {
        InputSpec { size, detail: self.films.detail, mean: MEAN, std: STD, fit: Fit::Stretch, colour: None }
    }

    /// Factor on the loss of a finding's positives. Of [`Imbalance::Weighted`], enough that a rare finding is learnt, not so
    /// much that its few positives are learnt by heart.
    pub fn positive_weights(&self, imbalance: Imbalance) -> Vec<f32> {
        let Imbalance::Weighted { most } = imbalance else { return vec![1.0; self.set.findings.len()] };
        (0..self.set.findings.len())
            .map(|f| {
                let (positives, known) = self.counts(f);
                if positives == 0 { 1.0 } else { ((known - positives) as f32 / positives as f32).sqrt().clamp(1.0, most) }
            })
            .collect()
    }

    /// What a film without a finding counts of the others.
    pub fn normal_weight(&self) -> f32 {
        self.normals.weight()
    }

    /// The share of the loss on a teacher's probabilities, where there is a teacher.
    pub fn soft_share(&self) -> Option<f32> {
        self.soft.as_ref().map(|(_, share)| *share)
    }

    /// The logit a head starts from: that of its mean target in train, films weighted as in the loss.
    pub fn start_biases(&self, imbalance: Imbalance) -> Vec<f32> {
        let (weights, train, findings) = (self.positive_weights(imbalance), self.films.of(Part::Train), self.set.findings.len());
        let logit = |head: usize| {
            let mean = self.targets.mean(head, &train).clamp(SHARE_MIN, 1.0 - SHARE_MIN);
            (mean / (1.0 - mean)).ln()
        };
        let finding = |f: usize| if self.trained[f] { weights[f].ln() + logit(f) } else { 0.0 };
        (0..findings).map(finding).chain((findings..findings + self.targets.auxiliary.len()).map(logit)).collect()
    }

    /// How often each film of train is to be seen in an epoch: by its source and, of [`Imbalance::Sampled`], its rarest finding.
    pub fn repeats(&self, imbalance: Imbalance) -> Vec<f32> {
        let shares: Vec<f32> = (0..self.set.findings.len())
            .map(|f| {
                let (positives, known) = self.counts(f);
                positives as f32 / known.max(1) as f32
            })
            .collect();
        let of = |film: &Record| {
            let rare = match imbalance {
                Imbalance::Sampled { most } => {
                    film.truths.iter().zip(&shares).zip(&self.trained).fold(1.0, |all, ((truth, share), trained)| {
                        let counts = *trained && *truth == Truth::Positive;
                        if counts { f32::max(all, (RARE / share.max(1e-6)).sqrt().min(most)) } else { all }
                    })
                }
                _ => 1.0,
            };
            rare * self.origins[film.origin].sampling
        };
        self.films.records.iter().filter(|f| f.part == Part::Train).map(of).collect()
    }

    /// Plain sigmoid of each logit; nothing for a finding that is not trained.
    pub fn probabilities(&self, known: &[(Vec<f32>, Vec<bool>)]) -> Vec<(Vec<f32>, Vec<bool>)> {
        let sigmoid = |scores: &[f32]| scores.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
        let trained = known.iter().zip(&self.trained);
        trained.map(|((s, t), trained)| if *trained { (sigmoid(s), t.clone()) } else { (vec![], vec![]) }).collect()
    }

    /// Mean unweighted cross-entropy of the trained findings.
    pub fn loss(&self, known: &[(Vec<f32>, Vec<bool>)]) -> f64 {
        let trained = known.iter().zip(&self.trained).filter(|(_, t)| **t).map(|(k, _)| k);
        let (sum, count) = trained.flat_map(|(s, t)| s.iter().zip(t)).fold((0.0, 0.0), |(sum, count), (z, t)| {
            let z = f64::from(if *t { *z } else { -*z });
            (sum + (-z).max(0.0) + (-z.abs()).exp().ln_1p(), count + 1.0)
        });
        sum / count
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

/// The fold that is asked for, checked against what `k_fold_path` holds.
fn fold_of(folds: usize, wanted: Option<usize>, path: &Path) -> Result<Option<usize>, TrainError> {
    match wanted {
        None if folds > 0 => {
            let what = format!("it holds {folds} folds: say --fold 0 to {} or --fold all", folds - 1);
            Err(TrainError::content(path, what))
        }
        Some(_) if folds == 0 => {
            let what = "it holds parts, not folds: move it away and write folds with `chexbox folds`, or leave --fold out";
            Err(TrainError::content(path, what))
        }
        Some(fold) if fold >= folds => {
            Err(TrainError::content(path, format!("--fold is {fold}, allowed are 0 to {}", folds - 1)))
        }
        other => Ok(other),
    }
}

fn put_in_parts(films: &mut [Record], fold: usize) {
    for film in films.iter_mut().filter(|f| f.part != Part::Test) {
        film.part = if film.fold == Some(fold) { Part::Val } else { Part::Train };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_starts_from_the_share_of_its_positives_among_films_as_they_count() {
        let mut study = super::super::smoke::study(&std::env::temp_dir(), "biases", 2).unwrap();
        let train = study.films.of(Part::Train);
        let films = || train.iter().map(|&i| &study.films.records[i]);
        let positives = films().filter(|f| f.truths[0] == Truth::Positive).count() as f32;
        let normal = films().filter(|f| f.truths.iter().all(|t| *t == Truth::Negative)).count() as f32;
        let others = train.len() as f32 - positives - normal;
        let near = |got: f32, want: f32| assert!((got - want).abs() < 1e-4, "{got} {want}");
        near(study.start_biases(Imbalance::Plain)[0], (positives / (others + normal)).ln());
        study.normals = Normals::of(0.5, &study.set, &study.auxiliary);
        study.weigh_evidence().unwrap();
        near(study.start_biases(Imbalance::Plain)[0], (positives / (others + 0.5 * normal)).ln());
    }
}
