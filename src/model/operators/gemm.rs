//! Gemm: `alpha * A B + beta * C`, either matrix transposed.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::change_axes::wire_with_rank_broadcast;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::math::{add, mul};

#[derive(Clone, Debug)]
pub(super) struct Gemm {
    alpha: f32,
    beta: f32,
    transposed: [bool; 2],
}

impl Gemm {
    pub(super) fn of(node: &NodeProto) -> TractResult<Self> {
        let factor = |name: &str| Ok::<f32, TractError>(node.get_attr_opt(name)?.unwrap_or(1.0));
        let flag = |name: &str| Ok::<bool, TractError>(node.get_attr_opt(name)?.unwrap_or(false));
        Ok(Self { alpha: factor("alpha")?, beta: factor("beta")?, transposed: [flag("transA")?, flag("transB")?] })
    }
}

impl Expansion for Gemm {
    fn name(&self) -> StaticName {
        "Gemm".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        ensure!((2..=3).contains(&inputs.len()), "Gemm takes two or three inputs");
        check_output_arity(outputs, 1)?;
        for value in [&inputs[0], &inputs[1], &outputs[0]] {
            solver.equals(&value.rank, 2)?;
            solver.equals(&value.datum_type, &outputs[0].datum_type)?;
        }
        let axis = |of: usize, axis: usize| if self.transposed[of] { 1 - axis } else { axis };
        solver.equals(&inputs[0].shape[axis(0, 0)], &outputs[0].shape[0])?;
        solver.equals(&inputs[0].shape[axis(0, 1)], &inputs[1].shape[axis(1, 0)])?;
        solver.equals(&inputs[1].shape[axis(1, 1)], &outputs[0].shape[1])
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let axes = AxesMapping::for_numpy_matmul(2, self.transposed[0], self.transposed[1], false)?;
        let kind = model.outlet_fact(inputs[0])?.datum_type;
        let product = model.wire_node(format!("{prefix}.product"), EinSum::new(axes, kind), &inputs[..2])?[0];
        let product = scaled(model, &format!("{prefix}.alpha"), product, self.alpha)?;
        let Some(bias) = inputs.get(2) else { return Ok(tvec![product]) };
        let bias = scaled(model, &format!("{prefix}.beta"), *bias, self.beta)?;
        wire_with_rank_broadcast(prefix, model, add(), &[product, bias])
    }
}

fn scaled(model: &mut TypedModel, name: &str, value: OutletId, factor: f32) -> TractResult<OutletId> {
    if factor == 1.0 {
        return Ok(value);
    }
    let factor = model.add_const(format!("{name}.value"), tensor0(factor))?;
    Ok(wire_with_rank_broadcast(name, model, mul(), &[value, factor])?[0])
}
