//! BatchNormalization at inference: a multiplication and an addition a channel.

use super::typed::add_constant;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::math::{add, mul};

/// `y = x * scale / sqrt(variance + epsilon) + (bias - mean * scale / sqrt(variance + epsilon))`, [N, C, ...].
#[derive(Clone, Debug)]
pub(super) struct BatchNormalization {
    epsilon: f32,
}

impl BatchNormalization {
    pub(super) fn of(node: &NodeProto) -> TractResult<Self> {
        ensure!(node.get_attr_opt("training_mode")?.unwrap_or(0_i64) == 0, "BatchNormalization that trains is not supported");
        Ok(Self { epsilon: node.get_attr_opt("epsilon")?.unwrap_or(1e-5) })
    }
}

impl Expansion for BatchNormalization {
    fn name(&self) -> StaticName {
        "BatchNormalization".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 5)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        solver.equals(&outputs[0].shape, &inputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let rank = model.outlet_fact(inputs[0])?.rank();
        let mut parts = TVec::new();
        for input in &inputs[1..] {
            let part = model.outlet_fact(*input)?.konst.clone().context("its parameters are not constants")?;
            parts.push(part.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec());
        }
        let [scale, bias, mean, variance] = parts.as_slice() else { bail!("BatchNormalization takes five inputs") };
        let channels = scale.len();
        ensure!(rank >= 2 && parts.iter().all(|p| p.len() == channels), "its parameters differ in length");
        let slope: Vec<f32> = scale.iter().zip(variance).map(|(s, v)| s / (v + self.epsilon).sqrt()).collect();
        let shift: Vec<f32> = bias.iter().zip(mean.iter().zip(&slope)).map(|(b, (m, s))| b - m * s).collect();
        let mut shape = tvec![1; rank];
        shape[1] = channels;
        let slope = add_constant(model, format!("{prefix}.slope"), tensor1(&slope).into_shape(&shape)?)?;
        let shift = add_constant(model, format!("{prefix}.shift"), tensor1(&shift).into_shape(&shape)?)?;
        let scaled = model.wire_node(format!("{prefix}.mul"), mul(), &[slope, inputs[0]])?;
        model.wire_node(prefix, add(), &[shift, scaled[0]])
    }
}
