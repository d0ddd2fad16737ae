//! Small DenseNets as ONNX graphs, in every form that the graph rewrite is promised to know; weights by a formula.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// How weights, and in the last form activations, are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stored {
    Floats,
    Int8Weights,
    Quantized,
}

/// Whether a transition pools before its convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pooled {
    Before,
    After,
}

/// Whether a layer's input is the layer before it and what that gave, or all layers concatenated again, as torchvision does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Joined {
    OneByOne,
    AllAgain,
}

/// Whether a normalization behind a convolution is a node, or has gone into the convolution, as torch.onnx exports it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norms {
    Nodes,
    Folded,
}

/// A DenseNet.
#[derive(Clone, Debug)]
pub struct Form {
    pub channels: usize,
    pub stem: usize,
    pub growth: usize,
    pub bottleneck: usize,
    pub blocks: Vec<usize>,
    pub logits: usize,
    pub stored: Stored,
    pub pooled: Pooled,
    pub joined: Joined,
    pub norms: Norms,
}

impl Form {
    /// A network of two blocks in f32, as `chexbox train` writes them.
    pub fn small() -> Self {
        Self {
            channels: 1,
            stem: 16,
            growth: 8,
            bottleneck: 16,
            blocks: vec![2, 3],
            logits: 5,
            stored: Stored::Floats,
            pooled: Pooled::After,
            joined: Joined::OneByOne,
            norms: Norms::Nodes,
        }
    }

    /// The same quantized.
    pub fn quantized() -> Self {
        Self { stored: Stored::Quantized, pooled: Pooled::Before, norms: Norms::Folded, ..Self::small() }
    }

    /// The graph: input `image` [N, C, size, size], outputs `logits` and `features`.
    pub fn model(&self, size: usize) -> ModelProto {
        let mut w = Writer { form: self, nodes: vec![], tensors: vec![], seed: 1 };
        let mut channels = self.stem;
        let mut x = w.conv("image", "stem", self.channels, self.stem, 7, 2, 3, Stored::Floats);
        x = w.norm_behind_conv(&x, "stem", channels);
        x = w.node("MaxPool", &[&x], "pool0", window(3, 2, 1));
        for (b, &layers) in self.blocks.iter().enumerate() {
            let mut parts = vec![x.clone()];
            for l in 0..layers {
                let at = format!("block{b}.layer{l}");
                x = self.join(&mut w, &parts, &x, &at);
                let y = w.norm_relu(&x, &format!("{at}.norm1"), channels);
                let y = w.quantize(&y, &format!("{at}.q1"));
                let y = w.conv(&y, &format!("{at}.conv1"), channels, self.bottleneck, 1, 1, 0, self.stored);
                let y = w.norm_behind_conv(&y, &format!("{at}.conv1"), self.bottleneck);
                let y = w.quantize(&y, &format!("{at}.q2"));
                let y = w.conv(&y, &format!("{at}.conv2"), self.bottleneck, self.growth, 3, 1, 1, self.stored);
                parts.push(y);
                channels += self.growth;
                if self.joined == Joined::OneByOne {
                    let last = parts.len() - 1;
                    x = w.node("Concat", &[&x, &parts[last].clone()], &format!("{at}.join"), vec![int("axis", 1)]);
                }
            }
            x = self.join(&mut w, &parts, &x, &format!("block{b}"));
            if b + 1 < self.blocks.len() {
                x = w.transition(&x, b, channels);
                channels /= 2;
            }
        }
        let y = w.norm(&x, "last", channels);
        w.nodes.push(node("Relu", &[&y], "last.relu", "features", vec![]));
        let mean = w.node("GlobalAveragePool", &["features"], "mean", vec![]);
        let flat = w.node("Flatten", &[&mean], "flat", vec![int("axis", 1)]);
        w.tensor("head.weight", &[self.logits, channels], 0.3, 0.0);
        w.tensor("head.bias", &[self.logits], 0.2, 0.0);
        w.nodes.push(node("Gemm", &[&flat, "head.weight", "head.bias"], "head", "logits", vec![int("transB", 1)]));
        let graph = GraphProto {
            name: "densenet".into(),
            node: w.nodes,
            initializer: w.tensors,
            input: vec![value("image", &[self.channels, size, size])],
            output: vec![value("logits", &[self.logits]), value("features", &[channels])],
            ..GraphProto::default()
        };
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
        ModelProto { ir_version: 7, opset_import, graph: Some(graph), ..ModelProto::default() }
    }

    fn join(&self, w: &mut Writer<'_>, parts: &[String], joined: &str, at: &str) -> String {
        if self.joined == Joined::OneByOne {
            return joined.to_owned();
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        w.node("Concat", &parts, &format!("{at}.all"), vec![int("axis", 1)])
    }
}

struct Writer<'a> {
    form: &'a Form,
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
    seed: u64,
}

impl Writer<'_> {
    /// The next number of a Lehmer generator (Park and Miller 1988), in [-1, 1).
    fn next(&mut self) -> f32 {
        self.seed = self.seed * 48_271 % 0x7fff_ffff;
        (self.seed as f64 / f64::from(0x3fff_ffff) - 1.0) as f32
    }

    fn tensor(&mut self, name: &str, dims: &[usize], spread: f32, mean: f32) {
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| self.next() * spread + mean).collect();
        self.tensors.push(floats(name, dims, &values));
    }

    fn node(&mut self, op: &str, inputs: &[&str], name: &str, attributes: Vec<AttributeProto>) -> String {
        let output = format!("{name}.out");
        self.nodes.push(node(op, inputs, name, &output, attributes));
        output
    }

    #[allow(clippy::too_many_arguments)]
    fn conv(
        &mut self,
        x: &str,
        name: &str,
        from: usize,
        to: usize,
        side: usize,
        stride: i64,
        pad: i64,
        stored: Stored,
    ) -> String {
        let weight = format!("{name}.weight");
        let dims = [to, from, side, side];
        let spread = 2.0 / ((from * side * side) as f32).sqrt();
        if stored == Stored::Floats {
            self.tensor(&weight, &dims, spread, 0.0);
        } else {
            // No two of one sign reach 128 together: CPUs with 16-bit sums must not saturate.
            let values: Vec<u8> = (0..dims.iter().product()).map(|_| ((self.next() * 64.0) as i8).to_le_bytes()[0]).collect();
            let parts = ["int8", "scale", "zero"].map(|part| format!("{weight}.{part}"));
            self.tensors.push(tensor(&parts[0], &dims, DataType::Int8, values));
            self.tensor(&parts[1], &[to], spread / 640.0, spread / 64.0);
            self.tensors.push(tensor(&parts[2], &[to], DataType::Int8, vec![0; to]));
            let inputs: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.nodes.push(node("DequantizeLinear", &inputs, &format!("{weight}.dequantize"), &weight, vec![int("axis", 0)]));
        }
        let attributes = vec![ints("kernel_shape", &[side as i64; 2]), ints("strides", &[stride; 2]), ints("pads", &[pad; 4])];
        if self.form.norms == Norms::Nodes {
            return self.node("Conv", &[x, &weight], name, attributes);
        }
        let bias = format!("{name}.bias");
        self.tensor(&bias, &[to], 0.2, 0.1);
        self.node("Conv", &[x, &weight, &bias], name, attributes)
    }

    fn norm(&mut self, x: &str, name: &str, channels: usize) -> String {
        let parts = ["scale", "bias", "mean", "var"].map(|part| format!("{name}.{part}"));
        for (part, (spread, mean)) in parts.iter().zip([(0.3, 1.0), (0.3, 0.2), (0.2, 0.0), (0.5, 1.0)]) {
            self.tensor(part, &[channels], spread, mean);
        }
        let inputs: Vec<&str> = std::iter::once(x).chain(parts.iter().map(String::as_str)).collect();
        self.node("BatchNormalization", &inputs, name, vec![float("epsilon", 1e-5)])
    }

    fn norm_relu(&mut self, x: &str, name: &str, channels: usize) -> String {
        let y = self.norm(x, name, channels);
        self.node("Relu", &[&y], &format!("{name}.relu"), vec![])
    }

    fn norm_behind_conv(&mut self, x: &str, name: &str, channels: usize) -> String {
        match self.form.norms {
            Norms::Nodes => self.norm_relu(x, &format!("{name}.norm"), channels),
            Norms::Folded => self.node("Relu", &[x], &format!("{name}.relu"), vec![]),
        }
    }

    fn quantize(&mut self, x: &str, name: &str) -> String {
        if self.form.stored != Stored::Quantized {
            return x.to_owned();
        }
        let (scale, zero) = (format!("{name}.scale"), format!("{name}.zero"));
        self.tensors.push(floats(&scale, &[], &[0.021]));
        self.tensors.push(tensor(&zero, &[], DataType::Uint8, vec![0]));
        let q = self.node("QuantizeLinear", &[x, &scale, &zero], name, vec![]);
        self.node("DequantizeLinear", &[&q, &scale, &zero], &format!("{name}.back"), vec![])
    }

    fn transition(&mut self, x: &str, b: usize, channels: usize) -> String {
        let at = format!("transition{b}");
        let y = self.norm_relu(x, &format!("{at}.norm"), channels);
        let conv = |w: &mut Self, y: &str| w.conv(y, &format!("{at}.conv"), channels, channels / 2, 1, 1, 0, w.form.stored);
        let pool = |w: &mut Self, y: &str| w.node("AveragePool", &[y], &format!("{at}.pool"), window(2, 2, 0));
        match self.form.pooled {
            Pooled::Before => {
                let y = pool(self, &y);
                let y = self.quantize(&y, &format!("{at}.q"));
                conv(self, &y)
            }
            Pooled::After => {
                let y = conv(self, &y);
                pool(self, &y)
            }
        }
    }
}

fn window(side: i64, stride: i64, pad: i64) -> Vec<AttributeProto> {
    vec![ints("kernel_shape", &[side; 2]), ints("strides", &[stride; 2]), ints("pads", &[pad; 4])]
}

/// A node with one output.
pub fn node(op: &str, inputs: &[&str], name: &str, output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        name: name.into(),
        input: inputs.iter().map(|s| (*s).to_owned()).collect(),
        output: vec![output.into()],
        attribute,
        ..NodeProto::default()
    }
}

/// A tensor of raw bytes.
pub fn tensor(name: &str, dims: &[usize], of: DataType, raw_data: Vec<u8>) -> TensorProto {
    let dims = dims.iter().map(|d| *d as i64).collect();
    TensorProto { name: name.into(), dims, data_type: of as i32, raw_data, ..TensorProto::default() }
}

/// A tensor of f32.
pub fn floats(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    tensor(name, dims, DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// An integer attribute.
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f, ..AttributeProto::default() }
}

/// An attribute of integers.
pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints: ints.to_vec(), ..AttributeProto::default() }
}

fn value(name: &str, sides: &[usize]) -> ValueInfoProto {
    let dim = |value| Dimension { value: Some(value), ..Dimension::default() };
    let batch = dim(dimension::Value::DimParam("N".into()));
    let rest = sides.iter().map(|s| dim(dimension::Value::DimValue(*s as i64)));
    let shape = TensorShapeProto { dim: std::iter::once(batch).chain(rest).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let of = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(of), ..ValueInfoProto::default() }
}
