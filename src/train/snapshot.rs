//! A run on disk: weights, optimiser, average, place in the epoch. Written to a temporary name and
//! renamed, so a snapshot is whole or absent.

use super::TrainError;
use super::densenet::{Architecture, DenseNet};
use super::optimiser::AdamW;
use std::path::Path;
use tch::{Device, Tensor};

/// Where a run stands. Together with the seed it names every random stream, so no generator's state is kept.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Shape of the network.
    pub architecture: Architecture,
    /// Name of the label set.
    pub label_set: String,
    /// Epoch under way, from 0.
    pub epoch: usize,
    /// Films of this epoch already seen.
    pub films_seen: usize,
    /// Seed.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: i64,
    /// Seconds spent training, all starts together.
    pub seconds: f64,
    /// Films seen, all epochs.
    pub films_total: u64,
    /// Side of the network's input, pixels.
    pub size: usize,
    /// Mean AUC on val of the last evaluation.
    pub val_auc: f64,
    /// What was done so far, one line a stage, for the model card.
    pub history: Vec<String>,
}

/// A snapshot read back.
pub struct Snapshot {
    /// Where the run stood.
    pub progress: Progress,
    tensors: std::collections::HashMap<String, Tensor>,
}

/// Writes a snapshot.
///
/// # Errors
/// [`TrainError`] where the file cannot be written.
pub fn save(path: &Path, progress: &Progress, net: &DenseNet, adam: &AdamW) -> Result<(), TrainError> {
    let json = serde_json::to_vec(progress).map_err(|e| TrainError::content(path, e.to_string()))?;
    let named = [
        ("progress", Tensor::from_slice(&json)),
        ("params", net.params.shallow_clone()),
        ("buffers", net.buffers.shallow_clone()),
        ("first", adam.first.shallow_clone()),
        ("second", adam.second.shallow_clone()),
        ("average", adam.average.shallow_clone()),
        ("average_buffers", adam.average_buffers.shallow_clone()),
    ];
    let unfinished = path.with_extension("unfinished");
    Tensor::save_multi(&named, &unfinished)?;
    std::fs::rename(&unfinished, path).map_err(|e| TrainError::file(path, e))
}

impl Snapshot {
    /// Reads a snapshot.
    ///
    /// # Errors
    /// [`TrainError`] where it cannot be read or a tensor is missing or of another length.
    pub fn load(path: &Path, device: Device) -> Result<Self, TrainError> {
        if !path.is_file() {
            return Err(TrainError::content(path, "there is no such snapshot"));
        }
        let tensors: std::collections::HashMap<_, _> = Tensor::load_multi_with_device(path, device)?.into_iter().collect();
        let bytes = tensors.get("progress").ok_or_else(|| TrainError::content(path, "tensor progress is missing"))?;
        let json = Vec::<u8>::try_from(bytes.to_device(Device::Cpu))?;
        let progress: Progress = serde_json::from_slice(&json).map_err(|e| TrainError::content(path, e.to_string()))?;
        let (params, buffers) = DenseNet::lengths(&progress.architecture);
        for (name, length) in [
            ("params", params),
            ("buffers", buffers),
            ("first", params),
            ("second", params),
            ("average", params),
            ("average_buffers", buffers),
        ] {
            let found = tensors.get(name).map(Tensor::size);
            if found != Some(vec![length]) {
                return Err(TrainError::content(path, format!("tensor {name} has shape {found:?}, allowed is [{length}]")));
            }
        }
        Ok(Self { progress, tensors })
    }

    fn of(&self, name: &str) -> Tensor {
        self.tensors.get(name).map(Tensor::copy).unwrap_or_default()
    }

    /// The network as it was being trained.
    pub fn net(&self) -> DenseNet {
        DenseNet::of(self.progress.architecture.clone(), self.of("params"), self.of("buffers"))
    }

    /// The averaged network, which is evaluated and exported.
    pub fn averaged(&self) -> DenseNet {
        DenseNet::of(self.progress.architecture.clone(), self.of("average"), self.of("average_buffers"))
    }

    /// Gives `adam` the state it had.
    pub fn restore(&self, adam: &mut AdamW) {
        adam.first = self.of("first");
        adam.second = self.of("second");
        adam.average = self.of("average");
        adam.average_buffers = self.of("average_buffers");
        adam.steps = self.progress.steps;
    }
}

impl Progress {
    /// What this run did, one line for the model card.
    pub fn stage(&self) -> String {
        format!(
            "{}: {} epochs begun, {} films seen in {} steps, {:.0} minutes of wall time, input {} px at the end, seed {}",
            self.label_set,
            self.epoch,
            self.films_total,
            self.steps,
            self.seconds / 60.0,
            self.size,
            self.seed
        )
    }
}
