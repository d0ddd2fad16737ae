//! Weights as 8-bit integers, one scale an output channel.
//!
//! The pair rule. Processors without VNNI multiply u8 by s8 with `vpmaddubsw`, which adds the products
//! of two neighbouring channels in 16 bits and saturates. 255 * 128 = 32,640 fits, so that for input
//! channels 2j and 2j + 1 of one tap the positive integers together are at most 128, and so are the
//! magnitudes of the negative ones: every processor, and every runtime, then computes the same sums.

use super::chain::{Conv, Weights};

/// Largest magnitude of a weight.
const TOP: i32 = 127;
/// Largest sum of two neighbours of one sign: 255 times it is the largest multiple of 255 that an i16 holds.
pub const PAIR_MAX: i32 = 128;
/// Scales tried, as shares of the one at which nothing is cut off: below a half too much is.
const SHARES: [f32; 14] = [1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.76, 0.73, 0.7, 0.65, 0.6, 0.5];

/// The weights of `conv` as integers for inputs of `input_step`; `energy` is the mean square of each input channel,
/// by which the error of its weights counts. Weights that are integers already stay.
pub fn quantized(conv: &Conv, input_step: f32, energy: &[f64]) -> Weights {
    let Weights::F32(weights) = &conv.weights else { return conv.weights.clone() };
    let taps = conv.taps();
    let (mut values, mut scales) = (Vec::with_capacity(weights.len()), Vec::with_capacity(conv.outputs));
    for row in weights.chunks_exact((conv.inputs * taps).max(1)) {
        let full = scale_without_cut(row, taps);
        let tried = SHARES.iter().map(|share| {
            let scale = full * share;
            let integers = rounded(row, taps, scale, energy);
            (error(row, &integers, taps, scale, energy), scale, integers)
        });
        // Of equals the first: the widest scale.
        let best = tried.reduce(|best, next| if next.0 < best.0 { next } else { best });
        let (_, scale, integers) = best.unwrap_or((0.0, full, vec![0; row.len()]));
        scales.push(scale);
        values.extend(integers);
    }
    Weights::Int8 { values, scales, input_step }
}

/// The smallest scale at which no weight and no pair of one output channel is cut off; 1 where all are 0.
pub fn scale_without_cut(row: &[f32], taps: usize) -> f32 {
    let top = row.iter().fold(0.0_f32, |m, w| m.max(w.abs())) / TOP as f32;
    let pairs = row.chunks(2 * taps).flat_map(|pair| {
        (0..taps).map(move |t| match (pair.get(t), pair.get(t + taps)) {
            (Some(a), Some(b)) if (*a > 0.0) == (*b > 0.0) => (a + b).abs(),
            _ => 0.0,
        })
    });
    let scale = top.max(pairs.fold(0.0, f32::max) / PAIR_MAX as f32);
    if scale > 0.0 { scale } else { 1.0 }
}

/// Integers of one output channel at `scale`, held to the magnitude and to the pair rule.
fn rounded(row: &[f32], taps: usize, scale: f32, energy: &[f64]) -> Vec<i8> {
    let mut integers: Vec<i32> = row.iter().map(|w| ((w / scale).round() as i32).clamp(-TOP, TOP)).collect();
    for (pair, channels) in integers.chunks_mut(2 * taps).enumerate() {
        let (first, second) = channels.split_at_mut(taps.min(channels.len()));
        for (a, b) in first.iter_mut().zip(second) {
            let excess = (*a + *b).abs() - PAIR_MAX;
            if (*a > 0) == (*b > 0) && excess > 0 {
                // The cut is shared so that its square, weighed by the channels' energy, is least.
                let of = |c: usize| energy.get(2 * pair + c).copied().unwrap_or(1.0).max(1e-30);
                let cut = (f64::from(excess) * of(1) / (of(0) + of(1))).round() as i32;
                *b -= a.signum() * (excess - cut);
                *a -= a.signum() * cut;
            }
        }
    }
    integers.into_iter().map(|q| q as i8).collect()
}

/// Squared error of the output channel's sum, channels taken as independent.
fn error(row: &[f32], integers: &[i8], taps: usize, scale: f32, energy: &[f64]) -> f64 {
    let channels = row.chunks_exact(taps).zip(integers.chunks_exact(taps)).zip(energy);
    let of = |w: &f32, q: &i8| f64::from(w - f32::from(*q) * scale).powi(2);
    channels.map(|((w, q), energy)| energy * w.iter().zip(q).map(|(w, q)| of(w, q)).sum::<f64>()).sum()
}

/// A place where weights break the pair rule: output channel, first input channel of the pair, tap, sum.
pub fn breach(values: &[i8], inputs: usize, taps: usize) -> Option<(usize, usize, usize, i32)> {
    for (o, row) in values.chunks_exact((inputs * taps).max(1)).enumerate() {
        for (j, pair) in row.chunks(2 * taps.max(1)).enumerate() {
            for t in 0..taps {
                let at = |i: usize| pair.get(i).map_or(0, |q| i32::from(*q));
                let (a, b) = (at(t), at(t + taps));
                for sum in [a.max(0) + b.max(0), a.min(0) + b.min(0)] {
                    if sum.abs() > PAIR_MAX {
                        return Some((o, 2 * j, t, sum));
                    }
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    /// `tools/quantize_reference.py`, which tries every way of cutting a pair.
    #[test]
    fn scales_and_errors_are_those_of_the_independent_reference() {
        let reference: Value = serde_json::from_str(include_str!("../../../tests/data/quantize/reference.json")).unwrap();
        for case in reference["weights"].as_array().unwrap() {
            let [outputs, inputs, taps] = ["outputs", "inputs", "taps"].map(|k| case[k].as_u64().unwrap() as usize);
            let weights: Vec<f32> = numbers(&case["weights"]).iter().map(|w| *w as f32).collect();
            let energy = numbers(&case["energy"]);
            for (row, want) in weights.chunks_exact(inputs * taps).zip(numbers(&case["full_scales"])) {
                assert!((f64::from(scale_without_cut(row, taps)) / want - 1.0).abs() < 1e-6);
            }
            let side = if taps == 9 { 3 } else { 1 };
            let conv = Conv { outputs, inputs, side, weights: Weights::F32(weights.clone()), bias: vec![0.0; outputs] };
            let Weights::Int8 { values, scales, .. } = quantized(&conv, 1.0, &energy) else { panic!("not rounded") };
            assert_eq!(breach(&values, inputs, taps), None);
            let row = inputs * taps;
            for (o, want) in numbers(&case["least_errors"]).into_iter().enumerate() {
                let (w, q) = (&weights[o * row..(o + 1) * row], &values[o * row..(o + 1) * row]);
                let found = error(w, q, taps, scales[o], &energy);
                // The reference shares a cut in whole steps by trying, this code by formula and rounding.
                assert!(found <= want * 1.001 && found >= want * 0.999, "output {o}: {found}, want {want}");
            }
        }
    }

    #[test]
    fn a_pair_is_held_to_the_rule_at_the_bound_and_named_one_past_it() {
        for (values, inputs, taps, want) in [
            (vec![127, 1], 2, 1, None),
            (vec![64, 64], 2, 1, None),
            (vec![127, -127], 2, 1, None),
            (vec![-64, -64], 2, 1, None),
            (vec![65, 64], 2, 1, Some((0, 0, 0, 129))),
            (vec![-127, -2], 2, 1, Some((0, 0, 0, -129))),
            (vec![1, 100, 100], 3, 1, None),
            (vec![0, 127, 0, 127], 4, 1, None),
            // Two taps: those of one channel stand side by side, a pair two apart.
            (vec![0, 100, 0, 29, 0, 0, 0, 0], 4, 2, Some((0, 0, 1, 129))),
            (vec![0, 0, 0, 0, 100, 100, 0, 0], 4, 2, None),
        ] {
            assert_eq!(breach(&values, inputs, taps), want, "{values:?}");
        }
    }

    #[test]
    fn weights_of_zero_stay_zero() {
        let conv = Conv { outputs: 1, inputs: 3, side: 1, weights: Weights::F32(vec![0.0; 3]), bias: vec![0.0] };
        let Weights::Int8 { values, scales, .. } = quantized(&conv, 0.5, &[1.0; 3]) else { panic!("not rounded") };
        assert_eq!((values, scales), (vec![0; 3], vec![1.0]));
    }
}
