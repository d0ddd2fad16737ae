//! int8 weights of a model file back to f32, before the graph is built: doing it as graph nodes
//! costs most of the time a model takes to load.
//!
//! In: a decoded ONNX file, of unknown origin. Out: the same with every DequantizeLinear of a
//! constant int8 tensor replaced by an f32 initializer of the same name. Never: more numbers than
//! the limit allows, a scale that is not finite.

use crate::limits::MODEL_BYTES_MAX;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// Why the weights of a model cannot be unpacked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnpackError {
    /// The file has no graph.
    #[error("the model file has no graph")]
    NoGraph,
    /// A tensor is not what the operator's definition asks for.
    #[error("tensor {tensor} of node {node}: {found}, allowed is {allowed}")]
    Tensor {
        /// Node name.
        node: String,
        /// Tensor name.
        tensor: String,
        /// What is there.
        found: String,
        /// What may be there.
        allowed: &'static str,
    },
    /// The weights together are larger than a model may be.
    #[error("the weights unpack to more than {MODEL_BYTES_MAX} bytes")]
    TooLarge,
}

/// Replaces every DequantizeLinear (ONNX operators 13 and later, without blocks) whose inputs are
/// constants, the first of them int8, by an f32 initializer. Returns how many were replaced; others
/// are left alone.
///
/// # Errors
/// [`UnpackError`] that names node, tensor and what was allowed.
pub fn dequantize_weights(model: &mut ModelProto) -> Result<usize, UnpackError> {
    let graph = model.graph.as_mut().ok_or(UnpackError::NoGraph)?;
    let constants: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut bytes = 0_u64;
    let mut unpacked = Vec::new();
    let mut kept = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let Some(packed) = Packed::of(node, &constants) else {
            kept.push(node.clone());
            continue;
        };
        bytes = bytes.saturating_add((packed.values.raw_data.len() as u64).saturating_mul(4));
        if bytes > MODEL_BYTES_MAX {
            return Err(UnpackError::TooLarge);
        }
        unpacked.push(packed.unpack()?);
    }
    let count = unpacked.len();
    let used: HashSet<&str> = kept.iter().flat_map(|n| n.input.iter().map(String::as_str)).collect();
    let outputs: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    let gone: HashSet<&str> = (graph.node.iter().filter(|n| n.op_type == "DequantizeLinear"))
        .flat_map(|n| n.input.iter().map(String::as_str))
        .filter(|name| !used.contains(name) && !outputs.contains(name))
        .collect();
    let mut initializers: Vec<TensorProto> =
        graph.initializer.iter().filter(|t| !gone.contains(t.name.as_str())).cloned().collect();
    initializers.append(&mut unpacked);
    graph.initializer = initializers;
    graph.node = kept;
    Ok(count)
}

/// Takes quantization out of a model: weights are unpacked as by [`dequantize_weights`], and an activation that is quantized
/// and dequantized stays as it is. Returns how many activations that were.
///
/// # Errors
/// As [`dequantize_weights`].
pub fn remove_quantization(model: &mut ModelProto) -> Result<usize, UnpackError> {
    dequantize_weights(model)?;
    let graph = model.graph.as_mut().ok_or(UnpackError::NoGraph)?;
    let quantized: HashMap<String, String> = (graph.node.iter().filter(|n| n.op_type == "QuantizeLinear"))
        .filter_map(|n| Some((n.output.first()?.clone(), n.input.first()?.clone())))
        .collect();
    let outputs: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    let plain: HashMap<String, String> = (graph.node.iter().filter(|n| n.op_type == "DequantizeLinear"))
        .filter(|n| !n.output.iter().any(|o| outputs.contains(o.as_str())))
        .filter_map(|n| Some((n.output.first()?.clone(), quantized.get(n.input.first()?)?.clone())))
        .collect();
    graph.node.retain(|n| n.op_type != "DequantizeLinear" || !n.output.first().is_some_and(|o| plain.contains_key(o)));
    for input in graph.node.iter_mut().flat_map(|n| &mut n.input) {
        if let Some(value) = plain.get(input) {
            input.clone_from(value);
        }
    }
    let used: HashSet<String> =
        graph.node.iter().flat_map(|n| n.input.clone()).chain(graph.output.iter().map(|o| o.name.clone())).collect();
    graph.node.retain(|n| n.op_type != "QuantizeLinear" || n.output.iter().any(|o| used.contains(o)));
    let used: HashSet<String> = graph.node.iter().flat_map(|n| n.input.clone()).collect();
    graph.initializer.retain(|t| used.contains(&t.name) || graph.output.iter().any(|o| o.name == t.name));
    Ok(plain.len())
}

/// The constant tensor of this name: an initializer, or an int8 one unpacked. Nothing where it is computed.
///
/// # Errors
/// As [`dequantize_weights`].
pub(super) fn constant(graph: &GraphProto, name: &str) -> Result<Option<TensorProto>, UnpackError> {
    if let Some(stored) = graph.initializer.iter().find(|t| t.name == name) {
        return Ok(Some(stored.clone()));
    }
    let constants = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let node = graph.node.iter().find(|n| n.output.first().is_some_and(|o| o == name));
    node.and_then(|n| Packed::of(n, &constants)).map(|p| p.unpack()).transpose()
}

/// A DequantizeLinear node with its constants.
struct Packed<'a> {
    node: &'a NodeProto,
    output: &'a str,
    values: &'a TensorProto,
    scale: &'a TensorProto,
    zero: Option<&'a TensorProto>,
}

impl<'a> Packed<'a> {
    /// `None` for another node, or one whose inputs are not constants or not int8.
    fn of(node: &'a NodeProto, constants: &HashMap<&str, &'a TensorProto>) -> Option<Self> {
        if node.op_type != "DequantizeLinear" || !node.domain.is_empty() {
            return None;
        }
        let constant = |i: usize| node.input.get(i).and_then(|name| constants.get(name.as_str()).copied());
        let values = constant(0).filter(|t| t.data_type == DataType::Int8 as i32)?;
        let zero = match node.input.get(2).map(String::as_str) {
            None | Some("") => None,
            Some(_) => Some(constant(2)?),
        };
        Some(Self { node, output: node.output.first()?, values, scale: constant(1)?, zero })
    }

    fn unpack(&self) -> Result<TensorProto, UnpackError> {
        let (channels, inner) = self.layout()?;
        let scales = self.scales(channels)?;
        let zeros = self.zeros(channels)?;
        let mut raw_data = Vec::with_capacity(self.values.raw_data.len() * 4);
        // Values run [outer, channels, inner]; a single scale is spread over one channel of everything.
        for (i, row) in self.values.raw_data.chunks_exact(inner).enumerate() {
            let c = i % channels;
            let (scale, zero) = (scales[c], f32::from(zeros[c]));
            for byte in row {
                raw_data.extend_from_slice(&((f32::from(i8::from_le_bytes([*byte])) - zero) * scale).to_le_bytes());
            }
        }
        let (name, dims) = (self.output.to_owned(), self.values.dims.clone());
        Ok(TensorProto { name, dims, data_type: DataType::Float as i32, raw_data, ..Default::default() })
    }

    /// Number of scales, and of values between a change of channel.
    fn layout(&self) -> Result<(usize, usize), UnpackError> {
        let values = self.values;
        let dims: Option<Vec<usize>> = values.dims.iter().map(|d| usize::try_from(*d).ok()).collect();
        let product = |d: &[usize]| d.iter().try_fold(1_usize, |p, d| p.checked_mul(*d));
        let dims = dims.filter(|d| product(d) == Some(values.raw_data.len()) && !values.raw_data.is_empty());
        let Some(dims) = dims else {
            let found = format!("shape {:?} with {} bytes", values.dims, values.raw_data.len());
            return Err(self.fault(values, found, "one byte of raw data for each element, at least one"));
        };
        if self.scale.dims.is_empty() || (self.scale.dims == [1] && dims.len() != 1) {
            return Ok((1, values.raw_data.len()));
        }
        let rank = i64::try_from(dims.len()).unwrap_or(i64::MAX);
        let axis = self.node.attribute.iter().find(|a| a.name == "axis").map_or(1, |a| a.i);
        let axis = usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis }).ok().filter(|a| *a < dims.len());
        let Some(axis) = axis else {
            return Err(self.fault(values, format!("{rank} axes"), "more axes than the node's attribute axis"));
        };
        match product(&dims[axis + 1..]) {
            Some(inner) if inner > 0 => Ok((dims[axis], inner)),
            _ => Err(self.fault(values, format!("shape {:?}", values.dims), "no axis of length 0")),
        }
    }

    fn scales(&self, channels: usize) -> Result<Vec<f32>, UnpackError> {
        let scale = self.scale;
        let found: Vec<f32> = if scale.raw_data.is_empty() {
            scale.float_data.clone()
        } else {
            scale.raw_data.chunks_exact(4).filter_map(|b| Some(f32::from_le_bytes(b.try_into().ok()?))).collect()
        };
        let right = scale.data_type == DataType::Float as i32 && found.len() == channels;
        if !right {
            let found = format!("type {}, {} scales", scale.data_type, found.len());
            return Err(self.fault(scale, found, "type float (1), one scale for each channel"));
        }
        match found.iter().find(|s| !s.is_finite()) {
            Some(s) => Err(self.fault(scale, format!("scale {s}"), "a finite number")),
            None => Ok(found),
        }
    }

    fn zeros(&self, channels: usize) -> Result<Vec<i8>, UnpackError> {
        let Some(zero) = self.zero else { return Ok(vec![0; channels]) };
        if zero.data_type != DataType::Int8 as i32 || zero.raw_data.len() != channels {
            let found = format!("type {}, {} bytes", zero.data_type, zero.raw_data.len());
            return Err(self.fault(zero, found, "type int8 (3), one byte of raw data for each channel"));
        }
        Ok(zero.raw_data.iter().map(|b| i8::from_le_bytes([*b])).collect())
    }

    fn fault(&self, tensor: &TensorProto, found: String, allowed: &'static str) -> UnpackError {
        UnpackError::Tensor { node: self.node.name.clone(), tensor: tensor.name.clone(), found, allowed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::AttributeProto;

    fn tensor(name: &str, dims: &[i64], of: DataType, raw_data: Vec<u8>) -> TensorProto {
        TensorProto { name: name.into(), dims: dims.to_vec(), data_type: of as i32, raw_data, ..Default::default() }
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// A model of one weight [2, 3], dequantized along `axis`, and a Conv that uses it.
    fn model(axis: i64, scales: &[f32], zeros: Option<Vec<u8>>) -> ModelProto {
        let n = scales.len() as i64;
        let mut initializer = vec![
            tensor("w.int8", &[2, 3], DataType::Int8, vec![1, 2, 3, 255, 254, 253]),
            tensor("w.scale", &[n], DataType::Float, floats(scales)),
            tensor("other", &[1], DataType::Float, floats(&[7.0])),
        ];
        let mut input = vec!["w.int8".to_owned(), "w.scale".to_owned()];
        if let Some(zeros) = zeros {
            initializer.push(tensor("w.zero", &[n], DataType::Int8, zeros));
            input.push("w.zero".into());
        }
        let attribute = vec![AttributeProto { name: "axis".into(), i: axis, ..Default::default() }];
        let dequantize = NodeProto {
            op_type: "DequantizeLinear".into(),
            name: "d".into(),
            input,
            output: vec!["w".into()],
            attribute,
            ..Default::default()
        };
        let conv = NodeProto {
            op_type: "Conv".into(),
            input: vec!["x".into(), "w".into()],
            output: vec!["y".into()],
            ..Default::default()
        };
        let graph = GraphProto { node: vec![dequantize, conv], initializer, ..Default::default() };
        ModelProto { graph: Some(graph), ..Default::default() }
    }

    fn weights(model: &ModelProto) -> Vec<f32> {
        let all = &model.graph.as_ref().unwrap().initializer;
        let w = all.iter().find(|t| t.name == "w").unwrap();
        assert_eq!(w.dims, [2, 3]);
        w.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    #[test]
    fn weights_are_unpacked_along_their_axis_and_the_packed_ones_are_gone() {
        // Axis, scales, zero points, unpacked weights.
        type Case = (i64, &'static [f32], Option<Vec<u8>>, [f32; 6]);
        let cases: [Case; 4] = [
            (0, &[1.0, 10.0], Some(vec![0, 0]), [1., 2., 3., -10., -20., -30.]),
            (1, &[1.0, 10.0, 100.0], None, [1., 20., 300., -1., -20., -300.]),
            (-2, &[1.0, 10.0], Some(vec![1, 255]), [0., 1., 2., 0., -10., -20.]),
            (0, &[2.0], None, [2., 4., 6., -2., -4., -6.]),
        ];
        for (axis, scales, zeros, want) in cases {
            let mut model = model(axis, scales, zeros);
            assert_eq!(dequantize_weights(&mut model), Ok(1));
            assert_eq!(weights(&model), want);
            let graph = model.graph.unwrap();
            assert_eq!(graph.node.len(), 1);
            let mut names: Vec<_> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["other", "w"]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_node_and_tensor() {
        let cases: [(ModelProto, &str); 6] = [
            (model(0, &[1.0, 2.0, 3.0], None), "tensor w.scale of node d"),
            (model(0, &[1.0, f32::NAN], None), "scale NaN"),
            (model(0, &[1.0, 2.0], Some(vec![0])), "tensor w.zero of node d"),
            (model(5, &[1.0, 2.0], None), "more axes"),
            (model(i64::MIN, &[1.0, 2.0], None), "more axes"),
            (
                {
                    let mut m = model(0, &[1.0, 2.0], None);
                    m.graph.as_mut().unwrap().initializer[0].dims = vec![i64::MAX, i64::MAX];
                    m
                },
                "one byte of raw data for each element",
            ),
        ];
        for (mut model, what) in cases {
            let error = dequantize_weights(&mut model).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert_eq!(dequantize_weights(&mut ModelProto::default()), Err(UnpackError::NoGraph));
    }

    #[test]
    fn a_tensor_that_is_computed_or_not_int8_is_left_alone() {
        let mut computed = model(0, &[1.0, 2.0], None);
        computed.graph.as_mut().unwrap().node[0].input[0] = "x".into();
        let mut unsigned = model(0, &[1.0, 2.0], None);
        unsigned.graph.as_mut().unwrap().initializer[0].data_type = DataType::Uint8 as i32;
        for mut model in [computed, unsigned] {
            let before = model.clone();
            assert_eq!(dequantize_weights(&mut model), Ok(0));
            assert_eq!(model.graph.unwrap().node, before.graph.unwrap().node);
        }
    }
}
