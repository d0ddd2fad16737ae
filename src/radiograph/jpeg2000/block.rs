//! Code-blocks (ITU-T T.800 Annex D): from compressed bytes to coefficients, bit-plane by bit-plane.
//!
//! In: the bytes of one code-block, how many passes they hold and of how many bit-planes. Out: its
//! coefficients as sign and magnitude. Blocks know nothing of each other, so they are decoded side by
//! side. One word of flags holds a column of four rows with all its neighbours, as in the usual
//! software decoders:
//!
//! ```text
//! bit 3 * row + column, row 0 to 5, column 0 to 2: the neighbour above the first row and left of it ... is significant
//! bits 18, 19 + 3 r, 31: signs above, of row r, and below;   bits 21 + 3 r: row r had its bit in this plane already
//! ```

use super::arithmetic::{Decoder, State, initial};
use super::contexts::{Orientation, SIGN, ZERO};

/// Significance of row 0 itself; of row r three bits higher for each.
const THIS: u32 = 1 << 4;
/// The eight neighbours of row 0.
const AROUND: u32 = 0x1EF;
/// Row 0 had its bit of this plane.
const DONE: u32 = 1 << 21;
const DONE_ALL: u32 = DONE | DONE << 3 | DONE << 6 | DONE << 9;
const THIS_ALL: u32 = THIS | THIS << 3 | THIS << 6 | THIS << 9;
const SIGN_ABOVE: u32 = 18;
const SIGN_ROW: u32 = 19;
const SIGN_BELOW: u32 = 31;

/// Context of a run of four rows without significance (Table D.1), and of evenly distributed bits.
const RUN: usize = 17;
const UNIFORM: usize = 18;
const REFINE: usize = 14;

/// States of the 19 contexts; a power of two, so that a masked index needs no check.
const CONTEXTS: usize = 32;
type Contexts = [State; CONTEXTS];

/// Most bit-planes: one bit of a word is the sign, one the half that a plane leaves open.
pub(super) const PLANES_MAX: u32 = 30;

/// Decodes one code-block after another in memory of its own.
#[derive(Default)]
pub(super) struct BlockDecoder {
    /// A word a column, a column more on either side, a stripe more above and below.
    flags: Vec<u32>,
    /// Stripe by stripe, in it column by column, four rows each: magnitudes doubled, half a step in the
    /// lowest open plane, and the sign in the highest bit.
    values: Vec<u32>,
    width: usize,
    height: usize,
}

/// Sign of a value.
const NEGATIVE: u32 = 1 << 31;

impl BlockDecoder {
    /// Decodes `passes` coding passes of `planes` bit-planes from bits without stuffing.
    pub(super) fn decode(&mut self, size: (usize, usize), orientation: Orientation, planes: u32, passes: u32, bits: &[u8]) {
        (self.width, self.height) = size;
        let stripes = self.height.div_ceil(4);
        self.flags.clear();
        self.flags.resize((self.width + 2) * (stripes + 2), 0);
        self.values.clear();
        self.values.resize(self.width * stripes * 4, 0);
        let mut contexts: Contexts = [initial(0); CONTEXTS];
        (contexts[0], contexts[RUN], contexts[UNIFORM]) = (initial(4), initial(3), initial(46));
        let mut decoder = Decoder::new(bits);
        for pass in 0..passes {
            let plane = planes - 1 - pass.div_ceil(3);
            for stripe in 0..stripes {
                let rows = (self.height - 4 * stripe).min(4);
                let mut stripe = self.stripe(stripe, plane, &ZERO[orientation as usize]);
                match pass % 3 {
                    0 => stripe.cleanup(rows, &mut contexts, &mut decoder),
                    1 => stripe.significance(rows, &mut contexts, &mut decoder),
                    _ => stripe.refinement(&mut contexts, &mut decoder),
                }
            }
        }
    }

    fn stripe<'a>(&'a mut self, index: usize, plane: u32, zero: &'a [u8; 512]) -> Stripe<'a> {
        let pitch = self.width + 2;
        let (above, rest) = self.flags[index * pitch..].split_at_mut(pitch);
        let (own, rest) = rest.split_at_mut(pitch);
        let values = self.values[index * self.width * 4..].as_chunks_mut::<4>().0;
        Stripe { above, own, below: &mut rest[..pitch], values: &mut values[..self.width], plane, zero }
    }

    /// Row `y`'s coefficients: magnitudes doubled, with the half of an open plane, and signs.
    pub(super) fn row(&self, y: usize) -> impl Iterator<Item = (u32, bool)> {
        let stripe = &self.values[y / 4 * self.width * 4..][..self.width * 4];
        stripe.as_chunks::<4>().0.iter().map(move |four| (four[y % 4] & !NEGATIVE, four[y % 4] & NEGATIVE != 0))
    }
}

/// Four rows of a block in one bit-plane.
struct Stripe<'a> {
    above: &'a mut [u32],
    own: &'a mut [u32],
    below: &'a mut [u32],
    values: &'a mut [[u32; 4]],
    plane: u32,
    zero: &'a [u8; 512],
}

/// Calls a method for the rows of a column, each with its number as a constant: shifts by it cost nothing then.
macro_rules! each_row {
    ($self:ident . $method:ident ( $rows:expr ; $($argument:expr),* )) => {{
        let rows = $rows;
        $self.$method::<0>($($argument),*);
        if rows > 1 { $self.$method::<1>($($argument),*); }
        if rows > 2 { $self.$method::<2>($($argument),*); }
        if rows > 3 { $self.$method::<3>($($argument),*); }
    }};
}

impl Stripe<'_> {
    /// D.3.1: coefficients that are not significant but have a significant neighbour.
    fn significance(&mut self, rows: usize, contexts: &mut Contexts, decoder: &mut Decoder<'_>) {
        for x in 0..self.values.len() {
            let mut flags = self.own[x + 1];
            if flags == 0 {
                continue;
            }
            each_row!(self.significance_row(rows; x, &mut flags, contexts, decoder));
            self.own[x + 1] = flags;
        }
    }

    #[inline(always)]
    fn significance_row<const ROW: usize>(
        &mut self,
        x: usize,
        flags: &mut u32,
        contexts: &mut Contexts,
        decoder: &mut Decoder<'_>,
    ) {
        let around = *flags >> (3 * ROW);
        if around & (THIS | DONE) == 0 && around & AROUND != 0 {
            self.first_bit::<ROW>(x, flags, contexts, decoder);
            *flags |= DONE << (3 * ROW);
        }
    }

    /// D.3.3: coefficients that were significant before this plane.
    fn refinement(&mut self, contexts: &mut Contexts, decoder: &mut Decoder<'_>) {
        let half = 1 << self.plane;
        let mut refined = contexts[REFINE + 2];
        for (flags, values) in self.own[1..].iter().zip(self.values.iter_mut()) {
            // Where a row had its bit of this plane, this bit stands 17 higher than its significance.
            let due = flags & THIS_ALL & !(flags >> 17);
            if due == 0 {
                continue;
            }
            for (row, value) in values.iter_mut().enumerate() {
                if due & (THIS << (3 * row)) == 0 {
                    continue;
                }
                // A value that was never refined has nothing but its leading one and the half below it.
                let bit = if *value & !NEGATIVE == 6 * half {
                    let context = REFINE + usize::from((flags >> (3 * row)) & AROUND != 0);
                    decoder.decide(&mut contexts[context])
                } else {
                    decoder.decide(&mut refined)
                };
                // The half of the plane above becomes this plane's bit, and half a step below it.
                *value = value.wrapping_sub((bit ^ 1) * 2 * half).wrapping_add(half);
            }
        }
        contexts[REFINE + 2] = refined;
    }

    /// D.3.4: all that is left, runs of four at once where nothing around is significant.
    fn cleanup(&mut self, rows: usize, contexts: &mut Contexts, decoder: &mut Decoder<'_>) {
        for x in 0..self.values.len() {
            let mut flags = self.own[x + 1];
            if rows == 4 && flags == 0 {
                if decoder.decide(&mut contexts[RUN]) == 0 {
                    continue;
                }
                let high = decoder.decide(&mut contexts[UNIFORM]);
                let row = 2 * high + decoder.decide(&mut contexts[UNIFORM]);
                self.after_run(row, x, &mut flags, contexts, decoder);
            } else {
                each_row!(self.cleanup_row(rows; x, &mut flags, contexts, decoder));
            }
            self.own[x + 1] = flags & !DONE_ALL;
        }
    }

    /// The first significant row of a run is known; those below it are coded one by one.
    fn after_run(&mut self, row: u32, x: usize, flags: &mut u32, contexts: &mut Contexts, decoder: &mut Decoder<'_>) {
        match row {
            0 => self.sign::<0>(x, flags, contexts, decoder),
            1 => self.sign::<1>(x, flags, contexts, decoder),
            2 => self.sign::<2>(x, flags, contexts, decoder),
            _ => self.sign::<3>(x, flags, contexts, decoder),
        }
        if row < 1 {
            self.cleanup_row::<1>(x, flags, contexts, decoder);
        }
        if row < 2 {
            self.cleanup_row::<2>(x, flags, contexts, decoder);
        }
        if row < 3 {
            self.cleanup_row::<3>(x, flags, contexts, decoder);
        }
    }

    #[inline(always)]
    fn cleanup_row<const ROW: usize>(&mut self, x: usize, flags: &mut u32, contexts: &mut Contexts, decoder: &mut Decoder<'_>) {
        if (*flags >> (3 * ROW)) & (THIS | DONE) == 0 {
            self.first_bit::<ROW>(x, flags, contexts, decoder);
        }
    }

    /// Whether a coefficient becomes significant in this plane (D.3.1).
    #[inline(always)]
    fn first_bit<const ROW: usize>(&mut self, x: usize, flags: &mut u32, contexts: &mut Contexts, decoder: &mut Decoder<'_>) {
        let context = usize::from(self.zero[((*flags >> (3 * ROW)) & AROUND) as usize]);
        if decoder.decide(&mut contexts[context % CONTEXTS]) != 0 {
            self.sign::<ROW>(x, flags, contexts, decoder);
        }
    }

    /// D.3.2: the sign of a coefficient that has just become significant; its neighbours are told.
    #[inline(always)]
    fn sign<const ROW: usize>(&mut self, x: usize, flags: &mut u32, contexts: &mut Contexts, decoder: &mut Decoder<'_>) {
        let shift = 3 * ROW as u32;
        let (left, own, right) = (self.own[x], *flags, self.own[x + 2]);
        let above = if ROW == 0 { own >> SIGN_ABOVE } else { own >> (SIGN_ROW + shift - 3) };
        let below = if ROW == 3 { own >> SIGN_BELOW } else { own >> (SIGN_ROW + shift + 3) };
        // Significance of the four direct neighbours at bits 1, 3, 5 and 7, signs at 0, 2, 4 and 6.
        let around = (own >> shift) & 0b1010_1010
            | (left >> (SIGN_ROW + shift)) & 1
            | ((right >> (SIGN_ROW + shift)) & 1) << 2
            | (above & 1) << 4
            | (below & 1) << 6;
        let (context, flip) = SIGN[(around & 0xFF) as usize];
        let negative = decoder.decide(&mut contexts[usize::from(context) % CONTEXTS]) ^ u32::from(flip);
        self.values[x][ROW] = negative << 31 | 3 << self.plane;
        self.own[x] |= (1 << 5) << shift;
        *flags |= (THIS | negative << SIGN_ROW) << shift;
        self.own[x + 2] |= (1 << 3) << shift;
        if ROW == 0 {
            self.above[x] |= 1 << 17;
            self.above[x + 1] |= 1 << 16 | negative << SIGN_BELOW;
            self.above[x + 2] |= 1 << 15;
        }
        if ROW == 3 {
            self.below[x] |= 1 << 2;
            self.below[x + 1] |= 1 << 1 | negative << SIGN_ABOVE;
            self.below[x + 2] |= 1 << 0;
        }
    }
}
