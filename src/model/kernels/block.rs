//! A dense block: every layer reads all channels so far and appends its own, in place, in one NHWC buffer.
//!
//! A lane owns a range of pixels for the whole block, so only the 3x3 at the ends of its range reads what another lane
//! wrote: one barrier a layer, and two maps between 1x1 and 3x3 by turns, so that a lane that is ahead overwrites nothing.

use std::ops::Range;

use super::arithmetic::{Ahead, Arithmetic, NARROW, Operations, PANEL, Product, WIDE};
use super::conv::{PackedConv, Target};
use super::f32::F32;
use super::int8::Int8;
use super::memory::{with_lane, with_maps};
use super::pool::{self, Lane, SharedPtr};
use super::{Affine, BlockSpec, CHANNELS_MAX, DenseLayerSpec, InstructionSet, KernelError, SIDE_MAX, length, size};

/// A dense block, packed.
pub struct Block {
    in_channels: usize,
    channels: usize,
    layers: Layers,
}

enum Layers {
    Int8(Dense<Int8>),
    F32(Dense<F32>),
}

struct Dense<A: Arithmetic> {
    operations: Operations<A>,
    layers: Vec<DenseLayer<A>>,
    /// Channels of the map between 1x1 and 3x3, filled up.
    between: usize,
}

struct DenseLayer<A: Arithmetic> {
    norm: Affine,
    bottleneck: PackedConv<A>,
    growth: PackedConv<A>,
    /// First of the channels that this layer appends.
    appends_at: usize,
}

impl Block {
    /// Checks and packs the block's weights.
    ///
    /// # Errors
    /// Lengths that do not belong together, sizes beyond the kernels' bounds, numbers that are not finite, int8 and f32 in
    /// one block, int8 weights that could saturate.
    pub fn new(spec: &BlockSpec, set: InstructionSet) -> Result<Self, KernelError> {
        size("the input of a dense block", spec.in_channels, CHANNELS_MAX)?;
        let mut channels = spec.in_channels;
        for layer in &spec.layers {
            layer.norm.check(channels)?;
            layer.bottleneck.check(channels, 1)?;
            layer.growth.check(layer.bottleneck.out_channels, 3)?;
            channels += layer.growth.out_channels;
        }
        size("the channels of a dense block", channels, CHANNELS_MAX)?;
        let int8 = spec.layers.iter().flat_map(|l| [l.bottleneck.is_int8(), l.growth.is_int8()]);
        let layers = match int8.clone().filter(|int8| *int8).count() {
            0 => Layers::F32(Dense::new(spec, set)?),
            n if n == int8.count() => Layers::Int8(Dense::new(spec, set)?),
            _ => return Err(KernelError::Mixed { what: "a dense block" }),
        };
        Ok(Self { in_channels: spec.in_channels, channels, layers })
    }

    /// Channels that come in.
    #[must_use]
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Channels of the whole buffer: those that come in and those that the layers append.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Fills the appended channels of `buffer`, [height, width, channels].
    ///
    /// # Errors
    /// Another length of the buffer, a side of zero or beyond the bound.
    pub fn run(&self, buffer: &mut [f32], height: usize, width: usize) -> Result<(), KernelError> {
        size("the height of a map", height, SIDE_MAX)?;
        size("the width of a map", width, SIDE_MAX)?;
        length("the map of a dense block", buffer.len(), height * width * self.channels)?;
        let map = Map { buffer: SharedPtr::new(buffer.as_mut_ptr()), height, width, channels: self.channels };
        match &self.layers {
            Layers::Int8(dense) => dense.run(&map),
            Layers::F32(dense) => dense.run(&map),
        }
        Ok(())
    }
}

/// The buffer of a block, of the length that its sizes say.
struct Map {
    buffer: SharedPtr<f32>,
    height: usize,
    width: usize,
    channels: usize,
}

/// The map between 1x1 and 3x3, in a frame of zeros one pixel wide.
struct Between<A: Arithmetic> {
    start: SharedPtr<A::Value>,
    pitch: usize,
    width: usize,
}

impl<A: Arithmetic> Between<A> {
    /// The element where a pixel's 3x3 neighbourhood starts.
    fn corner(&self, pixel: usize) -> usize {
        (pixel / self.width * (self.width + 2) + pixel % self.width) * self.pitch
    }

    /// The element where a pixel itself starts.
    fn place(&self, pixel: usize) -> usize {
        self.corner(pixel) + (self.width + 3) * self.pitch
    }

    /// The nine taps, after a corner.
    fn taps(&self) -> [usize; 9] {
        std::array::from_fn(|t| (t / 3 * (self.width + 2) + t % 3) * self.pitch)
    }
}

impl<A: Arithmetic> Dense<A> {
    fn new(spec: &BlockSpec, set: InstructionSet) -> Result<Self, KernelError> {
        let operations = A::operations(set.or_lesser());
        let mut appends_at = spec.in_channels;
        let mut layers = Vec::with_capacity(spec.layers.len());
        for layer in &spec.layers {
            layers.push(DenseLayer::new(layer, appends_at)?);
            appends_at += layer.growth.out_channels;
        }
        let widest = layers.iter().map(|l| l.bottleneck.panels() * PANEL).max().unwrap_or(0);
        Ok(Self { operations, layers, between: if widest <= NARROW { NARROW } else { WIDE } })
    }

    fn run(&self, map: &Map) {
        let frame = (map.height + 2) * (map.width + 2) * self.between;
        let maps = if pool::lanes() == 1 { 1 } else { 2 };
        with_maps::<A::Value, _>(maps * frame, |memory| {
            // SAFETY: the memory holds `maps` frames; nothing else refers to it now.
            unsafe { std::slice::from_raw_parts_mut(memory, maps * frame) }
                .chunks_exact_mut(frame)
                .for_each(|f| clear_edges(f, map.width, self.between));
            let between: Vec<Between<A>> = (0..maps)
                // SAFETY: each frame starts within the memory.
                .map(|m| SharedPtr::new(unsafe { memory.add(m * frame) }))
                .map(|start| Between { start, pitch: self.between, width: map.width })
                .collect();
            pool::each_lane(|lane| {
                with_lane::<A::Value, _>(self.operations.wide.len() * WIDE, |prepared| {
                    for (index, (layer, between)) in self.layers.iter().zip(between.iter().cycle()).enumerate() {
                        let mut later = Later::of(self.layers.get(index + 1));
                        layer.run(&self.operations, lane, map, between, prepared, &mut later);
                    }
                });
            });
        });
    }
}

/// The weights that the next layer reads, fetched while the 3x3 of this one computes.
struct Later([Range<*const f32>; 2]);

impl Later {
    fn of<A: Arithmetic>(layer: Option<&DenseLayer<A>>) -> Self {
        let none = std::ptr::null()..std::ptr::null();
        Self(layer.map_or([none.clone(), none], |l| [l.bottleneck.memory(), l.growth.memory()]))
    }

    /// The next piece, of so many elements; None when all is fetched.
    fn next(&mut self, elements: usize) -> Option<Ahead> {
        let piece = self.0.iter_mut().find(|memory| memory.start < memory.end)?;
        let start = piece.start;
        piece.start = start.wrapping_add(elements);
        Some(Ahead { start, pitch: 0 })
    }
}

/// Zeros around a map of so many columns: the frame's first and last row and column.
fn clear_edges<T: Copy + Default>(frame: &mut [T], width: usize, pitch: usize) {
    let row = (width + 2) * pitch;
    let rows = frame.len() / row;
    for (y, line) in frame.chunks_exact_mut(row).enumerate() {
        if y == 0 || y + 1 == rows {
            line.fill(T::default());
        } else {
            line[..pitch].fill(T::default());
            line[row - pitch..].fill(T::default());
        }
    }
}

impl<A: Arithmetic> DenseLayer<A> {
    fn new(spec: &DenseLayerSpec, appends_at: usize) -> Result<Self, KernelError> {
        Ok(Self {
            norm: spec.norm.times(1.0 / A::input_step(&spec.bottleneck)),
            bottleneck: PackedConv::new(&spec.bottleneck, A::input_step(&spec.growth))?,
            growth: PackedConv::new(&spec.growth, 1.0)?,
            appends_at,
        })
    }

    /// One lane's pixels: the 1x1, and the 3x3 wherever its neighbourhood is done; then, all lanes having met, the rest.
    fn run(
        &self,
        operations: &Operations<A>,
        lane: &Lane<'_>,
        map: &Map,
        between: &Between<A>,
        prepared: *mut A::Value,
        later: &mut Later,
    ) {
        let total = map.height * map.width;
        let mine = lane.share(total);
        let reach = map.width + 1;
        let first = if mine.start == 0 { 0 } else { (mine.start + reach).min(mine.end) };
        let mut grown = first;
        for pixels in parts(mine.clone(), operations.wide_active.len()) {
            let end = pixels.end;
            self.narrow(operations, map, between, pixels, prepared);
            let ready = if end == total { total } else { end.saturating_sub(reach) };
            while grown < mine.end {
                let row = grown..(grown / map.width * map.width + map.width).min(mine.end);
                if row.end > ready {
                    break;
                }
                grown = row.end;
                self.grow(operations, map, between, row, later);
            }
        }
        lane.meet();
        for rest in [mine.start..first, grown..mine.end] {
            let mut at = rest.start;
            while at < rest.end {
                let row = at..(at / map.width * map.width + map.width).min(rest.end);
                at = row.end;
                self.grow(operations, map, between, row, later);
            }
        }
    }

    /// Normalization, ReLU, 1x1, ReLU of a few pixels.
    fn narrow(&self, o: &Operations<A>, map: &Map, between: &Between<A>, pixels: Range<usize>, prepared: *mut A::Value) {
        let mut offsets = [0; super::arithmetic::PIXELS_MAX];
        let offsets = &mut offsets[..pixels.len()];
        for (offset, pixel) in offsets.iter_mut().zip(pixels.clone()) {
            *offset = between.place(pixel);
        }
        let ahead = Ahead { start: map.buffer.get().wrapping_add(pixels.end * map.channels), pitch: map.channels };
        // SAFETY: the pixels lie in the buffer and are this lane's; `prepared` takes a table's worth of them; the map
        // between has a frame around each of the map's pixels, and no lane reads these before the barrier.
        unsafe {
            let input = map.buffer.get().add(pixels.start * map.channels);
            (o.prepare)(input, map.channels, pixels.len(), (&self.norm.scale, &self.norm.shift), prepared);
            self.bottleneck.activate(o.wide_active, prepared, &[0], between.start.get(), offsets, ahead);
        }
    }

    /// 3x3 of pixels of one row.
    fn grow(&self, o: &Operations<A>, map: &Map, between: &Between<A>, pixels: Range<usize>, later: &mut Later) {
        let taps = between.taps();
        let products: &[Product<A>] = if between.pitch == NARROW { o.narrow } else { o.wide };
        let offsets: [usize; super::arithmetic::PIXELS_MAX] = std::array::from_fn(|i| i * map.channels);
        for part in parts(pixels, products.len()) {
            // SAFETY: the neighbourhoods of pixels of the map lie in the frame around it; the pixels and the channels from
            // `appends_at` on lie in the buffer, are this lane's, and are read by no other.
            unsafe {
                let output = map.buffer.get().add(part.start * map.channels + self.appends_at);
                let input = between.start.get().add(between.corner(part.start));
                let target =
                    Target { output, offsets: &offsets[..part.len()], ahead: later.next(self.growth.steps() * A::GROUP * 4) };
                self.growth.write(products, input, &taps, &target);
            }
        }
    }
}

/// A range in nearly equal parts of at most `most`.
pub(super) fn parts(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = range.len().div_ceil(most);
    let part = move |i: usize| range.start + range.len() * i / count;
    (0..count).map(move |i| part(i)..part(i + 1))
}
