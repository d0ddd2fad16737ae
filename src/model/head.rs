//! The linear layer from the pooled features to the logits: the weights that Grad-CAM needs.

use super::unpack::{UnpackError, constant};
use tract_onnx::pb::{ModelProto, TensorProto};

/// Weights [findings, channels], row by row.
#[derive(Clone, Debug)]
pub struct Head {
    weights: Vec<f32>,
    channels: usize,
}

impl Head {
    /// Finds the layer whose output is `logits`: a Gemm with constant weights [findings, channels], f32 or int8.
    ///
    /// # Errors
    /// A sentence that says what the model has instead.
    pub fn of(proto: &ModelProto) -> Result<Self, String> {
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
        let dims: Vec<usize> = tensor.dims.iter().filter_map(|d| usize::try_from(*d).ok()).collect();
        let &[findings, channels] = &dims[..] else {
            return Err(format!("its head has weights of {} axes, needed are 2: findings, channels", tensor.dims.len()));
        };
        if !transposed {
            return Err("its head's weights stand as [channels, findings], needed are [findings, channels] with transB".into());
        }
        let weights = floats(&tensor);
        if channels == 0 || findings.checked_mul(channels) != Some(weights.len()) {
            return Err(format!("its head stores {} weights, needed are {findings} x {channels}", weights.len()));
        }
        Ok(Self { weights, channels })
    }

    /// As [`Head::of`], of the findings and channels that a manifest says.
    ///
    /// # Errors
    /// As [`Head::of`], and where the numbers differ.
    pub(super) fn of_shape(proto: &ModelProto, findings: usize, channels: usize) -> Result<Self, String> {
        let head = Self::of(proto)?;
        let found = [head.findings(), head.channels];
        let same = found == [findings, channels];
        if same { Ok(head) } else { Err(format!("its head has weights {found:?}, needed are [{findings}, {channels}]")) }
    }

    /// Logits.
    pub fn findings(&self) -> usize {
        self.weights.len() / self.channels
    }

    /// The weights of one finding, [channels]; empty for a finding the model lacks.
    pub fn row(&self, finding: usize) -> &[f32] {
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
