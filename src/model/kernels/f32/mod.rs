//! The f32 arithmetic.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::arithmetic::{Arithmetic, Operations, Product, Scaled};
use super::loops::PoolSizes;
use super::{Conv, ConvWeights, InstructionSet, KernelError};

/// See the module.
pub(super) struct F32;

/// One row of the stem's max pooling: see [`super::loops::pool_row`].
pub(super) type PoolRow = unsafe fn(rows: [*const f32; 3], sizes: PoolSizes, output: *mut f32);

/// The functions of one instruction set for the stem.
#[derive(Clone, Copy)]
pub(super) struct StemOperations {
    /// The image to values after ReLU, two columns a pixel.
    pub stride2_active: &'static [Product<F32>],
    pub pool_row: PoolRow,
}

impl StemOperations {
    pub(super) fn of(set: InstructionSet) -> Self {
        match set {
            InstructionSet::Portable | InstructionSet::Sse41 => portable::STEM,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 | InstructionSet::AvxVnni => avx2::STEM,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Vnni => avx512::STEM,
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable::STEM,
        }
    }
}

impl Arithmetic for F32 {
    type Value = f32;
    type Weight = f32;
    const GROUP: usize = 1;

    fn operations(set: InstructionSet) -> Operations<Self> {
        match set {
            // Plain loops are as fast as 128-bit instructions of ours: the compiler's baseline has these.
            InstructionSet::Portable | InstructionSet::Sse41 => portable::OPERATIONS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 | InstructionSet::AvxVnni => avx2::OPERATIONS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Vnni => avx512::OPERATIONS,
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable::OPERATIONS,
        }
    }

    fn weights(conv: &Conv, _output_step: f32) -> Result<Scaled<'_, Self>, KernelError> {
        match &conv.weights {
            ConvWeights::F32(values) => Ok(Scaled { weights: values, multiplier: Vec::new(), addend: conv.bias.clone() }),
            ConvWeights::Int8 { .. } => Err(KernelError::Mixed { what: "an f32 part" }),
        }
    }

    fn input_step(_conv: &Conv) -> f32 {
        1.0
    }
}
