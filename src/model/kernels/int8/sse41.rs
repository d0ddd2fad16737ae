//! int8 with 128-bit registers, for processors without AVX2 (the small boxes that clinics have): pairs of products in
//! saturating 16 bits, as AVX2 has them; 5 pixels x 8 output channels in registers, four times a panel.

use std::arch::x86_64::*;

use super::super::arithmetic::{NARROW, Operations, PANEL, Product, Tile, WIDE, products};
use super::super::loops;
use super::Int8;

/// Output channels whose sums are in registers together.
const QUARTER: usize = PANEL / 4;

pub(super) const OPERATIONS: Operations<Int8> = Operations {
    wide_active: products!(product, WIDE, true, [1 2 3 4 5]),
    wide: products!(product, WIDE, false, [1 2 3 4 5]),
    narrow: products!(product, NARROW, false, [1 2 3 4 5]),
    prepare,
    average,
};

#[target_feature(enable = "sse4.1")]
unsafe fn product<const M: usize, const PITCH: usize, const ACTIVE: bool>(tile: &Tile<'_, Int8>) {
    for first in (0..PANEL).step_by(QUARTER) {
        let mut sums = [[_mm_setzero_si128(); 2]; M];
        let mut weights = tile.weights.wrapping_add(first * 4).cast::<__m128i>();
        for &tap in tile.taps {
            // SAFETY: the caller vouches for the input of every pixel, tap and group, and for each group's weights.
            unsafe {
                let mut input = tile.input.add(tap);
                for _ in 0..tile.groups {
                    let (left, right) = (_mm_load_si128(weights), _mm_load_si128(weights.add(1)));
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        let values = _mm_set1_epi32(input.add(pixel * PITCH).cast::<i32>().read_unaligned());
                        sum[0] = dot(sum[0], values, left);
                        sum[1] = dot(sum[1], values, right);
                    }
                    input = input.add(4);
                    weights = weights.wrapping_add(PANEL / 4);
                }
            }
        }
        // SAFETY: the caller vouches for PANEL factors, summands, and outputs at each of M offsets.
        unsafe {
            let multiplier = [0, 4].map(|o| _mm_loadu_ps(tile.multiplier.add(first + o)));
            let addend = [0, 4].map(|o| _mm_loadu_ps(tile.addend.add(first + o)));
            for (pixel, sum) in sums.into_iter().enumerate() {
                let offset = *tile.offsets.as_ptr().add(pixel) + first;
                let y: [__m128; 2] =
                    std::array::from_fn(|i| _mm_add_ps(_mm_mul_ps(_mm_cvtepi32_ps(sum[i]), multiplier[i]), addend[i]));
                if ACTIVE {
                    let words = _mm_packs_epi32(_mm_cvtps_epi32(y[0]), _mm_cvtps_epi32(y[1]));
                    _mm_storel_epi64(tile.output.add(offset).cast(), _mm_packus_epi16(words, words));
                } else {
                    let output = tile.output.cast::<f32>().add(offset);
                    _mm_storeu_ps(output, y[0]);
                    _mm_storeu_ps(output.add(4), y[1]);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "sse4.1")]
fn dot(sum: __m128i, values: __m128i, weights: __m128i) -> __m128i {
    let pairs = _mm_maddubs_epi16(values, weights);
    _mm_add_epi32(sum, _mm_madd_epi16(pairs, _mm_set1_epi16(1)))
}

#[target_feature(enable = "sse4.1")]
unsafe fn prepare(input: *const f32, pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut u8) {
    // SAFETY: as the caller vouches.
    unsafe { loops::prepare(input, pitch, pixels, norm, output) };
}

#[target_feature(enable = "sse4.1")]
unsafe fn average(rows: [*const f32; 2], pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut u8) {
    // SAFETY: as the caller vouches.
    unsafe { loops::average(rows, pitch, pixels, norm, output) };
}
