//! The tail: normalization and ReLU (the features), the mean of each channel, one linear layer (the logits).

use super::Unlike;
use super::graph::Graph;
use super::shelf::Shelf;
use crate::model::kernels::{InstructionSet, KernelError, Tail, TailSpec};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{Add, Div};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};
use tract_onnx::tract_hir::internal::*;

pub(super) struct Found {
    /// The last map of the last block.
    pub(super) input: OutletId,
    pub(super) logits: OutletId,
    pub(super) features: OutletId,
    spec: TailSpec,
    /// Channels, rows and columns of the features.
    shape: [usize; 3],
}

impl Found {
    /// Reads the tail backwards from the logits, which are the output of two axes; the features may be another output.
    pub(super) fn read(graph: &mut Graph<'_>) -> Result<Self, Unlike> {
        let outputs = graph.model.output_outlets().unwrap_or_default().to_vec();
        let Some(logits) = outputs.iter().copied().find(|o| graph.shape(*o).len() == 2) else {
            let at = outputs.first().copied().unwrap_or(OutletId::new(0, 0));
            return Err(graph.unlike(at, "an output of logits, [1, findings]"));
        };
        let (x, weights, bias) = read_head(graph, logits)?;
        let features = read_mean(graph, x)?;
        let shape = graph.map_shape(features)?;
        let x = graph.relu(features)?;
        let (input, norm) = graph.need_norm(x)?;
        if let Some(other) = outputs.iter().find(|o| **o != logits && **o != features) {
            return Err(graph.unlike(*other, "the last features as the other output"));
        }
        Ok(Self { input, logits, features, spec: TailSpec { norm, weights, bias }, shape })
    }

    pub(super) fn operator(self, from: Arc<Shelf>, set: InstructionSet) -> Result<FusedTail, KernelError> {
        let logits = self.spec.bias.len();
        Ok(FusedTail { tail: Arc::new(Tail::new(self.spec, set)?), from, shape: self.shape, logits })
    }
}

/// A product with constant weights, and a constant bias: gives the input [1, channels], weights [logits, channels] and bias.
fn read_head(graph: &mut Graph<'_>, logits: OutletId) -> Result<(OutletId, Vec<f32>, Vec<f32>), Unlike> {
    let count = graph.shape(logits)[1];
    let at = graph.through_identities(logits);
    let (product, bias) = match graph.with_constant::<Add, _>(at, |g, c| g.floats(c).filter(|b| b.len() == count)) {
        Some(found) => found,
        None => (at, vec![0.0; count]),
    };
    let wrong = |graph: &Graph<'_>| graph.unlike(product, "a linear layer with constant weights");
    let node = graph.model.node(product.node);
    let Some(op) = node.op_as::<EinSum>().filter(|op| op.q_params.is_none() && node.inputs.len() == 2) else {
        return Err(wrong(graph));
    };
    graph.note(product);
    let weights = graph.weights(node.inputs[1]).ok_or_else(|| wrong(graph))?;
    let channels = graph.shape(node.inputs[0]).get(1).copied().unwrap_or(0);
    let (inputs, outputs) = op.axes.to_strs();
    let letters = |s: &str| s.chars().collect::<Vec<_>>();
    let (x, w, y) = (letters(&inputs[0]), letters(&inputs[1]), letters(&outputs[0]));
    let ([m, k], [a, b], [y0, y1]) = (x.as_slice(), w.as_slice(), y.as_slice()) else { return Err(wrong(graph)) };
    let rows = match (m == y0, a == y1 && b == k, a == k && b == y1) {
        (true, true, _) => weights.into_floats(),
        // A stored weight's scales run along its first axis, which here is not the output.
        (true, _, true) => transposed(&weights.plain().ok_or_else(|| wrong(graph))?, channels, count),
        _ => return Err(wrong(graph)),
    };
    if rows.len() != count * channels {
        return Err(wrong(graph));
    }
    Ok((node.inputs[0], rows, bias))
}

/// From [channels, count] to [count, channels].
fn transposed(values: &[f32], channels: usize, count: usize) -> Vec<f32> {
    (0..count).flat_map(|o| (0..channels).filter_map(move |c| values.get(c * count + o).copied())).collect()
}

/// The mean of each channel of a map, flattened: gives the map.
fn read_mean(graph: &mut Graph<'_>, mut at: OutletId) -> Result<OutletId, Unlike> {
    loop {
        at = graph.through_identities(at);
        if !graph.model.node(at.node).op_is::<AxisOp>() {
            break;
        }
        graph.note(at);
        at = graph.model.node(at.node).inputs[0];
    }
    let wrong = |graph: &Graph<'_>| graph.unlike(at, "the mean of each channel");
    let Some((sum, count)) = graph.with_constant::<Div, _>(at, |g, c| g.floats(c).filter(|v| v.len() == 1)) else {
        return Err(wrong(graph));
    };
    let node = graph.model.node(sum.node);
    let sums = node.op_as::<Reduce>().is_some_and(|op| op.reducer == Reducer::Sum && op.axes.as_slice() == [2, 3]);
    // The divisor stands on the right.
    let divisor = graph.model.node(at.node).inputs[0] == sum && graph.model.node(at.node).op_is::<TypedBinOp>();
    let map = node.inputs.first().copied().filter(|_| sums && divisor).ok_or_else(|| wrong(graph))?;
    graph.note(sum);
    let [_, height, width] = graph.map_shape(map)?;
    if count != [(height * width) as f32] {
        return Err(wrong(graph));
    }
    Ok(graph.through_identities(map))
}

/// A block's map to logits [1, findings] and features [1, C, H, W].
#[derive(Clone)]
pub(super) struct FusedTail {
    tail: Arc<Tail>,
    from: Arc<Shelf>,
    shape: [usize; 3],
    logits: usize,
}

impl FusedTail {
    fn run(&self, input: TValue) -> TractResult<TVec<TValue>> {
        let [channels, height, width] = self.shape;
        let mut features = Tensor::zero::<f32>(&[1, channels, height, width])?;
        let mut logits = Tensor::zero::<f32>(&[1, self.logits])?;
        {
            let values = input.try_as_plain_ram()?;
            let (mut f, mut l) = (features.try_as_plain_ram_mut()?, logits.try_as_plain_ram_mut()?);
            self.tail.run(values.as_slice::<f32>()?, height, width, f.as_slice_mut::<f32>()?, l.as_slice_mut::<f32>()?)?;
        }
        self.from.give_back(input);
        Ok(tvec![logits.into_tvalue(), features.into_tvalue()])
    }
}

super::op::fused_op!(FusedTail, "FusedTail", tail, |op, inputs| op.run(args_1!(inputs)));

impl FusedTail {
    fn facts(&self) -> TVec<TypedFact> {
        let [channels, height, width] = self.shape;
        tvec![f32::fact([1, self.logits]), f32::fact([1, channels, height, width])]
    }
}
