//! A trained network as the folder the program reads: manifest.toml, model.onnx (int8 weights),
//! probe.json, MODEL_CARD.md. Every number in them is computed here.

use super::TrainError;
use super::batches::predict;
use super::data::Part;
use super::densenet::{DenseNet, Precision};
use super::evaluate::{Head, Predictions, heads, mean_auc};
use super::snapshot::Snapshot;
use super::study::Study;
use super::{card, onnx, probe, quantize};
use crate::model::{FileSpec, FindingSpec, IntendedUse, Manifest, OutputSpec, dequantize_weights, sha256_hex};
use prost::Message;
use serde::Serialize;
use std::path::Path;
use tch::{Device, Tensor};
use tract_onnx::pb::ModelProto;

/// Youngest patient of the intended use, years: the public films of children are few.
pub(super) const MINIMUM_AGE_YEARS: u32 = 16;
/// Mean AUC on val that quantization may cost.
const AUC_LOSS_MAX: f64 = 0.002;

/// What an export found out.
pub struct Exported {
    /// The manifest.
    pub manifest: Manifest,
    /// Heads in the order of the logits.
    pub heads: Vec<Head>,
    /// Mean AUC on val of the trained heads: f32, int8.
    pub val_auc: (f64, f64),
    /// Mean AUC on test of the trained heads, int8.
    pub test_auc: f64,
    /// Size of model.onnx, bytes.
    pub bytes: usize,
    /// Fewest positives in test with which a head counts as trained.
    pub positives_min: usize,
}

/// Where and how a bundle is written.
pub struct Request<'a> {
    /// Version that the manifest carries.
    pub version: &'a str,
    /// Fewest positives in test with which a head counts as trained.
    pub positives_min: usize,
    /// Folder of the bundle.
    pub out: &'a Path,
    /// Folder of the f32 file and of libtorch's outputs for the probe, which tools/check_onnx.py compares with onnxruntime.
    pub check: &'a Path,
}

#[derive(Serialize)]
struct Probe {
    description: String,
    logits: Vec<f32>,
}

/// Evaluates the averaged network of `snapshot` and writes the bundle and the files of its check.
///
/// # Errors
/// [`TrainError`] where no head is trained, quantization costs more than it may, or a file cannot be written.
pub fn export(study: &Study, snapshot: &Snapshot, request: &Request) -> Result<Exported, TrainError> {
    let progress = &snapshot.progress;
    if progress.label_set != study.set.name || progress.architecture.findings != study.set.findings.len() as i64 {
        return Err(TrainError::Run(format!("the snapshot is of {}, the label set of {}", progress.label_set, study.set.name)));
    }
    let net = snapshot.averaged();
    let plain = onnx::write(&net, progress.size)?;
    let packed = quantize::quantize(&plain)?;
    let mut unpacked = packed.clone();
    dequantize_weights(&mut unpacked).map_err(|e| TrainError::Run(e.to_string()))?;
    let shipped = with_weights(&net, &unpacked)?;

    let on = |net: &DenseNet, part| -> Result<Predictions, TrainError> {
        let films = study.films.of(part);
        let logits = predict(net, study, &films, progress.size, Device::Cpu, Precision::F32)?;
        Ok(Predictions { films, logits })
    };
    let (plain_val, val, test) = (on(&net, Part::Val)?, on(&shipped, Part::Val)?, on(&shipped, Part::Test)?);
    let heads = heads(study, &val, &test, request.positives_min);
    let trained = |f: usize| heads[f].operating.is_some();
    let none = || TrainError::Run("no head has learnt its finding: train longer".into());
    let before = mean_auc(study, &plain_val, trained).ok_or_else(none)?;
    let after = mean_auc(study, &val, trained).ok_or_else(none)?;
    let test_auc = mean_auc(study, &test, trained).ok_or_else(none)?;
    if before - after > AUC_LOSS_MAX {
        let what = format!("int8 weights cost {:.4} of mean AUC on val, allowed are {AUC_LOSS_MAX}", before - after);
        return Err(TrainError::Run(what));
    }

    let bytes = packed.encode_to_vec();
    let probe = Probe {
        description: format!("{}; logits of model.onnx as tract computes them", probe::FORMULA),
        logits: probe::run(&unpacked, progress.size)?.logits,
    };
    let probe = serde_json::to_vec_pretty(&probe).map_err(|e| TrainError::Run(e.to_string()))?;
    let manifest = manifest(study, snapshot, &heads, request.version, &bytes, &probe);
    let text = toml::to_string(&manifest).map_err(|e| TrainError::Run(e.to_string()))?;
    Manifest::parse(&text).map_err(|e| TrainError::Run(e.to_string()))?;
    let exported = Exported {
        manifest,
        heads,
        val_auc: (before, after),
        test_auc,
        bytes: bytes.len(),
        positives_min: request.positives_min,
    };
    let card = card::write(study, snapshot, &exported, &test);
    write_all(
        request.out,
        &[("model.onnx", &bytes), ("probe.json", &probe), ("manifest.toml", text.as_bytes()), ("MODEL_CARD.md", card.as_bytes())],
    )?;
    write_check(request.check, &plain, &net, progress.size)?;
    Ok(exported)
}

/// The same network with the Conv and Gemm weights of `model`.
fn with_weights(net: &DenseNet, model: &ModelProto) -> Result<DenseNet, TrainError> {
    let copy = DenseNet::of(net.architecture.clone(), net.params.copy(), net.buffers.copy());
    for weight in model.graph.iter().flat_map(|g| &g.initializer) {
        let values: Vec<f32> = weight.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let values = Tensor::from_slice(&values).f_view(weight.dims.as_slice())?;
        tch::no_grad(|| copy.get(&weight.name).map(|t| t.shallow_clone().copy_(&values)))?;
    }
    Ok(copy)
}

fn manifest(study: &Study, snapshot: &Snapshot, heads: &[Head], version: &str, model: &[u8], probe: &[u8]) -> Manifest {
    let file =
        |name: &str, content: &[u8]| FileSpec { name: name.into(), bytes: content.len() as u64, sha256: sha256_hex(content) };
    let (progress, set) = (&snapshot.progress, &study.set);
    let finding = |(label, head): (&super::label_set::Label, &Head)| FindingSpec {
        id: label.id.clone(),
        variable: label.variable.clone(),
        en: label.en.clone(),
        zh: label.zh.clone(),
        trained: head.operating.is_some(),
        operating: head.operating,
    };
    Manifest {
        name: set.name.clone(),
        version: version.into(),
        title_en: set.title_en.clone(),
        title_zh: set.title_zh.clone(),
        file: file("model.onnx", model),
        probe: file("probe.json", probe),
        input: study.input(progress.size),
        output: OutputSpec {
            feature_channels: progress.architecture.feature_channels() as usize,
            feature_side: progress.architecture.feature_side(progress.size),
        },
        intended_use: IntendedUse { minimum_age_years: MINIMUM_AGE_YEARS },
        findings: set.findings.iter().zip(heads).map(finding).collect(),
    }
}

fn write_all(folder: &Path, files: &[(&str, &[u8])]) -> Result<(), TrainError> {
    std::fs::create_dir_all(folder).map_err(|e| TrainError::file(folder, e))?;
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|e| TrainError::file(&path, e))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Reference {
    size: usize,
    logits: Vec<f32>,
    features: Vec<f32>,
}

/// f32.onnx and what libtorch computes for the probe's input.
fn write_check(folder: &Path, plain: &ModelProto, net: &DenseNet, size: usize) -> Result<(), TrainError> {
    let side = size as i64;
    let images = Tensor::from_slice(&probe::input(size)).view([1, 1, side, side]);
    let out = tch::no_grad(|| net.forward(&images, super::densenet::Mode::Eval, Precision::F32))?;
    let reference = Reference {
        size,
        logits: Vec::<f32>::try_from(out.logits.flatten(0, -1))?,
        features: Vec::<f32>::try_from(out.features.contiguous().flatten(0, -1))?,
    };
    let reference = serde_json::to_vec(&reference).map_err(|e| TrainError::Run(e.to_string()))?;
    write_all(folder, &[("f32.onnx", &plain.encode_to_vec()), ("libtorch.json", &reference)])
}
