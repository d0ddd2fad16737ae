//! The samples of one JPEG-LS scan (T.87 Annex A): prediction from the neighbours, errors coded by
//! contexts that learn, runs of equal samples.
//!
//! In: the bytes between the scan header and the next marker. Out: row after row of each component.
//! `None` where the bytes end early or code an error that no encoder writes.

use super::bits::Bits;
use super::parameters::Parameters;
use std::array;

/// Lengths of runs as powers of two (A.2.1).
const RUN_BITS: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// Contexts of samples outside runs; the first is never used.
const CONTEXTS: usize = 365;
/// Widest code of an error without its prefix: more than any error has bits.
const WIDEST: u32 = 24;

/// The state of a context (A.2.1, A.6).
#[derive(Clone, Copy)]
struct Context {
    /// Sum of the errors' sizes.
    a: i64,
    /// Sum of the errors since the last correction.
    b: i64,
    /// Correction of the prediction.
    c: i32,
    n: i32,
}

/// The state of a context of samples that end a run (A.7.2).
#[derive(Clone, Copy)]
struct RunContext {
    a: i64,
    n: i32,
    negative: i32,
}

/// A row of one component and the row above it, with a column more on either side.
pub(super) struct Row {
    above: Vec<u16>,
    line: Vec<u16>,
}

/// The neighbours of a sample: left, above, above left, above right.
#[derive(Clone, Copy)]
struct Around {
    a: i32,
    b: i32,
    c: i32,
    d: i32,
}

impl Row {
    pub(super) fn new(columns: usize) -> Self {
        Self { above: vec![0; columns + 2], line: vec![0; columns + 2] }
    }

    /// Steps to the next row: what lies outside is like its neighbour (A.2.1).
    fn next(&mut self) {
        std::mem::swap(&mut self.above, &mut self.line);
        self.line[0] = self.above[1];
        let last = self.above.len() - 1;
        self.above[last] = self.above[last - 1];
    }

    fn around(&self, x: usize) -> Around {
        let [c, b, d] = [self.above[x - 1], self.above[x], self.above[x + 1]].map(i32::from);
        Around { a: i32::from(self.line[x - 1]), b, c, d }
    }

    /// The samples of the row.
    pub(super) fn samples(&self) -> &[u16] {
        &self.line[1..self.line.len() - 1]
    }
}

impl Around {
    /// The median edge detector (A.4.1).
    fn predicted(self) -> i32 {
        let (low, high) = (self.a.min(self.b), self.a.max(self.b));
        if self.c >= high {
            low
        } else if self.c <= low {
            high
        } else {
            self.a + self.b - self.c
        }
    }
}

/// Bits of the low part of an error's code: the least k with n << k >= a.
fn low_bits(n: i32, a: i64) -> Option<u32> {
    (0..=WIDEST).find(|k| i64::from(n) << k >= a)
}

/// A scan that is being decoded.
pub(super) struct Scan<'a> {
    bits: Bits<'a>,
    parameters: Parameters,
    contexts: [Context; CONTEXTS],
    runs: [RunContext; 2],
}

impl<'a> Scan<'a> {
    pub(super) fn new(data: &'a [u8], parameters: Parameters) -> Self {
        let a = i64::from(((parameters.range + 32) / 64).max(2));
        Self {
            bits: Bits::new(data),
            parameters,
            contexts: [Context { a, b: 0, c: 0, n: 1 }; CONTEXTS],
            runs: [RunContext { a, n: 1, negative: 0 }; 2],
        }
    }

    /// Whole bytes that were not needed.
    pub(super) fn bytes_left(&self) -> usize {
        self.bits.bytes_left()
    }

    /// The next row of components that are interleaved sample by sample; `run` is the state of their runs.
    pub(super) fn row<const N: usize>(&mut self, mut rows: [&mut Row; N], run: &mut usize) -> Option<()> {
        rows.iter_mut().for_each(|row| row.next());
        let columns = rows.first()?.samples().len();
        let mut x = 1;
        while x <= columns {
            let around: [Around; N] = array::from_fn(|c| rows[c].around(x));
            let contexts = around.map(|at| self.context(at));
            if contexts.iter().all(|context| *context == 0) {
                x += self.run(&mut rows, x, columns, run)?;
            } else {
                for c in 0..N {
                    rows[c].line[x] = self.regular(around[c], contexts[c])?;
                }
                x += 1;
            }
        }
        Some(())
    }

    /// The context by the gradients around, its sign included (A.3).
    fn context(&self, at: Around) -> i32 {
        let region = |gradient| self.parameters.region(gradient);
        81 * region(at.d - at.b) + 9 * region(at.b - at.c) + region(at.c - at.a)
    }

    /// A sample outside runs (A.4 to A.6).
    fn regular(&mut self, at: Around, context: i32) -> Option<u16> {
        let p = self.parameters;
        let sign = if context < 0 { -1 } else { 1 };
        let state = self.contexts.get_mut(usize::try_from(context.abs()).ok()?)?;
        let prediction = (at.predicted() + sign * state.c).clamp(0, p.maxval);
        let k = low_bits(state.n, state.a)?;
        let mapped = golomb(&mut self.bits, k, p.limit, p.qbpp)?;
        let turned = p.near == 0 && k == 0 && 2 * state.b <= -i64::from(state.n);
        let half = mapped >> 1;
        let error = if (mapped & 1 == 1) == turned { half } else { -half - 1 };
        if error.abs() > p.range {
            return None;
        }
        state.learn(error, &p);
        u16::try_from(p.sample(prediction, sign * error)).ok()
    }

    /// A run from column `x` and the sample that ends it; the columns it takes (A.7).
    fn run<const N: usize>(&mut self, rows: &mut [&mut Row; N], x: usize, columns: usize, run: &mut usize) -> Option<usize> {
        let left = columns + 1 - x;
        let mut length = 0;
        while self.bits.read(1)? == 1 {
            let step = 1 << RUN_BITS[*run];
            let taken = step.min(left - length);
            length += taken;
            if taken == step {
                *run = (*run + 1).min(RUN_BITS.len() - 1);
            }
            if length == left {
                fill(rows, x, length);
                return Some(length);
            }
        }
        length += usize::try_from(self.bits.read(RUN_BITS[*run])?).ok()?;
        if length >= left {
            return None;
        }
        fill(rows, x, length);
        for row in rows.iter_mut() {
            let at = row.around(x + length);
            row.line[x + length] = self.interruption(at, N == 1, RUN_BITS[*run])?;
        }
        *run = run.saturating_sub(1);
        Some(length + 1)
    }

    /// The sample that ends a run (A.7.2). Only a component by itself has the context of equal neighbours.
    fn interruption(&mut self, at: Around, alone: bool, run_bits: u32) -> Option<u16> {
        let p = self.parameters;
        let equal = alone && (at.a - at.b).abs() <= p.near;
        let (kind, prediction) = if equal { (1, at.a) } else { (0, at.b) };
        let sign = if !equal && at.a > at.b { -1 } else { 1 };
        let state = &mut self.runs[usize::from(equal)];
        let k = low_bits(state.n, state.a + if equal { i64::from(state.n >> 1) } else { 0 })?;
        let mapped = golomb(&mut self.bits, k, p.limit - run_bits - 1, p.qbpp)?;
        let whole = mapped + kind;
        let (odd, size) = (whole & 1, (whole + 1) >> 1);
        let error = if (k != 0 || 2 * state.negative >= state.n) == (odd == 1) { -size } else { size };
        if size > p.range {
            return None;
        }
        state.learn(error, (mapped + 1 - kind) >> 1, p.reset);
        u16::try_from(p.sample(prediction, sign * error)).ok()
    }
}

/// Repeats the sample left of column `x`.
fn fill<const N: usize>(rows: &mut [&mut Row; N], x: usize, length: usize) {
    for row in rows.iter_mut() {
        let left = row.line[x - 1];
        row.line[x..x + length].fill(left);
    }
}

/// A number in the Golomb code of limited length (A.5.3).
fn golomb(bits: &mut Bits<'_>, k: u32, limit: u32, qbpp: u32) -> Option<i32> {
    let most = limit.checked_sub(qbpp + 1)?;
    let zeros = bits.zeros(most)?;
    let value = if zeros < most { (zeros.checked_mul(1 << k)?) | bits.read(k)? } else { bits.read(qbpp)?.checked_add(1)? };
    i32::try_from(value).ok()
}

impl Context {
    /// Takes an error in (A.6).
    fn learn(&mut self, error: i32, p: &Parameters) {
        self.b += i64::from(error * (2 * p.near + 1));
        self.a += i64::from(error.abs());
        if self.n == p.reset {
            self.a >>= 1;
            // An arithmetic shift: the standard's halving of a negative number, too, rounds down.
            self.b >>= 1;
            self.n >>= 1;
        }
        self.n += 1;
        let n = i64::from(self.n);
        if self.b <= -n {
            self.b = (self.b + n).max(1 - n);
            self.c = (self.c - 1).max(-128);
        } else if self.b > 0 {
            self.b = (self.b - n).min(0);
            self.c = (self.c + 1).min(127);
        }
    }
}

impl RunContext {
    fn learn(&mut self, error: i32, size: i32, reset: i32) {
        self.negative += i32::from(error < 0);
        self.a += i64::from(size);
        if self.n == reset {
            self.a >>= 1;
            self.n >>= 1;
            self.negative >>= 1;
        }
        self.n += 1;
    }
}
