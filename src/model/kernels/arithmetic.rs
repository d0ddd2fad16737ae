//! The two arithmetics behind one interface: what a convolution is made of, and the functions one instruction set has for it.

use super::memory::Plain;
use super::{Conv, InstructionSet, KernelError};

/// Output channels that one product gives: two registers of 512 bits.
pub(super) const PANEL: usize = 32;

/// Elements from one pixel to the next in a lane's prepared pixels. A constant, so that the addresses of a block of
/// pixels are displacements; an odd number of cache lines, so that they fall into different sets of the first cache.
pub(super) const WIDE: usize = super::CHANNELS_MAX + 64;

/// Elements from one pixel to the next in the map between 1x1 and 3x3, where that has at most so many channels.
pub(super) const NARROW: usize = 128;

/// Elements from one pixel to the next in the image under a convolution of stride 2.
pub(super) const STRIDE2: usize = 2;

/// Most pixels of one product: 14 x 2 accumulators, 2 weights and 2 pixels fill the 32 registers of 512 bits.
pub(super) const PIXELS_MAX: usize = 14;

/// An arithmetic: the types of activations and weights, and how they are packed.
pub(super) trait Arithmetic: Sized + 'static {
    /// An activation after ReLU.
    type Value: Plain;
    /// A weight.
    type Weight: Plain;
    /// Input channels that one step of a product takes.
    const GROUP: usize;
    /// The functions of an instruction set that is present.
    fn operations(set: InstructionSet) -> Operations<Self>;
    /// Weights [out, in, taps], factors and summands of each output channel, where the output is in steps of `output_step`.
    fn weights(conv: &Conv, output_step: f32) -> Result<Scaled<'_, Self>, KernelError>;
    /// One step of the values that this convolution takes.
    fn input_step(conv: &Conv) -> f32;
}

/// The weights of a convolution: y = (sum of products) * multiplier + addend.
pub(super) struct Scaled<'a, A: Arithmetic> {
    pub weights: &'a [A::Weight],
    pub multiplier: Vec<f32>,
    pub addend: Vec<f32>,
}

/// One product: up to [`PIXELS_MAX`] pixels times [`PANEL`] output channels.
pub(super) struct Tile<'a, A: Arithmetic> {
    /// The first pixel's first value; the others follow at the distance that the function was made for.
    pub input: *const A::Value,
    /// Where each tap of the kernel starts, in elements after `input`.
    pub taps: &'a [usize],
    /// Groups of input channels of each tap.
    pub groups: usize,
    /// [taps, groups, PANEL, GROUP].
    pub weights: *const A::Weight,
    /// PANEL factors and summands.
    pub multiplier: *const f32,
    pub addend: *const f32,
    /// Where the outputs of each pixel go, in elements after `output`: values after ReLU, or f32 without it.
    pub output: *mut u8,
    pub offsets: &'a [usize],
    /// Memory that later products read. It is fetched, never accessed.
    pub ahead: Ahead,
}

/// Memory to fetch during a product, a line each step: over whole pixels in [`Ahead::ROWS`] rows `pitch` elements apart,
/// else from `start` on. The caches take it in while the product computes; an address that does not exist does no harm.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    pub start: *const f32,
    pub pitch: usize,
}

impl Ahead {
    /// The four panels of a bottleneck of 128 channels fetch those of [`PIXELS_MAX`] pixels.
    pub(super) const ROWS: usize = 4;

    /// From the row `count` on.
    pub(super) fn row(self, count: usize) -> Self {
        Self { start: self.start.wrapping_add(count * self.pitch), ..self }
    }
}

pub(super) type Product<A> = unsafe fn(&Tile<'_, A>);

/// Normalizes and activates pixels: `input` at a distance of `pitch`, `output` at [`WIDE`], `norm.0.len()` channels each.
pub(super) type Prepare<A> =
    unsafe fn(input: *const f32, pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut <A as Arithmetic>::Value);

/// Normalizes, activates and sums the 2x2 pixels of each output pixel, in two rows, into outputs at [`WIDE`].
pub(super) type Average<A> =
    unsafe fn(rows: [*const f32; 2], pitch: usize, pixels: usize, norm: (&[f32], &[f32]), output: *mut <A as Arithmetic>::Value);

/// The functions of one instruction set. A table's entry `m - 1` is for m pixels.
pub(super) struct Operations<A: Arithmetic> {
    /// Prepared pixels to values after ReLU.
    pub wide_active: &'static [Product<A>],
    /// Prepared pixels to f32.
    pub wide: &'static [Product<A>],
    /// The narrow map to f32.
    pub narrow: &'static [Product<A>],
    pub prepare: Prepare<A>,
    pub average: Average<A>,
}

impl<A: Arithmetic> Clone for Operations<A> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A: Arithmetic> Copy for Operations<A> {}

/// A product for every number of pixels.
macro_rules! products {
    ($product:ident, $pitch:expr, $active:literal, [$($pixels:literal)*]) => {
        &[$($product::<$pixels, { $pitch }, $active> as Product<_>),*]
    };
}
pub(super) use products;
