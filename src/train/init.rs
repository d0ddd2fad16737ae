//! Weights to start from: the trunk of a snapshot, of a bundle or another ONNX file, or of a torchvision DenseNet of the same
//! shape; the head is always new.
//!
//! A bundle holds no statistics of norms, and a training cannot do without: they are counted on films of the run, which
//! changes no output. Its integers are taken as the numbers they stand for.
//!
//! A torchvision network was made for three normalised colours. Its first convolution is summed over them, which gives what
//! it would give for a film in all three. The scale differs: torchvision subtracts about 0.45 and divides by about 0.225,
//! here 0.5 and 0.25; the first batch normalisation takes this up within some steps of training, and a forward pass without
//! training is only exact for an input in torchvision's scale.

use super::TrainError;
use super::architecture::Slot;
use super::densenet::{DenseNet, Mode, Precision};
use super::snapshot::Snapshot;
use crate::limits::WEIGHTS_BYTES_MAX;
use crate::model::weights::{self, Tensors, Weights};
use crate::model::{MANIFEST_FILE, Manifest, quantize};
use prost::Message;
use std::path::Path;
use tch::Tensor;
use tract_onnx::pb::ModelProto;

/// What the stage of a trunk that was learnt elsewhere begins with.
pub(super) const TRUNK_OF: &str = "trunk of ";

/// Films of 128 x 128 px that statistics are counted on; of larger ones fewer, by their pixels.
const SETTLED_ON: usize = 256;
/// Fewest of any size.
const SETTLED_ON_MIN: usize = 16;

/// How many films of side `size` the statistics of a bundle's norms are counted on.
pub fn settled_on(size: usize) -> usize {
    (SETTLED_ON * 128 * 128 / (size * size).max(1)).clamp(SETTLED_ON_MIN, SETTLED_ON)
}

/// Gives `net` the trunk of the file at `path`, or of the bundle in that folder; what a snapshot's card says of its past comes
/// back, or the `stages` of a safetensors file's metadata. `films` makes the images that the statistics of a bundle's norms are
/// counted on, [N, 1, S, S].
///
/// # Errors
/// [`TrainError`] where the file cannot be read, or with every tensor that is missing or of another shape.
pub fn start_from(
    net: &DenseNet,
    path: &Path,
    films: &dyn Fn() -> Result<Tensor, TrainError>,
) -> Result<Vec<String>, TrainError> {
    let name = || path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let settled = |tensors: &Tensors, of: &str| {
        take_trunk(net, tensors, path)?;
        tch::no_grad(|| net.forward(&films()?, Mode::Settle, Precision::F32))?;
        Ok(vec![format!("{TRUNK_OF}{of}")])
    };
    if path.is_dir() {
        let (manifest, onnx) = bundle(path)?;
        let of = format!("{} {} (sha256 {}), whose card has its stages", manifest.name, manifest.version, manifest.file.sha256);
        return settled(&of_onnx(path, &onnx)?, &of);
    }
    if path.extension().is_some_and(|e| e == "onnx") {
        return settled(&of_onnx(path, &bytes(path)?)?, &format!("{}, a model file", name()));
    }
    if path.extension().is_some_and(|e| e == "pth" || e == "safetensors") {
        let (bytes, content) = (bytes(path)?, |what| TrainError::content(path, what));
        take_trunk(net, &weights::read(&bytes).map_err(content)?, path)?;
        let mut stages = weights::stages(&bytes).map_err(content)?;
        if !stages.first().is_some_and(|first| first.starts_with(TRUNK_OF)) {
            stages.insert(0, format!("{TRUNK_OF}{}, a torchvision DenseNet trained elsewhere", name()));
        }
        return Ok(stages);
    }
    let snapshot = Snapshot::load(path, net.params.device())?;
    let other = snapshot.averaged();
    let own = net.trunk();
    if own != other.trunk() || net.buffers.size() != other.buffers.size() {
        return Err(TrainError::content(path, "the snapshot's network has another trunk"));
    }
    tch::no_grad(|| {
        net.params.narrow(0, 0, own).copy_(&other.params.narrow(0, 0, own));
        net.buffers.shallow_clone().copy_(&other.buffers);
    });
    Ok(snapshot.progress.history.iter().cloned().chain([snapshot.progress.stage()]).collect())
}

/// The manifest and the model file of the bundle in this folder.
fn bundle(folder: &Path) -> Result<(Manifest, Vec<u8>), TrainError> {
    let file = folder.join(MANIFEST_FILE);
    let text = std::fs::read_to_string(&file).map_err(|e| TrainError::file(&file, e))?;
    let manifest = Manifest::parse(&text).map_err(|e| TrainError::content(&file, e.to_string()))?;
    let onnx = bytes(&folder.join(&manifest.file.name))?;
    Manifest::check_file(&manifest.file, &onnx).map_err(|e| TrainError::content(folder, e.to_string()))?;
    Ok((manifest, onnx))
}

fn of_onnx(path: &Path, onnx: &[u8]) -> Result<Tensors, TrainError> {
    let content = |what: String| TrainError::content(path, what);
    let model = ModelProto::decode(onnx).map_err(|e| content(format!("is no ONNX file: {e}")))?;
    quantize::tensors(&model).map_err(|e| content(e.to_string()))
}

fn bytes(path: &Path) -> Result<Vec<u8>, TrainError> {
    let size = std::fs::metadata(path).map_err(|e| TrainError::file(path, e))?.len();
    if size > WEIGHTS_BYTES_MAX {
        return Err(TrainError::content(path, format!("{size} bytes, allowed are {WEIGHTS_BYTES_MAX}")));
    }
    std::fs::read(path).map_err(|e| TrainError::file(path, e))
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
    use tch::{Device, Kind};

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        ((a - b).abs().max() / b.abs().max()).double_value(&[])
    }

    /// The norms of an exported file are statistics, those of a quantized one are not: here both have none after the reading.
    #[test]
    fn a_network_that_starts_from_a_file_of_ours_computes_what_the_file_does_and_can_be_trained_on() {
        let exported = DenseNet::random(Architecture::tiny(3), Device::Cpu, 4);
        tch::no_grad(|| {
            for seed in 1..4 {
                tch::manual_seed(seed);
                let images = Tensor::randn([16, 1, 48, 48], (Kind::Float, Device::Cpu)) * 2.0 + 1.0;
                exported.forward(&images, Mode::Train, Precision::F32).unwrap();
            }
        });
        let file = std::env::temp_dir().join(format!("chexbox-init-{}.onnx", std::process::id()));
        std::fs::write(&file, super::super::onnx::write(&exported, 48).unwrap().encode_to_vec()).unwrap();
        let images = Tensor::randn([64, 1, 48, 48], (Kind::Float, Device::Cpu));
        let net = DenseNet::random(Architecture::tiny(5), Device::Cpu, 9);
        let history = start_from(&net, &file, &|| Ok(images.shallow_clone())).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(history[0].starts_with("trunk of chexbox-init-"), "{history:?}");
        let features = |net: &DenseNet, mode| tch::no_grad(|| net.forward(&images, mode, Precision::F32)).unwrap().features;
        let want = features(&exported, Mode::Eval);
        let far = apart(&features(&net, Mode::Eval), &want);
        assert!(far < 1e-4, "as it stands: {far}");
        // In training a norm goes by the batch: of the films that its statistics are from, it gives the same.
        let far = apart(&features(&net, Mode::Train), &want);
        assert!(far < 1e-3, "in training: {far}");
    }

    #[test]
    fn a_shipped_bundle_gives_the_logits_of_its_probe_but_for_the_rounding_of_activations() {
        for name in ["findings10", "findings25"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
            let (manifest, onnx) = bundle(&folder).unwrap();
            let tensors = of_onnx(&folder, &onnx).unwrap();
            let probe: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("probe.json")).unwrap()).unwrap();
            let want: Vec<f64> = probe["logits"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            let net = DenseNet::random(Architecture::densenet121(want.len()), Device::Cpu, 1);
            let size = manifest.input.size;
            take_trunk(&net, &tensors, &folder).unwrap();
            for leaf in ["classifier.weight", "classifier.bias"] {
                let values = Tensor::from_slice(tensors[leaf].values());
                let own = net.get(leaf).unwrap();
                tch::no_grad(|| own.shallow_clone().copy_(&values.view(own.size().as_slice())));
            }
            let side = size as i64;
            let image = Tensor::from_slice(&super::super::probe::input(size)).view([1, 1, side, side]);
            let logits = tch::no_grad(|| net.forward(&image, Mode::Eval, Precision::F32)).unwrap().logits;
            let far = want.iter().enumerate().map(|(i, w)| (logits.double_value(&[0, i as i64]) - w).abs()).fold(0.0, f64::max);
            println!("{name}: furthest logit of the probe {far:.4}");
            assert!(far < 0.1 && want.iter().any(|w| w.abs() > 0.5), "{name}: {far}, {want:?}");
        }
    }

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
        for name in ["zip.pth", "legacy_module_old_names.pth", "nested.pth", "plain.safetensors", "told.safetensors"] {
            let net = DenseNet::random(Architecture::densenet121(3), Device::Cpu, 9);
            let history = start_from(&net, &folder.join(name), &|| unreachable!("its statistics stand in the file")).unwrap();
            assert!(history[0].starts_with(&format!("trunk of {name}")), "{history:?}");
            assert_eq!(history[1..], if name == "told.safetensors" { vec!["one stage", "another"] } else { vec![] });
            let out = tch::no_grad(|| net.forward(&reference["grey"], Mode::Eval, Precision::F32)).unwrap();
            let apart = (out.features - &reference["features"]).abs().max().double_value(&[]);
            println!("{name}: largest difference {apart:.1e}");
            assert!(apart < 1e-4, "{name}: {apart}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
