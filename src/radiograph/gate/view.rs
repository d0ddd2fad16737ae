//! What the gate looks at: 32 x 32 ranks of the film's greys.
//!
//! The film is reduced to 96 x 96, empty borders (collimation, paper, padding) are cut off, the
//! rest is reduced to 32 x 32, and each grey is replaced by its rank. Ranks do not change with
//! brightness, contrast, gamma or window, and exchanging black and white only turns their sign.

use crate::input::{Plane, reduce};
use crate::model::Fit;
use crate::radiograph::Grey;

/// Side of the plane on which borders are found, pixels.
pub(crate) const COARSE: usize = 96;
/// Side of a view, pixels.
pub(crate) const SIDE: usize = 32;
/// Pixels of a view.
pub(crate) const PIXELS: usize = SIDE * SIDE;

/// A row or column belongs to the border when this share of it is ...
const BORDER_SHARE: f32 = 0.9;
/// ... within this share of the film's range from its darkest or from its brightest grey.
const BORDER_SPREAD: f32 = 0.05;
/// At least this much of each side is kept, pixels of the coarse plane.
const KEPT_MIN: usize = 36;
/// Greys are told apart in this many steps between the 1st and the 99th percentile, so that the
/// grain of an empty background does not get ranks of its own.
const STEPS: usize = 256;
/// A film whose greys differ by less, in parts of the whole range, shows nothing: one step of 8 bits.
const RANGE_MIN: f32 = 1.0 / 256.0;

/// Ranks of the greys, [32, 32] row by row, mean 0, variance 1.
#[derive(Clone, Debug, PartialEq)]
pub struct View(pub(super) Vec<f32>);

impl View {
    /// The view of a film; `None` when the film shows nothing.
    pub fn of(film: &Grey) -> Option<Self> {
        Self::of_coarse(&reduce(film, COARSE, Fit::Stretch))
    }

    /// The view of a film that was reduced to 96 x 96; `None` when it shows nothing.
    pub(crate) fn of_coarse(plane: &Plane) -> Option<Self> {
        let window = Window::inside_borders(&plane.values);
        ranks(&window.narrow(&plane.values)).map(Self)
    }

    /// The ranks, [32, 32] row by row.
    pub(crate) fn ranks(&self) -> &[f32] {
        &self.0
    }
}

/// Rows and columns of the coarse plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    top: usize,
    bottom: usize,
    left: usize,
    right: usize,
}

impl Window {
    /// The plane without the rows and columns at its borders that are evenly black or evenly white.
    fn inside_borders(plane: &[f32]) -> Self {
        let low = plane.iter().copied().fold(f32::INFINITY, f32::min);
        let high = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let spread = BORDER_SPREAD * (high - low);
        let empty = |line: &mut dyn Iterator<Item = f32>| {
            let (mut all, mut dark, mut bright) = (0_usize, 0_usize, 0_usize);
            for grey in line {
                all += 1;
                dark += usize::from(grey <= low + spread);
                bright += usize::from(grey >= high - spread);
            }
            dark.max(bright) as f32 >= BORDER_SHARE * all as f32
        };
        let mut w = Self { top: 0, bottom: COARSE, left: 0, right: COARSE };
        loop {
            let before = w;
            let row = |y: usize| (w.left..w.right).map(move |x| plane[y * COARSE + x]);
            let tall = w.bottom - w.top > KEPT_MIN;
            if tall && empty(&mut row(w.top)) {
                w.top += 1;
            } else if tall && empty(&mut row(w.bottom - 1)) {
                w.bottom -= 1;
            }
            let column = |x: usize| (w.top..w.bottom).map(move |y| plane[y * COARSE + x]);
            let wide = w.right - w.left > KEPT_MIN;
            if wide && empty(&mut column(w.left)) {
                w.left += 1;
            } else if wide && empty(&mut column(w.right - 1)) {
                w.right -= 1;
            }
            if w == before {
                return w;
            }
        }
    }

    /// The window reduced to 32 x 32 by area averaging.
    fn narrow(&self, plane: &[f32]) -> Vec<f32> {
        let columns = shares(self.left, self.right);
        let rows = shares(self.top, self.bottom);
        let mut view = Vec::with_capacity(PIXELS);
        for row in &rows {
            for column in &columns {
                let mut sum = 0.0;
                for &(y, down) in row {
                    for &(x, across) in column {
                        sum += down * across * plane[y * COARSE + x];
                    }
                }
                view.push(sum);
            }
        }
        view
    }
}

/// For each of 32 positions the input positions in `from..to` that it covers and their shares, which sum to 1.
fn shares(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let scale = (to - from) as f32 / SIDE as f32;
    let share = |out: usize| {
        let (start, end) = (out as f32 * scale, ((out + 1) as f32 * scale).min((to - from) as f32));
        (start as usize..(end.ceil() as usize).min(to - from))
            .map(|i| (from + i, (((i + 1) as f32).min(end) - (i as f32).max(start)) / (end - start)))
            .collect()
    };
    (0..SIDE).map(share).collect()
}

/// Ranks of the greys with mean 0 and variance 1, ties in the middle of their ranks; `None` when the greys do not differ.
fn ranks(greys: &[f32]) -> Option<Vec<f32>> {
    let mut sorted = greys.to_vec();
    sorted.sort_by(f32::total_cmp);
    let (low, high) = (sorted[greys.len() / 100], sorted[greys.len() - 1 - greys.len() / 100]);
    if high - low < RANGE_MIN {
        return None;
    }
    let step = |grey: f32| (((grey - low) / (high - low)).clamp(0.0, 1.0) * (STEPS - 1) as f32 + 0.5) as usize;
    let mut counts = [0_usize; STEPS];
    for grey in greys {
        counts[step(*grey)] += 1;
    }
    let middle = greys.len() as f32 / 2.0;
    let mut below = 0;
    let rank_of_step = counts.map(|count| {
        let rank = below as f32 + count as f32 / 2.0 - middle;
        below += count;
        rank
    });
    let ranks: Vec<f32> = greys.iter().map(|grey| rank_of_step[step(*grey)]).collect();
    let deviation = (ranks.iter().map(|r| r * r).sum::<f32>() / ranks.len() as f32).sqrt();
    Some(ranks.into_iter().map(|r| r / deviation).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radiograph::drawn::{DrawnFilm, NotAChest};
    use crate::radiograph::{Samples, linear_tone};

    fn coarse(grey: impl Fn(usize, usize) -> f32) -> Plane {
        Plane { side: COARSE, values: (0..COARSE * COARSE).map(|i| grey(i % COARSE, i / COARSE)).collect() }
    }

    #[test]
    fn a_view_has_mean_zero_and_variance_one() {
        let view = View::of(&DrawnFilm { width: 300, height: 200, seed: 1 }.draw()).unwrap();
        assert!(view.0.iter().sum::<f32>().abs() < 0.1);
        assert!((view.0.iter().map(|v| v * v).sum::<f32>() / PIXELS as f32 - 1.0).abs() < 1e-4);
    }

    #[test]
    fn a_window_or_gamma_hardly_changes_the_view_and_inversion_turns_its_sign() {
        let film = DrawnFilm { width: 400, height: 400, seed: 2 }.draw();
        let view = View::of(&film).unwrap();
        let likeness = |other: &Grey| {
            let other = View::of(other).unwrap();
            view.0.iter().zip(&other.0).map(|(a, b)| a * b).sum::<f32>() / PIXELS as f32
        };
        assert!(likeness(&film.clone().inverted()) < -0.99);
        for gamma in [0.5_f32, 2.0] {
            let tone = linear_tone(256).iter().map(|t| 0.1 + 0.5 * t.powf(gamma)).collect();
            let changed = Grey::new(400, 400, film.samples().clone(), tone).unwrap();
            assert!(likeness(&changed) > 0.98, "gamma {gamma}: {}", likeness(&changed));
        }
    }

    #[test]
    fn black_and_white_borders_are_cut_off_and_at_least_three_eighths_are_kept() {
        let inside = |x: usize, y: usize| (20..80).contains(&x) && (30..90).contains(&y);
        for border in [0.0, 1.0] {
            let plane = coarse(|x, y| if inside(x, y) { 0.2 + 0.006 * (x + y) as f32 % 0.6 } else { border });
            let window = Window::inside_borders(&plane.values);
            assert_eq!(window, Window { top: 30, bottom: 90, left: 20, right: 80 });
        }
        let dot = coarse(|x, y| f32::from(u8::from(x == 50 && y == 50)));
        let window = Window::inside_borders(&dot.values);
        assert_eq!((window.bottom - window.top, window.right - window.left), (KEPT_MIN, KEPT_MIN));
    }

    #[test]
    fn shares_sum_to_one_for_every_window() {
        for (from, to) in [(0, COARSE), (0, KEPT_MIN), (13, 96), (7, 80)] {
            for share in shares(from, to) {
                assert!((share.iter().map(|(_, s)| s).sum::<f32>() - 1.0).abs() < 1e-4, "{from}..{to}");
                assert!(share.iter().all(|(i, _)| (from..to).contains(i)));
            }
        }
    }

    #[test]
    fn a_film_without_structure_has_no_view() {
        assert_eq!(View::of(&NotAChest::Blank.draw(512, 512, 3)), None);
        for grey in [0, 128, 255] {
            let film = Grey::new(64, 64, Samples::U8(vec![grey; 64 * 64]), linear_tone(256)).unwrap();
            assert_eq!(View::of(&film), None);
        }
    }
}
