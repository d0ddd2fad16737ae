//! A DenseNet as an ONNX file (opset 13): input `image` [N, C, S, S], outputs `logits` [N, findings]
//! and `features` [N, channels, s, s]. Initializers carry torchvision's names; layers stay as they
//! are (BatchNormalization, Relu, Conv, ..., Concat), so that a reader can recognise them.

use super::architecture::Architecture;
use super::onnx::{self, float, float_tensor, int, node, value, window};
use super::weights::Weights;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// Added to every variance before its root is taken: torch's default.
pub const EPSILON: f64 = 1e-5;

/// The network of this shape for an input of side `size`, weights in f32 as `weights` gives them by name. The first
/// convolution says how many channels an image has.
///
/// # Errors
/// What `weights` says of a tensor that cannot be had.
pub fn write<E>(shape: &Architecture, size: usize, weights: &mut dyn FnMut(&str) -> Result<Weights, E>) -> Result<ModelProto, E> {
    let mut graph = Writer { weights, nodes: vec![], initializers: vec![] };
    let mut x = graph.conv("image", "features.conv0", 2, 3)?;
    let channels = graph.initializers.first().and_then(|t| t.dims.get(1)).copied().unwrap_or(1);
    x = graph.norm_relu(&x, "features.norm0")?;
    x = graph.pool("MaxPool", &x, "features.pool0", 3, 2, 1);
    for (b, &layers) in shape.blocks.iter().enumerate() {
        for l in 0..layers {
            let at = format!("features.denseblock{}.denselayer{}", b + 1, l + 1);
            let y = graph.norm_relu(&x, &format!("{at}.norm1"))?;
            let y = graph.conv(&y, &format!("{at}.conv1"), 1, 0)?;
            let y = graph.norm_relu(&y, &format!("{at}.norm2"))?;
            let y = graph.conv(&y, &format!("{at}.conv2"), 1, 1)?;
            x = graph.node("Concat", &format!("{at}.concat"), &[&x, &y], vec![int("axis", 1)]);
        }
        if b + 1 < shape.blocks.len() {
            let at = format!("features.transition{}", b + 1);
            let y = graph.norm_relu(&x, &format!("{at}.norm"))?;
            let y = graph.conv(&y, &format!("{at}.conv"), 1, 0)?;
            x = graph.pool("AveragePool", &y, &format!("{at}.pool"), 2, 2, 0);
        }
    }
    let last = format!("features.norm{}", shape.blocks.len() + 1);
    let y = graph.norm(&x, &last)?;
    graph.nodes.push(node("Relu", "features.relu", &[&y], "features", vec![]));
    let pooled = graph.node("GlobalAveragePool", "pool", &["features"], vec![]);
    let flat = graph.node("Flatten", "flatten", &[&pooled], vec![int("axis", 1)]);
    for name in ["classifier.weight", "classifier.bias"] {
        graph.initializer(name)?;
    }
    let inputs = [flat.as_str(), "classifier.weight", "classifier.bias"];
    graph.nodes.push(node("Gemm", "classifier", &inputs, "logits", vec![int("transB", 1)]));
    let side = shape.feature_side(size) as i64;
    let graph = GraphProto {
        name: "densenet".into(),
        node: graph.nodes,
        initializer: graph.initializers,
        input: vec![value("image", &[channels, size as i64, size as i64])],
        output: vec![value("logits", &[shape.findings]), value("features", &[shape.feature_channels(), side, side])],
        ..GraphProto::default()
    };
    Ok(onnx::model(graph))
}

struct Writer<'a, E> {
    weights: &'a mut dyn FnMut(&str) -> Result<Weights, E>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl<E> Writer<'_, E> {
    fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("{name}.out");
        self.nodes.push(node(op, name, inputs, &output, attributes));
        output
    }

    fn conv(&mut self, x: &str, name: &str, stride: i64, pad: i64) -> Result<String, E> {
        let weight = format!("{name}.weight");
        let side = self.initializer(&weight)?.get(2).copied().unwrap_or(1);
        Ok(self.node("Conv", name, &[x, &weight], window(side, stride, pad)))
    }

    fn norm(&mut self, x: &str, name: &str) -> Result<String, E> {
        let parts = ["weight", "bias", "running_mean", "running_var"].map(|leaf| format!("{name}.{leaf}"));
        for part in &parts {
            self.initializer(part)?;
        }
        let inputs: Vec<&str> = std::iter::once(x).chain(parts.iter().map(String::as_str)).collect();
        Ok(self.node("BatchNormalization", name, &inputs, vec![float("epsilon", EPSILON as f32)]))
    }

    fn norm_relu(&mut self, x: &str, name: &str) -> Result<String, E> {
        let y = self.norm(x, name)?;
        Ok(self.node("Relu", &format!("{name}.relu"), &[&y], vec![]))
    }

    fn pool(&mut self, op: &str, x: &str, name: &str, side: i64, stride: i64, pad: i64) -> String {
        self.node(op, name, &[x], window(side, stride, pad))
    }

    /// Adds a tensor of the network and gives its shape.
    fn initializer(&mut self, name: &str) -> Result<Vec<i64>, E> {
        let tensor = (self.weights)(name)?;
        let dims: Vec<i64> = tensor.shape().iter().map(|n| *n as i64).collect();
        self.initializers.push(float_tensor(name, &dims, tensor.values()));
        Ok(dims)
    }
}
