//! The probe: an input that a formula gives, so that it needs no file, and the outputs a model must give for it.

use super::TrainError;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

/// Value at (y, x) of the probe's input [1, 1, S, S].
pub const FORMULA: &str = "value at (y, x) of the input [1, 1, S, S] is sin(0.37 * y) * cos(0.23 * x)";

/// The probe's input, [side x side].
pub fn input(side: usize) -> Vec<f32> {
    let at = |i: usize| ((0.37 * (i / side) as f64).sin() * (0.23 * (i % side) as f64).cos()) as f32;
    (0..side * side).map(at).collect()
}

/// What a model gives for one input.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// [findings].
    pub logits: Vec<f32>,
    /// [channels x side x side].
    pub features: Vec<f32>,
}

/// Runs the probe through tract, which also runs the model in the appliance.
///
/// # Errors
/// [`TrainError::Run`] with tract's reason.
pub fn run(model: &ModelProto, side: usize) -> Result<Outputs, TrainError> {
    let fault = |e: TractError| TrainError::Run(format!("tract does not run the exported model: {e:#}"));
    let outputs = tract(model, side).map_err(fault)?;
    let of = |i: usize| -> Result<Vec<f32>, TrainError> {
        let tensor = outputs.get(i).ok_or_else(|| TrainError::Run(format!("the exported model has no output {i}")))?;
        Ok(tensor.cast_to::<f32>().map_err(fault)?.try_as_plain_ram().map_err(fault)?.as_slice::<f32>().map_err(fault)?.to_vec())
    };
    Ok(Outputs { logits: of(0)?, features: of(1)? })
}

fn tract(model: &ModelProto, side: usize) -> TractResult<TVec<TValue>> {
    let model = tract_onnx::onnx().model_for_proto_model(model)?;
    let model = model.with_input_fact(0, f32::fact([1, 1, side, side]).into())?.into_optimized()?.into_runnable()?;
    let image = Tensor::from_shape(&[1, 1, side, side], &input(side))?;
    model.run(tvec!(image.into()))
}
