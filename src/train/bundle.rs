//! A trained network as the folder the program reads: manifest.toml, model.onnx (8-bit integers),
//! probe.json, MODEL_CARD.md. Every number in them is computed here.

use super::TrainError;
use super::boxes::{Boxed, boxed};
use super::data::Part;
use super::densenet::{DenseNet, Precision};
use super::evaluate::{Head, heads, mean_auc};
use super::rounding::{Pair, round};
use super::snapshot::Snapshot;
use super::study::Study;
use super::{card, onnx, probe};
use crate::input::Plane;
use crate::labels::BoxColumn;
use crate::model::quantize::bars;
use crate::model::{FileSpec, FindingSpec, IntendedUse, Manifest, Network, OutputSpec, Quantization, sha256_hex};
use crate::stats::Rule;
use prost::Message;
use serde::Serialize;
use std::path::Path;
use tch::Tensor;
use tract_onnx::pb::{ModelProto, TensorProto};

/// Youngest patient of the intended use, years: the public films of children are few.
pub(super) const MINIMUM_AGE_YEARS: u32 = 16;

/// What an export found out.
pub struct Exported {
    /// The manifest.
    pub manifest: Manifest,
    /// Heads in the order of the logits.
    pub heads: Vec<Head>,
    /// The 8-bit integers against f32, on val.
    pub cost: Quantization,
    /// Heat maps against boxes, int8.
    pub boxed: Boxed,
    /// Mean AUC on test of the trained heads, int8.
    pub test_auc: f64,
    /// Size of model.onnx, bytes.
    pub bytes: usize,
    /// Fewest positives in test with which a head counts as trained.
    pub positives_min: usize,
    /// How operating points were chosen on val.
    pub rule: Rule,
}

/// What happens where 8-bit integers cost more than [`bars`] allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bars {
    /// No bundle is written.
    Keep,
    /// The manifest says what they cost: for a network of a few steps on drawn films, which is never shipped.
    Tell,
}

/// Where and how a bundle is written.
pub struct Request<'a> {
    /// Version that the manifest carries.
    pub version: &'a str,
    /// Fewest positives in test with which a head counts as trained.
    pub positives_min: usize,
    /// How operating points are chosen on val.
    pub rule: Rule,
    /// What happens where 8-bit integers cost too much.
    pub bars: Bars,
    /// Columns of the label files with boxes, which heat maps are judged by.
    pub boxes: &'a [BoxColumn],
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
    let (mut packed, calibration_films) = round(study, &plain, progress.size, &study.films.of(Part::Train))?;
    let pair = Pair::of(&plain, &packed, progress.size)?;
    let classifier = Vec::<f32>::try_from(net.get("classifier.weight")?.detach().flatten(0, -1))?;
    let val = pair.over(study, study.films.of(Part::Val), &classifier)?;
    let test = pair.over(study, study.films.of(Part::Test), &classifier)?.rounded;
    let heads = heads(study, &val.rounded, &test, request.positives_min, request.rule);
    let none = || TrainError::Run("no head has learnt its finding: train longer".into());
    let test_auc = mean_auc(study, &test, |f| heads[f].operating.is_some()).ok_or_else(none)?;
    let cost = val.figures(study, &heads, calibration_films).ok_or_else(none)?;
    let missed = bars::missed(&cost);
    if request.bars == Bars::Keep && !missed.is_empty() {
        return Err(TrainError::Run(format!("8-bit integers cost too much on val: {}", missed.join("; "))));
    }

    let boxed = boxed(study, &pair, &classifier, &heads, request.boxes)?;
    silence(&mut packed, &heads);
    let shipped = Network::of(packed.clone(), progress.size).map_err(|e| TrainError::Run(e.to_string()))?;

    let bytes = packed.encode_to_vec();
    let probe = Probe {
        description: format!("{}; logits of model.onnx by {}", probe::FORMULA, shipped.engine()),
        logits: shipped.run(&Plane { side: progress.size, values: probe::input(progress.size) }).map_err(TrainError::Run)?.logits,
    };
    let probe = serde_json::to_vec_pretty(&probe).map_err(|e| TrainError::Run(e.to_string()))?;
    let manifest =
        Manifest { quantization: Some(cost.clone()), ..manifest(study, snapshot, &heads, request.version, &bytes, &probe) };
    let text = toml::to_string(&manifest).map_err(|e| TrainError::Run(e.to_string()))?;
    Manifest::parse(&text).map_err(|e| TrainError::Run(e.to_string()))?;
    let exported = Exported {
        manifest,
        heads,
        cost,
        boxed,
        test_auc,
        bytes: bytes.len(),
        positives_min: request.positives_min,
        rule: request.rule,
    };
    let card = card::write(study, snapshot, &exported, &test);
    write_all(
        request.out,
        &[("model.onnx", &bytes), ("probe.json", &probe), ("manifest.toml", text.as_bytes()), ("MODEL_CARD.md", card.as_bytes())],
    )?;
    write_check(request.check, &plain, &net, progress.size)?;
    Ok(exported)
}

/// What a head without evidence would say is nobody's to read, not even of the file alone: its logit is 0 for every film.
fn silence(model: &mut ModelProto, heads: &[Head]) {
    let of_classifier = |tensor: &&mut TensorProto| ["classifier.weight", "classifier.bias"].contains(&tensor.name.as_str());
    let tensors = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    for tensor in tensors.filter(of_classifier) {
        let row = tensor.raw_data.len() / heads.len();
        let rows = tensor.raw_data.chunks_exact_mut(row.max(1)).zip(heads);
        // Bytes of 0 are 0 in f32.
        rows.filter(|(_, head)| head.operating.is_none()).for_each(|(row, _)| row.fill(0));
    }
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
        quantization: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::onnx::{float_tensor, floats};
    use crate::model::{Operating, Point};
    use tract_onnx::pb::GraphProto;

    #[test]
    fn an_untrained_head_is_silent_in_the_file_and_a_trained_one_is_as_it_was() {
        let initializer = vec![
            float_tensor("conv.weight", &[2, 1], &[1.0, 2.0]),
            float_tensor("classifier.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            float_tensor("classifier.bias", &[2], &[5.0, 6.0]),
        ];
        let graph = GraphProto { initializer, ..GraphProto::default() };
        let mut model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        let operating = Operating { slope: 1.0, intercept: 0.0, threshold: 0.5, point: Point::Chosen };
        let head = |operating| Head {
            operating,
            untrained_because: None,
            positives: [0; 3],
            auc: None,
            within: None,
            counts: None,
            shares: None,
        };
        silence(&mut model, &[head(None), head(Some(operating))]);
        let left: Vec<_> = model.graph.unwrap().initializer.iter().map(|t| floats(t).unwrap()).collect();
        assert_eq!(left, [vec![1.0, 2.0], vec![0.0, 0.0, 3.0, 4.0], vec![0.0, 6.0]]);
    }
}
