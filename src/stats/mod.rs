//! Statistics of a binary finding, as pure functions: discrimination, curves, operating points,
//! calibration, agreement and intervals. In: scores and truths of equal length. Out: a number, or `None` where
//! it is not defined (no positives, no negatives).

pub mod agreement;
pub mod auc;
pub mod calibration;
pub mod curve;
pub mod interval;
pub mod operating_point;
pub mod reliability;

pub use agreement::Agreement;
pub use auc::auc;
pub use calibration::{Platt, platt};
pub use curve::{CurvePoint, average_precision, curve, thinned};
pub use interval::{Interval, delong, wilson};
pub use operating_point::{Counts, OperatingPoint, Rule, RuleError, best_f1, choose};
pub use reliability::{Bin, bins, brier, expected_calibration_error};

/// Indices of `scores` in descending order of score. A NaN sorts as by `total_cmp`, never panics.
pub(crate) fn descending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}
