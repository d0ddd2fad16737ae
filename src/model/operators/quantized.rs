//! QuantizeLinear and DequantizeLinear: activations with one scale and zero point, weights with one a channel.
//!
//! tract computes a DequantizeLinear of a constant three times while it types a graph, and then
//! holds the weights in f32. Here it stays a node of its own, [`StoredWeight`], for the graph rewrite to
//! read; it cannot run. A graph that is to run on tract alone has its weights unpacked beforehand.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, quantize_linear_i8, quantize_linear_u8};
use tract_onnx::tract_hir::internal::*;

/// The one attribute of both that matters; blocks came with operator set 21.
fn axis(node: &NodeProto) -> TractResult<i64> {
    ensure!(node.get_attr_opt::<i64>("block_size")?.unwrap_or(0) == 0, "{} by blocks is not supported", node.op_type);
    Ok(node.get_attr_opt("axis")?.unwrap_or(1))
}

/// The scale and the zero point of an activation.
fn scale_and_zero(model: &TypedModel, inputs: &[OutletId]) -> TractResult<(f32, i32, DatumType)> {
    let constant = |at: usize| {
        let value = model.outlet_fact(inputs[at])?.konst.clone().context("its scale or zero point is not a constant")?;
        ensure!(value.len() == 1, "it has {} scales or zero points for an activation, allowed is one", value.len());
        Ok(value)
    };
    let scale = constant(1)?.cast_to_scalar::<f32>()?;
    ensure!(scale.is_finite() && scale > 0.0, "its scale is {scale}, allowed is a finite number above 0");
    let Some(_) = inputs.get(2) else { return Ok((scale, 0, u8::datum_type())) };
    let zero = constant(2)?;
    Ok((scale, zero.cast_to_scalar::<i32>()?, zero.datum_type()))
}

#[derive(Clone, Debug)]
pub(super) struct QuantizeLinear;

impl QuantizeLinear {
    pub(super) fn of(node: &NodeProto) -> TractResult<Self> {
        axis(node)?;
        Ok(Self)
    }
}

impl Expansion for QuantizeLinear {
    fn name(&self) -> StaticName {
        "QuantizeLinear".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        ensure!((2..=3).contains(&inputs.len()), "QuantizeLinear takes two or three inputs");
        check_output_arity(outputs, 1)?;
        match inputs.get(2) {
            Some(zero) => solver.equals(&outputs[0].datum_type, &zero.datum_type)?,
            None => solver.equals(&outputs[0].datum_type, u8::datum_type())?,
        }
        solver.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let (scale, zero, kind) = scale_and_zero(model, inputs)?;
        let op: Box<dyn TypedOp> = match kind {
            DatumType::U8 => Box::new(quantize_linear_u8(scale.recip(), u8::try_from(zero)?)),
            DatumType::I8 => Box::new(quantize_linear_i8(scale.recip(), i8::try_from(zero)?)),
            other => bail!("its zero point is of type {other:?}, allowed are U8 and I8"),
        };
        model.wire_node(prefix, op, &inputs[..1])
    }
}

#[derive(Clone, Debug)]
pub(super) struct DequantizeLinear {
    axis: i64,
}

impl DequantizeLinear {
    pub(super) fn of(node: &NodeProto) -> TractResult<Self> {
        Ok(Self { axis: axis(node)? })
    }
}

impl Expansion for DequantizeLinear {
    fn name(&self) -> StaticName {
        "DequantizeLinear".into()
    }

    fn runs_out_of_plan(&self) -> bool {
        false
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        ensure!((2..=3).contains(&inputs.len()), "DequantizeLinear takes two or three inputs");
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, f32::datum_type())?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        if model.outlet_fact(inputs[0])?.konst.is_some() {
            return model.wire_node(prefix, StoredWeight { axis: self.axis }, inputs);
        }
        let (scale, zero, _) = scale_and_zero(model, inputs)?;
        model.wire_node(prefix, DequantizeLinearF32::new(scale, zero), &inputs[..1])
    }
}

/// A DequantizeLinear of constants: values, scales and, perhaps, zero points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::model) struct StoredWeight {
    /// The axis of the values along which the scales run, as the file has it.
    pub(in crate::model) axis: i64,
}

impl Op for StoredWeight {
    fn name(&self) -> StaticName {
        "StoredWeight".into()
    }

    op_as_typed_op!();
}

impl EvalOp for StoredWeight {
    not_out_of_plan!();
}

impl TypedOp for StoredWeight {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(inputs[0].shape.clone())])
    }

    as_op!();
}
