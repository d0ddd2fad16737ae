//! A chain as an ONNX file: convolutions with integer weights between QuantizeLinear and
//! DequantizeLinear (the QDQ form, which every runtime knows), the others as they are.

use super::chain::{Affine, Block, Chain, Conv, Weights};
use crate::model::onnx::{self, float, float_tensor, int, int8_tensor, node, tensor, value, window};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// A file, and where in it things flow.
pub struct Written {
    /// The file.
    pub model: ModelProto,
    /// Names of the values that enter the convolutions of [`Chain::each_site`], in its order: before QuantizeLinear.
    pub sites: Vec<String>,
}

/// The file for images of side `size`: input `image` [N, channels, S, S], outputs `logits` and `features`.
pub fn write(chain: &Chain, size: usize) -> Written {
    let mut file = Writer::default();
    let stem = file.conv("image", "features.conv0", &chain.stem, 2, 3);
    let stem = file.op("Relu", "features.relu0", &stem, vec![]);
    let mut x = file.op("MaxPool", "features.pool0", &stem, window(3, 2, 1));
    for (b, block) in chain.blocks.iter().enumerate() {
        x = file.block(x, b + 1, block);
    }
    let last = file.norm(&x, "features.norm", &chain.norm);
    file.nodes.push(node("Relu", "features.relu", &[&last], "features", vec![]));
    let pooled = file.op("GlobalAveragePool", "pool", "features", vec![]);
    let flat = file.op("Flatten", "flatten", &pooled, vec![int("axis", 1)]);
    let (logits, channels) = (chain.head_bias.len() as i64, chain.feature_channels() as i64);
    file.initializers.push(float_tensor("classifier.weight", &[logits, channels], &chain.head));
    file.initializers.push(float_tensor("classifier.bias", &[logits], &chain.head_bias));
    let inputs = [flat.as_str(), "classifier.weight", "classifier.bias"];
    file.nodes.push(node("Gemm", "classifier", &inputs, "logits", vec![int("transB", 1)]));
    let (size, side) = (size as i64, chain.feature_side(size) as i64);
    let graph = GraphProto {
        name: "densenet".into(),
        node: file.nodes,
        initializer: file.initializers,
        input: vec![value("image", &[chain.image_channels() as i64, size, size])],
        output: vec![value("logits", &[logits]), value("features", &[channels, side, side])],
        ..GraphProto::default()
    };
    Written { model: onnx::model(graph), sites: file.sites }
}

#[derive(Default)]
struct Writer {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    sites: Vec<String>,
}

impl Writer {
    fn block(&mut self, mut x: String, number: usize, block: &Block) -> String {
        for (l, layer) in block.layers.iter().enumerate() {
            let at = format!("features.denseblock{number}.denselayer{}", l + 1);
            let y = self.norm_relu(&x, &format!("{at}.norm1"), &layer.norm);
            let y = self.site(&y, &format!("{at}.conv1"), &layer.bottleneck, 0);
            let y = self.op("Relu", &format!("{at}.relu2"), &y, vec![]);
            let y = self.site(&y, &format!("{at}.conv2"), &layer.growth, 1);
            x = self.join("Concat", &format!("{at}.concat"), &[&x, &y], vec![int("axis", 1)]);
        }
        if let Some(transition) = &block.transition {
            let at = format!("features.transition{number}");
            let y = self.norm_relu(&x, &format!("{at}.norm"), &transition.norm);
            let y = self.op("AveragePool", &format!("{at}.pool"), &y, window(2, 2, 0));
            x = self.site(&y, &format!("{at}.conv"), &transition.conv, 0);
        }
        x
    }

    fn site(&mut self, x: &str, name: &str, conv: &Conv, pad: i64) -> String {
        self.sites.push(x.to_owned());
        self.conv(x, name, conv, 1, pad)
    }

    fn conv(&mut self, x: &str, name: &str, conv: &Conv, stride: i64, pad: i64) -> String {
        let dims = [conv.outputs, conv.inputs, conv.side, conv.side].map(|n| n as i64);
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let x = match &conv.weights {
            Weights::F32(values) => {
                self.initializers.push(float_tensor(&weight, &dims, values));
                x.to_owned()
            }
            Weights::Int8 { values, scales, input_step } => {
                let parts = [format!("{weight}.int8"), format!("{weight}.scale"), format!("{weight}.zero")];
                let [int8, scale, zero] = &parts;
                let per_output = [conv.outputs as i64];
                self.initializers.push(int8_tensor(int8, &dims, values));
                self.initializers.push(float_tensor(scale, &per_output, scales));
                self.initializers.push(int8_tensor(zero, &per_output, &vec![0; conv.outputs]));
                let axis = vec![int("axis", 0)];
                self.nodes.push(node("DequantizeLinear", &format!("{weight}.dequantize"), &[int8, scale, zero], &weight, axis));
                self.rounded(x, name, *input_step)
            }
        };
        let mut inputs = vec![x.as_str(), &weight];
        if conv.bias.iter().any(|b| *b != 0.0) {
            self.initializers.push(float_tensor(&bias, &[conv.outputs as i64], &conv.bias));
            inputs.push(&bias);
        }
        self.join("Conv", name, &inputs, window(conv.side as i64, stride, pad))
    }

    /// QuantizeLinear and DequantizeLinear with one scale and zero point 0.
    fn rounded(&mut self, x: &str, name: &str, step: f32) -> String {
        let (scale, zero) = (format!("{name}.input.scale"), format!("{name}.input.zero"));
        self.initializers.push(float_tensor(&scale, &[], &[step]));
        self.initializers.push(tensor(&zero, &[], DataType::Uint8, vec![0]));
        let y = self.join("QuantizeLinear", &format!("{name}.quantize"), &[x, &scale, &zero], vec![]);
        self.join("DequantizeLinear", &format!("{name}.dequantize"), &[&y, &scale, &zero], vec![])
    }

    fn norm_relu(&mut self, x: &str, name: &str, norm: &Affine) -> String {
        let y = self.norm(x, name, norm);
        self.op("Relu", &format!("{name}.relu"), &y, vec![])
    }

    /// BatchNormalization with mean 0, variance 1 and nothing added to it: factor and summand as they are.
    fn norm(&mut self, x: &str, name: &str, norm: &Affine) -> String {
        let channels = norm.scale.len();
        let parts = [
            ("weight", norm.scale.clone()),
            ("bias", norm.shift.clone()),
            ("mean", vec![0.0; channels]),
            ("variance", vec![1.0; channels]),
        ];
        let mut inputs = vec![x.to_owned()];
        for (leaf, values) in parts {
            let name = format!("{name}.{leaf}");
            self.initializers.push(float_tensor(&name, &[channels as i64], &values));
            inputs.push(name);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.join("BatchNormalization", name, &inputs, vec![float("epsilon", 0.0)])
    }

    fn op(&mut self, op: &str, name: &str, x: &str, attributes: Vec<AttributeProto>) -> String {
        self.join(op, name, &[x], attributes)
    }

    fn join(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("{name}.out");
        self.nodes.push(node(op, name, inputs, &output, attributes));
        output
    }
}
