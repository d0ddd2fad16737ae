//! int8 with 256-bit registers, for either way to multiply bytes: 6 pixels x 16 output channels in registers, twice a panel.

/// The operations of an instruction set with `features`, where `dot(sum, values, weights)` adds the products of four
/// neighbouring bytes, u8 x s8, to each i32.
macro_rules! operations {
    ($features:literal, $dot:ident) => {
        pub(super) const OPERATIONS: Operations<Int8> = Operations {
    wide_active: products!(product, WIDE, true, [1 2 3 4 5 6]),
    wide: products!(product, WIDE, false, [1 2 3 4 5 6]),
    narrow: products!(product, NARROW, false, [1 2 3 4 5 6]),
            prepare,
            average,
        };

        #[target_feature(enable = $features)]
        unsafe fn product<const M: usize, const PITCH: usize, const ACTIVE: bool>(tile: &Tile<'_, Int8>) {
            for half in [0, PANEL / 2] {
                let mut sums = [[_mm256_setzero_si256(); 2]; M];
                let mut weights = tile.weights.wrapping_add(half * 4).cast::<__m256i>();
                for &tap in tile.taps {
                    // SAFETY: the caller vouches for the input of every pixel, tap and group, and for each group's weights.
                    unsafe {
                        let mut input = tile.input.add(tap);
                        for _ in 0..tile.groups {
                            let (left, right) = (_mm256_load_si256(weights), _mm256_load_si256(weights.add(1)));
                            for (pixel, sum) in sums.iter_mut().enumerate() {
                                let values = _mm256_set1_epi32(input.add(pixel * PITCH).cast::<i32>().read_unaligned());
                                sum[0] = $dot(sum[0], values, left);
                                sum[1] = $dot(sum[1], values, right);
                            }
                            input = input.add(4);
                            weights = weights.wrapping_add(4);
                        }
                    }
                }
                // SAFETY: the caller vouches for PANEL factors, summands, and outputs at each of M offsets.
                unsafe {
                    let multiplier = [0, 8].map(|o| _mm256_loadu_ps(tile.multiplier.add(half + o)));
                    let addend = [0, 8].map(|o| _mm256_loadu_ps(tile.addend.add(half + o)));
                    for (pixel, sum) in sums.into_iter().enumerate() {
                        let offset = *tile.offsets.as_ptr().add(pixel) + half;
                        let y: [__m256; 2] = std::array::from_fn(|i| {
                            _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum[i]), multiplier[i]), addend[i])
                        });
                        if ACTIVE {
                            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(y[0]), _mm256_cvtps_epi32(y[1]));
                            // Each lane of 128 bits holds 4 of the first and 4 of the second 8 channels, twice.
                            let order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
                            let bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words, words), order);
                            _mm_storeu_si128(tile.output.add(offset).cast(), _mm256_castsi256_si128(bytes));
                        } else {
                            let output = tile.output.cast::<f32>().add(offset);
                            _mm256_storeu_ps(output, y[0]);
                            _mm256_storeu_ps(output.add(8), y[1]);
                        }
                    }
                }
            }
        }

        #[target_feature(enable = $features)]
        unsafe fn prepare(input: *const f32, pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut u8) {
            // SAFETY: as the caller vouches.
            unsafe { loops::prepare(input, pitch, pixels, norm, output) };
        }

        #[target_feature(enable = $features)]
        unsafe fn average(rows: [*const f32; 2], pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut u8) {
            // SAFETY: as the caller vouches.
            unsafe { loops::average(rows, pitch, pixels, norm, output) };
        }
    };
}
pub(super) use operations;
