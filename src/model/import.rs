//! A DenseNet that another project trained, as a bundle of this program.
//!
//! In: its tensors under torchvision's names, a label set, and how that project prepared its films. Out: an ONNX file in f32, its
//! probe and manifest. Never: a number that depends on a film; a call at an operating point that nobody chose.
//!
//! What is known of a network is what its tensors say: depth, width and findings are read from their names and shapes. A first
//! convolution over three channels that all have the same scale is folded to one, as a film is grey; with scales of their own the
//! channels stay, since what surrounds a film is zero in each of them and so another grey. torchxrayvision keeps its operating
//! points in the tensor `op_threshs`, where a head without one was not trained.

use super::architecture::Architecture;
use super::densenet_file;
use super::network::{Engine, Network};
use super::probe::Probe;
use super::weights::{Tensors, Weights};
use super::{Colour, FileSpec, FindingSpec, Fit, InputSpec, IntendedUse, Manifest, Operating, OutputSpec, Point, sha256_hex};
use crate::input::in_channels;
use crate::labels::{Label, LabelSet};
use prost::Message;
use serde::Serialize;
use tract_onnx::pb::ModelProto;

/// torchxrayvision's operating points on the sigmoid of each logit; not a number where a head was not trained.
const OPERATING_POINTS: &str = "op_threshs";
const STEM: &str = "features.conv0.weight";
/// Largest difference of a logit between our operators and tract alone on the probe, relative to the largest logit.
const ENGINES_APART_MAX: f32 = 1e-3;
/// Where a logit of 0 is: stands for an operating point that nobody chose.
const MIDDLE: f32 = 0.5;

/// How the other project prepared its films, and what the bundle is to say of itself.
#[derive(Clone, Debug)]
pub struct Request {
    /// Version for the manifest.
    pub version: String,
    /// Side of the network's input, pixels.
    pub size: usize,
    /// Scale and part of the film.
    pub scale: Scale,
    /// Which part of the film becomes the square.
    pub fit: Fit,
    /// Youngest patient of the intended use, years.
    pub minimum_age_years: u32,
}

/// What becomes of a grey in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// 0 becomes the first number, 1 the second.
    Range(f32, f32),
    /// (grey - mean) / std, for each of three channels.
    Channels(Colour),
}

/// The files of a bundle.
#[derive(Debug)]
pub struct Imported {
    /// The manifest.
    pub manifest: Manifest,
    /// model.onnx.
    pub onnx: Vec<u8>,
    /// probe.json.
    pub probe: Vec<u8>,
    /// Layers of each block.
    pub blocks: Vec<usize>,
    /// How many channels of the first convolution became one; 1 where nothing was folded.
    pub folded_channels: usize,
}

/// Why weights cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Tensors that are missing or of another shape.
    #[error("the weights are of no DenseNet with torchvision's names: {0}")]
    NotADenseNet(String),
    /// A number that is none.
    #[error("{tensor} holds a value that is not finite")]
    NotFinite {
        /// Name of the tensor.
        tensor: String,
    },
    /// Another number of logits than the label set has findings.
    #[error("the network has {logits} logits, the label set {set} {findings} findings: they must be the same, in the same order")]
    Findings {
        /// Of the classifier.
        logits: usize,
        /// Name of the label set.
        set: String,
        /// Of the label set.
        findings: usize,
    },
    /// A scale that does not go with the first convolution.
    #[error("the scale {0}")]
    Scale(String),
    /// An operating point outside (0, 1).
    #[error("the operating point of {finding} is {value}, allowed is a number above 0 and below 1")]
    OperatingPoint {
        /// Id of the finding.
        finding: String,
        /// What stands there.
        value: f32,
    },
    /// The network does not run, or not the same on both engines.
    #[error("the imported network does not run as it must: {0}")]
    Run(String),
}

#[derive(Serialize)]
struct ProbeFile {
    description: String,
    logits: Vec<f32>,
}

/// Makes the bundle.
///
/// # Errors
/// [`ImportError`] that names the tensor, the finding or the scale and what was needed.
pub fn import(tensors: &Tensors, set: &LabelSet, request: &Request) -> Result<Imported, ImportError> {
    let shape = architecture(tensors)?;
    let logits = shape.findings as usize;
    if logits != set.findings.len() {
        return Err(ImportError::Findings { logits, set: set.name.clone(), findings: set.findings.len() });
    }
    let (stem, input) = stem(tensors, request)?;
    let folded_channels = tensors.get(STEM).and_then(|w| w.shape().get(1)).map_or(1, |c| c / input.channels());
    let findings = findings(tensors, set)?;
    let proto = densenet_file::write(&shape, request.size, &mut |name| match name {
        STEM => Ok(stem.clone()),
        name => tensors.get(name).cloned().ok_or_else(|| ImportError::NotADenseNet(format!("{name} is missing"))),
    })?;
    let onnx = proto.encode_to_vec();
    let (probe, output) = prove(proto, &input)?;
    let file =
        |name: &str, content: &[u8]| FileSpec { name: name.into(), bytes: content.len() as u64, sha256: sha256_hex(content) };
    let manifest = Manifest {
        name: set.name.clone(),
        version: request.version.clone(),
        title_en: set.title_en.clone(),
        title_zh: set.title_zh.clone(),
        file: file("model.onnx", &onnx),
        probe: file("probe.json", &probe),
        input,
        output,
        intended_use: IntendedUse { minimum_age_years: request.minimum_age_years },
        quantization: None,
        findings,
    };
    Ok(Imported { manifest, onnx, probe, blocks: shape.blocks, folded_channels })
}

/// The shape that the names and shapes of the tensors speak of, each of them checked.
fn architecture(tensors: &Tensors) -> Result<Architecture, ImportError> {
    let has = |name: String| tensors.contains_key(&name);
    let layer = |b: usize, l: usize, leaf: &str| format!("features.denseblock{b}.denselayer{l}.{leaf}.weight");
    let layers = |b: usize| (1..).take_while(|l| has(layer(b, *l, "conv2"))).count();
    let blocks: Vec<usize> = (1..).map(layers).take_while(|l| *l > 0).collect();
    let rows = |name: &str| -> Result<usize, ImportError> {
        let first = tensors.get(name).and_then(|w| w.shape().first()).copied().filter(|n| *n > 0);
        first.ok_or_else(|| ImportError::NotADenseNet(format!("{name} is missing")))
    };
    let (stem, growth) = (rows(STEM)?, rows(&layer(1, 1, "conv2"))?);
    let (wide, findings) = (rows(&layer(1, 1, "conv1"))?, rows("classifier.weight")?);
    let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let shape = Architecture {
        growth: whole(growth),
        blocks,
        stem: whole(stem),
        bottleneck: whole(wide / growth),
        findings: whole(findings),
    };
    let mut faults: Vec<String> = shape.slots().iter().filter_map(|slot| fault(tensors, &slot.name, &slot.shape)).collect();
    if let Some(more) = faults.len().checked_sub(5).filter(|more| *more > 0) {
        faults.truncate(5);
        faults.push(format!("and {more} more"));
    }
    if !faults.is_empty() {
        return Err(ImportError::NotADenseNet(faults.join("; ")));
    }
    let broken =
        shape.slots().into_iter().find(|s| tensors.get(&s.name).is_some_and(|w| !w.values().iter().all(|v| v.is_finite())));
    match broken {
        Some(slot) => Err(ImportError::NotFinite { tensor: slot.name }),
        None => Ok(shape),
    }
}

/// What is wrong with the tensor of this name; the first convolution may have one or three channels.
fn fault(tensors: &Tensors, name: &str, wanted: &[i64]) -> Option<String> {
    let Some(weights) = tensors.get(name) else { return Some(format!("{name} is missing")) };
    let found: Vec<i64> = weights.shape().iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect();
    let colours = name == STEM && matches!((&found[..], wanted), ([a, 3, b, c], [x, 1, y, z]) if (a, b, c) == (x, y, z));
    (found != wanted && !colours).then(|| format!("{name} has shape {found:?}, needed is {wanted:?}"))
}

/// The first convolution for the input that films become.
fn stem(tensors: &Tensors, request: &Request) -> Result<(Weights, InputSpec), ImportError> {
    let weights = tensors.get(STEM).ok_or_else(|| ImportError::NotADenseNet(format!("{STEM} is missing")))?;
    let channels = weights.shape().get(1).copied().unwrap_or(1);
    let grey = |mean: f32, std: f32, colour: Option<Colour>| InputSpec {
        size: request.size,
        detail: request.size,
        mean,
        std,
        fit: request.fit,
        colour,
    };
    let input = match request.scale {
        Scale::Range(low, high) => {
            if !(low.is_finite() && high.is_finite() && low < high) {
                return Err(ImportError::Scale(format!("{low} to {high} is no range: two numbers, the lower first")));
            }
            let std = 1.0 / (high - low);
            grey(-low * std, std, None)
        }
        Scale::Channels(Colour { mean, std }) => {
            if !mean.iter().chain(&std).all(|v| v.is_finite()) || std.iter().any(|s| *s <= 0.0) {
                return Err(ImportError::Scale(format!("{mean:?}, {std:?} needs finite means and deviations above 0")));
            }
            let same = mean.iter().all(|m| *m == mean[0]) && std.iter().all(|s| *s == std[0]);
            match (same, channels) {
                (true, _) => grey(mean[0], std[0], None),
                (false, 3) => grey(0.0, 1.0, Some(Colour { mean, std })),
                (false, _) => {
                    let what = format!("has three channels, the first convolution takes {channels}");
                    return Err(ImportError::Scale(what));
                }
            }
        }
    };
    Ok((if input.channels() == channels { weights.clone() } else { folded(weights) }, input))
}

/// A convolution over equal channels as one over one of them: its weights summed over the channels.
fn folded(weights: &Weights) -> Weights {
    let (shape, values) = (weights.shape(), weights.values());
    let channels = shape.get(1).copied().unwrap_or(1).max(1);
    let area: usize = shape.iter().skip(2).product::<usize>().max(1);
    let sum = |output: &[f32], i: usize| output.iter().skip(i).step_by(area).map(|v| f64::from(*v)).sum::<f64>() as f32;
    let summed: Vec<f32> = values.chunks_exact(channels * area).flat_map(|o| (0..area).map(move |i| sum(o, i))).collect();
    let shape = shape.iter().enumerate().map(|(axis, n)| if axis == 1 { 1 } else { *n }).collect();
    Weights::new(shape, summed).unwrap_or_else(|| weights.clone())
}

fn findings(tensors: &Tensors, set: &LabelSet) -> Result<Vec<FindingSpec>, ImportError> {
    let points = tensors.get(OPERATING_POINTS).map(Weights::values);
    if let Some(points) = points.filter(|p| p.len() != set.findings.len()) {
        return Err(ImportError::NotADenseNet(format!("{OPERATING_POINTS} has {} values", points.len())));
    }
    let operating = |at: usize, label: &Label| -> Result<Option<Operating>, ImportError> {
        let of = |threshold, point| Some(Operating { slope: 1.0, intercept: 0.0, threshold, point });
        match points.map(|p| p[at]) {
            None => Ok(of(MIDDLE, Point::Open)),
            Some(value) if value.is_nan() => Ok(None),
            Some(value) if value > 0.0 && value < 1.0 => Ok(of(value, Point::Chosen)),
            Some(value) => Err(ImportError::OperatingPoint { finding: label.id.clone(), value }),
        }
    };
    let spec = |(at, label): (usize, &Label)| {
        let operating = operating(at, label)?;
        Ok(FindingSpec {
            id: label.id.clone(),
            variable: label.variable.clone(),
            en: label.en.clone(),
            zh: label.zh.clone(),
            trained: operating.is_some(),
            operating,
        })
    };
    set.findings.iter().enumerate().map(spec).collect()
}

/// Runs the probe on our operators and on tract alone, which must agree; the probe's file and the shape of the features.
fn prove(proto: ModelProto, input: &InputSpec) -> Result<(Vec<u8>, OutputSpec), ImportError> {
    let run = |engine| {
        let network = Network::with(proto.clone(), input.size, engine).map_err(|e| ImportError::Run(e.to_string()))?;
        let found = network.run(&in_channels(Probe::input(input.size), input)).map_err(ImportError::Run)?;
        Ok((network.feature_shape(), found.logits, network.engine().to_owned()))
    };
    let (shape, logits, engine) = run(Engine::Fused)?;
    let (_, alone, _) = run(Engine::TractAlone)?;
    let largest = alone.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
    let apart = logits.iter().zip(&alone).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
    if apart > ENGINES_APART_MAX * largest {
        return Err(ImportError::Run(format!("its logits on two engines are {apart} apart")));
    }
    let [feature_channels, feature_side, _] = shape;
    let description = format!(
        "value at (y, x) of the input, in every channel before its scale, is sin(0.37 * y) * cos(0.23 * x); logits of model.onnx by {engine}"
    );
    let probe = serde_json::to_vec_pretty(&ProbeFile { description, logits }).map_err(|e| ImportError::Run(e.to_string()))?;
    Ok((probe, OutputSpec { feature_channels, feature_side }))
}
