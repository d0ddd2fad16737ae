//! What a model file holds: its layers, its numbers, its precision, and whether its integers keep the pair rule.

use super::QuantizeError;
use super::graph::Graph;
use super::recognise::recognise;
use super::weights::breach;
use crate::model::unpack::remove_quantization;
use std::collections::BTreeMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// What a model file holds.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Version of the ONNX operators.
    pub opset: i64,
    /// What wrote the file.
    pub producer: String,
    /// How often each operator occurs.
    pub operators: BTreeMap<String, usize>,
    /// Numbers stored in f32.
    pub numbers_f32: usize,
    /// Numbers stored as 8-bit integers.
    pub numbers_int8: usize,
    /// What its convolutions compute in.
    pub precision: Precision,
    /// Its shape, where it is a DenseNet.
    pub densenet: Option<Shape>,
    /// Why it is none.
    pub not_a_densenet: Option<String>,
    /// Its quantized convolutions in the file's order.
    pub quantized: Vec<Convolution>,
}

/// Shape of a DenseNet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// Channels of the image.
    pub image_channels: usize,
    /// Layers of each block.
    pub blocks: Vec<usize>,
    /// Channels that a layer adds.
    pub growth: usize,
    /// Channels of the last feature map.
    pub feature_channels: usize,
    /// Logits.
    pub logits: usize,
}

/// What the convolutions of a file compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// f32 throughout.
    F32,
    /// f32, with weights stored as integers.
    Int8Weights,
    /// Integers times integers, where inputs and weights are quantized.
    Int8,
}

/// A convolution whose input and weights are integers.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Convolution {
    /// Node name.
    pub name: String,
    /// [outputs, inputs, side, side].
    pub dims: [usize; 4],
    /// What one integer step of its input is worth.
    pub input_step: f32,
    /// Where its weights break the pair rule, in words.
    pub breach: Option<String>,
}

impl Summary {
    /// What `model` holds.
    ///
    /// # Errors
    /// [`QuantizeError::NoGraph`].
    pub fn of(model: &ModelProto) -> Result<Self, QuantizeError> {
        let graph = model.graph.as_ref().ok_or(QuantizeError::NoGraph)?;
        let mut operators = BTreeMap::new();
        for node in &graph.node {
            *operators.entry(node.op_type.clone()).or_insert(0) += 1;
        }
        let numbers = |of: DataType| {
            // Zero points are no numbers of the network.
            let counts = |t: &&TensorProto| t.data_type == of as i32 && (of != DataType::Int8 || t.dims.len() > 1);
            let tensors = graph.initializer.iter().filter(counts);
            tensors.map(|t| elements(t).unwrap_or(0)).fold(0, usize::saturating_add)
        };
        let quantized = convolutions(graph);
        let numbers_int8 = numbers(DataType::Int8);
        let precision = match (quantized.is_empty(), numbers_int8) {
            (false, _) => Precision::Int8,
            (true, 0) => Precision::F32,
            (true, _) => Precision::Int8Weights,
        };
        let (densenet, not_a_densenet) = match shape(model) {
            Ok(shape) => (Some(shape), None),
            Err(why) => (None, Some(why.to_string())),
        };
        Ok(Self {
            opset: model.opset_import.iter().find(|o| o.domain.is_empty()).map_or(0, |o| o.version),
            producer: format!("{} {}", model.producer_name, model.producer_version).trim().to_owned(),
            operators,
            numbers_f32: numbers(DataType::Float),
            numbers_int8,
            precision,
            densenet,
            not_a_densenet,
            quantized,
        })
    }

    /// The first place where weights break the pair rule.
    pub fn breach(&self) -> Option<String> {
        self.quantized.iter().find_map(|c| Some(format!("{}: {}", c.name, c.breach.as_ref()?)))
    }
}

fn shape(model: &ModelProto) -> Result<Shape, QuantizeError> {
    let mut plain = model.clone();
    remove_quantization(&mut plain)?;
    let chain = recognise(&plain)?;
    Ok(Shape {
        image_channels: chain.image_channels(),
        blocks: chain.blocks.iter().map(|b| b.layers.len()).collect(),
        growth: chain.blocks.iter().find_map(|b| b.layers.first()).map_or(0, |l| l.growth.outputs),
        feature_channels: chain.feature_channels(),
        logits: chain.head_bias.len(),
    })
}

fn convolutions(proto: &GraphProto) -> Vec<Convolution> {
    let graph = Graph::new(proto);
    proto.node.iter().filter(|n| n.op_type == "Conv").filter_map(|n| convolution(&graph, n)).collect()
}

/// `None` for a convolution that is not quantized on both sides.
fn convolution(graph: &Graph, conv: &NodeProto) -> Option<Convolution> {
    let dequantize = |i: usize| graph.maker(conv.input.get(i)?).filter(|n| n.op_type == "DequantizeLinear");
    let input =
        dequantize(0).filter(|n| n.input.first().and_then(|q| graph.maker(q)).is_some_and(|q| q.op_type == "QuantizeLinear"))?;
    let weights = graph.tensor(dequantize(1)?.input.first()?).filter(|t| t.data_type == DataType::Int8 as i32)?;
    let step = graph.constant(input, 1).ok()?.1.first().copied()?;
    let dims: Vec<usize> = weights.dims.iter().filter_map(|d| usize::try_from(*d).ok()).collect();
    let dims: [usize; 4] = dims.try_into().ok()?;
    let values: Vec<i8> = weights.raw_data.iter().map(|b| i8::from_le_bytes([*b])).collect();
    let breach = if Some(values.len()) == elements(weights) && !values.is_empty() {
        breach(&values, dims[1], dims[2] * dims[3]).map(|(output, input, tap, sum)| {
            format!("weights of output {output}, inputs {input} and {}, tap {tap} add up to {sum}", input + 1)
        })
    } else {
        Some(format!("{} weights are stored, its shape is {dims:?}", values.len()))
    };
    Some(Convolution { name: conv.name.clone(), dims, input_step: step, breach })
}

/// Elements that a tensor's shape asks for.
fn elements(tensor: &TensorProto) -> Option<usize> {
    tensor.dims.iter().try_fold(1_usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))
}
