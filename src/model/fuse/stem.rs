//! The stem: convolution 7 x 7 of stride 2, ReLU, max pool 3 x 3 of stride 2; normalization folded in.

use super::Unlike;
use super::graph::{Graph, Window};
use super::shelf::Shelf;
use crate::model::kernels::{InstructionSet, KernelError, Stem, StemSpec};
use tract_onnx::tract_hir::internal::*;

pub(super) struct Found {
    spec: StemSpec,
    side: usize,
}

impl Found {
    /// Reads a stem that ends with a max pool at `end`.
    pub(super) fn read(graph: &mut Graph<'_>, end: OutletId) -> Result<Self, Unlike> {
        let pooled = graph.max_pool(end)?;
        let x = graph.relu(pooled)?;
        let (x, norm) = graph.norm(x).map_or((x, None), |(x, norm)| (x, Some(norm)));
        let (image, conv) = graph.conv(x, Window { side: 7, stride: 2, pad: 3 })?;
        let [channels, height, width] = graph.map_shape(image)?;
        if !graph.is_image(image) || height != width || channels != conv.in_channels {
            return Err(graph.unlike(image, "the square image"));
        }
        let conv = conv.then(norm.as_ref()).on(None, || graph.unlike(x, "a convolution in f32"))?;
        Ok(Self { spec: StemSpec { conv }, side: height })
    }

    pub(super) fn operator(self, to: &Arc<Shelf>, set: InstructionSet) -> Result<FusedStem, KernelError> {
        Ok(FusedStem { stem: Arc::new(Stem::new(&self.spec, set)?), side: self.side, to: Arc::clone(to) })
    }
}

/// Image [1, C, S, S] to the first channels of a block's map.
#[derive(Clone)]
pub(super) struct FusedStem {
    stem: Arc<Stem>,
    side: usize,
    to: Arc<Shelf>,
}

impl FusedStem {
    fn run(&self, image: &Tensor) -> TractResult<Tensor> {
        let mut map = self.to.take()?;
        let [.., pitch] = self.to.shape();
        let image = image.try_as_plain_ram()?;
        self.stem.run(image.as_slice::<f32>()?, self.side, map.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?, pitch)?;
        Ok(map)
    }
}

super::op::fused_op!(FusedStem, "FusedStem", stem, |op, inputs| {
    let image = args_1!(inputs);
    Ok(tvec![op.run(&image)?.into_tvalue()])
});

impl FusedStem {
    fn facts(&self) -> TVec<TypedFact> {
        tvec![f32::fact(self.to.shape())]
    }
}
