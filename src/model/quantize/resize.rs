//! The same network for images of another size: only what the file declares changes.

use super::QuantizeError;
use super::recognise::recognise;
use crate::model::onnx::value;
use crate::model::unpack::remove_quantization;
use tract_onnx::pb::ModelProto;

/// `model`, a DenseNet, for images of side `size`.
///
/// # Errors
/// [`QuantizeError`] where it is no DenseNet.
pub fn resized(model: &ModelProto, size: usize) -> Result<ModelProto, QuantizeError> {
    let mut plain = model.clone();
    remove_quantization(&mut plain)?;
    let chain = recognise(&plain)?;
    drop(plain);
    let mut model = model.clone();
    let graph = model.graph.as_mut().ok_or(QuantizeError::NoGraph)?;
    let side = chain.feature_side(size) as i64;
    let is_weight = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    for input in graph.input.iter_mut().filter(|v| !is_weight(&v.name)) {
        *input = value(&input.name, &[chain.image_channels() as i64, size as i64, size as i64]);
    }
    for output in graph.output.iter_mut().filter(|v| v.name == "features") {
        *output = value(&output.name, &[chain.feature_channels() as i64, side, side]);
    }
    // Shapes noted inside the graph are those of the old size.
    graph.value_info.clear();
    Ok(model)
}
