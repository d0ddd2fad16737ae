//! The inverse wavelet transforms (ITU-T T.800 Annex F): four sub-bands to the next resolution.
//!
//! In: the resolution below and three sub-bands, row by row. Out: the resolution, row by row. 5/3 in
//! whole numbers, 9/7 in f32; products and sums in one order on every machine. A step of the lifting
//! changes the even positions by their odd neighbours or the other way round; at a border the
//! neighbour inside stands for the one outside (F.3.7).

use super::coding::Rect;
use crate::threads;
use std::ops::Neg;
use std::sync::{Mutex, PoisonError};

/// A number that is lifted.
pub(super) trait Coefficient: Copy + Default + Neg<Output = Self> + Send + Sync {
    /// Lifting steps; even positions first.
    const STEPS: usize;

    /// Brought to the scale of the lifting, by whether it is of a high-pass sub-band.
    fn scaled(self, high: bool) -> Self;

    /// After this step, between these neighbours.
    fn lifted(self, step: usize, before: Self, behind: Self) -> Self;

    /// What a single high-pass coefficient means.
    fn halved(self) -> Self;
}

impl Coefficient for i32 {
    const STEPS: usize = 2;

    #[inline(always)]
    fn scaled(self, _: bool) -> Self {
        self
    }

    #[inline(always)]
    fn lifted(self, step: usize, before: Self, behind: Self) -> Self {
        let sum = before.wrapping_add(behind);
        if step == 0 { self.wrapping_sub(sum.wrapping_add(2) >> 2) } else { self.wrapping_add(sum >> 1) }
    }

    fn halved(self) -> Self {
        self >> 1
    }
}

/// Table F.4.
const LIFTING: [f32; 4] = [0.443_506_85, 0.882_911_1, -0.052_980_12, -1.586_134_3];
const SCALE: f32 = 1.230_174_1;

impl Coefficient for f32 {
    const STEPS: usize = 4;

    #[inline(always)]
    fn scaled(self, high: bool) -> Self {
        if high { self * (1.0 / SCALE) } else { self * SCALE }
    }

    #[inline(always)]
    fn lifted(self, step: usize, before: Self, behind: Self) -> Self {
        self - LIFTING[step & 3] * (before + behind)
    }

    fn halved(self) -> Self {
        self * 0.5
    }
}

/// One level: `low` is the resolution below, `high` are HL, LH and HH; `rect` says where the result lies.
pub(super) fn compose<T: Coefficient>(low: &[T], [hl, lh, hh]: [&[T]; 3], rect: Rect) -> Vec<T> {
    let (width, height) = (rect.width(), rect.height());
    let mut out = vec![T::default(); width * height];
    if out.is_empty() {
        return out;
    }
    let (odd_left, odd_top) = (rect.x0 as usize & 1, rect.y0 as usize & 1);
    let lows = (width + 1 - odd_left) / 2;
    let highs = width - lows;
    // Rows of one piece of work: enough for one thread's turn, few enough to divide evenly.
    let rows = height.div_ceil(4 * threads::allowed());
    let pieces: Vec<Mutex<&mut [T]>> = out.chunks_mut(rows * width).map(Mutex::new).collect();
    threads::map(pieces.len(), |piece| {
        let mut lines = Lines { even: vec![T::default(); lows], odd: vec![T::default(); highs] };
        let mut target = pieces[piece].lock().unwrap_or_else(PoisonError::into_inner);
        for (i, row) in target.chunks_exact_mut(width).enumerate() {
            let y = piece * rows + i;
            // Rows of both kinds alternate, whichever comes first.
            let (k, is_high) = (y / 2, (y + odd_top) % 2 == 1);
            let (left, right) = if is_high { (lh, hh) } else { (low, hl) };
            lines.compose(&left[k * lows..][..lows], &right[k * highs..][..highs], odd_left, row);
        }
    });
    drop(pieces);
    lift_rows(&mut out, width, height, odd_top);
    out
}

/// Memory for one row's halves.
struct Lines<T> {
    even: Vec<T>,
    odd: Vec<T>,
}

impl<T: Coefficient> Lines<T> {
    fn compose(&mut self, low: &[T], high: &[T], odd_first: usize, out: &mut [T]) {
        if let [only] = out {
            *only = low.first().copied().or(high.first().map(|h| h.halved())).unwrap_or_default();
            return;
        }
        let Self { even, odd } = self;
        even.iter_mut().zip(low).for_each(|(e, l)| *e = l.scaled(false));
        odd.iter_mut().zip(high).for_each(|(o, h)| *o = h.scaled(true));
        for step in 0..T::STEPS {
            if step % 2 == 0 { lift(even, odd, odd_first == 0, step) } else { lift(odd, even, odd_first == 1, step) }
        }
        let (first, second) = if odd_first == 0 { (&*even, &*odd) } else { (&*odd, &*even) };
        let (pairs, rest) = out.as_chunks_mut::<2>();
        for ((pair, a), b) in pairs.iter_mut().zip(first).zip(second) {
            *pair = [*a, *b];
        }
        if let ([last], Some(value)) = (rest, first.last()) {
            *last = *value;
        }
    }
}

/// One step on `target`, whose positions lie between those of `others`; `starts` if it has the first position of all.
fn lift<T: Coefficient>(target: &mut [T], others: &[T], starts: bool, step: usize) {
    let (Some(first), Some(last)) = (others.first().copied(), others.last().copied()) else { return };
    let (edge, inner) = target.split_at_mut(usize::from(starts));
    if let [edge] = edge {
        *edge = edge.lifted(step, first, first);
    }
    let pairs = others.len() - 1;
    for ((t, a), b) in inner.iter_mut().zip(others).zip(&others[1..]) {
        *t = t.lifted(step, *a, *b);
    }
    if let Some(edge) = inner.get_mut(pairs) {
        *edge = edge.lifted(step, last, last);
    }
}

/// The steps along the columns, row after row in place.
fn lift_rows<T: Coefficient>(out: &mut [T], width: usize, height: usize, odd_first: usize) {
    if height == 1 {
        if odd_first == 1 {
            out.iter_mut().for_each(|v| *v = v.halved());
        }
        return;
    }
    for (y, row) in out.chunks_exact_mut(width).enumerate() {
        let high = (y + odd_first) % 2 == 1;
        row.iter_mut().for_each(|v| *v = v.scaled(high));
    }
    for step in 0..T::STEPS {
        for y in ((step + odd_first) % 2..height).step_by(2) {
            let (above, rest) = out.split_at_mut(y * width);
            let (row, below) = rest.split_at_mut(width);
            let above = above.rchunks_exact(width).next();
            let below = below.get(..width).or(above);
            let above = above.or(below);
            let (Some(above), Some(below)) = (above, below) else { continue };
            for ((t, a), b) in row.iter_mut().zip(above).zip(below) {
                *t = t.lifted(step, *a, *b);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed<T: Coefficient>(value: T, left: u32, top: u32, width: u32, height: u32) -> Vec<T> {
        let rect = Rect { x0: left, y0: top, x1: left + width, y1: top + height };
        let count = |from: u32, size: u32, high: u32| ((from + size + 1 - high) / 2 - (from + 1 - high) / 2) as usize;
        let area = |across: u32, down: u32| count(left, width, across) * count(top, height, down);
        let zeros = |across, down| vec![T::default(); area(across, down)];
        compose(&vec![value; area(0, 0)], [&zeros(1, 0), &zeros(0, 1), &zeros(1, 1)], rect)
    }

    #[test]
    fn an_even_low_pass_becomes_an_even_picture_wherever_it_begins_and_ends() {
        for (left, top) in [(0, 0), (1, 0), (0, 1), (7, 5)] {
            for (width, height) in [(2, 2), (2, 9), (3, 4), (16, 5), (31, 33)] {
                assert!(composed(100_i32, left, top, width, height).iter().all(|v| *v == 100), "{left} {top} {width} {height}");
                let film = composed(100.0_f32, left, top, width, height);
                assert!(film.iter().all(|v| (v - 100.0).abs() < 1e-3), "{left} {top} {width} {height}");
            }
        }
    }

    #[test]
    fn a_single_row_or_column_has_only_one_of_both() {
        assert_eq!(composed(8_i32, 0, 0, 1, 1), [8]);
        let single = |left, high: &[i32]| compose(&[], [high, &[], &[]], Rect { x0: left, y0: 0, x1: left + 1, y1: 1 });
        assert_eq!(single(1, &[8]), [4]);
        assert!(composed(8_i32, 0, 0, 0, 3).is_empty());
    }
}
