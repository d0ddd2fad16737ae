//! Weights as a graph holds them, brought into the form the kernels take.

use super::Unlike;
use crate::model::kernels::{Affine, Conv, ConvWeights};
use tract_onnx::tract_hir::internal::*;

/// Constant weights; their first axis is the output.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Weights {
    /// f32.
    Plain(Vec<f32>),
    /// int8, one scale an output; zero points 0.
    Stored { values: Vec<i8>, scales: Vec<f32> },
}

/// A convolution as it was found.
#[derive(Clone, Debug)]
pub(super) struct ConvNode {
    pub(super) out_channels: usize,
    pub(super) in_channels: usize,
    pub(super) kernel: usize,
    pub(super) weights: Weights,
    pub(super) bias: Vec<f32>,
}

impl Weights {
    /// From the inputs of a DequantizeLinear: values, scales and, perhaps, zero points. Nothing where a zero point is not 0,
    /// or where the scales do not run along the outputs.
    pub(super) fn stored(axis: i64, parts: &[Arc<Tensor>]) -> Option<Self> {
        let (values, scales) = (parts.first()?, parts.get(1)?);
        if let Some(zero) = parts.get(2) {
            zero.is_all_zero().ok().filter(|z| *z)?;
        }
        let outputs = *values.shape().first()?;
        let all: &[f32] = scales.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?;
        let scales = match (all.len(), axis) {
            (1, _) => vec![all[0]; outputs],
            (n, axis) if n == outputs && (axis == 0 || axis == -i64::try_from(values.rank()).ok()?) => all.to_vec(),
            _ => return None,
        };
        let values = values.try_as_plain_ram().ok()?.as_slice::<i8>().ok()?.to_vec();
        Some(Self::Stored { values, scales })
    }

    /// The weights, where they are f32 in the graph.
    pub(super) fn plain(self) -> Option<Vec<f32>> {
        match self {
            Self::Plain(values) => Some(values),
            Self::Stored { .. } => None,
        }
    }

    /// f32 weights.
    pub(super) fn into_floats(self) -> Vec<f32> {
        match self {
            Self::Plain(values) => values,
            Self::Stored { values, scales } => {
                let each = values.len().checked_div(scales.len()).unwrap_or(0).max(1);
                let rows = values.chunks_exact(each).zip(&scales);
                rows.flat_map(|(row, scale)| row.iter().map(move |v| f32::from(*v) * scale)).collect()
            }
        }
    }
}

impl ConvNode {
    /// The convolution followed by a normalization by output channels.
    pub(super) fn then(mut self, norm: Option<&Affine>) -> Self {
        let Some(norm) = norm else { return self };
        for (bias, (scale, shift)) in self.bias.iter_mut().zip(norm.scale.iter().zip(&norm.shift)) {
            *bias = *bias * scale + shift;
        }
        match &mut self.weights {
            Weights::Plain(values) => {
                let each = values.len().checked_div(self.out_channels).unwrap_or(0).max(1);
                for (row, factor) in values.chunks_exact_mut(each).zip(&norm.scale) {
                    row.iter_mut().for_each(|v| *v *= factor);
                }
            }
            Weights::Stored { scales, .. } => scales.iter_mut().zip(&norm.scale).for_each(|(s, factor)| *s *= factor),
        }
        self
    }

    /// For the kernels: int8 where the input is quantized with this step, f32 where it is not.
    ///
    /// # Errors
    /// f32 weights behind a quantized input: they would have to be rounded here.
    pub(super) fn on(self, input_scale: Option<f32>, otherwise: impl Fn() -> Unlike) -> Result<Conv, Unlike> {
        let Self { out_channels, in_channels, kernel, weights, bias } = self;
        let weights = match (input_scale, weights) {
            (None, weights) => ConvWeights::F32(weights.into_floats()),
            (Some(input_scale), Weights::Stored { values, scales }) => ConvWeights::Int8 { values, scales, input_scale },
            (Some(_), Weights::Plain(_)) => return Err(otherwise()),
        };
        Ok(Conv { out_channels, in_channels, kernel, weights, bias })
    }
}

/// Whether a convolution computes in int8.
pub(super) fn is_int8(conv: &Conv) -> bool {
    matches!(conv.weights, ConvWeights::Int8 { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(weights: Weights) -> ConvNode {
        ConvNode { out_channels: 2, in_channels: 2, kernel: 1, weights, bias: vec![1.0, 2.0] }
    }

    #[test]
    fn a_norm_behind_a_convolution_goes_into_its_weights_or_scales() {
        let norm = Affine { scale: vec![2.0, -1.0], shift: vec![0.5, 0.25] };
        let plain = node(Weights::Plain(vec![1.0, 2.0, 3.0, 4.0])).then(Some(&norm));
        assert_eq!(plain.weights, Weights::Plain(vec![2.0, 4.0, -3.0, -4.0]));
        assert_eq!(plain.bias, [2.5, -1.75]);
        let stored = node(Weights::Stored { values: vec![1, 2, 3, 4], scales: vec![0.5, 0.25] }).then(Some(&norm));
        assert_eq!(stored.weights.clone(), Weights::Stored { values: vec![1, 2, 3, 4], scales: vec![1.0, -0.25] });
        assert_eq!(stored.weights.into_floats(), [1.0, 2.0, -0.75, -1.0]);
    }

    #[test]
    fn stored_weights_need_zero_points_of_zero_and_scales_along_the_outputs() {
        let values = tensor1(&[1_i8, -2, 3, -4]).into_shape(&[2, 2]).unwrap().into_arc_tensor();
        let scales = |s: &[f32]| tensor1(s).into_arc_tensor();
        let zeros = |z: &[i8]| tensor1(z).into_arc_tensor();
        let stored = |axis, parts: &[Arc<Tensor>]| Weights::stored(axis, parts);
        let good = Some(Weights::Stored { values: vec![1, -2, 3, -4], scales: vec![0.5, 0.25] });
        let both = scales(&[0.5, 0.25]);
        assert_eq!(stored(0, &[values.clone(), both.clone()]), good);
        assert_eq!(stored(-2, &[values.clone(), both.clone(), zeros(&[0, 0])]), good);
        assert_eq!(stored(0, &[values.clone(), both.clone(), zeros(&[0, 1])]), None);
        assert_eq!(stored(1, &[values.clone(), both]), None);
        let one = stored(1, &[values, scales(&[0.5])]).unwrap();
        assert_eq!(one.into_floats(), [0.5, -1.0, 1.5, -2.0]);
    }
}
