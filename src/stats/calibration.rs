//! From a logit to a probability: Platt's sigmoid, fitted on the val part.

/// probability = 1 / (1 + exp(-(slope * logit + intercept))).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Platt {
    /// Above 0, so that calibration never changes an order.
    pub slope: f64,
    /// Shift.
    pub intercept: f64,
}

/// Steps of Newton's method; it converges in about ten.
const STEPS_MAX: usize = 100;

/// Smallest slope given: a head without evidence is nearly flat, never reversed.
const SLOPE_MIN: f64 = 1e-3;

impl Platt {
    /// Calibrated probability of a logit, in [0, 1].
    pub fn probability(&self, logit: f32) -> f32 {
        (1.0 / (1.0 + (-(self.slope * f64::from(logit) + self.intercept)).exp())) as f32
    }
}

/// Fits slope and intercept by maximum likelihood with Platt's smoothed targets (Platt 1999;
/// Newton's method with halving, Lin, Lin and Weng 2007). `None` without a positive or a negative.
pub fn platt(logits: &[f32], truths: &[bool]) -> Option<Platt> {
    let positives = truths.iter().filter(|t| **t).count() as f64;
    let negatives = truths.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 || logits.len() != truths.len() || logits.iter().any(|l| !l.is_finite()) {
        return None;
    }
    let target = |truth: bool| if truth { (positives + 1.0) / (positives + 2.0) } else { 1.0 / (negatives + 2.0) };
    let data: Vec<(f64, f64)> = logits.iter().zip(truths).map(|(l, t)| (f64::from(*l), target(*t))).collect();
    // Negative log-likelihood; softplus written so that exp never overflows.
    let cost = |a: f64, b: f64| -> f64 {
        data.iter().map(|(x, t)| (a * x + b, t)).map(|(z, t)| z.max(0.0) + (-z.abs()).exp().ln_1p() - t * z).sum()
    };
    let (mut a, mut b) = (0.0, ((positives + 1.0) / (negatives + 1.0)).ln());
    for _ in 0..STEPS_MAX {
        let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, 0.0, 1e-9, 0.0, 1e-9);
        for (x, t) in &data {
            let p = 1.0 / (1.0 + (-(a * x + b)).exp());
            let (d, w) = (p - t, p * (1.0 - p));
            ga += d * x;
            gb += d;
            haa += w * x * x;
            hab += w * x;
            hbb += w;
        }
        if ga.abs() < 1e-9 && gb.abs() < 1e-9 {
            break;
        }
        let det = haa * hbb - hab * hab;
        let (da, db) = (-(hbb * ga - hab * gb) / det, -(haa * gb - hab * ga) / det);
        let now = cost(a, b);
        let mut length = 1.0;
        while length > 1e-9 && cost(a + length * da, b + length * db) > now + 1e-4 * length * (ga * da + gb * db) {
            length /= 2.0;
        }
        if length <= 1e-9 {
            break;
        }
        (a, b) = (a + length * da, b + length * db);
    }
    let fitted = Platt { slope: a.max(SLOPE_MIN), intercept: b };
    (fitted.slope.is_finite() && fitted.intercept.is_finite()).then_some(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_sigmoid_is_found_again() {
        // Truths follow probability(0.7 * logit - 1) exactly, as shares of 200 at each logit.
        let known = Platt { slope: 0.7, intercept: -1.0 };
        let (mut logits, mut truths) = (Vec::new(), Vec::new());
        for i in -20..=20 {
            let logit = i as f32 / 4.0;
            let share = (200.0 * known.probability(logit)).round() as usize;
            logits.extend([logit; 200]);
            truths.extend((0..200).map(|k| k < share));
        }
        let found = platt(&logits, &truths).unwrap();
        assert!((found.slope - 0.7).abs() < 0.01 && (found.intercept + 1.0).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn perfectly_parted_data_give_a_finite_slope() {
        let found = platt(&[-3.0, -2.0, 2.0, 3.0], &[false, false, true, true]).unwrap();
        assert!(found.slope > 0.0 && found.slope.is_finite());
        assert!(found.probability(3.0) > 0.6 && found.probability(-3.0) < 0.4);
    }

    #[test]
    fn a_reversed_head_is_never_given_a_negative_slope() {
        assert_eq!(platt(&[3.0, 2.0, -2.0, -3.0], &[false, false, true, true]).unwrap().slope, SLOPE_MIN);
    }

    #[test]
    fn without_a_positive_a_negative_or_finite_logits_there_is_no_calibration() {
        assert_eq!(platt(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(platt(&[1.0, 2.0], &[false, false]), None);
        assert_eq!(platt(&[], &[]), None);
        assert_eq!(platt(&[f32::NAN, 2.0], &[true, false]), None);
    }
}
