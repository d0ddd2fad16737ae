//! f32 with 128-bit registers, for processors without AVX2: 5 pixels x 8 output channels in registers, four times a panel.

use std::arch::x86_64::*;

use super::super::arithmetic::{NARROW, Operations, PANEL, Product, STRIDE2, Tile, WIDE, products};
use super::super::loops::{self, PoolSizes};
use super::{F32, StemOperations};

/// Output channels whose sums are in registers together.
const QUARTER: usize = PANEL / 4;

pub(super) const OPERATIONS: Operations<F32> = Operations {
    wide_active: products!(product, WIDE, true, [1 2 3 4 5]),
    wide: products!(product, WIDE, false, [1 2 3 4 5]),
    narrow: products!(product, NARROW, false, [1 2 3 4 5]),
    prepare,
    average,
};

pub(super) const STEM: StemOperations =
    StemOperations { stride2_active: products!(product, STRIDE2, true, [1 2 3 4 5]), pool_row };

#[target_feature(enable = "sse4.1")]
unsafe fn product<const M: usize, const PITCH: usize, const ACTIVE: bool>(tile: &Tile<'_, F32>) {
    for first in (0..PANEL).step_by(QUARTER) {
        let mut weights = tile.weights.wrapping_add(first);
        // SAFETY: the caller vouches for PANEL summands.
        let addend = unsafe { [0, 4].map(|o| _mm_loadu_ps(tile.addend.add(first + o))) };
        let mut sums = [addend; M];
        for &tap in tile.taps {
            // SAFETY: the caller vouches for the input of every pixel, tap and group, and for each group's weights.
            unsafe {
                let mut input = tile.input.add(tap);
                for _ in 0..tile.groups {
                    let (left, right) = (_mm_load_ps(weights), _mm_load_ps(weights.add(4)));
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        let value = _mm_set1_ps(*input.add(pixel * PITCH));
                        sum[0] = _mm_add_ps(_mm_mul_ps(value, left), sum[0]);
                        sum[1] = _mm_add_ps(_mm_mul_ps(value, right), sum[1]);
                    }
                    input = input.add(1);
                    weights = weights.wrapping_add(PANEL);
                }
            }
        }
        for (pixel, sum) in sums.into_iter().enumerate() {
            let zero = _mm_setzero_ps();
            let [left, right] = if ACTIVE { sum.map(|s| _mm_max_ps(s, zero)) } else { sum };
            // SAFETY: the caller vouches for PANEL outputs at each of M offsets.
            unsafe {
                let output = tile.output.cast::<f32>().add(*tile.offsets.as_ptr().add(pixel) + first);
                _mm_storeu_ps(output, left);
                _mm_storeu_ps(output.add(4), right);
            }
        }
    }
}

#[target_feature(enable = "sse4.1")]
unsafe fn prepare(input: *const f32, pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::prepare(input, pitch, pixels, norm, output) };
}

#[target_feature(enable = "sse4.1")]
unsafe fn average(rows: [*const f32; 2], pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::average(rows, pitch, pixels, norm, output) };
}

#[target_feature(enable = "sse4.1")]
unsafe fn pool_row(rows: [*const f32; 3], sizes: PoolSizes, output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::pool_row(rows, sizes, output) };
}
