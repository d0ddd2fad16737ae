//! A model file run on tract as it stands: for calibration, where values inside the network are wanted.

use super::QuantizeError;
use crate::input::Plane;
use crate::model::operators;
use crate::model::unpack::dequantize_weights;
use std::sync::Arc;
use tract_onnx::pb::{ModelProto, ValueInfoProto};
use tract_onnx::prelude::*;

/// A model ready to run.
pub struct Plan {
    plan: Arc<TypedSimplePlan>,
    channels: usize,
    size: usize,
}

/// An output: its shape without the batch, and its values.
pub type Output = (Vec<usize>, Vec<f32>);

impl Plan {
    /// The model with inputs [1, channels, size, size]; `extra` names values that come out behind its own outputs.
    pub fn new(model: &ModelProto, extra: &[String], channels: usize, size: usize) -> Result<Self, QuantizeError> {
        let mut model = model.clone();
        // Packed weights are for our own operators; tract alone takes them in f32.
        dequantize_weights(&mut model)?;
        if let Some(graph) = model.graph.as_mut() {
            graph.output.extend(extra.iter().map(|name| ValueInfoProto { name: name.clone(), ..Default::default() }));
        }
        let plan = Self::load(&model, channels, size).map_err(|e| QuantizeError::Engine(format!("{e:#}")))?;
        Ok(Self { plan, channels, size })
    }

    fn load(model: &ModelProto, channels: usize, size: usize) -> TractResult<Arc<TypedSimplePlan>> {
        operators::reader()
            .model_for_proto_model(model)?
            .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), [1, channels, size, size]))?
            .into_optimized()?
            .into_runnable()
    }

    /// All outputs for one film, which stands in every channel of the image.
    pub fn run(&self, film: &Plane) -> Result<Vec<Output>, QuantizeError> {
        self.outputs(film).map_err(|e| QuantizeError::Engine(format!("{e:#}")))
    }

    fn outputs(&self, film: &Plane) -> TractResult<Vec<Output>> {
        let image = Tensor::from_shape(&[1, self.channels, self.size, self.size], &film.values.repeat(self.channels))?;
        let outputs = self.plan.run(tvec!(image.into()))?;
        outputs
            .iter()
            .map(|output| {
                let view = output.to_plain_array_view::<f32>()?;
                Ok((view.shape().iter().skip(1).copied().collect(), view.iter().copied().collect()))
            })
            .collect()
    }
}
