//! f32 with 512-bit multiply-adds: 14 pixels x 32 output channels in registers, the weights read once for all of them.

use std::arch::x86_64::*;

use super::super::arithmetic::{Ahead, NARROW, Operations, Product, STRIDE2, Tile, WIDE, products};
use super::super::loops::{self, PoolSizes};
use super::{F32, StemOperations};

pub(super) const OPERATIONS: Operations<F32> = Operations {
    wide_active: products!(product, WIDE, true, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
    wide: products!(product, WIDE, false, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
    narrow: products!(product, NARROW, false, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
    prepare,
    average,
};

pub(super) const STEM: StemOperations =
    StemOperations { stride2_active: products!(product, STRIDE2, true, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]), pool_row };

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn product<const M: usize, const PITCH: usize, const ACTIVE: bool>(tile: &Tile<'_, F32>) {
    let mut weights = tile.weights;
    // SAFETY: the caller vouches for PANEL summands.
    let addend = unsafe { [_mm512_loadu_ps(tile.addend), _mm512_loadu_ps(tile.addend.add(16))] };
    let mut sums = [addend; M];
    let rows = if ACTIVE { Ahead::ROWS } else { 1 };
    let mut ahead = tile.ahead.start;
    for &tap in tile.taps {
        let mut input = tile.input.wrapping_add(tap);
        for row in 0..rows {
            if ACTIVE {
                ahead = tile.ahead.row(row).start;
            }
            for _ in tile.groups * row / rows..tile.groups * (row + 1) / rows {
                // SAFETY: the caller vouches for the input of every pixel, tap and group, and for the weights of each group.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                    // Four steps of one channel each take as much time as one of four.
                    ahead = ahead.wrapping_add(4);
                    let (left, right) = (_mm512_load_ps(weights), _mm512_load_ps(weights.add(16)));
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        let value = _mm512_set1_ps(*input.add(pixel * PITCH));
                        sum[0] = _mm512_fmadd_ps(value, left, sum[0]);
                        sum[1] = _mm512_fmadd_ps(value, right, sum[1]);
                    }
                    input = input.add(1);
                    weights = weights.add(32);
                }
            }
        }
    }
    for (pixel, sum) in sums.into_iter().enumerate() {
        let zero = _mm512_setzero_ps();
        let [left, right] = if ACTIVE { sum.map(|s| _mm512_max_ps(s, zero)) } else { sum };
        // SAFETY: the caller vouches for PANEL outputs at each of M offsets.
        unsafe {
            let output = tile.output.cast::<f32>().add(*tile.offsets.as_ptr().add(pixel));
            _mm512_storeu_ps(output, left);
            _mm512_storeu_ps(output.add(16), right);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn prepare(input: *const f32, pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::prepare(input, pitch, pixels, norm, output) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn average(rows: [*const f32; 2], pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::average(rows, pitch, pixels, norm, output) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn pool_row(rows: [*const f32; 3], sizes: PoolSizes, output: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe { loops::pool_row(rows, sizes, output) };
}
