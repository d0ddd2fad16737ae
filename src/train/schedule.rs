//! What a run is told, and what follows from the share of its budget that is spent.

use super::architecture::Architecture;
use super::augment::Flip;
use super::densenet::Precision;
use super::objective::Imbalance;
use super::optimiser::Habits;
use super::snapshot::Progress;
use std::path::PathBuf;
use tch::Device;

/// What a run may be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shape of the network.
    pub architecture: Architecture,
    /// Budget in epochs.
    pub epochs: Option<usize>,
    /// Budget in minutes.
    pub minutes: Option<f64>,
    /// Side of the network's input, pixels.
    pub size: usize,
    /// Side in the first phase, pixels.
    pub first_size: usize,
    /// Share of the budget that the first phase takes.
    pub first_share: f64,
    /// Films of a batch.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Snapshot whose trunk the run starts from.
    pub init: Option<PathBuf>,
    /// Where to compute: a replica on each, which share every batch.
    pub devices: Vec<Device>,
    /// What convolutions compute in.
    pub precision: Precision,
    /// Whether films may be mirrored.
    pub flip: Flip,
    /// Factor on the loss of the auxiliary heads.
    pub auxiliary_weight: f64,
    /// Threads that make batches.
    pub loaders: usize,
    /// Parts that a batch is computed in one after another; statistics are of a part, the gradient of the batch.
    pub accumulate: usize,
    /// How gradients move the weights.
    pub habits: Habits,
    /// Share of the budget in which the learning rate rises.
    pub warm_up: f64,
    /// Learning rate at the end, as a share of its peak.
    pub rate_end: f64,
    /// What is done about rare findings.
    pub imbalance: Imbalance,
    /// Epochs at the final size without a better mean AUC on val after which the run ends; 0: never.
    pub patience: usize,
}

impl Options {
    /// What a run does that is told nothing but its network.
    pub fn of(architecture: Architecture) -> Self {
        Self {
            architecture,
            epochs: None,
            minutes: None,
            size: 128,
            first_size: 64,
            first_share: 0.5,
            batch: 32,
            rate: 1e-3,
            seed: 1,
            init: None,
            devices: vec![Device::Cpu],
            precision: Precision::F32,
            flip: Flip::Never,
            auxiliary_weight: 0.3,
            loaders: 1,
            accumulate: 1,
            habits: Habits::default(),
            warm_up: 0.03,
            rate_end: 0.01,
            imbalance: Imbalance::Weighted { most: 5.0 },
            patience: 0,
        }
    }

    /// The device that holds the optimiser.
    pub fn device(&self) -> Device {
        self.devices.first().copied().unwrap_or(Device::Cpu)
    }

    /// Share of the budget that is spent, 0 to 1.
    pub(super) fn spent(&self, progress: &Progress, films: usize, seconds: f64) -> f64 {
        self.spent_at(progress.epoch, progress.films_seen as f64 / films.max(1) as f64, seconds)
    }

    /// The same at a share of epoch `epoch`.
    pub(super) fn spent_at(&self, epoch: usize, share: f64, seconds: f64) -> f64 {
        let epochs = epoch as f64 + share;
        let by_epochs = self.epochs.map_or(0.0, |e| epochs / e.max(1) as f64);
        let by_minutes = self.minutes.map_or(0.0, |m| seconds / 60.0 / m.max(1e-9));
        by_epochs.max(by_minutes).min(1.0)
    }

    /// Learning rate at a share of the budget: a linear rise, then half a cosine.
    pub(super) fn rate_at(&self, spent: f64) -> f64 {
        if spent < self.warm_up {
            return self.rate * (spent / self.warm_up).max(0.01);
        }
        let turn = (spent - self.warm_up) / (1.0 - self.warm_up).max(1e-9) * std::f64::consts::PI;
        self.rate * (self.rate_end + (1.0 - self.rate_end) * (1.0 + turn.cos()) / 2.0)
    }

    /// Side of the network's input at a share of the budget, pixels.
    pub(super) fn size_at(&self, spent: f64) -> usize {
        if spent < self.first_share { self.first_size } else { self.size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(epochs: Option<usize>, minutes: Option<f64>) -> Options {
        Options { epochs, minutes, ..Options::of(Architecture::tiny(1)) }
    }

    fn progress(epoch: usize, films_seen: usize) -> Progress {
        Progress { epoch, films_seen, ..Progress::begin(Architecture::tiny(1), "drawn", 1, 64) }
    }

    #[test]
    fn the_budget_that_is_spent_further_counts() {
        for (epochs, minutes, epoch, seen, seconds, want) in [
            (Some(10), None, 5, 0, 1e9, 0.5),
            (Some(10), None, 5, 50, 0.0, 0.55),
            (None, Some(10.0), 99, 0, 300.0, 0.5),
            (Some(10), Some(10.0), 1, 0, 300.0, 0.5),
            (Some(10), Some(10.0), 9, 0, 300.0, 0.9),
            (Some(10), None, 11, 0, 0.0, 1.0),
            (Some(0), None, 1, 0, 0.0, 1.0),
        ] {
            let spent = options(epochs, minutes).spent(&progress(epoch, seen), 100, seconds);
            assert!((spent - want).abs() < 1e-12, "{spent} {want}");
        }
    }

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_and_the_films_grow_once() {
        let options = options(Some(1), None);
        let rates: Vec<f64> = (0..=100).map(|i| options.rate_at(f64::from(i) / 100.0)).collect();
        let peak = rates.iter().copied().fold(0.0, f64::max);
        assert!((peak - 1e-3).abs() < 1e-6 && rates[0] > 0.0 && rates[0] < 1e-4);
        assert!(rates[4..].is_sorted_by(|a, b| a >= b) && (rates[100] - 1e-5).abs() < 1e-9);
        assert_eq!((options.size_at(0.49), options.size_at(0.5)), (64, 128));
    }
}
