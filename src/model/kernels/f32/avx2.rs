//! f32 with 256-bit multiply-adds: 6 pixels x 16 output channels in registers, twice a panel.

use std::arch::x86_64::*;

use super::super::arithmetic::{NARROW, Operations, PANEL, Product, STRIDE2, Tile, WIDE, products};
use super::super::loops::{self, PoolSizes};
use super::{F32, StemOperations};

pub(super) const OPERATIONS: Operations<F32> = Operations {
    wide_active: products!(product, WIDE, true, [1 2 3 4 5 6]),
    wide: products!(product, WIDE, false, [1 2 3 4 5 6]),
    narrow: products!(product, NARROW, false, [1 2 3 4 5 6]),
    prepare,
    average,
};

pub(super) const STEM: StemOperations =
    StemOperations { stride2_active: products!(product, STRIDE2, true, [1 2 3 4 5 6]), pool_row };

#[target_feature(enable = "avx2,fma")]
unsafe fn product<const M: usize, const PITCH: usize, const ACTIVE: bool>(tile: &Tile<'_, F32>) {
    for half in [0, PANEL / 2] {
        let mut weights = tile.weights.wrapping_add(half);
        // SAFETY: the caller vouches for PANEL summands.
        let addend = unsafe { [0, 8].map(|o| _mm256_loadu_ps(tile.addend.add(half + o))) };
        let mut sums = [addend; M];
        for &tap in tile.taps {
            // SAFETY: the caller vouches for the input of every pixel, tap and group, and for each group's weights.
            unsafe {
                let mut input = tile.input.add(tap);
                for _ in 0..tile.groups {
                    let (left, right) = (_mm256_load_ps(weights), _mm256_load_ps(weights.add(8)));
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        let value = _mm256_set1_ps(*input.add(pixel * PITCH));
                        sum[0] = _mm256_fmadd_ps(value, left, sum[0]);
                        sum[1] = _mm256_fmadd_ps(value, right, sum[1]);
                    }
                    input = input.add(1);
                    weights = weights.wrapping_add(PANEL);
                }
            }
        }
        for (pixel, sum) in sums.into_iter().enumerate() {
            let zero = _mm256_setzero_ps();
            let [left, right] = if ACTIVE { sum.map(|s| _mm256_max_ps(s, zero)) } else { sum };
            // SAFETY: the caller vouches for PANEL outputs at each of M offsets.
            unsafe {
                let output = tile.output.cast::<f32>().add(*tile.offsets.as_ptr().add(pixel) + half);
                _mm256_storeu_ps(output, left);
                _mm256_storeu_ps(output.add(8), right);
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn prepare(input: *const f32, pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::prepare(input, pitch, pixels, norm, output) };
}

#[target_feature(enable = "avx2,fma")]
unsafe fn average(rows: [*const f32; 2], pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::average(rows, pitch, pixels, norm, output) };
}

#[target_feature(enable = "avx2,fma")]
unsafe fn pool_row(rows: [*const f32; 3], sizes: PoolSizes, output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::pool_row(rows, sizes, output) };
}
