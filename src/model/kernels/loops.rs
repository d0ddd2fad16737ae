//! Loops over channels that need no instruction of their own: written once, compiled for every instruction set by
//! being inlined into a function that enables it. No multiply-add is contracted, so all give the same bytes.

use super::arithmetic::WIDE;

/// 2^23: adding it to 0..=255 leaves the number, rounded to nearest even, in the lowest byte.
const ROUNDING: f32 = 8_388_608.0;

/// An activation: what a normalized number becomes.
pub(super) trait Activate: Copy {
    fn active(x: f32) -> Self;
}

impl Activate for u8 {
    #[inline(always)]
    fn active(x: f32) -> Self {
        // The order of these comparisons decides what NaN becomes, and is the one of the instruction MINPS.
        let below = if x < 255.0 { x } else { 255.0 };
        let inside = if below > 0.0 { below } else { 0.0 };
        (inside + ROUNDING).to_bits().to_le_bytes()[0]
    }
}

impl Activate for f32 {
    #[inline(always)]
    fn active(x: f32) -> Self {
        if x > 0.0 { x } else { 0.0 }
    }
}

/// See [`super::arithmetic::Prepare`].
///
/// # Safety
/// `input` has `pixels` at a distance of `pitch`, `output` at [`WIDE`], each with as many channels as `scale`.
#[inline(always)]
pub(super) unsafe fn prepare<T: Activate>(
    input: *const f32,
    pitch: usize,
    pixels: usize,
    (scale, shift): (&[f32], &[f32]),
    output: *mut T,
) {
    let channels = scale.len();
    for pixel in 0..pixels {
        // SAFETY: as the caller vouches.
        let (x, y) = unsafe {
            let x = std::slice::from_raw_parts(input.add(pixel * pitch), channels);
            (x, std::slice::from_raw_parts_mut(output.add(pixel * WIDE), channels))
        };
        for ((y, x), (a, b)) in y.iter_mut().zip(x).zip(scale.iter().zip(shift)) {
            *y = T::active(x * a + b);
        }
    }
}

/// See [`super::arithmetic::Average`].
///
/// # Safety
/// Each row has `2 * pixels` pixels at a distance of `pitch`, `output` has `pixels` at [`WIDE`], each with as many
/// channels as `scale`.
#[inline(always)]
pub(super) unsafe fn average<T: Activate>(
    rows: [*const f32; 2],
    pitch: usize,
    pixels: usize,
    (scale, shift): (&[f32], &[f32]),
    output: *mut T,
) {
    let channels = scale.len();
    for pixel in 0..pixels {
        // SAFETY: as the caller vouches.
        let (x, y) = unsafe {
            let at = |row: usize, x: usize| std::slice::from_raw_parts(rows[row].add((2 * pixel + x) * pitch), channels);
            let y = std::slice::from_raw_parts_mut(output.add(pixel * WIDE), channels);
            ([at(0, 0), at(0, 1), at(1, 0), at(1, 1)], y)
        };
        let shift = &shift[..channels];
        for c in 0..channels {
            let [p, q, r, s] = x.map(|x| f32::active(x[c] * scale[c] + shift[c]));
            y[c] = T::active((p + q) + (r + s));
        }
    }
}

/// The sizes of one row of max pooling.
#[derive(Clone, Copy)]
pub(super) struct PoolSizes {
    /// Pixels of a row that is read.
    pub width: usize,
    /// Elements from one pixel to the next of a row that is read.
    pub padded: usize,
    /// Channels that are read and written.
    pub channels: usize,
    /// Elements from one pixel to the next of the output.
    pub pitch: usize,
}

/// One row of max pooling 3x3, stride 2, padding 1, over three rows; at an edge, one of them or a column stands twice.
///
/// # Safety
/// The rows have `width` pixels at a distance of `padded`, the output has half as many, rounded up, at `pitch`; each has
/// `channels`.
#[inline(always)]
pub(super) unsafe fn pool_row(rows: [*const f32; 3], sizes: PoolSizes, output: *mut f32) {
    let PoolSizes { width, padded, channels, pitch } = sizes;
    for pixel in 0..width.div_ceil(2) {
        let columns = [(2 * pixel).saturating_sub(1), 2 * pixel, (2 * pixel + 1).min(width - 1)];
        let nine: [*const f32; 9] = std::array::from_fn(|i| rows[i / 3].wrapping_add(columns[i % 3] * padded));
        for c in 0..channels {
            // SAFETY: as the caller vouches; every column is below `width`.
            unsafe {
                *output.add(pixel * pitch + c) = nine.map(|x| *x.add(c)).into_iter().fold(0.0, |a, b| if b > a { b } else { a })
            };
        }
    }
}
