//! A transition: normalization, ReLU, average pooling 2x2, and the 1x1 after it, which is the same as before it and a
//! quarter of the work.

use std::ops::Range;

use super::arithmetic::{Arithmetic, Operations, PIXELS_MAX, WIDE};
use super::block::parts;
use super::conv::{PackedConv, Target};
use super::f32::F32;
use super::int8::Int8;
use super::memory::with_lane;
use super::pool::{self, SharedPtr};
use super::{Affine, InstructionSet, KernelError, SIDE_MAX, TransitionSpec, length, size};

/// A transition, packed.
pub struct Transition {
    in_channels: usize,
    out_channels: usize,
    conv: Either,
}

enum Either {
    Int8(Pooled<Int8>),
    F32(Pooled<F32>),
}

struct Pooled<A: Arithmetic> {
    operations: Operations<A>,
    norm: Affine,
    conv: PackedConv<A>,
}

/// What a transition reads and writes, of the lengths that the sizes say.
struct Maps {
    input: SharedPtr<f32>,
    output: SharedPtr<f32>,
    width: usize,
    in_channels: usize,
    out_height: usize,
    out_width: usize,
    pitch: usize,
}

impl Transition {
    /// Checks and packs the transition's weights.
    ///
    /// # Errors
    /// Lengths that do not belong together, sizes beyond the kernels' bounds, numbers that are not finite, int8 weights
    /// that could saturate.
    pub fn new(spec: &TransitionSpec, set: InstructionSet) -> Result<Self, KernelError> {
        let in_channels = spec.conv.in_channels;
        spec.norm.check(in_channels)?;
        spec.conv.check(in_channels, 1)?;
        let conv = if spec.conv.is_int8() { Either::Int8(Pooled::new(spec, set)?) } else { Either::F32(Pooled::new(spec, set)?) };
        Ok(Self { in_channels, out_channels: spec.conv.out_channels, conv })
    }

    /// Channels that come in.
    #[must_use]
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Channels that are written.
    #[must_use]
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Reads `input`, [height, width, in], and fills the first channels of `out`, [height / 2, width / 2, pitch].
    ///
    /// # Errors
    /// Other lengths, a pitch smaller than the output channels, sides below 2 or beyond the bound.
    pub fn run(&self, input: &[f32], height: usize, width: usize, out: &mut [f32], pitch: usize) -> Result<(), KernelError> {
        size("the height of a map", height, SIDE_MAX)?;
        size("the width of a map", width, SIDE_MAX)?;
        let (out_height, out_width) = (height / 2, width / 2);
        size("the height of a pooled map", out_height, SIDE_MAX)?;
        size("the width of a pooled map", out_width, SIDE_MAX)?;
        length("the input of a transition", input.len(), height * width * self.in_channels)?;
        super::pitched("the output of a transition", out.len(), out_height * out_width, pitch, self.out_channels)?;
        let maps = Maps {
            input: SharedPtr::new(input.as_ptr().cast_mut()),
            output: SharedPtr::new(out.as_mut_ptr()),
            width,
            in_channels: self.in_channels,
            out_height,
            out_width,
            pitch,
        };
        match &self.conv {
            Either::Int8(pooled) => pooled.run(&maps),
            Either::F32(pooled) => pooled.run(&maps),
        }
        Ok(())
    }
}

impl<A: Arithmetic> Pooled<A> {
    fn new(spec: &TransitionSpec, set: InstructionSet) -> Result<Self, KernelError> {
        Ok(Self {
            operations: A::operations(set.or_lesser()),
            // The mean of four and the input's step, taken through ReLU into the normalization.
            norm: spec.norm.times(0.25 / A::input_step(&spec.conv)),
            conv: PackedConv::new(&spec.conv, 1.0)?,
        })
    }

    fn run(&self, maps: &Maps) {
        let most = self.operations.wide.len();
        pool::each_lane(|lane| {
            with_lane::<A::Value, _>(most * WIDE, |prepared| {
                for pixels in parts(lane.share(maps.out_height * maps.out_width), most) {
                    self.run_pixels(maps, pixels, prepared);
                }
            });
        });
    }

    fn run_pixels(&self, maps: &Maps, pixels: Range<usize>, prepared: *mut A::Value) {
        let norm = (&self.norm.scale[..], &self.norm.shift[..]);
        let offsets: [usize; PIXELS_MAX] = std::array::from_fn(|i| i * maps.pitch);
        let count = pixels.len();
        for (i, pixel) in pixels.clone().enumerate() {
            let top = 2 * (pixel / maps.out_width) * maps.width + 2 * (pixel % maps.out_width);
            // SAFETY: the four pixels lie in the input, since 2 * out <= side both ways; `prepared` takes a table's worth.
            unsafe {
                let rows = [top, top + maps.width].map(|p| maps.input.get().add(p * maps.in_channels).cast_const());
                (self.operations.average)(rows, maps.in_channels, 1, norm, prepared.add(i * WIDE));
            }
        }
        // SAFETY: the pixels lie in the output, and are this lane's.
        unsafe {
            let output = maps.output.get().add(pixels.start * maps.pitch);
            let target = Target { output, offsets: &offsets[..count], ahead: None };
            self.conv.write(self.operations.wide, prepared, &[0], &target);
        }
    }
}
