//! A run on disk: weights, optimiser, average, place in the epoch. Written to a temporary name and
//! renamed, so a snapshot is whole or absent.

use super::TrainError;
use super::architecture::Architecture;
use super::densenet::DenseNet;
use super::optimiser::Optimiser;
use super::soft::FEATURE;
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
    /// Mean AUC on val of the last evaluation, where there was one.
    pub val_auc: Option<f64>,
    /// What was done so far, one line a stage, for the model card.
    pub history: Vec<String>,
    /// How it is learnt, for the model card; empty in snapshots that older versions began.
    #[serde(default)]
    pub how: String,
    /// Names of the auxiliary heads, whose logits follow those of the findings.
    #[serde(default)]
    pub auxiliary: Vec<String>,
    /// Steps since the average began.
    #[serde(default)]
    pub average_age: i64,
    /// Epochs at the final size since the best one.
    #[serde(default)]
    pub since_best: usize,
    /// Sum and number of the losses of this epoch so far.
    #[serde(default)]
    pub losses: (f64, f64),
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
pub fn save(path: &Path, progress: &Progress, net: &DenseNet, adam: &Optimiser) -> Result<(), TrainError> {
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
        // libtorch's error is a page of its own stack.
        let unread = |_| {
            let what = "is no snapshot, or a damaged one; weights to start from may be a snapshot (.pt), a bundle's folder, .onnx, \
                        .safetensors or .pth";
            TrainError::content(path, what)
        };
        let tensors: std::collections::HashMap<_, _> =
            Tensor::load_multi_with_device(path, device).map_err(unread)?.into_iter().collect();
        let bytes = tensors.get("progress").ok_or_else(|| TrainError::content(path, "tensor progress is missing"))?;
        let json = Vec::<u8>::try_from(bytes.to_device(Device::Cpu))?;
        let progress: Progress = serde_json::from_slice(&json).map_err(|e| TrainError::content(path, e.to_string()))?;
        let (params, buffers) = DenseNet::lengths(&progress.network());
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
        DenseNet::of(self.progress.network(), self.of("params"), self.of("buffers"))
    }

    /// The averaged network, which is evaluated and exported, without auxiliary heads.
    pub fn averaged(&self) -> DenseNet {
        let whole = DenseNet::of(self.progress.network(), self.of("average"), self.of("average_buffers"));
        whole.cut(self.progress.architecture.findings)
    }

    /// Gives `adam` the state it had.
    pub fn restore(&self, adam: &mut Optimiser) {
        adam.first = self.of("first");
        adam.second = self.of("second");
        adam.average = self.of("average");
        adam.average_buffers = self.of("average_buffers");
        adam.steps = self.progress.steps;
        adam.age = self.progress.average_age;
    }
}

impl Progress {
    /// Where a run of this network and label set begins.
    pub fn begin(architecture: Architecture, label_set: &str, seed: u64, size: usize) -> Self {
        let (label_set, history) = (label_set.to_owned(), vec![]);
        let (epoch, films_seen, films_total, steps, seconds, val_auc) = (0, 0, 0, 0, 0.0, None);
        let (how, auxiliary, average_age, since_best, losses) = (String::new(), vec![], 0, 0, (0.0, 0.0));
        Self {
            architecture,
            label_set,
            epoch,
            films_seen,
            seed,
            steps,
            seconds,
            films_total,
            size,
            val_auc,
            history,
            how,
            auxiliary,
            average_age,
            since_best,
            losses,
        }
    }

    /// The network that is trained: the one that is exported, with the auxiliary heads beside its findings.
    pub fn network(&self) -> Architecture {
        let findings = self.architecture.findings + self.auxiliary.len() as i64;
        Architecture { findings, ..self.architecture.clone() }
    }

    /// What this run did, one line for the model card.
    pub fn stage(&self) -> String {
        let features = match self.features() {
            0 => String::new(),
            count => format!(", {count} of its features learnt beside"),
        };
        format!(
            "{}: {} epochs begun, {} films seen in {} steps, {:.0} minutes of wall time, input {} px at the end, seed {}{}{}{features}",
            self.label_set,
            self.epoch,
            self.films_total,
            self.steps,
            self.seconds / 60.0,
            self.size,
            self.seed,
            if self.how.is_empty() { "" } else { "; " },
            self.how
        )
    }

    /// The same in Chinese, for the training page. `how`: what this run does, in Chinese.
    pub fn stage_zh(&self, how: &str) -> String {
        let features = match self.features() {
            0 => String::new(),
            count => format!("，并学习教师的 {count} 个特征"),
        };
        format!(
            "{}：{} 轮，{} 步共 {} 张次，用时 {:.0} 分钟，最终输入 {} 像素，随机种子 {}；{how}{features}",
            self.label_set,
            self.epoch,
            self.steps,
            self.films_total,
            self.seconds / 60.0,
            self.size,
            self.seed
        )
    }

    /// Features of a teacher among the auxiliary heads.
    fn features(&self) -> usize {
        self.auxiliary.iter().filter(|head| head.starts_with(FEATURE)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::optimiser::Habits;
    use super::*;

    #[test]
    fn a_snapshot_before_the_first_evaluation_is_read_back_whole_and_a_damaged_one_is_refused() {
        let folder = std::env::temp_dir().join(format!("chexbox-snapshot-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("latest.pt");
        let net = DenseNet::random(Architecture::tiny(2), Device::Cpu, 1);
        let mut adam = Optimiser::new(&net.params, &net.buffers, net.kinds(), Habits::default());
        let mut params = net.params.shallow_clone();
        tch::no_grad(|| adam.step(&mut params, &net.buffers, &mut net.params.ones_like(), 0.1));
        let progress = Progress { steps: 1, films_seen: 64, ..Progress::begin(Architecture::tiny(2), "drawn", 9, 64) };
        save(&path, &progress, &net, &adam).unwrap();

        let back = Snapshot::load(&path, Device::Cpu).unwrap();
        assert_eq!(back.progress, progress);
        assert_eq!(back.net().params, net.params);
        let mut other = Optimiser::new(&net.params, &net.buffers, net.kinds(), Habits::default());
        back.restore(&mut other);
        assert_eq!((&other.first, &other.second, other.steps), (&adam.first, &adam.second, 1));

        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = Snapshot::load(&path, Device::Cpu).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("latest.pt: is no snapshot, or a damaged one") && error.lines().count() == 1, "{error}");
        let wrong = Progress::begin(Architecture::tiny(3), "drawn", 9, 64);
        save(&path, &wrong, &net, &adam).unwrap();
        let error = Snapshot::load(&path, Device::Cpu).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("tensor params has shape"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
