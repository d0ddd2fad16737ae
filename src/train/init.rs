//! Weights to start from: the trunk of a snapshot, or of a torchvision DenseNet of the same shape; the head is always new.
//!
//! A torchvision network was made for three normalised colours. Its first convolution is summed over them, which gives what
//! it would give for a film in all three. The scale differs: torchvision subtracts about 0.45 and divides by about 0.225,
//! here 0.5 and 0.25; the first batch normalisation takes this up within some steps of training, and a forward pass without
//! training is only exact for an input in torchvision's scale.

use super::TrainError;
use super::architecture::Slot;
use super::densenet::DenseNet;
use super::snapshot::Snapshot;
use crate::limits::WEIGHTS_BYTES_MAX;
use crate::model::weights::{self, Tensors, Weights};
use std::path::Path;
use tch::Tensor;

/// Gives `net` the trunk of the file at `path`; what a snapshot's card says of its past comes back.
///
/// # Errors
/// [`TrainError`] where the file cannot be read, or with every tensor that is missing or of another shape.
pub fn start_from(net: &DenseNet, path: &Path) -> Result<Vec<String>, TrainError> {
    if path.extension().is_some_and(|e| e == "pth" || e == "safetensors") {
        take_trunk(net, &read(path)?, path)?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok(vec![format!("trunk of {name}, a torchvision DenseNet trained elsewhere")]);
    }
    let snapshot = Snapshot::load(path, net.params.device())?;
    let trunk = snapshot.averaged();
    let length = |net: &DenseNet| {
        let head = net.architecture.findings * (net.architecture.feature_channels() + 1);
        net.params.size1().map(|all| all - head)
    };
    let own = length(net)?;
    if own != length(&trunk)? || net.buffers.size() != trunk.buffers.size() {
        return Err(TrainError::content(path, "the snapshot's network has another trunk"));
    }
    tch::no_grad(|| {
        net.params.narrow(0, 0, own).copy_(&trunk.params.narrow(0, 0, own));
        net.buffers.shallow_clone().copy_(&trunk.buffers);
    });
    Ok(snapshot.progress.history.iter().cloned().chain([snapshot.progress.stage()]).collect())
}

fn read(path: &Path) -> Result<Tensors, TrainError> {
    let size = std::fs::metadata(path).map_err(|e| TrainError::file(path, e))?.len();
    if size > WEIGHTS_BYTES_MAX {
        return Err(TrainError::content(path, format!("{size} bytes, allowed are {WEIGHTS_BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).map_err(|e| TrainError::file(path, e))?;
    weights::read(&bytes).map_err(|what| TrainError::content(path, what))
}

fn take_trunk(net: &DenseNet, tensors: &Tensors, path: &Path) -> Result<(), TrainError> {
    let mut faults = Vec::new();
    for slot in net.architecture.slots().iter().filter(|s| s.name.starts_with("features.")) {
        match fitting(slot, tensors.get(&slot.name)) {
            Ok(tensor) => tch::no_grad(|| net.get(&slot.name).map(|own| own.shallow_clone().copy_(&tensor)))?,
            Err(what) => faults.push(what),
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let shown = faults.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("; ");
    let more = if faults.len() > 5 { format!("; and {} more", faults.len() - 5) } else { String::new() };
    Err(TrainError::content(path, format!("is no torchvision DenseNet of this shape: {shown}{more}")))
}

/// The tensor for a slot; three colours are summed where the slot has one channel.
fn fitting(slot: &Slot, found: Option<&Weights>) -> Result<Tensor, String> {
    let weights = found.ok_or_else(|| format!("{} is missing", slot.name))?;
    let size: Vec<i64> = weights.shape().iter().map(|n| *n as i64).collect();
    let tensor = Tensor::from_slice(weights.values()).view(size.as_slice());
    if size == slot.shape {
        return Ok(tensor);
    }
    if let ([out, 3, h, w], [own, 1, rows, columns]) = (&size[..], &slot.shape[..])
        && [out, h, w] == [own, rows, columns]
    {
        return Ok(tensor.sum_dim_intlist([1_i64].as_slice(), true, tch::Kind::Float));
    }
    Err(format!("{} has shape {size:?}, needed is {:?}", slot.name, slot.shape))
}

#[cfg(test)]
mod tests {
    use super::super::architecture::Architecture;
    use super::super::densenet::{Mode, Precision};
    use super::*;
    use std::collections::HashMap;
    use tch::Device;

    #[test]
    fn a_network_of_another_shape_is_refused_with_the_tensors() {
        let net = DenseNet::random(Architecture::tiny(2), Device::Cpu, 1);
        let conv0 = Weights::new(vec![8, 2, 7, 7], vec![0.0; 8 * 2 * 49]).unwrap();
        let tensors = Tensors::from([("features.conv0.weight".to_owned(), conv0)]);
        let error = take_trunk(&net, &tensors, Path::new("x.pth")).unwrap_err().to_string();
        for what in
            ["features.conv0.weight has shape [8, 2, 7, 7], needed is [8, 1, 7, 7]", "features.norm0.weight is missing", "more"]
        {
            assert!(error.contains(what), "{what} not in {error}");
        }
    }

    /// tools/torchvision_densenet.py writes the same random network in every form, and what PyTorch computes with it.
    #[test]
    fn every_form_of_a_torchvision_file_gives_the_features_that_pytorch_computes() {
        let Some(python) = std::env::var_os("CHEXBOX_TORCH_PYTHON") else {
            println!("skipped: CHEXBOX_TORCH_PYTHON names no Python that has torch");
            return;
        };
        let folder = std::env::temp_dir().join(format!("chexbox-torchvision-{}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/torchvision_densenet.py");
        let done = std::process::Command::new(python).arg(script).arg(&folder).status().unwrap();
        assert!(done.success());
        let read = |name: &str| Tensor::read_safetensors(folder.join(name)).unwrap().into_iter().collect::<HashMap<_, _>>();
        let reference = read("reference.safetensors");
        for name in ["zip.pth", "legacy_module_old_names.pth", "nested.pth", "plain.safetensors"] {
            let net = DenseNet::random(Architecture::densenet121(3), Device::Cpu, 9);
            let history = start_from(&net, &folder.join(name)).unwrap();
            assert!(history[0].contains(name));
            let out = tch::no_grad(|| net.forward(&reference["grey"], Mode::Eval, Precision::F32)).unwrap();
            let apart = (out.features - &reference["features"]).abs().max().double_value(&[]);
            println!("{name}: largest difference {apart:.1e}");
            assert!(apart < 1e-4, "{name}: {apart}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
