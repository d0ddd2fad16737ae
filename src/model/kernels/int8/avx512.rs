//! int8 with 512-bit dot products: 14 pixels x 32 output channels in registers, the weights read once for all of them.

use std::arch::x86_64::*;

use super::super::arithmetic::{Ahead, NARROW, Operations, Product, Tile, WIDE, products};
use super::super::loops;
use super::Int8;

pub(super) const OPERATIONS: Operations<Int8> = Operations {
    wide_active: products!(product, WIDE, true, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
    wide: products!(product, WIDE, false, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
    narrow: products!(product, NARROW, false, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
    prepare,
    average,
};

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn product<const M: usize, const PITCH: usize, const ACTIVE: bool>(tile: &Tile<'_, Int8>) {
    let mut sums = [[_mm512_setzero_si512(); 2]; M];
    let mut weights = tile.weights.cast::<__m512i>();
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
                    ahead = ahead.wrapping_add(16);
                    let (left, right) = (_mm512_load_si512(weights), _mm512_load_si512(weights.add(1)));
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        let values = _mm512_set1_epi32(input.add(pixel * PITCH).cast::<i32>().read_unaligned());
                        sum[0] = _mm512_dpbusd_epi32(sum[0], values, left);
                        sum[1] = _mm512_dpbusd_epi32(sum[1], values, right);
                    }
                    input = input.add(4);
                    weights = weights.add(2);
                }
            }
        }
    }
    // SAFETY: the caller vouches for PANEL factors, summands, and outputs at each of M offsets.
    unsafe {
        let multiplier = [0, 16].map(|o| _mm512_loadu_ps(tile.multiplier.add(o)));
        let addend = [0, 16].map(|o| _mm512_loadu_ps(tile.addend.add(o)));
        for (pixel, sum) in sums.into_iter().enumerate() {
            let offset = *tile.offsets.as_ptr().add(pixel);
            let y: [__m512; 2] =
                std::array::from_fn(|i| _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum[i]), multiplier[i]), addend[i]));
            if ACTIVE {
                let words = _mm512_packs_epi32(_mm512_cvtps_epi32(y[0]), _mm512_cvtps_epi32(y[1]));
                let bytes = _mm512_packus_epi16(words, words);
                // Each lane of 128 bits holds 4 of the first and 4 of the second 16 channels, twice.
                let order = _mm256_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13);
                let order = _mm512_zextsi256_si512(order);
                let bytes = _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, bytes));
                _mm256_storeu_si256(tile.output.add(offset).cast(), bytes);
            } else {
                let output = tile.output.cast::<f32>().add(offset);
                _mm512_storeu_ps(output, y[0]);
                _mm512_storeu_ps(output.add(16), y[1]);
            }
        }
    }
}

/// 64 channels of all pixels at a time, their factors and summands in registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn prepare(input: *const f32, pitch: usize, pixels: usize, (scale, shift): (&[f32], &[f32]), output: *mut u8) {
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let most = _mm512_set1_ps(255.0);
    for c in (0..scale.len()).step_by(64) {
        let masks: [__mmask16; 4] = std::array::from_fn(|i| mask(scale.len().saturating_sub(c + i * 16)));
        // SAFETY: the masks end with the channels, of which the caller vouches for `pixels` inputs and outputs; what is
        // stored beyond them stays before the next pixel, since WIDE exceeds the most channels by 64.
        unsafe {
            let load = |p: *const f32| -> [__m512; 4] {
                std::array::from_fn(|i| _mm512_maskz_loadu_ps(masks[i], p.wrapping_add(c + i * 16)))
            };
            let (scale, shift) = (load(scale.as_ptr()), load(shift.as_ptr()));
            for pixel in 0..pixels {
                let x = load(input.add(pixel * pitch));
                let q: [__m512i; 4] = std::array::from_fn(|i| {
                    let y = _mm512_add_ps(_mm512_mul_ps(x[i], scale[i]), shift[i]);
                    _mm512_cvtps_epi32(_mm512_min_ps(y, most))
                });
                let bytes = _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
                _mm512_storeu_si512(output.add(pixel * WIDE + c).cast(), _mm512_permutexvar_epi32(order, bytes));
            }
        }
    }
}

fn mask(channels: usize) -> __mmask16 {
    if channels >= 16 { 0xffff } else { (1 << channels) - 1 }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn average(rows: [*const f32; 2], pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut u8) {
    // SAFETY: as the caller vouches.
    unsafe { loops::average(rows, pitch, pixels, norm, output) };
}
