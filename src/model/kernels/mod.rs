//! Fused DenseNet arithmetic: whole stems, dense blocks, transitions and tails, each one call.
//!
//! In: weights as the graph has them ([`spec`](StemSpec)), checked and packed once by `new`; then maps in NHWC, f32.
//! Out: the same maps as the graph's own nodes would give, in int8 (u8 x s8 -> i32, exact on every CPU) or f32.
//! Never: an access outside a checked slice, an allocation per layer, another result for another number of threads.
//!
//! The only unsafe code of the program. Bounds are checked where a weight or a map comes in; the loops below them
//! run on raw pointers. Each instruction set is tested against the portable loops.
#![allow(unsafe_code)]

mod arithmetic;
mod block;
mod conv;
mod cpu;
mod f32;
mod int8;
mod loops;
mod memory;
mod peak;
mod pool;
mod spec;
mod stem;
mod tail;
mod transition;

pub use block::Block;
pub use cpu::InstructionSet;
pub use peak::{Factors, peak};
pub use pool::Pool;
pub use spec::{Affine, BlockSpec, Conv, ConvWeights, DenseLayerSpec, StemSpec, TailSpec, TransitionSpec};
pub use stem::Stem;
pub use tail::Tail;
pub use transition::Transition;

/// Most channels of a map that the kernels take: DenseNet-161 ends with 2,208.
pub const CHANNELS_MAX: usize = 2_304;

/// Most pixels along one side of a map: a network input of 2,048 halved twice leaves 512; the stem itself sees the input.
pub const SIDE_MAX: usize = 4_096;

/// The number of elements of any map within these bounds must not overflow: the checks of lengths multiply them.
const _: () = assert!(usize::BITS >= 64 && CHANNELS_MAX * SIDE_MAX * SIDE_MAX < 1 << 40);

/// Why weights or a map were not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KernelError {
    /// The name of an instruction set is not known.
    #[error("instruction set {name:?} is not known; one of avx512-vnni, avx-vnni, avx2, sse4.1, portable was expected")]
    UnknownInstructionSet {
        /// What stood there.
        name: String,
    },
    /// Two lengths that belong together differ.
    #[error("{what} has {found} elements; {expected} were expected")]
    Length {
        /// Which array.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A size is zero or beyond what the kernels take.
    #[error("{what} is {found}; 1 to {most} were expected")]
    Size {
        /// Which size.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The largest value taken.
        most: usize,
    },
    /// A scale, shift, weight or bias is not finite, or a step is not positive.
    #[error("{what} holds {found}, which no arithmetic can use")]
    Number {
        /// Which array.
        what: &'static str,
        /// The value.
        found: f32,
    },
    /// One convolution is int8 and another f32 where both must be the same.
    #[error("{what} mixes int8 and f32 convolutions")]
    Mixed {
        /// Which part.
        what: &'static str,
    },
    /// Two weights of one pair would saturate the 16-bit sums that CPUs with AVX2 alone have.
    #[error("output channel {output}: the weights at position {position} sum to {sum}; -128 to 128 were expected")]
    Saturates {
        /// The output channel.
        output: usize,
        /// The first of the pair, in the order of the weights of that channel.
        position: usize,
        /// The sum of the pair's weights of one sign.
        sum: i32,
    },
    /// The sums of a channel could leave the range of the quantization.
    #[error("output channel {output} can reach {reach}, beyond 31 bits of steps")]
    Reach {
        /// The output channel.
        output: usize,
        /// Its largest magnitude, in steps of what it is quantized to.
        reach: f32,
    },
}

fn length(what: &'static str, found: usize, expected: usize) -> Result<(), KernelError> {
    if found == expected { Ok(()) } else { Err(KernelError::Length { what, found, expected }) }
}

fn size(what: &'static str, found: usize, most: usize) -> Result<(), KernelError> {
    if (1..=most).contains(&found) { Ok(()) } else { Err(KernelError::Size { what, found, most }) }
}

fn finite(what: &'static str, values: &[f32]) -> Result<(), KernelError> {
    values.iter().find(|v| !v.is_finite()).map_or(Ok(()), |&found| Err(KernelError::Number { what, found }))
}

/// A map of `pixels` pixels at a distance of `pitch`, of which `channels` are written.
fn pitched(what: &'static str, found: usize, pixels: usize, pitch: usize, channels: usize) -> Result<(), KernelError> {
    size("the distance between pixels", pitch, 2 * CHANNELS_MAX)?;
    if pitch < channels {
        return Err(KernelError::Length { what: "the distance between pixels", found: pitch, expected: channels });
    }
    length(what, found, pixels * pitch)
}

#[cfg(test)]
mod tests;
