//! The parts of a DenseNet as their graph says, node by node, in f64 and with no thought of speed.

use crate_kernels::{Affine, BlockSpec, Conv, ConvWeights, DenseLayerSpec, StemSpec, TransitionSpec};

use super::super as crate_kernels;

/// A map, [height, width, channels].
#[derive(Clone)]
pub(super) struct Map {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub values: Vec<f64>,
}

impl Map {
    fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels, values: vec![0.0; height * width * channels] }
    }

    /// The first `channels` of the pixels of a buffer that holds `pitch` each.
    pub(super) fn of(buffer: &[f32], [height, width]: [usize; 2], pitch: usize, channels: usize) -> Self {
        let values = buffer.chunks_exact(pitch).flat_map(|p| p[..channels].iter().map(|v| f64::from(*v))).collect();
        Self { height, width, channels, values }
    }

    fn at(&self, y: usize, x: usize, c: usize) -> f64 {
        self.values[(y * self.width + x) * self.channels + c]
    }

    fn map(&self, f: impl Fn(usize, f64) -> f64) -> Self {
        let values = self.values.iter().enumerate().map(|(i, v)| f(i % self.channels, *v)).collect();
        Self { values, ..self.clone() }
    }

    fn append(&self, other: &Self) -> Self {
        let mut joined = Self::new(self.height, self.width, self.channels + other.channels);
        let pixels = self.values.chunks_exact(self.channels).zip(other.values.chunks_exact(other.channels));
        for (to, (a, b)) in joined.values.chunks_exact_mut(self.channels + other.channels).zip(pixels) {
            to[..a.len()].copy_from_slice(a);
            to[a.len()..].copy_from_slice(b);
        }
        joined
    }
}

fn normalized(map: &Map, norm: &Affine) -> Map {
    map.map(|c, v| (v * f64::from(norm.scale[c]) + f64::from(norm.shift[c])).max(0.0))
}

/// QuantizeLinear and DequantizeLinear to u8 with zero point 0, where the convolution is int8.
fn quantized(map: &Map, conv: &Conv) -> Map {
    match &conv.weights {
        ConvWeights::F32(_) => map.clone(),
        ConvWeights::Int8 { input_scale, .. } => {
            let step = f64::from(*input_scale);
            map.map(|_, v| (v / step).round_ties_even().clamp(0.0, 255.0) * step)
        }
    }
}

fn weight(conv: &Conv, index: usize) -> f64 {
    match &conv.weights {
        ConvWeights::F32(values) => f64::from(values[index]),
        ConvWeights::Int8 { values, scales, .. } => {
            f64::from(values[index]) * f64::from(scales[index / (values.len() / conv.out_channels)])
        }
    }
}

fn convolved(map: &Map, conv: &Conv, stride: usize) -> Map {
    let (k, padding) = (conv.kernel, conv.kernel / 2);
    let side = |n: usize| (n - 1) / stride + 1;
    let mut out = Map::new(side(map.height), side(map.width), conv.out_channels);
    for i in 0..out.values.len() {
        let (o, x, y) = (i % out.channels, i / out.channels % out.width, i / out.channels / out.width);
        let mut sum = f64::from(conv.bias[o]);
        for (dy, dx) in (0..k * k).map(|t| (t / k, t % k)) {
            let (from_y, from_x) = (y * stride + dy, x * stride + dx);
            if (padding..map.height + padding).contains(&from_y) && (padding..map.width + padding).contains(&from_x) {
                for c in 0..map.channels {
                    let w = weight(conv, ((o * map.channels + c) * k + dy) * k + dx);
                    sum += w * map.at(from_y - padding, from_x - padding, c);
                }
            }
        }
        out.values[i] = sum;
    }
    out
}

fn relu(map: &Map) -> Map {
    map.map(|_, v| v.max(0.0))
}

fn dense_layer(map: &Map, layer: &DenseLayerSpec) -> Map {
    let narrow = convolved(&quantized(&normalized(map, &layer.norm), &layer.bottleneck), &layer.bottleneck, 1);
    map.append(&convolved(&quantized(&relu(&narrow), &layer.growth), &layer.growth, 1))
}

pub(super) fn block(map: &Map, spec: &BlockSpec) -> Map {
    spec.layers.iter().fold(map.clone(), |map, layer| dense_layer(&map, layer))
}

pub(super) fn transition(map: &Map, spec: &TransitionSpec) -> Map {
    let active = normalized(map, &spec.norm);
    let mut pooled = Map::new(map.height / 2, map.width / 2, map.channels);
    for i in 0..pooled.values.len() {
        let (c, x, y) = (i % pooled.channels, i / pooled.channels % pooled.width, i / pooled.channels / pooled.width);
        let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(dy, dx)| active.at(2 * y + dy, 2 * x + dx, c));
        pooled.values[i] = four.iter().sum::<f64>() / 4.0;
    }
    convolved(&quantized(&pooled, &spec.conv), &spec.conv, 1)
}

/// Of an image [in, side, side].
pub(super) fn stem(image: &[f32], side: usize, spec: &StemSpec) -> Map {
    let mut map = Map::new(side, side, spec.conv.in_channels);
    for (i, value) in map.values.iter_mut().enumerate() {
        *value = f64::from(image[i % spec.conv.in_channels * side * side + i / spec.conv.in_channels]);
    }
    let active = relu(&convolved(&map, &spec.conv, 2));
    let half = (active.width - 1) / 2 + 1;
    let mut pooled = Map::new(half, half, active.channels);
    for i in 0..pooled.values.len() {
        let (c, x, y) = (i % pooled.channels, i / pooled.channels % half, i / pooled.channels / half);
        let near = |n: usize| (2 * n).saturating_sub(1)..(2 * n + 2).min(active.width);
        pooled.values[i] =
            near(y).flat_map(|v| near(x).map(move |u| (v, u))).map(|(v, u)| active.at(v, u, c)).fold(0.0, f64::max);
    }
    pooled
}
