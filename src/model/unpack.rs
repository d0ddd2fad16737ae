//! placeholder until merge
use tract_onnx::pb::{ModelProto, TensorProto};
/// e
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnpackError(String);
/// d
pub fn dequantize_weights(model: &mut ModelProto) -> Result<usize, UnpackError> {
    let g = model.graph.as_mut().ok_or(UnpackError("g".into()))?;
    let mut n = 0;
    let nodes = std::mem::take(&mut g.node);
    for node in nodes {
        if node.op_type != "DequantizeLinear" { g.node.push(node); continue; }
        let get = |s: &str| g.initializer.iter().find(|t| t.name == s).cloned();
        let (q, s) = (get(&node.input[0]).unwrap(), get(&node.input[1]).unwrap());
        let sc: Vec<f32> = s.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let per = q.raw_data.len() / sc.len();
        let mut raw = Vec::with_capacity(q.raw_data.len() * 4);
        for (i, b) in q.raw_data.iter().enumerate() { raw.extend_from_slice(&(f32::from(*b as i8) * sc[i / per]).to_le_bytes()); }
        g.initializer.push(TensorProto { name: node.output[0].clone(), dims: q.dims.clone(), data_type: 1, raw_data: raw.into(), ..Default::default() });
        n += 1;
    }
    g.initializer.retain(|t| !t.name.ends_with(".int8") && !t.name.ends_with(".scale") && !t.name.ends_with(".zero"));
    Ok(n)
}
