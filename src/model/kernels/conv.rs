//! A convolution packed for the products: [out / PANEL, taps, in / GROUP, PANEL, GROUP], channels filled up with zeros.

use std::ops::Range;

use super::arithmetic::{Ahead, Arithmetic, PANEL, PIXELS_MAX, Product, Scaled, Tile};
use super::memory::Aligned;
use super::{Conv, KernelError};

pub(super) struct PackedConv<A: Arithmetic> {
    weights: Aligned<A::Weight>,
    multiplier: Vec<f32>,
    addend: Vec<f32>,
    taps: usize,
    groups: usize,
    outputs: usize,
}

/// Where a convolution's outputs go, for the pixels of one tile.
pub(super) struct Target<'a> {
    pub output: *mut f32,
    pub offsets: &'a [usize],
    /// What to fetch meanwhile, if anything.
    pub ahead: Option<Ahead>,
}

impl<A: Arithmetic> PackedConv<A> {
    /// Packs a checked convolution whose output is in steps of `output_step`: each of its k x k taps has all input channels.
    pub(super) fn new(conv: &Conv, output_step: f32) -> Result<Self, KernelError> {
        Self::shaped(conv, output_step, conv.in_channels, conv.kernel * conv.kernel)
    }

    /// Packs a checked convolution over planes: each row of the kernel on each plane is a tap, its columns the channels.
    pub(super) fn rows(conv: &Conv) -> Result<Self, KernelError> {
        Self::shaped(conv, 1.0, conv.kernel, conv.in_channels * conv.kernel)
    }

    fn shaped(conv: &Conv, output_step: f32, inputs: usize, taps: usize) -> Result<Self, KernelError> {
        let Scaled { weights, mut multiplier, mut addend } = A::weights(conv, output_step)?;
        let groups = inputs.div_ceil(A::GROUP);
        let panels = conv.out_channels.div_ceil(PANEL);
        multiplier.resize(panels * PANEL, 0.0);
        addend.resize(panels * PANEL, 0.0);
        let mut packed = Aligned::zeroed(panels * taps * groups * PANEL * A::GROUP);
        // [out, in, taps] where a tap has all input channels, [out, taps, in] where a tap is a row of the kernel.
        let (by_input, by_tap) =
            if inputs == conv.in_channels && conv.kernel * conv.kernel == taps { (taps, 1) } else { (1, inputs) };
        let slots = packed.as_mut_slice();
        for (o, weights) in weights.chunks_exact(inputs * taps).enumerate() {
            for t in 0..taps {
                let first = (o / PANEL * taps + t) * groups * PANEL + o % PANEL;
                let from = &weights[t * by_tap..][..(inputs - 1) * by_input + 1];
                let mut slots = slots[first * A::GROUP..].chunks_mut(PANEL * A::GROUP);
                if by_input == 1 {
                    let whole = from.chunks_exact(A::GROUP);
                    let rest = whole.remainder();
                    // The length is a constant, so that this is one move.
                    whole.zip(&mut slots).for_each(|(from, to)| to[..A::GROUP].copy_from_slice(&from[..A::GROUP]));
                    slots.next().into_iter().for_each(|to| to[..rest.len()].copy_from_slice(rest));
                } else {
                    for (from, to) in from.chunks(A::GROUP * by_input).zip(slots) {
                        to.iter_mut().zip(from.iter().step_by(by_input)).for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
        Ok(Self { weights: packed, multiplier, addend, taps, groups, outputs: conv.out_channels })
    }

    /// The packed weights as memory.
    pub(super) fn memory(&self) -> Range<*const f32> {
        let weights = self.weights.as_slice().as_ptr_range();
        weights.start.cast()..weights.end.cast()
    }

    /// Steps of one product.
    pub(super) fn steps(&self) -> usize {
        self.taps * self.groups
    }

    pub(super) fn panels(&self) -> usize {
        self.addend.len() / PANEL
    }

    /// The outputs of some pixels as values after ReLU, all panels, zeros in the channels that fill the last one.
    ///
    /// # Safety
    /// `input` has the pixels that `products` and `taps` reach; `output` plus each offset takes `panels * PANEL` values.
    pub(super) unsafe fn activate(
        &self,
        products: &[Product<A>],
        input: *const A::Value,
        taps: &[usize],
        output: *mut A::Value,
        offsets: &[usize],
        ahead: Ahead,
    ) {
        for panel in 0..self.panels() {
            // SAFETY: the panel lies within the values that the caller vouches for.
            let output = unsafe { output.add(panel * PANEL) }.cast();
            let ahead = ahead.row(panel * Ahead::ROWS);
            let tile = Tile { ahead, ..self.tile(panel, input, taps, output, offsets) };
            // SAFETY: as the caller vouches; the tables hold functions of a present instruction set.
            unsafe { products[offsets.len() - 1](&tile) };
        }
    }

    /// The outputs of some pixels in f32, `outputs` channels each.
    ///
    /// # Safety
    /// `input` has the pixels that `products` and `taps` reach; `target` takes `outputs` channels at each offset.
    pub(super) unsafe fn write(&self, products: &[Product<A>], input: *const A::Value, taps: &[usize], target: &Target<'_>) {
        let product = products[target.offsets.len() - 1];
        for panel in 0..self.panels() {
            let channels = PANEL.min(self.outputs - panel * PANEL);
            // SAFETY: the panel's first channel is one of the `outputs` that the caller vouches for.
            let output = unsafe { target.output.add(panel * PANEL) };
            if channels == PANEL {
                let mut tile = self.tile(panel, input, taps, output.cast(), target.offsets);
                tile.ahead = target.ahead.unwrap_or(tile.ahead);
                // SAFETY: as the caller vouches; all PANEL channels exist.
                unsafe { product(&tile) };
            } else {
                let mut aside = [0.0f32; PIXELS_MAX * PANEL];
                let rows: [usize; PIXELS_MAX] = std::array::from_fn(|i| i * PANEL);
                let tile = self.tile(panel, input, taps, aside.as_mut_ptr().cast(), &rows[..target.offsets.len()]);
                // SAFETY: `aside` takes PANEL channels of every pixel.
                unsafe { product(&tile) };
                for (row, &offset) in aside.chunks_exact(PANEL).zip(target.offsets) {
                    // SAFETY: the caller vouches for `channels` more channels at this offset.
                    unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), output.add(offset), channels) };
                }
            }
        }
    }

    fn tile<'a>(
        &self,
        panel: usize,
        input: *const A::Value,
        taps: &'a [usize],
        output: *mut u8,
        offsets: &'a [usize],
    ) -> Tile<'a, A> {
        debug_assert_eq!(taps.len() * (self.groups * PANEL * A::GROUP), self.panel_len());
        Tile {
            input,
            taps,
            groups: self.groups,
            weights: self.weights.as_slice()[panel * self.panel_len()..].as_ptr(),
            multiplier: self.multiplier[panel * PANEL..].as_ptr(),
            addend: self.addend[panel * PANEL..].as_ptr(),
            output,
            offsets,
            ahead: Ahead { start: input.cast(), pitch: 0 },
        }
    }

    fn panel_len(&self) -> usize {
        self.taps * self.groups * PANEL * A::GROUP
    }
}
