//! How far probabilities can be believed: Brier score, reliability by bins, expected calibration error.

/// Bins of equal width over [0, 1].
pub const BINS: usize = 10;

/// The films whose probability falls into one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Bin {
    /// Films.
    pub films: usize,
    /// Mean of their probabilities; 0 for an empty bin.
    pub mean_probability: f64,
    /// Share of them with the finding; 0 for an empty bin.
    pub observed: f64,
}

/// Mean of (probability - truth)^2 (Brier 1950). In [0, 1]; `None` without a film.
pub fn brier(probabilities: &[f32], truths: &[bool]) -> Option<f64> {
    if truths.is_empty() || probabilities.len() != truths.len() {
        return None;
    }
    let sum: f64 = probabilities.iter().zip(truths).map(|(p, t)| (f64::from(*p) - f64::from(u8::from(*t))).powi(2)).sum();
    Some(sum / truths.len() as f64)
}

/// The films in [`BINS`] bins of equal width; a probability on an edge belongs to the bin above it, 1 to the last.
pub fn bins(probabilities: &[f32], truths: &[bool]) -> [Bin; BINS] {
    let mut bins = [Bin::default(); BINS];
    for (p, t) in probabilities.iter().zip(truths) {
        let p = f64::from(*p);
        let bin = &mut bins[((p * BINS as f64) as usize).min(BINS - 1)];
        bin.films += 1;
        bin.mean_probability += p;
        bin.observed += f64::from(u8::from(*t));
    }
    for bin in bins.iter_mut().filter(|b| b.films > 0) {
        bin.mean_probability /= bin.films as f64;
        bin.observed /= bin.films as f64;
    }
    bins
}

/// Expected calibration error: sum over the bins of films / all x |observed - mean probability|
/// (Naeini et al. 2015, for the probability of the finding). In [0, 1]; `None` without a film.
pub fn expected_calibration_error(bins: &[Bin]) -> Option<f64> {
    let all: usize = bins.iter().map(|b| b.films).sum();
    let gap = |b: &Bin| b.films as f64 / all as f64 * (b.observed - b.mean_probability).abs();
    (all > 0).then(|| bins.iter().map(gap).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certainty_that_is_right_costs_nothing_and_certainty_that_is_wrong_costs_one() {
        for (p, truth, want) in [(1.0, true, 0.0), (0.0, false, 0.0), (1.0, false, 1.0), (0.5, true, 0.25)] {
            assert_eq!(brier(&[p], &[truth]), Some(want));
        }
        assert_eq!(brier(&[], &[]), None);
        assert_eq!(expected_calibration_error(&bins(&[], &[])), None);
    }

    #[test]
    fn edges_belong_to_the_bin_above_and_one_to_the_last() {
        let found = bins(&[0.0, 0.5, 1.0, 0.999], &[false, true, true, false]);
        let films: Vec<usize> = found.iter().map(|b| b.films).collect();
        assert_eq!(films, [1, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        let gap = 0.25 * 0.5 + 0.5 * (0.9995_f64 - 0.5).abs();
        assert!((expected_calibration_error(&found).unwrap() - gap).abs() < 1e-7);
    }
}
