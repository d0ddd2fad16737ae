//! What the kernels are built from: the parts of a DenseNet with their weights, as a graph has them.

use super::{CHANNELS_MAX, KernelError, finite, length, size};

/// Weights of a convolution, [out, in, k, k], row-major as in ONNX.
#[derive(Debug, Clone)]
pub enum ConvWeights {
    /// Plain weights; the input is f32.
    F32(Vec<f32>),
    /// y = sum(q * w) * `input_scale` * `scales[o]`, where q is the input as u8 with zero point 0.
    Int8 {
        /// The weights.
        values: Vec<i8>,
        /// One step of the weights, per output channel.
        scales: Vec<f32>,
        /// One step of the input.
        input_scale: f32,
    },
}

/// A convolution with its bias.
#[derive(Debug, Clone)]
pub struct Conv {
    /// Output channels.
    pub out_channels: usize,
    /// Input channels.
    pub in_channels: usize,
    /// Side of the kernel: 1, 3 or 7.
    pub kernel: usize,
    /// Weights.
    pub weights: ConvWeights,
    /// Bias, one an output channel.
    pub bias: Vec<f32>,
}

/// y = x * scale + shift per channel: a folded batch normalization.
#[derive(Debug, Clone)]
pub struct Affine {
    /// Factors.
    pub scale: Vec<f32>,
    /// Summands.
    pub shift: Vec<f32>,
}

/// Convolution 7x7 of stride 2 and padding 3, ReLU, max pooling 3x3 of stride 2 and padding 1.
#[derive(Debug, Clone)]
pub struct StemSpec {
    /// The convolution in f32, its normalization folded in.
    pub conv: Conv,
}

/// Normalization, ReLU, 1x1, ReLU, 3x3: gives the channels that are appended to its input.
#[derive(Debug, Clone)]
pub struct DenseLayerSpec {
    /// Over all channels so far; ReLU follows.
    pub norm: Affine,
    /// 1x1, the second normalization folded in; ReLU follows.
    pub bottleneck: Conv,
    /// 3x3 of padding 1.
    pub growth: Conv,
}

/// A dense block.
#[derive(Debug, Clone)]
pub struct BlockSpec {
    /// Channels of the map that comes in.
    pub in_channels: usize,
    /// Its layers, in order.
    pub layers: Vec<DenseLayerSpec>,
}

/// Normalization, ReLU, 2x2 average pooling, 1x1.
#[derive(Debug, Clone)]
pub struct TransitionSpec {
    /// Over all channels; ReLU and the pooling follow.
    pub norm: Affine,
    /// 1x1, after the pooling.
    pub conv: Conv,
}

/// Normalization and ReLU (the features), global average pooling, a linear head.
#[derive(Debug, Clone)]
pub struct TailSpec {
    /// Over all channels; ReLU follows.
    pub norm: Affine,
    /// Weights of the head, [logits, channels].
    pub weights: Vec<f32>,
    /// Bias of the head.
    pub bias: Vec<f32>,
}

impl Conv {
    /// Sizes and lengths agree, and every number is finite.
    pub(super) fn check(&self, in_channels: usize, kernel: usize) -> Result<(), KernelError> {
        size("the output channels of a convolution", self.out_channels, CHANNELS_MAX)?;
        size("the input channels of a convolution", self.in_channels, CHANNELS_MAX)?;
        length("the input of a convolution", self.in_channels, in_channels)?;
        length("the side of a convolution's kernel", self.kernel, kernel)?;
        length("the bias of a convolution", self.bias.len(), self.out_channels)?;
        finite("the bias of a convolution", &self.bias)?;
        let expected = self.out_channels * self.in_channels * kernel * kernel;
        match &self.weights {
            ConvWeights::F32(values) => {
                length("the weights of a convolution", values.len(), expected)?;
                finite("the weights of a convolution", values)
            }
            ConvWeights::Int8 { values, scales, input_scale } => {
                length("the weights of a convolution", values.len(), expected)?;
                length("the scales of a convolution", scales.len(), self.out_channels)?;
                finite("the scales of a convolution", scales)?;
                positive("the step of a convolution's input", *input_scale)
            }
        }
    }

    pub(super) fn is_int8(&self) -> bool {
        matches!(self.weights, ConvWeights::Int8 { .. })
    }
}

impl Affine {
    /// One finite factor and summand a channel.
    pub(super) fn check(&self, channels: usize) -> Result<(), KernelError> {
        size("the channels of a normalization", channels, CHANNELS_MAX)?;
        length("the scale of a normalization", self.scale.len(), channels)?;
        length("the shift of a normalization", self.shift.len(), channels)?;
        finite("the scale of a normalization", &self.scale)?;
        finite("the shift of a normalization", &self.shift)
    }

    /// This map followed by a multiplication.
    pub(super) fn times(&self, factor: f32) -> Self {
        let each = |values: &[f32]| values.iter().map(|v| v * factor).collect();
        Self { scale: each(&self.scale), shift: each(&self.shift) }
    }
}

fn positive(what: &'static str, step: f32) -> Result<(), KernelError> {
    // The reciprocal of a subnormal step would be infinite.
    if step.is_normal() && step > 0.0 { Ok(()) } else { Err(KernelError::Number { what, found: step }) }
}
