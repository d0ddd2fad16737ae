//! The linear layer from the pooled features to the logits: the weights that Grad-CAM needs.

use super::manifest::Manifest;
use super::unpack::{UnpackError, constant};
use tract_onnx::pb::{ModelProto, TensorProto};

/// Weights [findings, channels], row by row.
#[derive(Clone, Debug)]
pub(super) struct Head {
    weights: Vec<f32>,
    channels: usize,
}

impl Head {
    /// Finds the layer whose output is `logits`: a Gemm with constant weights [findings, channels], f32 or int8.
    ///
    /// # Errors
    /// A sentence that says what the model has instead.
    pub(super) fn of(proto: &ModelProto, manifest: &Manifest) -> Result<Self, String> {
        let graph = proto.graph.as_ref().ok_or_else(|| UnpackError::NoGraph.to_string())?;
        let node = graph
            .node
            .iter()
            .find(|n| n.output.iter().any(|o| o == "logits"))
            .filter(|n| n.op_type == "Gemm")
            .ok_or("its logits do not come from a Gemm node, so there is no linear head to draw heat maps from")?;
        let transposed = node.attribute.iter().any(|a| a.name == "transB" && a.i == 1);
        let name = node.input.get(1).ok_or("its head has no weights")?;
        let tensor = constant(graph, name).map_err(|e| e.to_string())?.ok_or("its head's weights are not stored in the file")?;
        let (findings, channels) = (manifest.findings.len(), manifest.output.feature_channels);
        let dims: Vec<usize> = tensor.dims.iter().filter_map(|d| usize::try_from(*d).ok()).collect();
        if !transposed || dims != [findings, channels] {
            return Err(format!(
                "its head has weights {dims:?} (transB {transposed}), needed are [{findings}, {channels}] with transB"
            ));
        }
        let weights = floats(&tensor);
        if weights.len() != findings * channels {
            return Err(format!("its head stores {} weights, needed are {}", weights.len(), findings * channels));
        }
        Ok(Self { weights, channels })
    }

    /// The weights of one finding, [channels]; empty for a finding the model lacks.
    pub(super) fn row(&self, finding: usize) -> &[f32] {
        let start = finding.saturating_mul(self.channels);
        self.weights.get(start..start.saturating_add(self.channels)).unwrap_or(&[])
    }
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    if tensor.raw_data.is_empty() {
        return tensor.float_data.clone();
    }
    tensor.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
