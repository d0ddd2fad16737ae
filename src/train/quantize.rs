//! Weights of Conv and Gemm as int8 with one scale for each output channel; everything else stays f32.
//! The file is a quarter of the size, and standard ONNX: `W` becomes `W.int8`, `W.scale` and a
//! DequantizeLinear node that gives `W`.

use super::TrainError;
use crate::model::onnx::{int, node};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

/// The model with int8 weights.
///
/// # Errors
/// [`TrainError::Run`] where a weight is not what [`super::onnx::write`] writes.
pub fn quantize(model: &ModelProto) -> Result<ModelProto, TrainError> {
    let mut model = model.clone();
    let graph = model.graph.as_mut().ok_or_else(|| TrainError::Run("the model has no graph".into()))?;
    let of = |n: &tract_onnx::pb::NodeProto| matches!(n.op_type.as_str(), "Conv" | "Gemm").then(|| n.input.get(1).cloned())?;
    let weights: Vec<String> = graph.node.iter().filter_map(of).collect();
    let mut front = Vec::with_capacity(weights.len());
    for name in weights {
        let at = graph.initializer.iter().position(|t| t.name == name);
        let weight =
            at.map(|i| graph.initializer.remove(i)).ok_or_else(|| TrainError::Run(format!("{name} is not a constant")))?;
        let parts = [format!("{name}.int8"), format!("{name}.scale"), format!("{name}.zero")];
        graph.initializer.extend(split(&weight, &parts)?);
        let inputs: Vec<&str> = parts.iter().map(String::as_str).collect();
        front.push(node("DequantizeLinear", &format!("{name}.dequantize"), &inputs, &name, vec![int("axis", 0)]));
    }
    front.append(&mut graph.node);
    graph.node = front;
    Ok(model)
}

/// int8 values, scales and zero points of a weight [O, ...]; value = scale[o] * int8, scale = largest magnitude / 127.
fn split(weight: &TensorProto, names: &[String; 3]) -> Result<[TensorProto; 3], TrainError> {
    let values: Vec<f32> = weight.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let channels =
        weight.dims.first().and_then(|d| usize::try_from(*d).ok()).filter(|c| *c > 0 && values.len().is_multiple_of(*c));
    let channels = channels.ok_or_else(|| TrainError::Run(format!("{}: shape {:?}", weight.name, weight.dims)))?;
    if values.iter().any(|v| !v.is_finite()) {
        return Err(TrainError::Run(format!("{} holds a value that is not finite", weight.name)));
    }
    let (mut ints, mut scales) = (Vec::with_capacity(values.len()), Vec::with_capacity(channels * 4));
    for channel in values.chunks_exact(values.len() / channels) {
        let top = channel.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let scale = if top > 0.0 { top / 127.0 } else { 1.0 };
        ints.extend(channel.iter().map(|v| ((v / scale).round().clamp(-127.0, 127.0) as i8).to_le_bytes()[0]));
        scales.extend_from_slice(&scale.to_le_bytes());
    }
    let tensor = |name: &String, dims: Vec<i64>, of: DataType, raw_data| TensorProto {
        name: name.clone(),
        dims,
        data_type: of as i32,
        raw_data,
        ..Default::default()
    };
    let per_channel = vec![channels as i64];
    Ok([
        tensor(&names[0], weight.dims.clone(), DataType::Int8, ints),
        tensor(&names[1], per_channel.clone(), DataType::Float, scales),
        tensor(&names[2], per_channel, DataType::Int8, vec![0; channels]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dequantize_weights;
    use crate::train::architecture::Architecture;
    use crate::train::densenet::DenseNet;
    use crate::train::{onnx, probe};

    #[test]
    fn unpacked_weights_are_within_half_a_step_and_tract_gives_the_same_before_and_after_unpacking() {
        let net = DenseNet::random(Architecture::tiny(2), tch::Device::Cpu, 3);
        let plain = onnx::write(&net, 32).unwrap();
        let packed = quantize(&plain).unwrap();
        let mut unpacked = packed.clone();
        let count = dequantize_weights(&mut unpacked).unwrap();
        let convs = plain.graph.as_ref().unwrap().node.iter().filter(|n| n.op_type == "Conv" || n.op_type == "Gemm").count();
        assert_eq!(count, convs);
        for want in &plain.graph.as_ref().unwrap().initializer {
            let found = unpacked.graph.as_ref().unwrap().initializer.iter().find(|t| t.name == want.name).unwrap();
            assert_eq!(found.dims, want.dims);
            let read = |t: &TensorProto| -> Vec<f32> {
                t.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
            };
            let (found, want) = (read(found), read(want));
            let top = want.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!(found.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 0.501 * top / 127.0));
        }
        let (a, b) = (probe::run(&packed, 32).unwrap(), probe::run(&unpacked, 32).unwrap());
        assert!(a.logits.iter().zip(&b.logits).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
