//! The int8 arithmetic: u8 activations with zero point 0, s8 weights with a step per output channel, i32 sums.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod portable;
#[cfg(target_arch = "x86_64")]
mod ymm;

use super::arithmetic::{Arithmetic, Operations, Scaled};
use super::{Conv, ConvWeights, InstructionSet, KernelError};

/// See the module.
pub(super) struct Int8;

/// Largest sum of two weights of one sign: times 255 it is the most that 16 bits hold.
const PAIR_MAX: i32 = 128;

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
            InstructionSet::Avx2 => avx2::OPERATIONS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::AvxVnni => avx_vnni::OPERATIONS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Vnni => avx512::OPERATIONS,
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable::OPERATIONS,
        }
    }

    fn weights(conv: &Conv, output_step: f32) -> Result<Scaled<Self>, KernelError> {
        let ConvWeights::Int8 { values, scales, input_scale } = &conv.weights else {
            return Err(KernelError::Mixed { what: "an int8 part" });
        };
        let taps = conv.kernel * conv.kernel;
        let multiplier: Vec<f32> = scales.iter().map(|s| s * input_scale / output_step).collect();
        let addend: Vec<f32> = conv.bias.iter().map(|b| b / output_step).collect();
        for (output, weights) in values.chunks_exact(conv.in_channels * taps).enumerate() {
            check_pairs(output, weights, taps)?;
            #[allow(clippy::cast_precision_loss)] // an estimate of a magnitude
            let most = weights.iter().map(|w| i64::from(w.unsigned_abs()) * 255).sum::<i64>() as f32;
            let reach = most * multiplier[output].abs() + addend[output].abs();
            if reach.is_nan() || reach > REACH_MAX {
                return Err(KernelError::Reach { output, reach });
            }
        }
        Ok(Scaled { weights: values.clone(), multiplier, addend })
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
    for (j, pair) in weights.chunks(2 * taps).enumerate() {
        for tap in 0..taps {
            let of = |sign: fn(i32, i32) -> i32| pair.iter().skip(tap).step_by(taps).map(|w| sign(i32::from(*w), 0)).sum::<i32>();
            for sum in [of(i32::max), of(i32::min)] {
                if sum.abs() > PAIR_MAX {
                    return Err(KernelError::Saturates { output, position: j * 2 * taps + tap, sum });
                }
            }
        }
    }
    Ok(())
}
