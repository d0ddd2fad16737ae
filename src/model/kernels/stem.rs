//! The stem: convolution 7x7 of stride 2, ReLU and max pooling, row by row. Three rows of the convolution are kept.

use super::arithmetic::{Ahead, PANEL, PIXELS_MAX};
use super::block::parts;
use super::conv::PackedConv;
use super::f32::{F32, StemOperations};
use super::loops::PoolSizes;
use super::memory::with_lane;
use super::pool::{self, Lane, SharedPtr};
use super::{InstructionSet, KernelError, SIDE_MAX, StemSpec, size};

/// Side of the convolution's kernel.
const KERNEL: usize = 7;
/// Zeros around the image.
const PADDING: usize = 3;
/// Rows of the convolution that one row of the pooling reads.
const POOLED: usize = 3;

/// A stem, packed.
pub struct Stem {
    in_channels: usize,
    out_channels: usize,
    operations: StemOperations,
    conv: PackedConv<F32>,
}

/// The sizes of one run.
#[derive(Clone, Copy)]
struct Sizes {
    /// Side of the image.
    side: usize,
    /// Side of the convolution's output.
    wide: usize,
    /// Side of the pooling's output.
    out: usize,
    /// Columns of an image row with its padding.
    columns: usize,
    pitch: usize,
}

/// The side of a map that a window of stride 2 and the usual padding leaves.
fn halved(side: usize) -> usize {
    (side - 1) / 2 + 1
}

impl Stem {
    /// Checks and packs the stem's weights.
    ///
    /// # Errors
    /// Lengths that do not belong together, sizes beyond the kernels' bounds, numbers that are not finite, int8 weights.
    pub fn new(spec: &StemSpec, set: InstructionSet) -> Result<Self, KernelError> {
        let conv = &spec.conv;
        conv.check(conv.in_channels, KERNEL)?;
        if conv.is_int8() {
            return Err(KernelError::Mixed { what: "a stem, which is computed in f32," });
        }
        Ok(Self {
            in_channels: conv.in_channels,
            out_channels: conv.out_channels,
            operations: StemOperations::of(set.or_lesser()),
            conv: PackedConv::rows(conv)?,
        })
    }

    /// Channels of the image.
    #[must_use]
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Channels that are written.
    #[must_use]
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// The side of the output for an image of this side.
    #[must_use]
    pub fn out_side(side: usize) -> usize {
        if side == 0 { 0 } else { halved(halved(side)) }
    }

    /// Reads `image`, [in, side, side], and fills the first channels of `out`, [out side, out side, pitch].
    ///
    /// # Errors
    /// Other lengths, a pitch smaller than the output channels, a side of zero or beyond the bound.
    pub fn run(&self, image: &[f32], side: usize, out: &mut [f32], pitch: usize) -> Result<(), KernelError> {
        size("the side of an image", side, SIDE_MAX)?;
        super::length("the image", image.len(), self.in_channels * side * side)?;
        let (wide, out_side) = (halved(side), Self::out_side(side));
        super::pitched("the output of the stem", out.len(), out_side * out_side, pitch, self.out_channels)?;
        // The last pixel of a row starts at column 2 * (wide - 1) and reads KERNEL columns.
        let sizes = Sizes { side, wide, out: out_side, columns: 2 * wide + KERNEL - 2, pitch };
        let output = SharedPtr::new(out.as_mut_ptr());
        let taps: Vec<usize> = (0..self.in_channels * KERNEL).map(|line| line * sizes.columns).collect();
        pool::each_lane(|lane| self.run_lane(lane, image, sizes, &taps, output));
        Ok(())
    }

    fn run_lane(&self, lane: &Lane<'_>, image: &[f32], sizes: Sizes, taps: &[usize], output: SharedPtr<f32>) {
        let padded = self.conv.panels() * PANEL;
        let row = sizes.wide * padded;
        let window = self.in_channels * KERNEL * sizes.columns;
        with_lane::<f32, _>(POOLED * row + window, |memory| {
            // SAFETY: the lane's memory holds the rows and the window one after the other, and is this lane's alone.
            let (rows, window) = unsafe {
                let rows = std::slice::from_raw_parts_mut(memory, POOLED * row);
                (rows, std::slice::from_raw_parts_mut(memory.add(POOLED * row), window))
            };
            let mut next = None;
            for y in lane.share(sizes.out) {
                let needed = (2 * y).saturating_sub(1)..(2 * y + 2).min(sizes.wide);
                for line in next.unwrap_or(needed.start)..needed.end {
                    fill_window(image, sizes, line, window);
                    self.convolve(window, sizes, taps, &mut rows[line % POOLED * row..][..row]);
                }
                next = Some(needed.end);
                let at = |line: usize| rows[line.min(sizes.wide - 1) % POOLED * row..].as_ptr();
                let lines = [at(needed.start), at(2 * y), at(2 * y + 1)];
                let pool = PoolSizes { width: sizes.wide, padded, channels: self.out_channels, pitch: sizes.pitch };
                // SAFETY: the rows have `wide` pixels of `padded` channels; the output has `out` pixels a row, this lane's.
                unsafe { (self.operations.pool_row)(lines, pool, output.get().add(y * sizes.out * sizes.pitch)) };
            }
        });
    }

    /// One row of the convolution, from the image rows under it, with ReLU.
    fn convolve(&self, window: &[f32], sizes: Sizes, taps: &[usize], row: &mut [f32]) {
        let padded = self.conv.panels() * PANEL;
        let offsets: [usize; PIXELS_MAX] = std::array::from_fn(|i| i * padded);
        for pixels in parts(0..sizes.wide, self.operations.stride2_active.len()) {
            let input = window[2 * pixels.start..].as_ptr();
            let ahead = Ahead { start: input, pitch: 0 };
            let output = row[pixels.start * padded..].as_mut_ptr();
            // SAFETY: pixel x reads the columns 2x to 2x + 6 of each line; the row has `padded` channels of each pixel.
            unsafe { self.conv.activate(self.operations.stride2_active, input, taps, output, &offsets[..pixels.len()], ahead) };
        }
    }
}

/// The image rows under one row of the convolution, [in, KERNEL, columns], zeros around the image.
fn fill_window(image: &[f32], sizes: Sizes, line: usize, window: &mut [f32]) {
    let Sizes { side, columns, .. } = sizes;
    for (index, to) in window.chunks_exact_mut(columns).enumerate() {
        let (plane, y) = (index / KERNEL, 2 * line + index % KERNEL);
        to.fill(0.0);
        if (PADDING..side + PADDING).contains(&y) {
            let from = &image[(plane * side + y - PADDING) * side..][..side];
            let kept = side.min(columns - PADDING);
            to[PADDING..PADDING + kept].copy_from_slice(&from[..kept]);
        }
    }
}
