//! What an ONNX file says of its own inputs and outputs, read without loading it.
//!
//! `build.rs` uses this same code to check shapes before a model is embedded; hence only the few
//! protobuf fields that matter are named here (onnx.proto of ONNX 1.16; unknown fields are skipped).

use prost::Message;

/// Name and fixed dimensions of an input or output; -1 stands for a dimension the file leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Name of the value.
    pub name: String,
    /// Dimensions.
    pub dims: Vec<i64>,
}

/// Inputs (initializers left out) and outputs of an ONNX model file, in the file's order.
///
/// # Errors
/// A sentence that says what is wrong with the file.
pub fn declared(onnx: &[u8]) -> Result<(Vec<Declared>, Vec<Declared>), String> {
    let model = Model::decode(onnx).map_err(|e| format!("not an ONNX model: {e}"))?;
    let graph = model.graph.ok_or("not an ONNX model: it holds no graph")?;
    let is_weight = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    let inputs = graph.input.iter().filter(|v| !is_weight(&v.name)).map(Value::declared).collect();
    Ok((inputs, graph.output.iter().map(Value::declared).collect()))
}

/// Checks that a model takes an image of these channels, rows and columns, and gives `logits` [.., findings] and `features` [.., C, s, s].
///
/// # Errors
/// A sentence that names the value, its shape and the shape the manifest asks for.
pub fn check_shapes(onnx: &[u8], image: [usize; 3], findings: usize, channels: usize, side: usize) -> Result<(), String> {
    let (inputs, outputs) = declared(onnx)?;
    let [input] = inputs.as_slice() else {
        return Err(format!("the model has {} inputs, its manifest describes one", inputs.len()));
    };
    fits(input, &image)?;
    for (name, dims) in [("logits", vec![findings]), ("features", vec![channels, side, side])] {
        let output = outputs.iter().find(|o| o.name == name).ok_or_else(|| format!("the model has no output named {name}"))?;
        fits(output, &dims)?;
    }
    Ok(())
}

fn fits(value: &Declared, dims: &[usize]) -> Result<(), String> {
    let (batch, rest) = value.dims.split_first().ok_or_else(|| format!("{} has no shape", value.name))?;
    let same = rest.len() == dims.len() && rest.iter().zip(dims).all(|(d, want)| usize::try_from(*d) == Ok(*want));
    if same && (*batch == 1 || *batch == -1) {
        return Ok(());
    }
    Err(format!("{} has shape {:?}, its manifest asks for [1, {}]", value.name, value.dims, join(dims)))
}

fn join(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(string, tag = "8")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
struct Dim {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
}

impl Value {
    fn declared(&self) -> Declared {
        let shape = self.kind.as_ref().and_then(|k| k.tensor.as_ref()).and_then(|t| t.shape.as_ref());
        let dims = shape.map(|s| s.dim.iter().map(|d| d.value.unwrap_or(-1)).collect()).unwrap_or_default();
        Declared { name: self.name.clone(), dims }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, dims: &[i64]) -> Value {
        let dim = dims.iter().map(|d| Dim { value: (*d >= 0).then_some(*d) }).collect();
        let tensor = Some(TensorType { shape: Some(Shape { dim }) });
        Value { name: name.into(), kind: Some(Type { tensor }) }
    }

    fn file(input: &[i64], logits: &[i64]) -> Vec<u8> {
        let graph = Graph {
            initializer: vec![Tensor { name: "w".into() }],
            input: vec![value("image", input), value("w", &[3])],
            output: vec![value("logits", logits), value("features", &[1, 8, 4, 4])],
        };
        Model { graph: Some(graph) }.encode_to_vec()
    }

    #[test]
    fn shapes_that_differ_from_the_manifest_are_named() {
        let check = |file: &[u8]| check_shapes(file, [1, 64, 64], 25, 8, 4);
        assert_eq!(check(&file(&[1, 1, 64, 64], &[1, 25])), Ok(()));
        assert_eq!(check(&file(&[-1, 1, 64, 64], &[-1, 25])), Ok(()));
        for (bytes, want) in [
            (file(&[1, 3, 64, 64], &[1, 25]), "image has shape [1, 3, 64, 64], its manifest asks for [1, 1, 64, 64]"),
            (file(&[1, 1, 64, 64], &[1, 10]), "logits has shape [1, 10], its manifest asks for [1, 25]"),
            (file(&[2, 1, 64, 64], &[1, 25]), "image has shape [2, 1, 64, 64], its manifest asks for [1, 1, 64, 64]"),
            (file(&[], &[1, 25]), "image has no shape"),
            (vec![], "not an ONNX model: it holds no graph"),
        ] {
            assert_eq!(check(&bytes), Err(want.to_owned()));
        }
    }
}
