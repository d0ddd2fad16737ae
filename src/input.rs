//! From a film to what the network sees, exactly as the model's manifest says. Training uses the
//! same code, so that a film cannot look different to the network afterwards.
//!
//! The chain: reduce the film to `detail` x `detail` by exact area averaging (the resolution the
//! model was trained on; the sharpness of a film must not tell the network where it came from),
//! enlarge to `size` x `size` by bilinear interpolation where the network is larger, subtract the
//! mean, divide by the standard deviation. A film smaller than `detail` along an axis is enlarged
//! along it by bilinear interpolation. The aspect ratio is not kept: the public films the default
//! models learnt from had been stretched to squares too. A model of another project may have been shown
//! the square in the middle of a film instead, or three channels with a scale of their own; its manifest says so.

use crate::model::{Fit, InputSpec};
use crate::radiograph::{Grey, Step};
use crate::threads;
use std::ops::Range;

/// A square of greys, [side, side] row by row; where a network takes three channels, one such square after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Columns and rows.
    pub side: usize,
    /// Greys, side x side of them for each channel.
    pub values: Vec<f32>,
}

/// The network's input for `film`: [1, C, S, S] flattened, normalised.
pub fn prepare(film: &Grey, spec: &InputSpec) -> Plane {
    normalise(enlarge(&reduce(film, spec.detail, spec.fit), spec.size), spec)
}

/// What [`prepare`] does to this film, for a record's provenance.
pub fn steps(film: &Grey, spec: &InputSpec) -> Vec<Step> {
    let InputSpec { size, detail, mean, std, fit, colour } = *spec;
    let along = |from: usize| if from > detail { "area mean" } else { "bilinear" };
    let (width, height) = (film.width(), film.height());
    let ((left, w), (top, h)) = (fit.window(width, height), fit.window(height, width));
    let mut steps = Vec::new();
    if fit == Fit::CentreCrop {
        steps.push(Step::new("crop", format!("the square in the middle, {w} x {h} px from column {left}, row {top}")));
    }
    steps
        .push(Step::new("reduce", format!("{w} x {h} to {detail} x {detail} px, columns by {}, rows by {}", along(w), along(h))));
    if size != detail {
        steps.push(Step::new("enlarge", format!("{detail} to {size} px, bilinear")));
    }
    steps.push(Step::new("normalise", format!("(grey - {mean}) / {std}")));
    if let Some(colour) = colour {
        steps.push(Step::new("colour", format!("three channels, (value - {:?}) / {:?}", colour.mean, colour.std)));
    }
    steps
}

/// Reduces a film to `side` x `side` greys in [0, 1]: each output pixel is the mean of the area of
/// the film it covers, pixels cut by its border counted by their share.
pub fn reduce(film: &Grey, side: usize, fit: Fit) -> Plane {
    Plane { side, values: resample_part(film, side, side, fit) }
}

/// The film at `width` x `height`, greys in [0, 1] row by row; along each axis area averaging
/// downwards and bilinear interpolation upwards.
pub fn resample(film: &Grey, width: usize, height: usize) -> Vec<f32> {
    resample_part(film, width, height, Fit::Stretch)
}

/// As [`resample`], of the part of the film that `fit` takes.
fn resample_part(film: &Grey, width: usize, height: usize, fit: Fit) -> Vec<f32> {
    let columns = Axis::part(fit.window(film.width(), film.height()), width);
    let shares = Axis::part(fit.window(film.height(), film.width()), height).transposed(film.height());
    // Every row of the result is summed by one thread, in the same order whatever their number.
    let bands = threads::allowed().min(height);
    let band = |i: usize| resampled_rows(film, &columns, &shares, height * i / bands..height * (i + 1) / bands);
    threads::map(bands, band).concat()
}

/// The rows `out` of a resampled film. One pass over the rows that they are made of: each is narrowed once and added to the
/// one or two rows of the result that it touches.
fn resampled_rows(film: &Grey, columns: &Axis, shares: &[Vec<(usize, f32)>], out: Range<usize>) -> Vec<f32> {
    let width = columns.weights.len();
    let mut line = vec![0.0_f32; film.width()];
    let mut narrow = vec![0.0_f32; width];
    let mut sums = vec![0.0_f64; width * out.len()];
    for (y, touched) in shares.iter().enumerate() {
        if !touched.iter().any(|(row, _)| out.contains(row)) {
            continue;
        }
        film.row(y, &mut line);
        columns.apply(&line, &mut narrow);
        for (row, weight) in touched.iter().filter(|(row, _)| out.contains(row)) {
            let start = (row - out.start) * width;
            for (sum, value) in sums[start..start + width].iter_mut().zip(&narrow) {
                *sum += f64::from(*weight) * f64::from(*value);
            }
        }
    }
    sums.into_iter().map(|v| v as f32).collect()
}

/// Resamples a square to another side: bilinear upwards, area averaging downwards; the same side is returned as it is.
pub fn enlarge(plane: &Plane, side: usize) -> Plane {
    if side == plane.side {
        return plane.clone();
    }
    let axis = Axis::new(plane.side, side);
    let mut wide = vec![0.0_f32; plane.side * side];
    for (from, to) in plane.values.chunks_exact(plane.side).zip(wide.chunks_exact_mut(side)) {
        axis.apply(from, to);
    }
    let mut values = vec![0.0_f32; side * side];
    for (out, weights) in axis.weights.iter().enumerate() {
        let target = &mut values[out * side..(out + 1) * side];
        for &(y, weight) in weights {
            for (t, v) in target.iter_mut().zip(&wide[y * side..(y + 1) * side]) {
                *t += weight * v;
            }
        }
    }
    Plane { side, values }
}

/// (grey - mean) / std, and what a network of three channels makes of that.
pub fn normalise(mut plane: Plane, spec: &InputSpec) -> Plane {
    for v in &mut plane.values {
        *v = (*v - spec.mean) / spec.std;
    }
    in_channels(plane, spec)
}

/// The channels of the network's input from one plane: itself, or a copy for each colour with the scale of that colour.
pub(crate) fn in_channels(plane: Plane, spec: &InputSpec) -> Plane {
    let Some(colour) = &spec.colour else { return plane };
    let of = |(mean, std): (&f32, &f32)| plane.values.iter().map(|v| (v - mean) / std).collect::<Vec<f32>>();
    Plane { side: plane.side, values: colour.mean.iter().zip(&colour.std).flat_map(of).collect() }
}

/// For each output position along one axis, the input positions it is made of and their weights (sum 1).
pub(crate) struct Axis {
    weights: Vec<Vec<(usize, f32)>>,
}

impl Axis {
    /// The weights from `from` positions to `to`.
    pub(crate) fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let weights =
            (0..to).map(|out| if from > to { Self::area(out, scale, from) } else { Self::between(out, scale, from) }).collect();
        Self { weights }
    }

    /// The weights from the window (first position, length) to `to` positions.
    fn part((first, length): (usize, usize), to: usize) -> Self {
        let mut axis = Self::new(length, to);
        for (i, _) in axis.weights.iter_mut().flatten() {
            *i += first;
        }
        axis
    }

    /// For each output position, the input positions and their weights.
    pub(crate) fn weights(&self) -> &[Vec<(usize, f32)>] {
        &self.weights
    }

    /// The input interval [out, out + 1) * scale; a pixel counts by the share of it inside.
    fn area(out: usize, scale: f64, from: usize) -> Vec<(usize, f32)> {
        let (start, end) = (out as f64 * scale, ((out + 1) as f64 * scale).min(from as f64));
        let last = (end.ceil() as usize).min(from);
        (start.floor() as usize..last)
            .map(|i| (i, ((i + 1) as f64).min(end) - (i as f64).max(start)))
            .filter(|(_, share)| *share > 1e-9)
            .map(|(i, share)| (i, (share / (end - start)) as f32))
            .collect()
    }

    /// Linear interpolation between the two nearest pixel centres, the border repeated.
    fn between(out: usize, scale: f64, from: usize) -> Vec<(usize, f32)> {
        let centre = ((out as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
        let low = centre.floor() as usize;
        let high = (low + 1).min(from - 1);
        let share = (centre - low as f64) as f32;
        if share == 0.0 || high == low { vec![(low, 1.0)] } else { vec![(low, 1.0 - share), (high, share)] }
    }

    /// Resamples one line: `from` has as many values as positions of the input, `to` of the output.
    pub(crate) fn apply(&self, from: &[f32], to: &mut [f32]) {
        for (t, weights) in to.iter_mut().zip(&self.weights) {
            *t = match weights.as_slice() {
                // A run of neighbours: index once, not per pixel.
                [(first, w0), middle @ .., (last, w1)] if !middle.is_empty() => {
                    let inner: f32 = from[first + 1..*last].iter().sum();
                    from[*first] * w0 + inner * middle[0].1 + from[*last] * w1
                }
                few => few.iter().map(|&(i, w)| from[i] * w).sum(),
            };
        }
    }

    /// The same weights seen from the input: for each input position the outputs it goes to.
    fn transposed(&self, from: usize) -> Vec<Vec<(usize, f32)>> {
        let mut shares = vec![Vec::new(); from];
        for (out, weights) in self.weights.iter().enumerate() {
            for &(i, w) in weights {
                shares[i].push((out, w));
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Colour;
    use crate::radiograph::{Samples, linear_tone};

    fn film(width: usize, height: usize, value: impl Fn(usize, usize) -> u8) -> Grey {
        let samples = (0..width * height).map(|i| value(i % width, i / width)).collect();
        Grey::new(width, height, Samples::U8(samples), linear_tone(256)).unwrap()
    }

    #[test]
    fn weights_of_every_output_pixel_sum_to_one() {
        for (from, to) in [(1, 1), (1, 5), (2, 3), (3, 2), (128, 128), (1841, 128), (977, 128), (64, 128), (10_000, 7)] {
            for (out, weights) in Axis::new(from, to).weights.iter().enumerate() {
                let sum: f64 = weights.iter().map(|(_, w)| f64::from(*w)).sum();
                assert!((sum - 1.0).abs() < 1e-5, "{from} -> {to}, output {out}: {sum}");
                assert!(weights.iter().all(|(i, _)| *i < from));
            }
        }
    }

    #[test]
    fn reducing_by_a_whole_factor_gives_the_mean_of_each_block() {
        let film = film(4, 4, |x, y| (16 * y + x) as u8);
        let plane = reduce(&film, 2, Fit::Stretch);
        let block = |x: f32, y: f32| (16.0 * (2.0 * y + 0.5) + 2.0 * x + 0.5) / 255.0;
        for (v, want) in plane.values.iter().zip([block(0., 0.), block(1., 0.), block(0., 1.), block(1., 1.)]) {
            assert!((v - want).abs() < 1e-6, "{v} {want}");
        }
    }

    #[test]
    fn pixels_cut_by_a_border_count_by_their_share() {
        let film = film(3, 3, |x, _| [0, 255, 0][x]);
        let plane = reduce(&film, 2, Fit::Stretch);
        for v in plane.values {
            assert!((v - 1.0 / 3.0).abs() < 1e-6, "{v}");
        }
    }

    #[test]
    fn a_crop_is_the_square_in_the_middle() {
        for (width, height, left, top) in [(7, 4, 1, 0), (4, 7, 0, 1), (6, 3, 2, 0), (5, 5, 0, 0)] {
            let film = film(width, height, |x, y| (10 * y + x) as u8);
            let side = width.min(height);
            let plane = reduce(&film, side, Fit::CentreCrop);
            for (i, v) in plane.values.iter().enumerate() {
                let want = (10 * (top + i / side) + left + i % side) as f32 / 255.0;
                assert!((v - want).abs() < 1e-6, "{width} x {height}: {v} {want}");
            }
        }
    }

    #[test]
    fn three_channels_have_a_scale_each() {
        let colour = Colour { mean: [0.5, 0.25, 0.0], std: [1.0, 0.5, 2.0] };
        let spec = InputSpec { size: 32, detail: 32, mean: 0.0, std: 1.0, fit: Fit::Stretch, colour: Some(colour) };
        let plane = prepare(&film(32, 32, |_, _| 255), &spec);
        assert_eq!((plane.side, plane.values.len()), (32, 3 * 32 * 32));
        for (channel, want) in plane.values.chunks_exact(32 * 32).zip([0.5, 1.5, 0.5]) {
            assert!(channel.iter().all(|v| (v - want).abs() < 1e-6));
        }
    }

    #[test]
    fn a_film_is_the_same_whatever_the_number_of_threads() {
        let film = film(61, 97, |x, y| (x * 7 + y * 13) as u8);
        let alone = resample(&film, 33, 20);
        for count in [2, 3, 50] {
            assert!(threads::with(count, || resample(&film, 33, 20)) == alone, "{count} threads");
        }
    }

    #[test]
    fn an_even_film_stays_even_at_every_size() {
        for side in [1, 31, 48, 128, 200] {
            let plane = enlarge(&reduce(&film(61, 97, |_, _| 100), side, Fit::Stretch), 224);
            assert!(plane.values.iter().all(|v| (v - 100.0 / 255.0).abs() < 1e-5), "side {side}");
        }
    }
}
