//! Statistics of a binary finding, as pure functions: discrimination, operating points,
//! calibration and intervals. In: scores and truths of equal length. Out: a number, or `None` where
//! it is not defined (no positives, no negatives).

pub mod auc;
pub mod calibration;
pub mod interval;
pub mod operating_point;

pub use auc::auc;
pub use calibration::{Platt, platt};
pub use interval::{Interval, delong, wilson};
pub use operating_point::{Counts, OperatingPoint, best_f1};

/// Indices of `scores` in descending order of score. A NaN sorts as by `total_cmp`, never panics.
pub(crate) fn descending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}
