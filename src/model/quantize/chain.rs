//! A DenseNet (Huang et al., CVPR 2017) as its parts, every BatchNormalization as one factor and one
//! summand a channel, those behind a convolution folded into it, average pooling before the
//! transition's convolution (1x1 convolution and pooling are both linear, so they commute).

/// The network from image to logits.
#[derive(Clone, Debug)]
pub struct Chain {
    /// 7x7 convolution of stride 2; ReLU and max pooling 3x3 of stride 2 follow.
    pub stem: Conv,
    /// Dense blocks in order.
    pub blocks: Vec<Block>,
    /// Norm before the last ReLU, whose output is `features`.
    pub norm: Affine,
    /// Linear head, [logits, channels] row by row.
    pub head: Vec<f32>,
    /// Its summands, [logits].
    pub head_bias: Vec<f32>,
}

/// A dense block, and the transition behind all but the last.
#[derive(Clone, Debug)]
pub struct Block {
    /// Layers in order.
    pub layers: Vec<Layer>,
    /// To the next block.
    pub transition: Option<Transition>,
}

/// Norm, ReLU, 1x1 convolution, ReLU, 3x3 convolution.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Over all channels so far.
    pub norm: Affine,
    /// 1x1, second norm folded in.
    pub bottleneck: Conv,
    /// 3x3.
    pub growth: Conv,
}

/// Norm, ReLU, 2x2 average pooling, 1x1 convolution.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Over all channels of the block.
    pub norm: Affine,
    /// 1x1, behind the pooling.
    pub conv: Conv,
}

/// y = x * scale + shift, a channel each.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Factors.
    pub scale: Vec<f32>,
    /// Summands.
    pub shift: Vec<f32>,
}

/// A convolution.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Output channels.
    pub outputs: usize,
    /// Input channels.
    pub inputs: usize,
    /// Rows and columns of the kernel.
    pub side: usize,
    /// [outputs, inputs, side, side] row by row.
    pub weights: Weights,
    /// [outputs].
    pub bias: Vec<f32>,
}

/// Numbers of a convolution.
#[derive(Clone, Debug)]
pub enum Weights {
    /// As learnt.
    F32(Vec<f32>),
    /// Integers with one scale an output channel, for inputs of 8 bit with zero point 0.
    Int8 {
        /// [outputs, inputs, side, side].
        values: Vec<i8>,
        /// What one integer step of an output channel's weights is worth, [outputs].
        scales: Vec<f32>,
        /// What one integer step of the input is worth.
        input_step: f32,
    },
}

/// What gives a quantized convolution its input.
pub enum Feed<'a> {
    /// A norm with ReLU.
    Norm(&'a mut Affine),
    /// A convolution with ReLU.
    Conv(&'a mut Conv),
}

impl Chain {
    /// Input channels of the image.
    pub fn image_channels(&self) -> usize {
        self.stem.inputs
    }

    /// Channels of the last feature map.
    pub fn feature_channels(&self) -> usize {
        self.norm.scale.len()
    }

    /// Rows and columns of the last feature map for an image of side `size`.
    pub fn feature_side(&self, size: usize) -> usize {
        let stem = size.div_ceil(2).div_ceil(2);
        self.blocks.iter().filter(|b| b.transition.is_some()).fold(stem, |side, _| side / 2)
    }

    /// Visits every convolution that is to be quantized in forward order, with what feeds it.
    pub fn each_site(&mut self, mut visit: impl FnMut(Feed<'_>, &mut Conv)) {
        for block in &mut self.blocks {
            for layer in &mut block.layers {
                visit(Feed::Norm(&mut layer.norm), &mut layer.bottleneck);
                visit(Feed::Conv(&mut layer.bottleneck), &mut layer.growth);
            }
            if let Some(transition) = &mut block.transition {
                visit(Feed::Norm(&mut transition.norm), &mut transition.conv);
            }
        }
    }
}

impl Feed<'_> {
    /// Divides what comes out by `factors`, one a channel, all positive: ReLU lets positive factors through.
    pub fn divide(self, factors: &[f32]) {
        match self {
            Self::Norm(norm) => {
                for ((scale, shift), by) in norm.scale.iter_mut().zip(&mut norm.shift).zip(factors) {
                    *scale /= by;
                    *shift /= by;
                }
            }
            Self::Conv(conv) => {
                let row = conv.inputs * conv.side * conv.side;
                if let Weights::F32(weights) = &mut conv.weights {
                    for (row, by) in weights.chunks_exact_mut(row).zip(factors) {
                        row.iter_mut().for_each(|w| *w /= by);
                    }
                }
                conv.bias.iter_mut().zip(factors).for_each(|(b, by)| *b /= by);
            }
        }
    }
}

impl Conv {
    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.side * self.side
    }

    /// Multiplies the weights of each input channel.
    pub fn multiply_inputs(&mut self, factors: &[f32]) {
        let taps = self.taps();
        if let Weights::F32(weights) = &mut self.weights {
            for row in weights.chunks_exact_mut(self.inputs * taps) {
                for (channel, by) in row.chunks_exact_mut(taps).zip(factors) {
                    channel.iter_mut().for_each(|w| *w *= by);
                }
            }
        }
    }
}
