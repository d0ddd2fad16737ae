//! f32 in plain loops: what the other instruction sets are tested against, to rounding.

use super::super::arithmetic::{NARROW, Operations, PANEL, STRIDE2, Tile, WIDE};
use super::super::loops::{self, Activate};
use super::{F32, Product, StemOperations};

/// Pixels of one product.
const PIXELS: usize = 8;

pub(super) const OPERATIONS: Operations<F32> = Operations {
    wide_active: &[product::<WIDE, true> as Product<F32>; PIXELS],
    wide: &[product::<WIDE, false> as Product<F32>; PIXELS],
    narrow: &[product::<NARROW, false> as Product<F32>; PIXELS],
    prepare: loops::prepare::<f32>,
    average: loops::average::<f32>,
};

pub(super) const STEM: StemOperations =
    StemOperations { stride2_active: &[product::<STRIDE2, true> as Product<F32>; PIXELS], pool_row: loops::pool_row };

unsafe fn product<const PITCH: usize, const ACTIVE: bool>(tile: &Tile<'_, F32>) {
    for (pixel, &offset) in tile.offsets.iter().enumerate() {
        // SAFETY: the caller vouches for PANEL summands.
        let mut sums = unsafe { *tile.addend.cast::<[f32; PANEL]>() };
        for (t, &tap) in tile.taps.iter().enumerate() {
            for g in 0..tile.groups {
                // SAFETY: the caller vouches for the input of every pixel, tap and group, and for the weights.
                let (x, w) = unsafe {
                    let w = tile.weights.add((t * tile.groups + g) * PANEL).cast::<[f32; PANEL]>();
                    (*tile.input.add(pixel * PITCH + tap + g), &*w)
                };
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum += x * w;
                }
            }
        }
        if ACTIVE {
            sums = sums.map(f32::active);
        }
        // SAFETY: the caller vouches for PANEL outputs at each offset, which is of f32 in both forms.
        unsafe { *tile.output.cast::<f32>().add(offset).cast::<[f32; PANEL]>() = sums };
    }
}
