//! 95 % intervals: DeLong's for an AUC, Wilson's for a share.

use super::auc::placements;

/// Two-sided 95 % quantile of the normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// An estimate and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// AUC with DeLong's interval (DeLong, DeLong and Clarke-Pearson 1988), cut at 0 and 1.
/// `None` with fewer than two positives or negatives, where there is no variance.
pub fn delong(scores: &[f32], truths: &[bool]) -> Option<Interval> {
    let pairs = placements(scores, truths)?;
    let (m, n) = (pairs.of_positives.len(), pairs.of_negatives.len());
    if m < 2 || n < 2 {
        return None;
    }
    let value = pairs.of_positives.iter().sum::<f64>() / m as f64;
    let spread = (variance(&pairs.of_positives) / m as f64 + variance(&pairs.of_negatives) / n as f64).sqrt();
    Some(Interval { value, low: (value - Z95 * spread).max(0.0), high: (value + Z95 * spread).min(1.0) })
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// Share of `successes` in `trials` with Wilson's score interval (Wilson 1927). `None` without a trial
/// or with more successes than trials.
pub fn wilson(successes: usize, trials: usize) -> Option<Interval> {
    if trials == 0 || successes > trials {
        return None;
    }
    let (n, value) = (trials as f64, successes as f64 / trials as f64);
    let z2 = Z95 * Z95;
    let middle = (value + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (value * (1.0 - value) / n + z2 / (4.0 * n * n)).sqrt();
    Some(Interval { value, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_gives_the_published_intervals() {
        // Newcombe 1998, table I, method 3.
        for (k, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let found = wilson(k, n).unwrap();
            assert!((found.low - low).abs() < 1e-4 && (found.high - high).abs() < 1e-4, "{k}/{n}: {found:?}");
        }
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(2, 1), None);
    }

    #[test]
    fn delong_agrees_with_its_definition_by_pairs() {
        let scores: Vec<f32> = (0..40).map(|i| ((i * 17 + 5) % 13) as f32).collect();
        let truths: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
        let of =
            |truth: bool| -> Vec<f32> { scores.iter().zip(&truths).filter(|(_, t)| **t == truth).map(|(s, _)| *s).collect() };
        let (x, y) = (of(true), of(false));
        let psi = |a: f32, b: f32| {
            if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            }
        };
        let v10: Vec<f64> = x.iter().map(|a| y.iter().map(|b| psi(*a, *b)).sum::<f64>() / y.len() as f64).collect();
        let v01: Vec<f64> = y.iter().map(|b| x.iter().map(|a| psi(*a, *b)).sum::<f64>() / x.len() as f64).collect();
        let value = v10.iter().sum::<f64>() / v10.len() as f64;
        let spread = (variance(&v10) / x.len() as f64 + variance(&v01) / y.len() as f64).sqrt();
        let found = delong(&scores, &truths).unwrap();
        assert!((found.value - value).abs() < 1e-12);
        assert!((found.low - (value - Z95 * spread)).abs() < 1e-12);
    }

    #[test]
    fn an_interval_needs_two_of_each() {
        assert_eq!(delong(&[0.1, 0.2, 0.3], &[true, false, false]), None);
        assert!(delong(&[0.1, 0.2, 0.3, 0.4], &[true, false, true, false]).is_some());
    }
}
