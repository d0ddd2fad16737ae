//! One model, loaded and ready: a prepared input goes in, logits and the last feature map come out.
//!
//! The plan is immutable and shared; each run takes a state of its own, so that threads read films
//! side by side. A session exists only after its probe passed: the model computes here, on this
//! machine, what it computed where it was made.

use super::bundle::Bundle;
use super::manifest::Manifest;
use super::probe::{Probe, ProbeError};
use super::unpack::{UnpackError, dequantize_weights};
use crate::input::Plane;
use prost::Message;
use std::sync::Arc;
use tract_onnx::pb::{ModelProto, TensorProto};
use tract_onnx::prelude::*;

/// What the network computes for one film.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations {
    /// One logit a finding, in the manifest's order.
    pub logits: Vec<f32>,
    /// The last feature map after its ReLU, [channels, side, side].
    pub features: Vec<f32>,
}

/// A loaded model.
pub struct Session {
    manifest: Manifest,
    plan: Arc<TypedSimplePlan>,
    logits_at: usize,
    features_at: usize,
    head: Head,
}

/// The linear layer from the pooled features to the logits: the weights that Grad-CAM needs.
struct Head {
    /// [findings, channels] row by row.
    weights: Vec<f32>,
    channels: usize,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file is not a model that can be loaded.
    #[error("model {model} cannot be loaded: {why}")]
    Load {
        /// Name in the manifest.
        model: String,
        /// What the loader said.
        why: String,
    },
    /// The weights cannot be unpacked.
    #[error("model {model} cannot be unpacked: {source}")]
    Unpack {
        /// Name in the manifest.
        model: String,
        /// Why.
        source: UnpackError,
    },
    /// The model does not compute here what it computed where it was made.
    #[error("model {model} failed its probe: {source}")]
    Probe {
        /// Name in the manifest.
        model: String,
        /// Why.
        source: ProbeError,
    },
    /// The network failed on an input.
    #[error("model {model} failed on this film: {why}")]
    Run {
        /// Name in the manifest.
        model: String,
        /// What the engine said.
        why: String,
    },
}

impl Session {
    /// Loads a bundle, and runs its probe.
    ///
    /// # Errors
    /// [`ModelError`] that says which model and why.
    pub fn load(bundle: &Bundle) -> Result<Self, ModelError> {
        let manifest = bundle.manifest().clone();
        let model = manifest.name.clone();
        let fail = |why: String| ModelError::Load { model: model.clone(), why };
        let mut proto = ModelProto::decode(bundle.onnx()).map_err(|e| fail(e.to_string()))?;
        dequantize_weights(&mut proto).map_err(|source| ModelError::Unpack { model: model.clone(), source })?;
        let head = Head::of(&proto, &manifest).map_err(fail)?;
        let outputs: Vec<String> = proto.graph.iter().flat_map(|g| g.output.iter().map(|o| o.name.clone())).collect();
        let position = |name: &str| outputs.iter().position(|o| o == name).ok_or_else(|| fail(format!("no output {name}")));
        let (logits_at, features_at) = (position("logits")?, position("features")?);
        let plan = Self::plan(&proto, manifest.input.size).map_err(|e| fail(format!("{e:#}")))?;
        drop(proto);
        let session = Self { manifest, plan, logits_at, features_at, head };
        session.prove(bundle.probe()).map_err(|source| ModelError::Probe { model, source })?;
        Ok(session)
    }

    fn plan(proto: &ModelProto, size: usize) -> TractResult<Arc<TypedSimplePlan>> {
        let shape = [1, 1, size, size];
        tract_onnx::onnx()
            .model_for_proto_model(proto)?
            .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?
            .into_optimized()?
            .into_runnable()
    }

    fn prove(&self, probe: &[u8]) -> Result<(), ProbeError> {
        let probe = Probe::parse(probe)?;
        let found = self.run(&Probe::input(self.manifest.input.size)).map_err(|e| ProbeError::Run(e.to_string()))?;
        probe.check(&found.logits)
    }

    /// What the manifest says about the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The classifier's weights of one finding, [channels]; empty for a finding the model lacks.
    pub fn head_weights(&self, finding: usize) -> &[f32] {
        let start = finding.saturating_mul(self.head.channels);
        self.head.weights.get(start..start.saturating_add(self.head.channels)).unwrap_or(&[])
    }

    /// What computes: for the log and the provenance of a record.
    pub fn engine(&self) -> &'static str {
        concat!("tract ", env!("CHEXBOX_TRACT_VERSION"), " f32")
    }

    /// Runs the network on one prepared input [1, 1, S, S].
    ///
    /// # Errors
    /// [`ModelError::Run`] if the input has another size, the engine fails, or an output is not finite.
    pub fn run(&self, input: &Plane) -> Result<Activations, ModelError> {
        let fail = |why: String| ModelError::Run { model: self.manifest.name.clone(), why };
        let size = self.manifest.input.size;
        if input.side != size {
            return Err(fail(format!("the input is {} px wide, the model takes {size}", input.side)));
        }
        let image = Tensor::from_shape(&[1, 1, size, size], &input.values).map_err(|e| fail(format!("{e:#}")))?;
        let outputs = self.plan.run(tvec!(image.into())).map_err(|e| fail(format!("{e:#}")))?;
        let values = |at: usize, name: &str| -> Result<Vec<f32>, ModelError> {
            let output = outputs.get(at).ok_or_else(|| fail(format!("no output {name}")))?;
            let view = output.to_plain_array_view::<f32>().map_err(|e| fail(format!("{name}: {e:#}")))?;
            let values: Vec<f32> = view.iter().copied().collect();
            if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(fail(format!("{name} are not finite"))) }
        };
        let found = Activations { logits: values(self.logits_at, "logits")?, features: values(self.features_at, "features")? };
        let output = &self.manifest.output;
        let feature_count = output.feature_channels * output.feature_side * output.feature_side;
        if found.logits.len() != self.manifest.findings.len() || found.features.len() != feature_count {
            return Err(fail(format!("{} logits and {} features", found.logits.len(), found.features.len())));
        }
        Ok(found)
    }
}

impl Head {
    /// Finds the linear layer whose output is `logits`: a Gemm with weights [findings, channels].
    fn of(proto: &ModelProto, manifest: &Manifest) -> Result<Self, String> {
        let graph = proto.graph.as_ref().ok_or("it holds no graph")?;
        let node = graph
            .node
            .iter()
            .find(|n| n.output.iter().any(|o| o == "logits"))
            .filter(|n| n.op_type == "Gemm")
            .ok_or("its logits do not come from a Gemm node, so there is no linear head to draw heat maps from")?;
        let transposed = node.attribute.iter().any(|a| a.name == "transB" && a.i == 1);
        let name = node.input.get(1).ok_or("its head has no weights")?;
        let tensor = graph.initializer.iter().find(|t| t.name == *name).ok_or("its head's weights are not stored in the file")?;
        let (findings, channels) = (manifest.findings.len(), manifest.output.feature_channels);
        let dims: Vec<usize> = tensor.dims.iter().filter_map(|d| usize::try_from(*d).ok()).collect();
        if !transposed || dims != [findings, channels] {
            return Err(format!(
                "its head has weights {dims:?} (transB {transposed}), needed are [{findings}, {channels}] with transB"
            ));
        }
        let weights = floats(tensor);
        if weights.len() != findings * channels {
            return Err(format!("its head stores {} weights, needed are {}", weights.len(), findings * channels));
        }
        Ok(Self { weights, channels })
    }
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    if tensor.raw_data.is_empty() {
        return tensor.float_data.clone();
    }
    tensor.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
