//! Sequential JPEG of 12 bits, one channel (T.81 Annexes A, F; process 4): blocks of 8 x 8 cosine coefficients.
//!
//! In: data whose markers were walked and whose picture is the one the header says. Out: samples of
//! 12 bits; the inverse transform is computed in f32 and rounded once, so that a sample differs from
//! that of another decoder by its rounding only.

use super::huffman::{Bits, Codes};
use super::scans::{Component, Scan, Tables, each_scan};
use super::{Frame, LEFT_BYTES_MAX, damaged, unsupported};
use crate::radiograph::refusal::Refusal;

/// Samples of a block's side.
const SIDE: usize = 8;
const AREA: usize = SIDE * SIDE;
const LEVEL: f32 = 2048.0;
const TOP: f32 = 4095.0;
/// Largest coefficient of a 12-bit film, with room for encoders that round up.
const COEFFICIENT_MAX: i32 = 1 << 17;

/// Row and column of each coefficient in the order they are written (Figure A.6).
const ZIGZAG: [u8; AREA] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42,
    49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Decodes the samples.
///
/// # Errors
/// `DamagedFile` where the data are broken or cut, `UnsupportedEncoding` for several channels.
pub(super) fn decode(data: &[u8], frame: &Frame) -> Result<Vec<u16>, Refusal> {
    if frame.components != 1 {
        return Err(unsupported("several channels of 12 bits"));
    }
    let (rows, columns) = (usize::from(frame.rows), usize::from(frame.columns));
    let mut out = vec![0_u16; rows * columns];
    let mut scans = 0;
    each_scan(data, |components, tables, scan, bytes| {
        scans += 1;
        let film =
            Film::of(components, tables, scan).filter(|_| scans == 1).ok_or_else(|| damaged("a JPEG scan lacks a table"))?;
        film.decode(bytes, &mut out, columns, tables.restart).ok_or_else(|| damaged("the JPEG data do not decode"))
    })?;
    Ok(out)
}

/// The tables of the one channel.
struct Film<'a> {
    dc: &'a Codes,
    ac: &'a Codes,
    /// Quantization steps, in zigzag order.
    steps: &'a [u16; AREA],
    waves: [[f32; SIDE]; SIDE],
}

impl<'a> Film<'a> {
    fn of(components: &[Component], tables: &'a Tables, scan: &Scan) -> Option<Self> {
        let (&[component], &[[_, dc, ac]]) = (components, scan.components.as_slice()) else { return None };
        if scan.spectrum != [0, 63] || scan.approximation != 0 {
            return None;
        }
        let [of_dc, of_ac] = &tables.codes;
        Some(Self {
            dc: of_dc.get(dc)?.as_ref()?,
            ac: of_ac.get(ac)?.as_ref()?,
            steps: tables.steps.get(component.steps)?.as_ref()?,
            waves: waves(),
        })
    }

    fn decode(&self, data: &[u8], out: &mut [u16], columns: usize, restart: usize) -> Option<()> {
        let mut bits = Bits::new(data);
        let (mut dc, mut left) = (0, restart);
        for band in out.chunks_mut(columns * SIDE) {
            for x in (0..columns).step_by(SIDE) {
                if restart > 0 && left == 0 {
                    bits.restart()?;
                    (dc, left) = (0, restart);
                }
                left = left.saturating_sub(1);
                let coefficients = self.block(&mut bits, &mut dc)?;
                let samples = self.samples(&coefficients);
                let wide = SIDE.min(columns - x);
                for (line, from) in band.chunks_exact_mut(columns).zip(samples.as_chunks::<SIDE>().0) {
                    line[x..x + wide].copy_from_slice(&from[..wide]);
                }
            }
        }
        (bits.bytes_left() <= LEFT_BYTES_MAX).then_some(())
    }

    /// The coefficients of a block, dequantized (F.2.2).
    fn block(&self, bits: &mut Bits<'_>, dc: &mut i32) -> Option<[f32; AREA]> {
        let mut block = [0.0; AREA];
        let size = bits.symbol(self.dc)?;
        *dc += bits.signed(size.into())?;
        if dc.abs() > COEFFICIENT_MAX {
            return None;
        }
        // Exact: below 2^17 x 2^16 with 24 bits that matter at most in real films.
        block[0] = *dc as f32 * f32::from(self.steps[0]);
        let mut at = 1;
        while at < AREA {
            let symbol = bits.symbol(self.ac)?;
            let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => break,
                _ => {
                    at += zeros;
                    let value = bits.signed(size.into())?;
                    *block.get_mut(usize::from(*ZIGZAG.get(at)?))? = value as f32 * f32::from(*self.steps.get(at)?);
                    at += 1;
                }
            }
        }
        Some(block)
    }

    /// The inverse cosine transform of a block (A.3.3), rows, then columns.
    fn samples(&self, block: &[f32; AREA]) -> [u16; AREA] {
        let mut half = [0.0_f32; AREA];
        for (to, row) in half.as_chunks_mut::<SIDE>().0.iter_mut().zip(block.as_chunks::<SIDE>().0) {
            for (coefficient, wave) in row.iter().zip(&self.waves).filter(|(coefficient, _)| **coefficient != 0.0) {
                to.iter_mut().zip(wave).for_each(|(sum, w)| *sum += coefficient * w);
            }
        }
        let mut full = [0.0_f32; AREA];
        for (row, wave) in half.as_chunks::<SIDE>().0.iter().zip(&self.waves) {
            for (to, w) in full.as_chunks_mut::<SIDE>().0.iter_mut().zip(wave) {
                to.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * w);
            }
        }
        full.map(|value| (value + LEVEL).round().clamp(0.0, TOP) as u16)
    }
}

/// `waves[u][x]` = C(u) / 2 cos((2 x + 1) u pi / 16), C(0) = 1 / sqrt 2, else 1.
fn waves() -> [[f32; SIDE]; SIDE] {
    std::array::from_fn(|u| {
        let scale = if u == 0 { std::f64::consts::FRAC_1_SQRT_2 / 2.0 } else { 0.5 };
        // Of small whole numbers: exact.
        std::array::from_fn(|x| (scale * (((2 * x + 1) * u) as f64 * std::f64::consts::PI / 16.0).cos()) as f32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zigzag_visits_every_coefficient_once() {
        let mut seen = ZIGZAG.to_vec();
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..64));
    }

    #[test]
    fn the_waves_are_orthonormal() {
        let waves = waves();
        for (u, a) in waves.iter().enumerate() {
            for (v, b) in waves.iter().enumerate() {
                let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - if u == v { 1.0 } else { 0.0 }).abs() < 1e-6, "{u} {v}");
            }
        }
    }
}
