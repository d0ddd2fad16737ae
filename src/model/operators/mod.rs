//! The ONNX operators that a model file may use.
//!
//! tract registers some two hundred builders at once, and a registered builder cannot be left out of
//! the binary. This list holds what convolutional networks for classification are made of (VGG,
//! ResNet, DenseNet, EfficientNet as torch exports them, plain or quantized); the operators themselves
//! are tract's, but for those in [`norm`], [`gemm`] and [`quantized`], whose builders tract keeps private.

mod gemm;
mod norm;
mod quantized;
mod typed;

pub(super) use quantized::StoredWeight;
pub(super) use typed::typed;

use gemm::Gemm;
use norm::BatchNormalization;
use quantized::{DequantizeLinear, QuantizeLinear};
use tract_onnx::Onnx;
use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::cnn::{HirMaxPool, HirSumPool, PaddingSpec, PoolSpec};
use tract_onnx::tract_hir::ops::nn::DataFormat;
use tract_onnx::tract_hir::ops::{activations, array, cnn, identity, konst, math, matmul, nn};

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;
type Builder = fn(&ParsingContext, &NodeProto) -> Built;

/// Operators by the names of the ONNX standard.
const OPERATORS: [(&str, Builder); 24] = [
    ("Add", |_, _| built(math::Add.into_hir())),
    ("AveragePool", |_, node| average_pool(node)),
    ("BatchNormalization", |_, node| built(expand(BatchNormalization::of(node)?))),
    ("Concat", |_, node| built(expand(array::Concat::new(node.get_attr("axis")?)))),
    ("Constant", constant),
    ("Conv", |_, node| conv(node)),
    ("DequantizeLinear", |_, node| built(expand(DequantizeLinear::of(node)?))),
    ("Div", |_, _| built(math::Div.into_hir())),
    ("Dropout", |_, node| dropout(node)),
    ("Flatten", |_, node| built(expand(array::Flatten::new(node.get_attr_opt("axis")?.unwrap_or(1))))),
    ("Gemm", |_, node| built(expand(Gemm::of(node)?))),
    ("GlobalAveragePool", |_, _| built(expand(nn::GlobalAvgPool))),
    ("GlobalMaxPool", |_, _| built(expand(nn::GlobalMaxPool))),
    ("Identity", |_, _| built(Box::new(identity::Identity))),
    ("MatMul", |_, _| built(expand(matmul::MatMulInference::default()))),
    ("MaxPool", |_, node| max_pool(node)),
    ("Mul", |_, _| built(math::Mul.into_hir())),
    ("QuantizeLinear", |_, node| built(expand(QuantizeLinear::of(node)?))),
    ("ReduceMean", |_, node| reduce_mean(node)),
    ("Relu", |_, _| built(expand(activations::Clip::new(Some(0.0), None)))),
    ("Reshape", |_, node| built(expand(array::Reshape::new(node.get_attr_opt::<i64>("allowzero")?.unwrap_or(0) != 0)))),
    ("Sigmoid", |_, _| built(nn::sigmoid().into_hir())),
    ("Softmax", |_, node| built(expand(nn::Softmax::new(node.get_attr_opt("axis")?.unwrap_or(-1))))),
    ("Sub", |_, _| built(math::Sub.into_hir())),
];

/// tract's reader of ONNX files with these operators.
pub(super) fn reader() -> Onnx {
    let mut op_register = OnnxOpRegister::default();
    for (name, builder) in OPERATORS {
        op_register.insert(name, builder);
    }
    // Shapes that the file notes between its nodes are of the size it was exported for; a session may ask for another.
    Onnx { op_register, ..Onnx::default() }.with_ignore_value_info(true)
}

/// Checks that a graph uses no other operator.
///
/// # Errors
/// A sentence that names the node, its operator and the operators there are.
pub(super) fn check(graph: &GraphProto) -> Result<(), String> {
    let known = |node: &NodeProto| {
        (node.domain.is_empty() || node.domain == "ai.onnx") && OPERATORS.iter().any(|(name, _)| *name == node.op_type)
    };
    let Some(node) = graph.node.iter().find(|n| !known(n)) else { return Ok(()) };
    let names: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).collect();
    let (domain, op) = (&node.domain, &node.op_type);
    let dot = if domain.is_empty() { "" } else { "." };
    Err(format!("node {:?} has the operator {domain}{dot}{op}, allowed are {}", node.name, names.join(", ")))
}

fn built(op: Box<dyn InferenceOp>) -> Built {
    Ok((op, Vec::new()))
}

fn constant(context: &ParsingContext, node: &NodeProto) -> Built {
    let value = match node.get_attr_opt("value")? {
        Some(tensor) => context.load_tensor(tensor)?,
        None => match (node.get_attr_opt::<f32>("value_float")?, node.get_attr_opt::<i64>("value_int")?) {
            (Some(value), _) => tensor0(value),
            (None, Some(value)) => tensor0(value),
            (None, None) => tensor1(node.get_attr_slice::<i64>("value_ints")?),
        },
    };
    built(Box::new(konst::Const::new(value.into_arc_tensor())?))
}

fn conv(node: &NodeProto) -> Built {
    let mut op = cnn::Conv::default().padding(padding(node, Rounding::Floor)?);
    if let Some(shape) = node.get_attr_opt_tvec("kernel_shape")? {
        op = op.kernel_shape(shape);
    }
    if let Some(group) = node.get_attr_opt("group")? {
        op = op.group(group);
    }
    if let Some(dilations) = node.get_attr_opt_tvec("dilations")? {
        op = op.dilations(dilations);
    }
    if let Some(strides) = node.get_attr_opt_tvec("strides")? {
        op = op.strides(strides);
    }
    if node.input.len() == 3 {
        op = op.bias_input(2);
    }
    built(expand(op))
}

fn max_pool(node: &NodeProto) -> Built {
    ensure!(node.output.len() == 1, "MaxPool with indices is not supported");
    built(expand(HirMaxPool::new(pool(node)?, None)))
}

fn average_pool(node: &NodeProto) -> Built {
    let count_include_pad = node.get_attr_opt("count_include_pad")?.unwrap_or(false);
    built(expand(HirSumPool::new(pool(node)?, count_include_pad, true)))
}

fn pool(node: &NodeProto) -> TractResult<PoolSpec> {
    let shape = node.get_attr_tvec("kernel_shape")?;
    let padding = padding(node, Rounding::AsTheNodeSays)?;
    let (dilations, strides) = (node.get_attr_opt_tvec("dilations")?, node.get_attr_opt_tvec("strides")?);
    Ok(PoolSpec::new(DataFormat::NCHW, shape, padding, dilations, strides, 0, 0))
}

/// How the side of an output is rounded: a pool may count a window that is not full.
enum Rounding {
    Floor,
    AsTheNodeSays,
}

fn padding(node: &NodeProto, rounding: Rounding) -> TractResult<PaddingSpec> {
    match node.get_attr_opt("auto_pad")?.unwrap_or("NOTSET") {
        "NOTSET" => {}
        "VALID" => return Ok(PaddingSpec::Valid),
        "SAME_UPPER" => return Ok(PaddingSpec::SameUpper),
        "SAME_LOWER" => return Ok(PaddingSpec::SameLower),
        other => bail!("auto_pad {other:?}, allowed are NOTSET, VALID, SAME_UPPER and SAME_LOWER"),
    }
    let (before, after): (TVec<usize>, TVec<usize>) = match node.get_attr_opt_tvec::<usize>("pads")? {
        Some(pads) => (pads[..pads.len() / 2].into(), pads[pads.len() / 2..].into()),
        None => match node.get_attr_opt_vec::<usize>("kernel_shape")? {
            Some(shape) => (tvec!(0; shape.len()), tvec!(0; shape.len())),
            None => return Ok(PaddingSpec::Valid),
        },
    };
    Ok(match rounding {
        Rounding::Floor => PaddingSpec::Explicit(before, after),
        Rounding::AsTheNodeSays => {
            let up = node.get_attr_opt::<i64>("ceil_mode")?.unwrap_or(0) == 1;
            PaddingSpec::ExplicitOnnxPool(before, after, up)
        }
    })
}

fn dropout(node: &NodeProto) -> Built {
    // A third input asks for training; a second output is its mask.
    let trains = node.input.get(2).is_some_and(|name| !name.is_empty());
    ensure!(!trains && node.output.len() == 1, "Dropout that trains is not supported");
    built(Box::new(identity::Identity))
}

fn reduce_mean(node: &NodeProto) -> Built {
    ensure!(node.input.len() == 1, "ReduceMean with axes as an input is not supported, only as an attribute");
    let keep = node.get_attr_opt("keepdims")?.unwrap_or(1_i64) == 1;
    built(expand(nn::Reduce::new(node.get_attr_opt_vec("axes")?, keep, nn::Reducer::Mean)))
}
