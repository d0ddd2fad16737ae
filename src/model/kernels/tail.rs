//! The tail: normalization and ReLU give the features; their means and a linear head give the logits. f32, one thread:
//! it is a thousandth of the work.

use super::{Affine, InstructionSet, KernelError, SIDE_MAX, TailSpec, finite, length, size};

/// A tail.
pub struct Tail {
    norm: Affine,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Tail {
    /// Checks the tail's weights.
    ///
    /// # Errors
    /// Lengths that do not belong together, sizes beyond the kernels' bounds, numbers that are not finite.
    pub fn new(spec: TailSpec, _set: InstructionSet) -> Result<Self, KernelError> {
        let TailSpec { norm, weights, bias } = spec;
        norm.check(norm.scale.len())?;
        size("the logits", bias.len(), super::CHANNELS_MAX)?;
        length("the weights of the head", weights.len(), bias.len() * norm.scale.len())?;
        finite("the weights of the head", &weights)?;
        finite("the bias of the head", &bias)?;
        Ok(Self { norm, weights, bias })
    }

    /// Channels that come in.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.norm.scale.len()
    }

    /// Logits that come out.
    #[must_use]
    pub fn logits(&self) -> usize {
        self.bias.len()
    }

    /// Reads `input`, [height, width, channels]; writes `features`, [channels, height, width], and `logits`.
    ///
    /// # Errors
    /// Other lengths, a side of zero or beyond the bound.
    pub fn run(
        &self,
        input: &[f32],
        height: usize,
        width: usize,
        features: &mut [f32],
        logits: &mut [f32],
    ) -> Result<(), KernelError> {
        size("the height of a map", height, SIDE_MAX)?;
        size("the width of a map", width, SIDE_MAX)?;
        let (channels, pixels) = (self.channels(), height * width);
        length("the input of the tail", input.len(), pixels * channels)?;
        length("the features", features.len(), pixels * channels)?;
        length("the logits", logits.len(), self.logits())?;
        let mut means = vec![0.0f32; channels];
        for (c, (plane, mean)) in features.chunks_exact_mut(pixels).zip(&mut means).enumerate() {
            let (scale, shift) = (self.norm.scale[c], self.norm.shift[c]);
            let mut sum = 0.0f64;
            for (feature, pixel) in plane.iter_mut().zip(input.chunks_exact(channels)) {
                *feature = (pixel[c] * scale + shift).max(0.0);
                sum += f64::from(*feature);
            }
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            // A mean is rounded to f32 on purpose, and SIDE_MAX^2 is exact in f64.
            let rounded = (sum / pixels as f64) as f32;
            *mean = rounded;
        }
        for ((logit, row), bias) in logits.iter_mut().zip(self.weights.chunks_exact(channels)).zip(&self.bias) {
            *logit = row.iter().zip(&means).map(|(w, m)| w * m).sum::<f32>() + bias;
        }
        Ok(())
    }
}
