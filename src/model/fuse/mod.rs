//! The graph rewrite: finds a DenseNet in a typed graph and puts our fused operators in its place.
//!
//! In: a graph as tract types it, before any simplification, of one input [1, C, S, S]. Out: a graph of one
//! operator a stem, dense block, transition and tail ([`stem`], [`block`], [`transition`], [`tail`]), which
//! tract plans and runs; the maps between them are NHWC, [1, H, W, channels], and each has room for all
//! the channels of the block it enters, so that the block fills it in place. Never: a graph that is
//! replaced in part. The graph is read backwards from its logits, and every node that computes with
//! the image must be part of what was found; anything else is an [`Unlike`] that names the node.

mod block;
mod fold;
mod graph;
mod op;
mod shelf;
mod stem;
mod tail;
mod transition;

use super::kernels::{InstructionSet, KernelError};
use graph::Graph;
use shelf::Shelf;
use std::sync::Arc;
use tract_onnx::tract_hir::internal::*;

/// What a graph has instead of what the network needs there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node} ({operator}): {wanted} was expected")]
pub(super) struct Unlike {
    node: String,
    operator: String,
    wanted: String,
}

/// Why a graph is left as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotFused {
    /// It is another network.
    #[error("it is not a DenseNet that is known here: {0}")]
    Unlike(#[from] Unlike),
    /// The kernels do not take its weights.
    #[error("its weights are not taken: {0}")]
    Kernel(#[from] KernelError),
    /// tract refused the new graph.
    #[error("the rewritten graph is refused: {0}")]
    Tract(String),
}

/// What the fused operators compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// u8 activations, s8 weights, 32-bit sums; the stem and the tail in f32.
    Int8,
    /// f32 throughout.
    F32,
}

impl std::fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Int8 => "int8",
            Self::F32 => "f32",
        })
    }
}

/// What was fused: always one stem and one tail around the blocks and the transitions between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fusions {
    /// Dense layers of each block.
    pub layers: Vec<usize>,
    /// Transitions between the blocks.
    pub transitions: usize,
    /// int8 where at least one block computes in it.
    pub arithmetic: Arithmetic,
    /// The kernels that run.
    pub instruction_set: InstructionSet,
}

/// The graph with fused operators, its outputs in the order they had.
pub(super) fn fuse(model: &TypedModel, instruction_set: InstructionSet) -> Result<(TypedModel, Fusions), NotFused> {
    let mut graph = Graph::new(model);
    let found = Found::read(&mut graph)?;
    graph.nothing_else()?;
    found.wire(model, instruction_set)
}

/// An operator and its name in the graph.
type Named = (String, Box<dyn TypedOp>);

/// The parts, read from the graph.
struct Found {
    stem: stem::Found,
    blocks: Vec<block::Found>,
    transitions: Vec<transition::Found>,
    tail: tail::Found,
}

impl Found {
    fn read(graph: &mut Graph<'_>) -> Result<Self, Unlike> {
        let tail = tail::Found::read(graph)?;
        let (mut blocks, mut transitions) = (Vec::new(), Vec::new());
        let mut end = tail.input;
        let stem = loop {
            let block = block::Found::read(graph, end)?;
            let begin = block.input;
            blocks.push(block);
            if graph.is_max_pool(begin) {
                break stem::Found::read(graph, begin)?;
            }
            let transition = transition::Found::read(graph, begin)?;
            end = transition.input;
            transitions.push(transition);
        };
        blocks.reverse();
        transitions.reverse();
        Ok(Self { stem, blocks, transitions, tail })
    }

    fn wire(self, source: &TypedModel, set: InstructionSet) -> Result<(TypedModel, Fusions), NotFused> {
        let int8 = self.blocks.iter().any(block::Found::is_int8);
        let fusions = Fusions {
            layers: self.blocks.iter().map(|b| b.spec.layers.len()).collect(),
            transitions: self.transitions.len(),
            arithmetic: if int8 { Arithmetic::Int8 } else { Arithmetic::F32 },
            instruction_set: set,
        };
        let refused = |e: TractError| NotFused::Tract(format!("{e:#}"));
        let (logits, features) = (self.tail.logits, self.tail.features);
        let parts = self.into_operators(set)?;
        let mut model = TypedModel { symbols: source.symbols.clone(), ..TypedModel::default() };
        let wire = |model: &mut TypedModel| -> TractResult<TVec<OutletId>> {
            let image = source.input_outlets()?[0];
            let name = &source.node(image.node).name;
            let mut wires = tvec![model.add_source(name, source.outlet_fact(image)?.clone())?];
            for (name, operator) in parts {
                wires = model.wire_node(name, operator, &wires)?;
            }
            let outputs: TVec<OutletId> = source
                .output_outlets()?
                .iter()
                .map(|o| if *o == features && *o != logits { wires[1] } else { wires[0] })
                .collect();
            model.select_output_outlets(&outputs)?;
            Ok(outputs)
        };
        wire(&mut model).map_err(refused)?;
        Ok((model, fusions))
    }

    /// The operators in the order they run, each with its name.
    fn into_operators(self, set: InstructionSet) -> Result<Vec<Named>, KernelError> {
        let shelves: Vec<Arc<Shelf>> = self.blocks.iter().map(|b| Arc::new(Shelf::of(b.map()))).collect();
        let mut operators: Vec<Named> = Vec::with_capacity(2 * shelves.len() + 1);
        let mut ways = shelves.windows(2).zip(self.transitions);
        let mut stem = Some(self.stem);
        for ((i, block), to) in self.blocks.into_iter().enumerate().zip(&shelves) {
            if let Some(stem) = stem.take() {
                operators.push(("stem".into(), Box::new(stem.operator(to, set)?)));
            } else if let Some(([from, to], transition)) = ways.next().and_then(|(w, t)| Some((<&[_; 2]>::try_from(w).ok()?, t)))
            {
                operators.push((format!("transition{i}"), Box::new(transition.operator(Arc::clone(from), to, set)?)));
            }
            operators.push((format!("block{}", i + 1), Box::new(block.operator(set)?)));
        }
        if let Some(from) = shelves.last() {
            operators.push(("tail".into(), Box::new(self.tail.operator(Arc::clone(from), set)?)));
        }
        Ok(operators)
    }
}
