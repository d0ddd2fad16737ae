//! The int8 arithmetic: u8 activations with zero point 0, s8 weights with a step per output channel, i32 sums.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sse41;
#[cfg(target_arch = "x86_64")]
mod ymm;

use super::arithmetic::{Arithmetic, Operations, Scaled};
use super::{Conv, ConvWeights, InstructionSet, KernelError};

/// See the module.
pub(super) struct Int8;

/// Largest sum of two weights of one sign: times 255 it is the most that 16 bits hold.
const PAIR_MAX: i16 = 128;

/// Magnitudes up to here are rounded to an i32 of the same value.
const REACH_MAX: f32 = 2_147_483_000.0;

impl Arithmetic for Int8 {
    type Value = u8;
    type Weight = i8;
    const GROUP: usize = 4;

    fn operations(set: InstructionSet) -> Operations<Self> {
        match set {
            InstructionSet::Portable => portable::OPERATIONS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Sse41 => sse41::OPERATIONS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => avx2::OPERATIONS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::AvxVnni => avx_vnni::OPERATIONS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Vnni => avx512::OPERATIONS,
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable::OPERATIONS,
        }
    }

    fn weights(conv: &Conv, output_step: f32) -> Result<Scaled<'_, Self>, KernelError> {
        let ConvWeights::Int8 { values, scales, input_scale } = &conv.weights else {
            return Err(KernelError::Mixed { what: "an int8 part" });
        };
        let taps = conv.kernel * conv.kernel;
        let multiplier: Vec<f32> = scales.iter().map(|s| s * input_scale / output_step).collect();
        let addend: Vec<f32> = conv.bias.iter().map(|b| b / output_step).collect();
        for (output, weights) in values.chunks_exact(conv.in_channels * taps).enumerate() {
            check_pairs(output, weights, taps)?;
            // At most 9 * CHANNELS_MAX weights of 128: below 2^24, as every sum of them.
            #[allow(clippy::cast_precision_loss)]
            let most = 255.0 * weights.iter().map(|w| u32::from(w.unsigned_abs())).sum::<u32>() as f32;
            let reach = most * multiplier[output].abs() + addend[output].abs();
            if reach.is_nan() || reach > REACH_MAX {
                return Err(KernelError::Reach { output, reach });
            }
        }
        Ok(Scaled { weights: values, multiplier, addend })
    }

    fn input_step(conv: &Conv) -> f32 {
        match &conv.weights {
            ConvWeights::Int8 { input_scale, .. } => *input_scale,
            ConvWeights::F32(_) => 1.0,
        }
    }
}

/// One output channel's weights, [in, taps]: for neighbouring input channels 2j, 2j + 1 of a tap, those of one sign sum to
/// at most 128, so that u8 x s8 pairs never saturate 16 bits.
fn check_pairs(output: usize, weights: &[i8], taps: usize) -> Result<(), KernelError> {
    // No branch an element, so that this compiles to vector instructions: models are packed at every start.
    if taps == 1 && !weights.chunks_exact(2).fold(false, |found, pair| found | saturates(pair[0], pair[1])) {
        return Ok(());
    }
    for (j, pair) in weights.chunks_exact(2 * taps).enumerate() {
        let (left, right) = pair.split_at(taps);
        if let Some(tap) = left.iter().zip(right).position(|(a, b)| saturates(*a, *b)) {
            let (rise, fall) = sums_by_sign(left[tap], right[tap]);
            let sum = i32::from(if rise > PAIR_MAX { rise } else { fall });
            return Err(KernelError::Saturates { output, position: j * 2 * taps + tap, sum });
        }
    }
    Ok(())
}

fn sums_by_sign(a: i8, b: i8) -> (i16, i16) {
    let (a, b) = (i16::from(a), i16::from(b));
    (a.max(0) + b.max(0), a.min(0) + b.min(0))
}

fn saturates(a: i8, b: i8) -> bool {
    let (rise, fall) = sums_by_sign(a, b);
    (rise > PAIR_MAX) | (fall < -PAIR_MAX)
}
