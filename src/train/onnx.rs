//! Writes a network as ONNX (opset 13): input `image` [N, 1, S, S], outputs `logits` [N, findings]
//! and `features` [N, channels, s, s]. Initializers carry torchvision's names; layers stay as they
//! are (BatchNormalization, Relu, Conv, ..., Concat), so that a reader can recognise them.

use super::TrainError;
use super::densenet::{DenseNet, EPSILON};
use crate::model::onnx::{self, float, float_tensor, int, node, value, window};
use tch::Device;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// The network for an input of side `size`, weights in f32.
///
/// # Errors
/// [`TrainError`] where a weight cannot be read.
pub fn write(net: &DenseNet, size: usize) -> Result<ModelProto, TrainError> {
    let shape = &net.architecture;
    let mut graph = Writer { net, nodes: vec![], initializers: vec![] };
    let mut x = graph.conv("image", "features.conv0", 2, 3)?;
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
        input: vec![value("image", &[1, size as i64, size as i64])],
        output: vec![value("logits", &[shape.findings]), value("features", &[shape.feature_channels(), side, side])],
        ..GraphProto::default()
    };
    Ok(onnx::model(graph))
}

struct Writer<'a> {
    net: &'a DenseNet,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Writer<'_> {
    fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("{name}.out");
        self.nodes.push(node(op, name, inputs, &output, attributes));
        output
    }

    fn conv(&mut self, x: &str, name: &str, stride: i64, pad: i64) -> Result<String, TrainError> {
        let weight = format!("{name}.weight");
        let side = self.initializer(&weight)?[2];
        Ok(self.node("Conv", name, &[x, &weight], window(side, stride, pad)))
    }

    fn norm(&mut self, x: &str, name: &str) -> Result<String, TrainError> {
        let parts = ["weight", "bias", "running_mean", "running_var"].map(|leaf| format!("{name}.{leaf}"));
        for part in &parts {
            self.initializer(part)?;
        }
        let inputs: Vec<&str> = std::iter::once(x).chain(parts.iter().map(String::as_str)).collect();
        Ok(self.node("BatchNormalization", name, &inputs, vec![float("epsilon", EPSILON as f32)]))
    }

    fn norm_relu(&mut self, x: &str, name: &str) -> Result<String, TrainError> {
        let y = self.norm(x, name)?;
        Ok(self.node("Relu", &format!("{name}.relu"), &[&y], vec![]))
    }

    fn pool(&mut self, op: &str, x: &str, name: &str, side: i64, stride: i64, pad: i64) -> String {
        self.node(op, name, &[x], window(side, stride, pad))
    }

    /// Adds a tensor of the network and gives its shape.
    fn initializer(&mut self, name: &str) -> Result<Vec<i64>, TrainError> {
        let tensor = self.net.get(name)?;
        let dims = tensor.size();
        let values = Vec::<f32>::try_from(tensor.detach().to_device(Device::Cpu).flatten(0, -1))?;
        self.initializers.push(float_tensor(name, &dims, &values));
        Ok(dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::architecture::Architecture;
    use crate::train::densenet::{Mode, Precision};
    use crate::train::probe;
    use crate::train::random::Random;
    use tch::Tensor;

    fn images(random: &mut Random, n: i64, size: i64) -> Tensor {
        Tensor::from_slice(&random.normal((n * size * size) as usize, 1.0)).view([n, 1, size, size])
    }

    /// A network whose statistics are not those of the start, so that every number takes part.
    fn lived(findings: usize, size: i64) -> DenseNet {
        let net = DenseNet::random(Architecture::tiny(findings), Device::Cpu, 5);
        let mut random = Random::of(&[1]);
        tch::no_grad(|| {
            for _ in 0..3 {
                net.forward(&images(&mut random, 8, size), Mode::Train, Precision::F32).unwrap();
            }
            let noise = Tensor::from_slice(&random.normal(net.params.numel(), 0.05));
            let _ = net.params.shallow_clone().g_add_(&noise);
        });
        net
    }

    #[test]
    fn tract_runs_the_file_and_agrees_with_libtorch() {
        for size in [32, 45, 64] {
            let net = lived(3, size as i64);
            let input = probe::input(size);
            let images = Tensor::from_slice(&input).view([1, 1, size as i64, size as i64]);
            let want = tch::no_grad(|| net.forward(&images, Mode::Eval, Precision::F32)).unwrap();
            let found = probe::run(&write(&net, size).unwrap(), size).unwrap();
            let logits = Vec::<f32>::try_from(want.logits.flatten(0, -1)).unwrap();
            assert_eq!(want.features.size()[2], net.architecture.feature_side(size) as i64);
            let features = Vec::<f32>::try_from(want.features.contiguous().flatten(0, -1)).unwrap();
            for (a, b) in [(&logits, &found.logits), (&features, &found.features)] {
                assert_eq!(a.len(), b.len());
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "size {size}");
            }
        }
    }

    #[test]
    fn closed_form_grad_cam_is_that_of_autograd() {
        // With L_c = b_c + (1 / Z) sum over positions of sum_k W[c,k] A_k, the gradient of L_c by A_k is W[c,k] / Z
        // everywhere; so are its means, and Grad-CAM is the closed form divided by Z, which no normalisation sees.
        let net = lived(3, 64);
        let images = images(&mut Random::of(&[2]), 1, 64);
        let out = net.forward(&images, Mode::Eval, Precision::F32).unwrap();
        let positions = (out.features.size()[2] * out.features.size()[3]) as f64;
        for c in 0..3 {
            let logit = out.logits.get(0).get(c);
            let gradient = Tensor::run_backward(&[logit], &[&out.features], true, false);
            let importance = gradient[0].mean_dim([2_i64, 3].as_slice(), true, tch::Kind::Float);
            let by_autograd = (importance * &out.features).sum_dim_intlist([1_i64].as_slice(), false, tch::Kind::Float);
            let weights = net.get("classifier.weight").unwrap().get(c).view([1, -1, 1, 1]);
            let closed = (weights * &out.features).sum_dim_intlist([1_i64].as_slice(), false, tch::Kind::Float);
            let top = closed.abs().max().double_value(&[]);
            let apart = (&closed.relu() - by_autograd.relu() * positions).abs().max().double_value(&[]);
            assert!(top > 0.0 && apart <= 1e-5 * top, "finding {c}: {apart} of {top}");
        }
    }
}
