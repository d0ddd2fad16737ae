//! From an ONNX graph in f32 to a [`Chain`], by what is connected to what; names mean nothing.
//!
//! Accepted: BatchNormalization behind a convolution or already folded into it, Concat layer by layer or
//! over all earlier layers (as torchvision writes it), the transition's pooling before or behind its
//! convolution. Everything else is refused with the node and what was expected there.

use super::QuantizeError;
use super::chain::{Affine, Block, Chain, Conv, Layer, Transition, Weights};
use super::graph::{Graph, attribute, check_window, fault, output};
use tract_onnx::pb::{ModelProto, NodeProto};

/// Most layers of a network: DenseNet264 has 130.
const LAYERS_MAX: usize = 512;

/// The chain of a model whose weights are f32.
///
/// # Errors
/// [`QuantizeError`] that names the first node that a DenseNet does not have.
pub fn recognise(model: &ModelProto) -> Result<Chain, QuantizeError> {
    let proto = model.graph.as_ref().ok_or(QuantizeError::NoGraph)?;
    let graph = Graph::new(proto);
    let is_weight = |name: &str| proto.initializer.iter().any(|t| t.name == name);
    let mut inputs = proto.input.iter().map(|v| v.name.as_str()).filter(|n| !is_weight(n));
    let (Some(image), None) = (inputs.next(), inputs.next()) else {
        return Err(QuantizeError::NotADenseNet {
            at: "the inputs".into(),
            found: "none or several".into(),
            expected: "one".into(),
        });
    };
    let (stem, y) = conv(&graph, graph.next(image, &["Conv"])?, 7, 2, 3)?;
    let y = output(graph.next(&y, &["Relu"])?)?;
    let pool = graph.next(y, &["MaxPool"])?;
    check_window(pool, 3, 2, 1)?;
    let mut walk =
        Walk { graph: &graph, blocks: vec![Block { layers: vec![], transition: None }], trunk: vec![output(pool)?.into()] };
    for _ in 0..LAYERS_MAX {
        if let Some((norm, y)) = walk.step()? {
            let (head, head_bias) = tail(&graph, &y, norm.scale.len())?;
            return Ok(Chain { stem, blocks: walk.blocks, norm, head, head_bias });
        }
    }
    Err(QuantizeError::NotADenseNet {
        at: image.into(),
        found: format!("more than {LAYERS_MAX} layers"),
        expected: "fewer".into(),
    })
}

struct Walk<'g, 'a> {
    graph: &'g Graph<'a>,
    blocks: Vec<Block>,
    /// The values whose channels, joined, are what the next norm sees.
    trunk: Vec<String>,
}

impl Walk<'_, '_> {
    /// Goes on by one layer or transition; at the end gives the last norm and the value behind its ReLU.
    fn step(&mut self) -> Result<Option<(Affine, String)>, QuantizeError> {
        let graph = self.graph;
        let at = || self.trunk.last().cloned().unwrap_or_default();
        let norm = graph.norm_over(&self.trunk).ok_or_else(|| QuantizeError::NotADenseNet {
            at: at(),
            found: "no norm over all channels so far".into(),
            expected: "BatchNormalization".into(),
        })?;
        let (affine, relu) = (affine(graph, norm)?, output(graph.next(output(norm)?, &["Relu"])?)?);
        let after = graph.takers(relu);
        if after.iter().any(|n| matches!(n.op_type.as_str(), "GlobalAveragePool" | "ReduceMean")) {
            return Ok(Some((affine, relu.to_owned())));
        }
        let next = graph.next(relu, &["Conv", "AveragePool"])?;
        if next.op_type == "AveragePool" {
            check_window(next, 2, 2, 0)?;
            let (conv, y) = conv(graph, graph.next(output(next)?, &["Conv"])?, 1, 1, 0)?;
            self.transition(affine, conv, y)?;
            return Ok(None);
        }
        let (first, y) = conv(graph, next, 1, 1, 0)?;
        let behind = graph.next(&y, &["Relu", "AveragePool"])?;
        if behind.op_type == "AveragePool" {
            check_window(behind, 2, 2, 0)?;
            self.transition(affine, first, output(behind)?.to_owned())?;
            return Ok(None);
        }
        let (growth, y) = conv(graph, graph.next(output(behind)?, &["Conv"])?, 3, 1, 1)?;
        fits(next, "channels of the norm", affine.scale.len(), first.inputs)?;
        fits(next, "channels of the bottleneck", first.outputs, growth.inputs)?;
        if let Some(block) = self.blocks.last_mut() {
            block.layers.push(Layer { norm: affine, bottleneck: first, growth });
        }
        self.trunk.push(y);
        Ok(None)
    }

    fn transition(&mut self, norm: Affine, conv: Conv, y: String) -> Result<(), QuantizeError> {
        if norm.scale.len() != conv.inputs {
            let found = format!("{} channels", norm.scale.len());
            return Err(QuantizeError::NotADenseNet { at: y, found, expected: format!("{} for its convolution", conv.inputs) });
        }
        if let Some(block) = self.blocks.last_mut() {
            block.transition = Some(Transition { norm, conv });
        }
        self.blocks.push(Block { layers: vec![], transition: None });
        self.trunk = vec![y];
        Ok(())
    }
}

/// A convolution with the norm behind it, if there is one, folded in (in f64), and the value behind both.
fn conv(graph: &Graph, node: &NodeProto, side: i64, stride: i64, pad: i64) -> Result<(Conv, String), QuantizeError> {
    check_window(node, side, stride, pad)?;
    let (dims, mut weights) = graph.constant(node, 1)?;
    let side = side as usize;
    let (outputs, inputs) = match dims.as_slice() {
        [o, i, h, w] if *o > 0 && *i > 0 && (*h, *w) == (side, side) => (*o, *i),
        _ => return Err(fault(node, format!("its weights have shape {dims:?}, a DenseNet has [.., .., {side}, {side}] here"))),
    };
    let mut bias = if Graph::has(node, 2) { graph.constant(node, 2)?.1 } else { vec![0.0; outputs] };
    fits(node, "summands", bias.len(), outputs)?;
    let mut y = output(node)?;
    if let [norm] = graph.takers(y).as_slice()
        && norm.op_type == "BatchNormalization"
        && norm.input.first().is_some_and(|x| x == y)
    {
        let Affine { scale, shift } = affine(graph, norm)?;
        fits(norm, "channels", scale.len(), outputs)?;
        for (o, row) in weights.chunks_exact_mut(inputs * side * side).enumerate() {
            row.iter_mut().for_each(|w| *w = (f64::from(*w) * f64::from(scale[o])) as f32);
            bias[o] = (f64::from(bias[o]) * f64::from(scale[o]) + f64::from(shift[o])) as f32;
        }
        y = output(norm)?;
    }
    Ok((Conv { outputs, inputs, side, weights: Weights::F32(weights), bias }, y.to_owned()))
}

/// scale = weight / sqrt(variance + epsilon), shift = bias - mean * scale.
fn affine(graph: &Graph, norm: &NodeProto) -> Result<Affine, QuantizeError> {
    let epsilon = f64::from(attribute(norm, "epsilon").map_or(1e-5, |a| a.f));
    let [weight, bias, mean, variance] = [1, 2, 3, 4].map(|i| graph.constant(norm, i).map(|(_, v)| v));
    let (weight, bias, mean, variance) = (weight?, bias?, mean?, variance?);
    for part in [&bias, &mean, &variance] {
        fits(norm, "channels", part.len(), weight.len())?;
    }
    let mut affine = Affine { scale: vec![], shift: vec![] };
    for (c, weight) in weight.iter().enumerate() {
        let deviation = (f64::from(variance[c]) + epsilon).sqrt();
        if !(deviation > 0.0 && deviation.is_finite()) {
            return Err(fault(norm, format!("the variance of channel {c} is {}, allowed is a positive number", variance[c])));
        }
        let scale = f64::from(*weight) / deviation;
        affine.scale.push(scale as f32);
        affine.shift.push((f64::from(bias[c]) - f64::from(mean[c]) * scale) as f32);
    }
    Ok(affine)
}

/// The linear head behind the global average of `features`.
fn tail(graph: &Graph, features: &str, channels: usize) -> Result<(Vec<f32>, Vec<f32>), QuantizeError> {
    let pool = graph.takers(features).into_iter().find(|n| matches!(n.op_type.as_str(), "GlobalAveragePool" | "ReduceMean"));
    let mut node = pool.ok_or_else(|| QuantizeError::NotADenseNet {
        at: features.into(),
        found: "no global average".into(),
        expected: "GlobalAveragePool".into(),
    })?;
    while node.op_type != "Gemm" {
        node = graph.next(output(node)?, &["Flatten", "Reshape", "Squeeze", "Gemm"])?;
    }
    let number = |name: &str| attribute(node, name).map_or(1.0, |a| a.f);
    if attribute(node, "transB").is_none_or(|a| a.i != 1) || number("alpha") != 1.0 || number("beta") != 1.0 {
        return Err(fault(node, "the head must be a Gemm with transB = 1, alpha = 1 and beta = 1".into()));
    }
    let (dims, weights) = graph.constant(node, 1)?;
    let bias = graph.constant(node, 2)?.1;
    if dims != [bias.len(), channels] {
        return Err(fault(node, format!("its weights have shape {dims:?}, needed is [{}, {channels}]", bias.len())));
    }
    Ok((weights, bias))
}

fn fits(node: &NodeProto, what: &str, found: usize, wanted: usize) -> Result<(), QuantizeError> {
    if found == wanted { Ok(()) } else { Err(fault(node, format!("{found} {what}, needed are {wanted}"))) }
}
