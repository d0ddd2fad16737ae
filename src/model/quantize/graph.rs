//! Looking around in an ONNX graph of unknown origin: who makes a value, who takes it, what is constant.

use super::QuantizeError;
use crate::model::onnx::floats;
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Most values that one Concat may join, directly or through others: a dense block of 64 layers has 65.
const PIECES_MAX: usize = 512;

/// A graph with its lookups.
pub struct Graph<'a> {
    maker: HashMap<&'a str, &'a NodeProto>,
    takers: HashMap<&'a str, Vec<&'a NodeProto>>,
    constants: HashMap<&'a str, &'a TensorProto>,
    norms: Vec<&'a NodeProto>,
}

impl<'a> Graph<'a> {
    /// The lookups of `graph`.
    pub fn new(graph: &'a GraphProto) -> Self {
        let (mut maker, mut takers) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        for node in &graph.node {
            maker.extend(node.output.iter().map(|o| (o.as_str(), node)));
            node.input.iter().for_each(|i| takers.entry(i.as_str()).or_default().push(node));
        }
        let constants = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
        let norms = graph.node.iter().filter(|n| n.op_type == "BatchNormalization").collect();
        Self { maker, takers, constants, norms }
    }

    /// The node that makes `value`.
    pub fn maker(&self, value: &str) -> Option<&'a NodeProto> {
        self.maker.get(value).copied()
    }

    /// The constant of this name.
    pub fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.constants.get(name).copied()
    }

    /// The nodes that take `value`, through Identity and Dropout, which change nothing at inference.
    pub fn takers(&self, value: &str) -> Vec<&'a NodeProto> {
        let mut found = Vec::new();
        let mut values = vec![value];
        // Each round goes one node further; a graph that runs in a circle ends it.
        for _ in 0..PIECES_MAX {
            let Some(value) = values.pop() else { break };
            for node in self.takers.get(value).into_iter().flatten() {
                match node.op_type.as_str() {
                    "Identity" | "Dropout" => values.extend(node.output.first().map(String::as_str)),
                    _ => found.push(*node),
                }
            }
        }
        found
    }

    /// The one node of these operators that takes `value`.
    pub fn next(&self, value: &str, ops: &[&str]) -> Result<&'a NodeProto, QuantizeError> {
        let takers = self.takers(value);
        match takers.as_slice() {
            [node] if ops.contains(&node.op_type.as_str()) => Ok(node),
            _ => {
                let found: Vec<&str> = takers.iter().map(|n| n.op_type.as_str()).collect();
                let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
                Err(QuantizeError::NotADenseNet { at: value.to_owned(), found, expected: ops.join(" or ") })
            }
        }
    }

    /// The BatchNormalization over the values of `trunk` joined in this order.
    pub fn norm_over(&self, trunk: &[String]) -> Option<&'a NodeProto> {
        self.norms.iter().copied().find(|n| n.input.first().is_some_and(|x| self.pieces(x).iter().eq(trunk.iter())))
    }

    /// What a value is joined of: the inputs of Concat over channels, to the end; the value itself where there is none.
    fn pieces(&self, value: &'a str) -> Vec<&'a str> {
        let (mut pieces, mut open) = (Vec::new(), vec![value]);
        for _ in 0..PIECES_MAX {
            let Some(value) = open.pop() else { break };
            match self.maker.get(value) {
                Some(n) if n.op_type == "Concat" && attribute(n, "axis").is_some_and(|a| a.i == 1) => {
                    open.extend(n.input.iter().rev().map(String::as_str));
                }
                Some(n) if matches!(n.op_type.as_str(), "Identity" | "Dropout") => {
                    open.extend(n.input.first().map(String::as_str));
                }
                _ => pieces.push(value),
            }
        }
        pieces
    }

    /// Shape and values of the constant that is input `i` of `node`.
    pub fn constant(&self, node: &NodeProto, i: usize) -> Result<(Vec<usize>, Vec<f32>), QuantizeError> {
        let name = node.input.get(i).map_or("", String::as_str);
        let tensor = self.constants.get(name).ok_or_else(|| fault(node, format!("input {i} is not a constant")))?;
        let dims = tensor.dims.iter().filter_map(|d| usize::try_from(*d).ok()).collect();
        let values = floats(tensor).ok_or_else(|| fault(node, format!("{name} does not hold the floats of its shape")))?;
        if values.iter().all(|v| v.is_finite()) {
            Ok((dims, values))
        } else {
            Err(fault(node, format!("{name} holds a value that is not finite")))
        }
    }

    /// Whether `node` has an input `i`.
    pub fn has(node: &NodeProto, i: usize) -> bool {
        node.input.get(i).is_some_and(|name| !name.is_empty())
    }
}

/// Checks the window of a convolution or pooling over squares: `side` x `side`, `stride`, `pad` on all sides, nothing else.
pub fn check_window(node: &NodeProto, side: i64, stride: i64, pad: i64) -> Result<(), QuantizeError> {
    let ints = |name: &str, default: &[i64]| attribute(node, name).map_or_else(|| default.to_vec(), |a| a.ints.clone());
    let int = |name: &str, default: i64| attribute(node, name).map_or(default, |a| a.i);
    let found = [
        ("kernel_shape", ints("kernel_shape", &[side; 2]), vec![side; 2]),
        ("strides", ints("strides", &[1; 2]), vec![stride; 2]),
        ("pads", ints("pads", &[0; 4]), vec![pad; 4]),
        ("dilations", ints("dilations", &[1; 2]), vec![1; 2]),
        ("group", vec![int("group", 1)], vec![1]),
        ("ceil_mode", vec![int("ceil_mode", 0)], vec![0]),
    ];
    for (name, found, wanted) in found {
        if found != wanted {
            return Err(fault(node, format!("{name} is {found:?}, a DenseNet has {wanted:?}")));
        }
    }
    match attribute(node, "auto_pad").map(|a| a.s.as_slice()) {
        None | Some(b"NOTSET") => Ok(()),
        Some(_) => Err(fault(node, "auto_pad is set; export the model with explicit pads".into())),
    }
}

/// The attribute of this name.
pub fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n tract_onnx::pb::AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

/// The only or first output of `node`.
pub fn output(node: &NodeProto) -> Result<&str, QuantizeError> {
    node.output.first().map(String::as_str).ok_or_else(|| fault(node, "it has no output".into()))
}

/// What is wrong with a node.
pub fn fault(node: &NodeProto, what: String) -> QuantizeError {
    QuantizeError::Node { op: node.op_type.clone(), node: node.name.clone(), what }
}
