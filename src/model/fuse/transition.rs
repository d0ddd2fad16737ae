//! A transition between blocks: normalization, ReLU, average pool 2 x 2, convolution 1 x 1. Where the
//! graph pools last, the two are exchanged, which changes rounding only: both are linear.

use super::Unlike;
use super::graph::{Graph, Window};
use super::shelf::Shelf;
use crate::model::kernels::{InstructionSet, KernelError, Transition, TransitionSpec};
use tract_onnx::tract_hir::internal::*;

pub(super) struct Found {
    /// The last map of the block before it.
    pub(super) input: OutletId,
    spec: TransitionSpec,
}

impl Found {
    /// Reads a transition backwards from what it gives.
    pub(super) fn read(graph: &mut Graph<'_>, end: OutletId) -> Result<Self, Unlike> {
        let pointwise = Window { side: 1, stride: 1, pad: 0 };
        let (x, conv, step) = match graph.average_pool(end)? {
            Some(x) => {
                let (before, conv) = graph.conv(x, pointwise)?;
                (before, conv, None)
            }
            None => {
                let (before, conv) = graph.conv(end, pointwise)?;
                let (pool, step) = graph.quantized(before)?;
                let wrong = graph.unlike(pool, "an average pool before or after the convolution of a transition");
                (graph.average_pool(pool)?.ok_or(wrong)?, conv, step)
            }
        };
        let conv = conv.on(step, || graph.unlike(end, "int8 weights behind a quantized input"))?;
        let x = graph.relu(x)?;
        let (input, norm) = graph.need_norm(x)?;
        Ok(Self { input, spec: TransitionSpec { norm, conv } })
    }

    pub(super) fn operator(self, from: Arc<Shelf>, to: &Arc<Shelf>, set: InstructionSet) -> Result<FusedTransition, KernelError> {
        Ok(FusedTransition { transition: Arc::new(Transition::new(&self.spec, set)?), from, to: Arc::clone(to) })
    }
}

/// A block's map to the first channels of the next block's.
#[derive(Clone)]
pub(super) struct FusedTransition {
    transition: Arc<Transition>,
    from: Arc<Shelf>,
    to: Arc<Shelf>,
}

impl FusedTransition {
    fn run(&self, input: TValue) -> TractResult<Tensor> {
        let mut map = self.to.take()?;
        let ([_, height, width, _], [.., pitch]) = (self.from.shape(), self.to.shape());
        let values = input.try_as_plain_ram()?;
        self.transition.run(
            values.as_slice::<f32>()?,
            height,
            width,
            map.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?,
            pitch,
        )?;
        self.from.give_back(input);
        Ok(map)
    }
}

super::op::fused_op!(FusedTransition, "FusedTransition", transition, |op, inputs| {
    let input = args_1!(inputs);
    Ok(tvec![op.run(input)?.into_tvalue()])
});

impl FusedTransition {
    fn facts(&self) -> TVec<TypedFact> {
        tvec![f32::fact(self.to.shape())]
    }
}
