//! Curves over all thresholds: receiver operating characteristic and precision against recall.
//!
//! A point stands for each threshold at which something changes; equal scores are called together.

use super::descending;

/// Shares of calls at one threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// A score at or above it is a call.
    pub threshold: f32,
    /// True positives of all positives: sensitivity.
    pub recall: f64,
    /// False positives of all negatives: 1 - specificity.
    pub fall_out: f64,
    /// True positives of all calls.
    pub precision: f64,
}

/// The points of every distinct score, from the strictest threshold to the one that calls everything.
/// `None` without a positive or without a negative.
pub fn curve(scores: &[f32], truths: &[bool]) -> Option<Vec<CurvePoint>> {
    let positives = truths.iter().filter(|t| **t).count();
    let negatives = truths.len() - positives;
    if positives == 0 || negatives == 0 || scores.len() != truths.len() {
        return None;
    }
    let order = descending(scores);
    let (mut hits, mut alarms) = (0_usize, 0_usize);
    let point = |tied: &[usize]| {
        let found = tied.iter().filter(|&&i| truths[i]).count();
        hits += found;
        alarms += tied.len() - found;
        CurvePoint {
            threshold: scores[tied[0]],
            recall: hits as f64 / positives as f64,
            fall_out: alarms as f64 / negatives as f64,
            precision: hits as f64 / (hits + alarms) as f64,
        }
    };
    Some(order.chunk_by(|&a, &b| scores[a] == scores[b]).map(point).collect())
}

/// Average precision: sum over the points of (recall gained) x precision, without interpolation
/// (Zhu 2004; what scikit-learn calls `average_precision_score`). In [0, 1].
pub fn average_precision(points: &[CurvePoint]) -> f64 {
    let mut before = 0.0;
    let gain = |p: &CurvePoint| {
        let gained = p.recall - before;
        before = p.recall;
        gained * p.precision
    };
    points.iter().map(gain).sum()
}

/// The points without those that lie on the straight line between their neighbours in `x` and `y`: the same drawing with
/// fewer points. The first and the last stay.
pub fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (i, &p) in points.iter().enumerate() {
        let straight = match (i.checked_sub(1).and_then(|_| kept.last()), points.get(i + 1)) {
            (Some(a), Some(b)) => ((p.0 - a.0) * (b.1 - a.1) - (p.1 - a.1) * (b.0 - a.0)).abs() < 1e-12,
            _ => false,
        };
        if !straight {
            kept.push(p);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_a_point_for_each_distinct_score() {
        let points = curve(&[0.9, 0.5, 0.5, 0.1], &[true, true, false, false]).unwrap();
        let shares: Vec<_> = points.iter().map(|p| (p.threshold, p.recall, p.fall_out)).collect();
        assert_eq!(shares, [(0.9, 0.5, 0.0), (0.5, 1.0, 0.5), (0.1, 1.0, 1.0)]);
        assert!((average_precision(&points) - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
    }

    #[test]
    fn one_class_alone_has_no_curve() {
        assert_eq!(curve(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(curve(&[0.1, 0.2], &[false, false]), None);
        assert_eq!(curve(&[], &[]), None);
        assert_eq!(curve(&[0.1], &[true, false]), None);
    }

    #[test]
    fn a_thinned_line_keeps_its_corners() {
        let line = [(0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (0.5, 1.0), (1.0, 1.0)];
        assert_eq!(thinned(&line), [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]);
        assert_eq!(thinned(&[]), []);
    }
}
