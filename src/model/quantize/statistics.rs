//! What flows into each quantized convolution, counted over the calibration films: a histogram for
//! every channel. Counts are integers, so that the order of the films changes nothing.

/// Equal bins from 0 to a channel's largest value; zeros, which ReLU makes many of, are counted apart.
const BINS: usize = 512;

/// Largest value of each channel.
#[derive(Clone, Debug)]
pub struct Tops(Vec<f32>);

/// Histograms of one convolution's input.
#[derive(Clone, Debug)]
pub struct Statistics {
    tops: Vec<f32>,
    /// [channels, BINS].
    counts: Vec<u64>,
    zeros: Vec<u64>,
    /// Sums over the bins below each bin: of counts, values and squares, [channels, BINS + 1].
    below: Vec<[f64; 3]>,
}

impl Tops {
    /// Nothing seen yet.
    pub fn new(channels: usize) -> Self {
        Self(vec![0.0; channels])
    }

    /// Takes in a map [channels, positions].
    pub fn see(&mut self, map: &[f32]) {
        let positions = map.len() / self.0.len().max(1);
        for (top, values) in self.0.iter_mut().zip(map.chunks_exact(positions.max(1))) {
            *top = values.iter().copied().fold(*top, f32::max);
        }
    }
}

impl Statistics {
    /// Empty histograms up to these values.
    pub fn new(tops: Tops) -> Self {
        let channels = tops.0.len();
        Self { tops: tops.0, counts: vec![0; channels * BINS], zeros: vec![0; channels], below: Vec::new() }
    }

    /// Takes in a map [channels, positions].
    pub fn see(&mut self, map: &[f32]) {
        let positions = (map.len() / self.tops.len().max(1)).max(1);
        let channels = map.chunks_exact(positions).zip(self.counts.chunks_exact_mut(BINS)).zip(&self.tops).zip(&mut self.zeros);
        for (((values, counts), top), zeros) in channels {
            let per_bin = BINS as f32 / top;
            for value in values {
                if *value > 0.0 {
                    counts[((value * per_bin) as usize).min(BINS - 1)] += 1;
                } else {
                    *zeros += 1;
                }
            }
        }
    }

    /// Sums up what was seen; call it once, after the last map.
    pub fn close(&mut self) {
        self.below = Vec::with_capacity(self.tops.len() * (BINS + 1));
        for (counts, top) in self.counts.chunks_exact(BINS).zip(&self.tops) {
            let mut sums = [0.0_f64; 3];
            self.below.push(sums);
            for (bin, count) in counts.iter().enumerate() {
                let (value, count) = ((bin as f64 + 0.5) * f64::from(*top) / BINS as f64, *count as f64);
                sums = [sums[0] + count, sums[1] + count * value, sums[2] + count * value * value];
                self.below.push(sums);
            }
        }
        self.counts = Vec::new();
    }

    /// Largest value of each channel.
    pub fn tops(&self) -> &[f32] {
        &self.tops
    }

    /// Mean square of each channel.
    pub fn energies(&self) -> Vec<f64> {
        (0..self.tops.len()).map(|c| self.total(c)[2] / self.seen(c)).collect()
    }

    /// Mean squared error of channel `c` after rounding to multiples of `step` from 0 to 255 times it: of what is rounded
    /// to 0, of what is cut off, and between them that of values spread evenly within a step.
    pub fn error_rounded(&self, c: usize, step: f64) -> f64 {
        let ([low, high], total, limit) = (self.parts(c, step), self.total(c), 255.0 * step);
        let cut = [total[0] - high[0], total[1] - high[1], total[2] - high[2]];
        let cut = cut[2] - 2.0 * limit * cut[1] + limit * limit * cut[0];
        (low[2] + (high[0] - low[0]) * step * step / 12.0 + cut.max(0.0)) / self.seen(c)
    }

    /// Sums of channel `c` over what is rounded to 0, and over what is not cut off.
    fn parts(&self, c: usize, step: f64) -> [[f64; 3]; 2] {
        [0.5 * step, 255.5 * step].map(|value| self.below(c, value))
    }

    /// Sums over the values below `value`, a bin that it divides taken by its share.
    fn below(&self, c: usize, value: f64) -> [f64; 3] {
        let at = (value * BINS as f64 / f64::from(self.tops[c])).clamp(0.0, BINS as f64);
        // A channel that is 0 everywhere has no bins.
        let at = if at.is_finite() { at } else { 0.0 };
        let (bin, share) = (at as usize, at.fract());
        let start = c * (BINS + 1) + bin;
        let (low, high) = (self.below[start], self.below[(start + 1).min(c * (BINS + 1) + BINS)]);
        std::array::from_fn(|i| low[i] + share * (high[i] - low[i]))
    }

    fn total(&self, c: usize) -> [f64; 3] {
        self.below[c * (BINS + 1) + BINS]
    }

    fn seen(&self, c: usize) -> f64 {
        (self.total(c)[0] + self.zeros[c] as f64).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn seen(maps: &[Vec<f32>], channels: usize) -> Statistics {
        let mut tops = Tops::new(channels);
        maps.iter().for_each(|map| tops.see(map));
        let mut seen = Statistics::new(tops);
        maps.iter().for_each(|map| seen.see(map));
        seen.close();
        seen
    }

    /// `tools/quantize_reference.py`, which rounds every sample.
    #[test]
    fn the_error_of_rounding_is_within_a_tenth_of_the_independent_reference() {
        let reference: Value = serde_json::from_str(include_str!("../../../tests/data/quantize/reference.json")).unwrap();
        let samples: Vec<f32> =
            reference["values"]["samples"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
        let seen = seen(&[samples], 1);
        for case in reference["values"]["cases"].as_array().unwrap() {
            let (step, want) = (case["step"].as_f64().unwrap(), case["error"].as_f64().unwrap());
            let found = seen.error_rounded(0, step);
            assert!((found / want - 1.0).abs() < 0.1, "step {step}: {found}, want {want}");
        }
    }

    #[test]
    fn channels_are_counted_apart_and_a_dead_one_costs_nothing() {
        let maps = [vec![0.0, 0.0, 1.0, 3.0, 0.0, 2.0], vec![0.0, 0.0, 1.0, 1.0, 4.0, 2.0]];
        let seen = seen(&maps, 3);
        assert_eq!(seen.tops(), [0.0, 3.0, 4.0]);
        let energies = seen.energies();
        // Within half a bin of the mean squares 0, (1 + 9 + 1 + 1) / 4 and (0 + 4 + 16 + 4) / 4.
        for (found, want) in energies.iter().zip([0.0, 3.0, 6.0]) {
            assert!((found - want).abs() < 0.02, "{energies:?}");
        }
        assert_eq!(seen.error_rounded(0, 0.1), 0.0);
        assert!(seen.error_rounded(2, 0.001) > 1.0, "what is cut off counts");
    }
}
