//! From an ONNX graph to a typed one, without what costs time and gives our graphs nothing.
//!
//! tract compares every constant it adds with all others, to store equal ones once, twice over; and it analyses a
//! graph again after passes that are meant for operators of other frameworks. A DenseNet has 900 constants, none equal.

use tract_onnx::Onnx;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};
use tract_onnx::prelude::Framework;
use tract_onnx::tract_core::model::translator::Translate;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::konst::Const;

/// Name and operator of a node that is a stored tensor.
const CONSTANT: &str = "Constant";

/// The typed graph of a model with one input of this shape. The model comes back with its constants as
/// initializers.
pub(in crate::model) fn typed(reader: &Onnx, model: &mut ModelProto, shape: [usize; 4]) -> TractResult<TypedModel> {
    if let Some(graph) = &mut model.graph {
        tensors_to_nodes(graph);
    }
    let parsed = reader.model_for_proto_model(model);
    if let Some(graph) = &mut model.graph {
        nodes_to_tensors(graph);
    }
    let mut parsed = parsed?.with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?;
    parsed.analyse(false)?;
    ToTyped.translate_model(&parsed)
}

/// Adds a constant as it is, whether there is an equal one or not.
pub(super) fn add_constant(model: &mut TypedModel, name: String, value: impl IntoArcTensor) -> TractResult<OutletId> {
    let value = value.into_arc_tensor();
    let fact = TypedFact::try_from(Arc::clone(&value))?;
    Ok(OutletId::new(model.add_node(name, Const::new(value)?, tvec![fact])?, 0))
}

fn tensors_to_nodes(graph: &mut GraphProto) {
    let tensors = std::mem::take(&mut graph.initializer);
    let named: Vec<String> = graph.input.iter().map(|i| i.name.clone()).collect();
    let (inputs, constants): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|t| named.contains(&t.name));
    graph.initializer = inputs;
    let node = |tensor: tract_onnx::pb::TensorProto| NodeProto {
        name: tensor.name.clone(),
        op_type: CONSTANT.to_owned(),
        output: vec![tensor.name.clone()],
        attribute: vec![AttributeProto {
            name: "value".to_owned(),
            r#type: AttributeType::Tensor as i32,
            t: Some(tensor),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    };
    let nodes = std::mem::take(&mut graph.node);
    graph.node = constants.into_iter().map(node).chain(nodes).collect();
}

fn nodes_to_tensors(graph: &mut GraphProto) {
    let nodes = std::mem::take(&mut graph.node);
    for mut node in nodes {
        let tensor = node.attribute.iter_mut().find(|a| node.op_type == CONSTANT && a.name == "value").and_then(|a| a.t.take());
        match (tensor, node.output.first()) {
            (Some(mut tensor), Some(name)) => {
                tensor.name.clone_from(name);
                graph.initializer.push(tensor);
            }
            _ => graph.node.push(node),
        }
    }
}

#[derive(Debug)]
struct ToTyped;

impl Translate<InferenceFact, Box<dyn InferenceOp>, TypedFact, Box<dyn TypedOp>> for ToTyped {
    fn translate_node(
        &self,
        source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        if let Some(constant) = node.op_as::<Const>() {
            return Ok(tvec![add_constant(target, format!("{}.0", node.name), Arc::clone(constant.val()))?]);
        }
        node.op.to_typed(source, node, target, mapping)
    }
}
