//! Reading a typed graph backwards, from an output towards the image.
//!
//! Each reader takes an outlet, checks what produces it, notes the nodes it went through, and gives
//! the outlet that goes in. Nodes that compute with constants alone are not noted: they are looked through.

use super::Unlike;
use super::fold::{ConvNode, Weights};
use crate::model::kernels::Affine;
use crate::model::operators::StoredWeight;
use std::collections::HashSet;
use tract_onnx::tract_core::ops::array::TypedConcat;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::math::{Add, Max, Mul};
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearU8};
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::*;

/// A square window of a convolution or pool, the same along rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) side: usize,
    pub(super) stride: usize,
    pub(super) pad: usize,
}

/// A graph and the nodes that were recognised.
pub(super) struct Graph<'a> {
    pub(super) model: &'a TypedModel,
    seen: HashSet<usize>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(model: &'a TypedModel) -> Self {
        Self { model, seen: HashSet::new() }
    }

    /// What stands at an outlet instead of what was wanted.
    pub(super) fn unlike(&self, at: OutletId, wanted: impl Into<String>) -> Unlike {
        let node = self.model.node(at.node);
        Unlike { node: node.name.clone(), operator: node.op.name().into_owned(), wanted: wanted.into() }
    }

    /// The node behind an outlet, if its operator is an `O`; it is noted.
    fn take<O: TypedOp>(&mut self, at: OutletId) -> Option<(&'a TypedNode, &'a O)> {
        let node = self.model.node(at.node);
        let op = node.op_as::<O>()?;
        self.seen.insert(node.id);
        Some((node, op))
    }

    fn op<O: TypedOp>(&self, at: OutletId) -> Option<&'a O> {
        self.model.node(at.node).op_as::<O>()
    }

    /// The value behind nodes that change nothing at inference.
    pub(super) fn through_identities(&mut self, mut at: OutletId) -> OutletId {
        while let Some((node, _)) = self.take::<Identity>(at) {
            at = node.inputs[0];
        }
        at
    }

    /// Sides of a value known to be [1, C, H, W] in f32.
    pub(super) fn map_shape(&self, at: OutletId) -> Result<[usize; 3], Unlike> {
        let shape = self.shape(at);
        match shape.as_slice() {
            [1, c, h, w] if *c > 0 && *h > 0 && *w > 0 => Ok([*c, *h, *w]),
            _ => Err(self.unlike(at, "a map of one film")),
        }
    }

    /// The shape of a value; empty where it is not f32 or not known.
    pub(super) fn shape(&self, at: OutletId) -> Vec<usize> {
        let fact = self.model.outlet_fact(at).ok().filter(|f| f.datum_type == f32::datum_type());
        fact.and_then(|f| f.shape.as_concrete()).map(<[usize]>::to_vec).unwrap_or_default()
    }

    /// The value of a constant, also behind a cast or a change of axes.
    pub(super) fn constant(&self, at: OutletId) -> Option<Arc<Tensor>> {
        if let Some(value) = &self.model.outlet_fact(at).ok()?.konst {
            return Some(Arc::clone(value));
        }
        let node = self.model.node(at.node);
        if !node.op_is::<Cast>() && !node.op_is::<AxisOp>() && !node.op_is::<Identity>() {
            return None;
        }
        let value = self.constant(*node.inputs.first()?)?;
        let mut out = node.op.eval_out_of_plan(tvec![value.into_tvalue()]).ok()??;
        Some(out.pop()?.into_arc_tensor())
    }

    pub(super) fn floats(&self, at: OutletId) -> Option<Vec<f32>> {
        floats(&*self.constant(at)?)
    }

    /// The parameter of an operation by channels on a map: one value for each channel of [1, C, 1, 1].
    fn by_channel(&self, at: OutletId, channels: usize) -> Option<Vec<f32>> {
        let value = self.constant(at)?;
        let along = match *value.shape() {
            [1, c, 1, 1] | [c, 1, 1] => c,
            _ => return None,
        };
        floats(&value).filter(|_| along == channels)
    }

    /// A binary operation of a value and a constant, in either order: the value, and what `constant` makes of the other.
    pub(super) fn with_constant<O: tract_onnx::tract_core::ops::binary::BinMiniOp, T>(
        &mut self,
        at: OutletId,
        constant: impl Fn(&Self, OutletId) -> Option<T>,
    ) -> Option<(OutletId, T)> {
        self.op::<TypedBinOp>(at).filter(|op| op.0.is::<O>())?;
        let [a, b] = *self.model.node(at.node).inputs.as_slice() else { return None };
        let found = match (constant(self, a), constant(self, b)) {
            (Some(parameter), None) => (b, parameter),
            (None, Some(parameter)) => (a, parameter),
            _ => return None,
        };
        self.seen.insert(at.node);
        Some(found)
    }

    /// max(0, x): gives x.
    pub(super) fn relu(&mut self, at: OutletId) -> Result<OutletId, Unlike> {
        let at = self.through_identities(at);
        let zero = |graph: &Self, c: OutletId| graph.floats(c).filter(|v| v.as_slice() == [0.0]);
        self.with_constant::<Max, _>(at, zero).map(|(x, _)| x).ok_or_else(|| self.unlike(at, "a ReLU"))
    }

    /// x * scale + shift by channels: gives x and the two; nothing where there is no such thing.
    pub(super) fn norm(&mut self, at: OutletId) -> Option<(OutletId, Affine)> {
        let at = self.through_identities(at);
        let [channels, ..] = self.map_shape(at).ok()?;
        let parameter = |graph: &Self, c: OutletId| graph.by_channel(c, channels);
        let product = {
            let [a, b] = *self.model.node(at.node).inputs.as_slice() else { return None };
            if self.constant(a).is_some() { b } else { a }
        };
        self.op::<TypedBinOp>(product).filter(|op| op.0.is::<Mul>())?;
        let (_, shift) = self.with_constant::<Add, _>(at, parameter)?;
        let (x, scale) = self.with_constant::<Mul, _>(product, parameter)?;
        Some((self.through_identities(x), Affine { scale, shift }))
    }

    /// As [`Graph::norm`], where there must be one.
    pub(super) fn need_norm(&mut self, at: OutletId) -> Result<(OutletId, Affine), Unlike> {
        self.norm(at).ok_or_else(|| self.unlike(at, "a batch normalization"))
    }

    /// An activation that was quantized to u8 with zero point 0 and back: gives it and the step; itself where it was not.
    pub(super) fn quantized(&mut self, at: OutletId) -> Result<(OutletId, Option<f32>), Unlike> {
        let at = self.through_identities(at);
        let Some((node, back)) = self.take::<DequantizeLinearF32>(at) else { return Ok((at, None)) };
        let forth = node.inputs[0];
        let wrong = || self.unlike(at, "quantization to u8 with zero point 0 and one step both ways");
        let quantize =
            self.op::<ElementWiseOp>(forth).and_then(|op| op.0.downcast_ref::<QuantizeLinearU8>()).ok_or_else(wrong)?;
        // The reader stores the reciprocal of the step that the other node holds as it is.
        let same = quantize.scale == back.scale.recip() && quantize.zero_point == 0 && back.zero_point == 0;
        if !same {
            return Err(wrong());
        }
        self.seen.insert(forth.node);
        let x = self.model.node(forth.node).inputs[0];
        Ok((self.through_identities(x), Some(back.scale)))
    }

    /// A convolution in one group without dilation: gives its input.
    pub(super) fn conv(&mut self, at: OutletId, window: Window) -> Result<(OutletId, ConvNode), Unlike> {
        let at = self.through_identities(at);
        let Window { side, stride, pad } = window;
        let wrong =
            |graph: &Self| graph.unlike(at, format!("a convolution {side} x {side} of stride {stride} and padding {pad}"));
        let Some((node, op)) = self.take::<Conv>(at) else { return Err(wrong(self)) };
        let plain = op.group == 1 && op.kernel_fmt == KernelFormat::OIHW && op.q_params.is_none();
        if !plain || square(&op.pool_spec) != Some(window) {
            return Err(wrong(self));
        }
        let (out_channels, in_channels) = (op.pool_spec.output_channels, op.pool_spec.input_channels);
        let weights = self.weights(node.inputs[1]).ok_or_else(|| self.unlike(node.inputs[1], "constant weights"))?;
        let bias = self.floats(node.inputs[2]).and_then(|b| match b.len() {
            1 => Some(vec![b[0]; out_channels]),
            n => (n == out_channels).then_some(b),
        });
        let bias = bias.ok_or_else(|| self.unlike(at, "a convolution with a constant bias an output channel"))?;
        Ok((self.through_identities(node.inputs[0]), ConvNode { out_channels, in_channels, kernel: side, weights, bias }))
    }

    /// Constant weights: plain, or int8 with their scales.
    pub(super) fn weights(&self, at: OutletId) -> Option<Weights> {
        if let Some(values) = self.constant(at) {
            return Some(Weights::Plain(floats(&values)?));
        }
        let stored = self.op::<StoredWeight>(at)?;
        let inputs = &self.model.node(at.node).inputs;
        let parts: Option<Vec<_>> = inputs.iter().map(|i| self.constant(*i)).collect();
        Weights::stored(stored.axis, &parts?)
    }

    pub(super) fn is_max_pool(&self, at: OutletId) -> bool {
        self.op::<MaxPool>(at).is_some()
    }

    /// A max pool over 3 x 3 of stride 2 and padding 1: gives its input.
    pub(super) fn max_pool(&mut self, at: OutletId) -> Result<OutletId, Unlike> {
        let window = Window { side: 3, stride: 2, pad: 1 };
        let found =
            self.take::<MaxPool>(at).filter(|(_, op)| op.with_index_outputs.is_none() && square(&op.pool_spec) == Some(window));
        let Some((node, _)) = found else { return Err(self.unlike(at, "a max pool 3 x 3 of stride 2 and padding 1")) };
        Ok(self.through_identities(node.inputs[0]))
    }

    /// An average pool over 2 x 2 of stride 2: gives its input; nothing where there is another operator.
    pub(super) fn average_pool(&mut self, at: OutletId) -> Result<Option<OutletId>, Unlike> {
        let Some((node, op)) = self.take::<SumPool>(at) else { return Ok(None) };
        if !op.normalize || square(&op.pool_spec) != Some(Window { side: 2, stride: 2, pad: 0 }) {
            return Err(self.unlike(at, "an average pool 2 x 2 of stride 2 without padding"));
        }
        Ok(Some(self.through_identities(node.inputs[0])))
    }

    /// What a map is a concatenation of by channels, in order, concatenations of concatenations taken apart.
    pub(super) fn pieces(&mut self, at: OutletId) -> Vec<OutletId> {
        let (mut pieces, mut open) = (Vec::new(), vec![at]);
        while let Some(at) = open.pop() {
            let at = self.through_identities(at);
            match self.op::<TypedConcat>(at) {
                Some(op) if op.axis == 1 => {
                    self.seen.insert(at.node);
                    open.extend(self.model.node(at.node).inputs.iter().rev());
                }
                _ => pieces.push(at),
            }
        }
        pieces
    }

    pub(super) fn is_image(&mut self, at: OutletId) -> bool {
        self.model.input_outlets().is_ok_and(|inputs| inputs == [at]) && self.take::<TypedSource>(at).is_some()
    }

    /// Notes a node whose operator the caller has checked.
    pub(super) fn note(&mut self, at: OutletId) {
        self.seen.insert(at.node);
    }

    /// Every node that computes with the image has been noted.
    pub(super) fn nothing_else(&self) -> Result<(), Unlike> {
        let order = self.model.eval_order().unwrap_or_default();
        let mut live: HashSet<usize> = self.model.input_outlets().unwrap_or_default().iter().map(|i| i.node).collect();
        for id in order {
            let node = self.model.node(id);
            if node.inputs.iter().any(|i| live.contains(&i.node)) {
                live.insert(id);
            }
            if live.contains(&id) && !self.seen.contains(&id) {
                return Err(self.unlike(OutletId::new(id, 0), "no further operator"));
            }
        }
        Ok(())
    }
}

fn floats(tensor: &Tensor) -> Option<Vec<f32>> {
    Some(tensor.cast_to::<f32>().ok()?.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec())
}

/// The window of a convolution or pool over rows and columns of NCHW; none where the two differ, or where it is dilated or
/// its last column may be cut.
fn square(spec: &PoolSpec) -> Option<Window> {
    let same = |values: &[usize]| (values.len() == 2 && values[0] == values[1]).then(|| values[0]);
    let pad = match &spec.padding {
        PaddingSpec::Valid => 0,
        PaddingSpec::Explicit(before, after) | PaddingSpec::ExplicitOnnxPool(before, after, false) => {
            same(before).filter(|p| same(after) == Some(*p))?
        }
        _ => return None,
    };
    let one = |values: &Option<TVec<usize>>| values.as_ref().map_or(Some(1), |v| same(v));
    (spec.data_format == DataFormat::NCHW && one(&spec.dilations) == Some(1)).then_some(())?;
    Some(Window { side: same(&spec.kernel_shape)?, stride: one(&spec.strides)?, pad })
}
