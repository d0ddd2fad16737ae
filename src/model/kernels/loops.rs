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
        for c in 0..channels {
            let [p, q, r, s] = [0, 1, 2, 3].map(|i: usize| f32::active(x[i][c] * scale[c] + shift[c]));
            y[c] = T::active((p + q) + (r + s));
        }
    }
}

/// One row of max pooling 3x3, stride 2, padding 1, over values that are not negative: `output` has `pixels` pixels at a
/// distance of `pitch`, of which `channels` are written; `rows` are up to three rows of `width` pixels of `padded` channels.
///
/// # Safety
/// The rows and the output are as long as that says, and `padded >= channels`.
#[inline(always)]
pub(super) unsafe fn pool_row(
    rows: &[*const f32],
    width: usize,
    padded: usize,
    channels: usize,
    output: (*mut f32, usize, usize),
) {
    let (out, pitch, pixels) = output;
    for pixel in 0..pixels {
        // SAFETY: as the caller vouches.
        let y = unsafe { std::slice::from_raw_parts_mut(out.add(pixel * pitch), channels) };
        y.fill(0.0);
        for x in (2 * pixel).saturating_sub(1)..(2 * pixel + 2).min(width) {
            for row in rows {
                // SAFETY: x < width.
                let values = unsafe { std::slice::from_raw_parts(row.add(x * padded), channels) };
                for (y, v) in y.iter_mut().zip(values) {
                    *y = if *v > *y { *v } else { *y };
                }
            }
        }
    }
}
