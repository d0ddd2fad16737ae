//! A dense block: each layer reads all channels so far and appends its own. Its map is filled in place.

use super::Unlike;
use super::fold::is_int8;
use super::graph::{Graph, Window};
use crate::model::kernels::{Block, BlockSpec, DenseLayerSpec, InstructionSet, KernelError};
use tract_onnx::tract_hir::internal::*;

pub(super) struct Found {
    /// Where the block's input comes from: a max pool, or a transition.
    pub(super) input: OutletId,
    /// Rows and columns.
    side: [usize; 2],
    pub(super) spec: BlockSpec,
}

impl Found {
    /// Reads a block whose last map, all channels, is at `end`.
    ///
    /// The map is the concatenation of the block's input and of what each layer gives, and so is
    /// the input of each layer: one by one behind each other, or all again for every layer.
    pub(super) fn read(graph: &mut Graph<'_>, end: OutletId) -> Result<Self, Unlike> {
        let pieces = graph.pieces(end);
        let input = pieces[0];
        if pieces.len() < 2 {
            return Err(graph.unlike(end, "a concatenation of a block's input and its layers"));
        }
        let [in_channels, height, width] = graph.map_shape(input)?;
        let mut layers = Vec::with_capacity(pieces.len() - 1);
        for (i, grown) in pieces.iter().enumerate().skip(1) {
            let (before, layer) = read_layer(graph, *grown)?;
            if graph.pieces(before) != pieces[..i] {
                return Err(graph.unlike(before, "all channels of the block so far"));
            }
            layers.push(layer);
        }
        Ok(Self { input, side: [height, width], spec: BlockSpec { in_channels, layers } })
    }

    /// The block's map with all channels, [1, H, W, C].
    pub(super) fn map(&self) -> [usize; 4] {
        let grown: usize = self.spec.layers.iter().map(|l| l.growth.out_channels).sum();
        [1, self.side[0], self.side[1], self.spec.in_channels + grown]
    }

    pub(super) fn is_int8(&self) -> bool {
        self.spec.layers.iter().any(|l| is_int8(&l.bottleneck))
    }

    pub(super) fn operator(self, set: InstructionSet) -> Result<FusedBlock, KernelError> {
        let shape = self.map();
        Ok(FusedBlock { block: Arc::new(Block::new(&self.spec, set)?), shape })
    }
}

/// Reads a layer backwards from what it gives; gives its input.
fn read_layer(graph: &mut Graph<'_>, end: OutletId) -> Result<(OutletId, DenseLayerSpec), Unlike> {
    let (x, growth) = graph.conv(end, Window { side: 3, stride: 1, pad: 1 })?;
    let (x, step) = graph.quantized(x)?;
    let growth = growth.on(step, || graph.unlike(end, "int8 weights behind a quantized input"))?;
    let x = graph.relu(x)?;
    let (x, norm) = graph.norm(x).map_or((x, None), |(x, norm)| (x, Some(norm)));
    let at = x;
    let (x, bottleneck) = graph.conv(x, Window { side: 1, stride: 1, pad: 0 })?;
    let (x, step) = graph.quantized(x)?;
    let bottleneck = bottleneck.then(norm.as_ref()).on(step, || graph.unlike(at, "int8 weights behind a quantized input"))?;
    let x = graph.relu(x)?;
    let (x, norm) = graph.need_norm(x)?;
    Ok((x, DenseLayerSpec { norm, bottleneck, growth }))
}

/// A block's map with its first channels filled, to the same map filled.
#[derive(Clone)]
pub(super) struct FusedBlock {
    block: Arc<Block>,
    shape: [usize; 4],
}

super::op::fused_op!(FusedBlock, "FusedBlock", block, |op, inputs| {
    // Nobody else holds the map, so that this is no copy.
    let mut map = args_1!(inputs).into_tensor();
    let [_, height, width, _] = op.shape;
    op.block.run(map.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?, height, width)?;
    Ok(tvec![map.into_tvalue()])
});

impl FusedBlock {
    fn facts(&self) -> TVec<TypedFact> {
        tvec![f32::fact(self.shape)]
    }
}
