//! Parts of an ONNX file (onnx.proto, operator set 13): nodes, attributes, tensors, values. What is
//! written here is plain and standard; what is read may come from anywhere and is checked by who asks.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// Operator set: the first with a scale for each channel in DequantizeLinear.
pub const OPSET: i64 = 13;
/// File format version that goes with it.
const IR_VERSION: i64 = 7;

/// A model of one graph, as this program's own files are.
pub fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: "chexbox".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// A node with one output.
pub fn node(op: &str, name: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        name: name.into(),
        input: inputs.iter().map(|s| (*s).to_owned()).collect(),
        output: vec![output.into()],
        attribute,
        ..Default::default()
    }
}

/// An integer attribute.
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..Default::default() }
}

/// A float attribute.
pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f, ..Default::default() }
}

/// An attribute of integers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints: values.to_vec(), ..Default::default() }
}

/// The three attributes of a convolution or pooling over squares.
pub fn window(side: i64, stride: i64, pad: i64) -> Vec<AttributeProto> {
    vec![ints("kernel_shape", &[side; 2]), ints("strides", &[stride; 2]), ints("pads", &[pad; 4])]
}

/// A tensor of floats.
pub fn float_tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    tensor(name, dims, DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// A tensor of 8-bit integers.
pub fn int8_tensor(name: &str, dims: &[i64], values: &[i8]) -> TensorProto {
    tensor(name, dims, DataType::Int8, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// A tensor of raw little-endian elements.
pub fn tensor(name: &str, dims: &[i64], of: DataType, raw_data: Vec<u8>) -> TensorProto {
    TensorProto { name: name.into(), dims: dims.to_vec(), data_type: of as i32, raw_data, ..Default::default() }
}

/// The values of a float tensor; `None` where it holds another type, or another number than its shape says.
pub fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != DataType::Float as i32 {
        return None;
    }
    let values: Vec<f32> = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        tensor.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let wanted = tensor.dims.iter().try_fold(1_usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))?;
    (values.len() == wanted).then_some(values)
}

/// A float value of [N, sides], its first dimension open.
pub fn value(name: &str, sides: &[i64]) -> ValueInfoProto {
    let dimension = |value| Dimension { value: Some(value), ..Default::default() };
    let batch = dimension(dimension::Value::DimParam("N".into()));
    let rest = sides.iter().map(|s| dimension(dimension::Value::DimValue(*s)));
    let shape = TensorShapeProto { dim: std::iter::once(batch).chain(rest).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let of = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(of), ..Default::default() }
}
