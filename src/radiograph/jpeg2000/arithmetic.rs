//! The MQ decoder (ITU-T T.800 Annex C), without a branch that depends on the data.
//!
//! In: the bytes of one code-block. Out: one decision after another. Films are noise in their lowest
//! bit-planes, where a branch on a decision is mispredicted every third time and costs more than all
//! else; so both ways are computed and one is selected. The code register holds 48 bits ahead of
//! the 16 that are compared: bit stuffing is undone beforehand, block by block.

/// One row of Table C.2 for one sense of the more probable symbol, packed: probability Qe in the
/// highest 16 bits, then at bit 24 its own index, at 16 the one after the less probable symbol, at 8
/// the one after the more probable; bit 0 the more probable symbol.
pub(super) type State = u64;

const QE_SHIFT: u32 = 48;
const OWN_SHIFT: u32 = 24;
const LESS_SHIFT: u32 = 16;
const MORE_SHIFT: u32 = 8;

/// Table C.2: Qe, next after the more probable symbol, next after the less probable, whether the senses change.
#[rustfmt::skip]
const ROWS: [(u64, u64, u64, u64); 47] = [
    (0x5601, 1, 1, 1), (0x3401, 2, 6, 0), (0x1801, 3, 9, 0), (0x0AC1, 4, 12, 0), (0x0521, 5, 29, 0), (0x0221, 38, 33, 0),
    (0x5601, 7, 6, 1), (0x5401, 8, 14, 0), (0x4801, 9, 14, 0), (0x3801, 10, 14, 0), (0x3001, 11, 17, 0), (0x2401, 12, 18, 0),
    (0x1C01, 13, 20, 0), (0x1601, 29, 21, 0), (0x5601, 15, 14, 1), (0x5401, 16, 14, 0), (0x5101, 17, 15, 0), (0x4801, 18, 16, 0),
    (0x3801, 19, 17, 0), (0x3401, 20, 18, 0), (0x3001, 21, 19, 0), (0x2801, 22, 19, 0), (0x2401, 23, 20, 0), (0x2201, 24, 21, 0),
    (0x1C01, 25, 22, 0), (0x1801, 26, 23, 0), (0x1601, 27, 24, 0), (0x1401, 28, 25, 0), (0x1201, 29, 26, 0), (0x1101, 30, 27, 0),
    (0x0AC1, 31, 28, 0), (0x09C1, 32, 29, 0), (0x08A1, 33, 30, 0), (0x0521, 34, 31, 0), (0x0441, 35, 32, 0), (0x02A1, 36, 33, 0),
    (0x0221, 37, 34, 0), (0x0141, 38, 35, 0), (0x0111, 39, 36, 0), (0x0085, 40, 37, 0), (0x0049, 41, 38, 0), (0x0025, 42, 39, 0),
    (0x0015, 43, 40, 0), (0x0009, 44, 41, 0), (0x0005, 45, 42, 0), (0x0001, 45, 43, 0), (0x5601, 46, 46, 0),
];

/// Every row for both senses: index 2 * row + sense. A power of two long, so that a masked index needs no check.
static STATES: [State; 128] = states();

const fn states() -> [State; 128] {
    let mut table = [0; 128];
    let mut i = 0;
    while i < 2 * ROWS.len() {
        let (row, sense) = (i / 2, (i % 2) as u64);
        let (qe, more, less, switch) = ROWS[row];
        table[i] = (qe << QE_SHIFT)
            | ((i as u64) << OWN_SHIFT)
            | ((2 * less + (sense ^ switch)) << LESS_SHIFT)
            | ((2 * more + sense) << MORE_SHIFT)
            | sense;
        i += 1;
    }
    table
}

/// The state of a context at the beginning: row of Table C.2, more probable symbol 0.
pub(super) const fn initial(row: usize) -> State {
    STATES_BY_ROW[row]
}

const STATES_BY_ROW: [State; 128] = {
    let (all, mut by_row, mut row) = (states(), [0; 128], 0);
    while row < ROWS.len() {
        by_row[row] = all[2 * row];
        row += 1;
    }
    by_row
};

/// The decoder's registers and the bits to come.
pub(super) struct Decoder<'a> {
    /// Interval, in the highest 16 bits.
    a: u64,
    /// Code register: 16 bits that are compared, those ahead, a one that marks their end, zeros.
    c: u64,
    words: std::slice::Iter<'a, [u8; 4]>,
}

impl<'a> Decoder<'a> {
    /// Begins with bits that [`unstuffed`] made (INITDEC, C.3.5).
    pub(super) fn new(bits: &'a [u8]) -> Self {
        let mut decoder = Self { a: 0x8000 << QE_SHIFT, c: 0, words: bits.as_chunks::<4>().0.iter() };
        // The first compared bit is a zero in front of the stream.
        decoder.c = u64::from(decoder.next()) << 31 | 1 << 30;
        decoder
    }

    /// The next 32 bits; ones behind the end (C.3.4).
    #[inline(always)]
    fn next(&mut self) -> u32 {
        self.words.next().map_or(u32::MAX, |four| u32::from_be_bytes(*four))
    }

    /// One decision in a context (DECODE, C.3.2, with both exchanges and RENORMD).
    #[inline(always)]
    pub(super) fn decide(&mut self, context: &mut State) -> u32 {
        let state = *context;
        let qe = state & (0xFFFF << QE_SHIFT);
        let rest = self.a.wrapping_sub(qe);
        let lower = self.c < qe;
        let less_probable = lower ^ (rest < qe);
        let a = if lower { qe } else { rest };
        let c = if lower { self.c } else { self.c.wrapping_sub(qe) };
        // An interval is never empty and at least 16 bits were ahead: the shift is at most 15.
        let shift = a.leading_zeros() & 63;
        let next = if less_probable { LESS_SHIFT } else { MORE_SHIFT };
        // Without renormalisation the state stays.
        let next = if shift == 0 { OWN_SHIFT } else { next };
        *context = STATES[(state >> next) as usize & 127];
        self.a = a << shift;
        self.c = c << shift;
        if self.c as u32 == 0 {
            self.refill();
        }
        (state as u32 & 1) ^ u32::from(less_probable)
    }

    /// Brings 32 bits to where the mark stands, and the mark behind them.
    #[inline(always)]
    fn refill(&mut self) {
        let mark = self.c.trailing_zeros() & 63;
        let ahead = u64::from(self.next()) << 1 | 1;
        self.c = (self.c & (self.c - 1)) | ahead << (mark.wrapping_sub(32) & 31);
    }
}

/// The bits of a code-block with stuffing undone, into `bits`: behind a byte FF one bit is a carry into
/// what stands before it (C.2.6); a marker, FF and more than 8F, ends the data; ones follow.
pub(super) fn unstuffed<'a>(parts: impl Iterator<Item = &'a [u8]>, bits: &mut Vec<u8>) {
    bits.clear();
    let (mut held, mut count, mut after_ff) = (0_u32, 0_u32, false);
    'data: for part in parts {
        for &byte in part {
            let width = if after_ff { 7 } else { 8 };
            if after_ff {
                if byte > 0x8F {
                    break 'data;
                }
                if byte & 0x80 != 0 {
                    held += 1;
                    if held >> count != 0 {
                        held &= (1 << count) - 1;
                        carry(bits);
                    }
                }
            }
            held = (held << width) | u32::from(byte) & ((1 << width) - 1);
            count += width;
            if count >= 8 {
                count -= 8;
                bits.push((held >> count) as u8);
                held &= (1 << count) - 1;
            }
            after_ff = byte == 0xFF;
        }
    }
    if count > 0 {
        bits.push(((held << (8 - count)) | (0xFF >> count)) as u8);
    }
    // Words are read whole.
    bits.resize(bits.len().next_multiple_of(4), 0xFF);
}

/// Adds one to the number that the bytes are.
fn carry(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_the_standard_is_decoded() {
        // ITU-T T.88 H.2: one context, 256 decisions.
        let coded = [
            0x84, 0xC7, 0x3B, 0xFC, 0xE1, 0xA1, 0x43, 0x04, 0x02, 0x20, 0x00, 0x00, 0x41, 0x0D, 0xBB, 0x86, 0xF4, 0x31, 0x7F,
            0xFF, 0x88, 0xFF, 0x37, 0x47, 0x1A, 0xDB, 0x6A, 0xDF, 0xFF, 0xAC,
        ];
        let decided = [
            0x00, 0x02, 0x00, 0x51, 0x00, 0x00, 0x00, 0xC0, 0x03, 0x52, 0x87, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA, 0x82, 0xC0, 0x20,
            0x00, 0xFC, 0xD7, 0x9E, 0xF6, 0xBF, 0x7F, 0xED, 0x90, 0x4F, 0x46, 0xA3, 0xBF,
        ];
        for parts in [vec![&coded[..]], vec![&coded[..20], &coded[20..21], &[], &coded[21..]]] {
            let mut bits = Vec::new();
            unstuffed(parts.into_iter(), &mut bits);
            let (mut decoder, mut context) = (Decoder::new(&bits), initial(0));
            let found: Vec<u8> =
                (0..decided.len()).map(|_| (0..8).fold(0, |byte, _| byte << 1 | decoder.decide(&mut context) as u8)).collect();
            assert_eq!(found, decided);
        }
    }

    #[test]
    fn behind_the_end_ones_follow_for_ever() {
        for coded in [&[][..], &[0xFF], &[0xFF, 0xFF], &[0x12]] {
            let mut bits = Vec::new();
            unstuffed(std::iter::once(coded), &mut bits);
            let (mut decoder, mut context) = (Decoder::new(&bits), initial(0));
            assert!((0..10_000).all(|_| decoder.decide(&mut context) < 2));
        }
    }
}
