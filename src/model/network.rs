//! A network ready to run: an ONNX graph in; for each image its logits and last feature map out.
//!
//! tract reads and types the graph. Where [`super::fuse`] recognises it, our operators run it;
//! where not, tract runs it alone, several times slower, with a line in the log. The plan is
//! immutable and shared; each run takes a state of its own, so that threads read films side by side.
//! One run uses the threads of the [`super::Pool`] that is installed where it is called, and gives the
//! same numbers whatever their number.

use super::fuse::{self, Fusions};
use super::kernels::{InstructionSet, KernelError};
use super::operators;
use super::unpack::{UnpackError, dequantize_weights};
use crate::input::Plane;
use std::sync::Arc;
use tract_onnx::pb::{GraphProto, ModelProto, tensor_shape_proto::dimension::Value, type_proto};
use tract_onnx::prelude::*;

/// What the network computes for one film.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations {
    /// One logit a finding, in the manifest's order.
    pub logits: Vec<f32>,
    /// The last feature map after its ReLU, [channels, side, side].
    pub features: Vec<f32>,
}

/// What runs a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Our operators where the graph is recognised, tract alone where it is not.
    Fused,
    /// tract alone: the reference that the others are tested against.
    TractAlone,
}

/// A planned network.
#[derive(Debug)]
pub struct Network {
    plan: Arc<TypedSimplePlan>,
    /// Channels and side of the image.
    image: [usize; 2],
    logits_at: usize,
    features_at: usize,
    /// Channels, rows and columns.
    features: [usize; 3],
    fused: Result<Fusions, String>,
    engine: String,
}

/// Why a graph cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Its int8 weights.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Its operators, shapes or outputs, or tract's reason.
    #[error("{0}")]
    Graph(String),
    /// The environment asks for an instruction set that does not exist.
    #[error("CHEXBOX_CPU: {0}")]
    InstructionSet(KernelError),
}

impl Network {
    /// The network of a model with one input [1 or open, C, any, any] and the outputs `logits` and `features`, for
    /// images of side `size`.
    ///
    /// # Errors
    /// [`NetworkError`] that says what the graph has and what was allowed.
    pub fn of(model: ModelProto, size: usize) -> Result<Self, NetworkError> {
        Self::with(model, size, Engine::Fused)
    }

    /// As [`Network::of`], run by the engine asked for.
    ///
    /// # Errors
    /// As [`Network::of`].
    pub fn with(mut model: ModelProto, size: usize, engine: Engine) -> Result<Self, NetworkError> {
        let graph = model.graph.as_ref().ok_or(UnpackError::NoGraph)?;
        operators::check(graph).map_err(NetworkError::Graph)?;
        let image = [channels(graph).map_err(NetworkError::Graph)?, size];
        let position = |name: &str| {
            let at = graph.output.iter().position(|o| o.name == name);
            at.ok_or_else(|| NetworkError::Graph(format!("the model has no output named {name}")))
        };
        let (logits_at, features_at) = (position("logits")?, position("features")?);
        let refused = |e: TractError| NetworkError::Graph(format!("{e:#}"));
        let set = InstructionSet::chosen().map_err(NetworkError::InstructionSet)?;
        let shape = [1, image[0], size, size];
        let typed = |model: &mut ModelProto| operators::typed(&operators::reader(), model, shape);
        let fused = match engine {
            Engine::TractAlone => Err("asked for".to_owned()),
            Engine::Fused => fuse::fuse(&typed(&mut model).map_err(refused)?, set).map_err(|e| e.to_string()),
        };
        let (graph, fused) = match fused {
            Ok((graph, fusions)) => (graph, Ok(fusions)),
            Err(why) => {
                dequantize_weights(&mut model)?;
                (typed(&mut model).and_then(TypedModel::into_optimized).map_err(refused)?, Err(why))
            }
        };
        drop(model);
        let features = map_shape(&graph, features_at).map_err(refused)?;
        let engine = engine_name(fused.as_ref().ok());
        Ok(Self { plan: graph.into_runnable().map_err(refused)?, image, logits_at, features_at, features, fused, engine })
    }

    /// What computes: for the log and the provenance of a record.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// What was fused.
    ///
    /// # Errors
    /// Why nothing was.
    pub fn fusions(&self) -> Result<&Fusions, &str> {
        self.fused.as_ref().map_err(String::as_str)
    }

    /// Channels, rows and columns of the last feature map.
    pub fn feature_shape(&self) -> [usize; 3] {
        self.features
    }

    /// Runs the network on one image of one channel.
    ///
    /// # Errors
    /// A sentence, if the image has another size, the engine fails, or an output is not finite.
    pub fn run(&self, input: &Plane) -> Result<Activations, String> {
        if input.side != self.image[1] {
            return Err(format!("the input is {} px wide, the model takes {}", input.side, self.image[1]));
        }
        self.run_image(&input.values)
    }

    /// Runs the network on one image [C, S, S].
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn run_image(&self, image: &[f32]) -> Result<Activations, String> {
        let [channels, size] = self.image;
        let wanted = channels * size * size;
        if image.len() != wanted {
            return Err(format!("the image has {} values, the model takes {wanted}", image.len()));
        }
        let image = Tensor::from_shape(&[1, channels, size, size], image).map_err(|e| format!("{e:#}"))?;
        let outputs = self.plan.run(tvec!(image.into())).map_err(|e| format!("{e:#}"))?;
        let values = |at: usize, name: &str| -> Result<Vec<f32>, String> {
            let output = outputs.get(at).ok_or_else(|| format!("no output {name}"))?;
            let view = output.to_plain_array_view::<f32>().map_err(|e| format!("{name}: {e:#}"))?;
            let values: Vec<f32> = view.iter().copied().collect();
            if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(format!("{name} are not finite")) }
        };
        Ok(Activations { logits: values(self.logits_at, "logits")?, features: values(self.features_at, "features")? })
    }
}

/// Channels of the one input that is not a weight.
fn channels(graph: &GraphProto) -> Result<usize, String> {
    let is_weight = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    let mut inputs = graph.input.iter().filter(|v| !is_weight(&v.name));
    let (Some(image), None) = (inputs.next(), inputs.next()) else {
        return Err("the model has not exactly one input".to_owned());
    };
    let kind = image.r#type.as_ref().and_then(|t| t.value.as_ref());
    let dims = kind.and_then(|type_proto::Value::TensorType(t)| t.shape.as_ref()).map_or(&[][..], |s| &s.dim);
    match dims {
        [_, channels, _, _] => match channels.value {
            Some(Value::DimValue(c)) if (1..=4).contains(&c) => Ok(c as usize),
            _ => Err(format!("{} has not 1 to 4 channels", image.name)),
        },
        _ => Err(format!("{} has {} axes, needed are 4", image.name, dims.len())),
    }
}

fn map_shape(graph: &TypedModel, output: usize) -> TractResult<[usize; 3]> {
    let fact = graph.output_fact(output)?;
    match fact.shape.as_concrete() {
        Some([1, channels, height, width]) => Ok([*channels, *height, *width]),
        _ => Err(TractError::msg(format!("the features are {fact:?}, needed is a map of one film"))),
    }
}

/// "tract 0.23.9 + chexbox int8 avx512-vnni", or "tract 0.23.9 f32".
fn engine_name(fusions: Option<&Fusions>) -> String {
    let tract = concat!("tract ", env!("CHEXBOX_TRACT_VERSION"));
    match fusions {
        Some(Fusions { arithmetic, instruction_set, .. }) => format!("{tract} + chexbox {arithmetic} {instruction_set}"),
        None => format!("{tract} f32"),
    }
}
