//! int8 in plain loops: what the other instruction sets are tested against.

use super::super::arithmetic::{NARROW, Operations, PANEL, Product, Tile, WIDE};
use super::super::loops::{self, Activate};
use super::Int8;

/// Pixels of one product: their sums stay in the first cache.
const PIXELS: usize = 8;

pub(super) const OPERATIONS: Operations<Int8> = Operations {
    wide_active: &[product::<WIDE, true> as Product<Int8>; PIXELS],
    wide: &[product::<WIDE, false> as Product<Int8>; PIXELS],
    narrow: &[product::<NARROW, false> as Product<Int8>; PIXELS],
    prepare: loops::prepare::<u8>,
    average: loops::average::<u8>,
};

unsafe fn product<const PITCH: usize, const ACTIVE: bool>(tile: &Tile<'_, Int8>) {
    for (pixel, &offset) in tile.offsets.iter().enumerate() {
        let mut sums = [0i32; PANEL];
        for (t, &tap) in tile.taps.iter().enumerate() {
            for g in 0..tile.groups {
                // SAFETY: the caller vouches for the input of every pixel, tap and group, and for the weights.
                let (q, w) = unsafe {
                    let q = tile.input.add(pixel * PITCH + tap + g * 4).cast::<[u8; 4]>();
                    let w = tile.weights.add((t * tile.groups + g) * PANEL * 4).cast::<[[i8; 4]; PANEL]>();
                    (*q, &*w)
                };
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum += (0..4).map(|i| i32::from(q[i]) * i32::from(w[i])).sum::<i32>();
                }
            }
        }
        for (o, sum) in sums.iter().enumerate() {
            // SAFETY: the caller vouches for PANEL factors, summands and outputs.
            unsafe {
                #[allow(clippy::cast_precision_loss)] // rounded to nearest, as the vector instructions do
                let y = *sum as f32 * *tile.multiplier.add(o) + *tile.addend.add(o);
                if ACTIVE {
                    *tile.output.add(offset + o) = u8::active(y);
                } else {
                    *tile.output.cast::<f32>().add(offset + o) = y;
                }
            }
        }
    }
}
