//! The figures of one finding on one set of films.

use crate::stats::{
    Bin, Counts, Interval, auc, average_precision, bins, brier, curve, delong, expected_calibration_error, thinned, wilson,
};
use serde::Serialize;

/// The figures of one finding; `None` where one is not defined.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Films whose label is known.
    pub films: usize,
    /// Those with the finding.
    pub positives: usize,
    /// Area under the ROC curve.
    pub auc: Option<f64>,
    /// DeLong's 95 % interval.
    pub auc_interval: Option<Interval>,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// Operating point.
    pub threshold: f32,
    /// Calls there.
    pub counts: Counts,
    /// F1 there.
    pub f1: Option<f64>,
    /// Share of right calls, with Wilson's interval like those below.
    pub accuracy: Option<Interval>,
    /// Sensitivity, also called recall.
    pub sensitivity: Option<Interval>,
    /// Specificity.
    pub specificity: Option<Interval>,
    /// Positive predictive value, also called precision.
    pub positive_predictive_value: Option<Interval>,
    /// Negative predictive value.
    pub negative_predictive_value: Option<Interval>,
    /// Brier score.
    pub brier: Option<f64>,
    /// Brier score of a forecast that always says the share of positives.
    pub brier_of_prevalence: Option<f64>,
    /// Expected calibration error over ten bins.
    pub expected_calibration_error: Option<f64>,
    /// Reliability.
    pub bins: Vec<Bin>,
    /// ROC curve: 1 - specificity, sensitivity.
    pub roc: Vec<(f64, f64)>,
    /// Precision-recall curve: recall, precision.
    pub precision_recall: Vec<(f64, f64)>,
}

/// The figures of `probabilities` against `truths`, of one length, at an operating point.
pub fn figures(probabilities: &[f32], truths: &[bool], threshold: f32) -> Figures {
    let counts = Counts::at(threshold, probabilities, truths);
    let Counts { true_positives: tp, false_positives: fp, true_negatives: tn, false_negatives: fnn } = counts;
    let points = curve(probabilities, truths);
    let roc = |p: &Vec<_>| {
        std::iter::once((0.0, 0.0)).chain(p.iter().map(|c: &crate::stats::CurvePoint| (c.fall_out, c.recall))).collect()
    };
    let roc: Vec<(f64, f64)> = points.as_ref().map(roc).unwrap_or_default();
    let pr: Vec<(f64, f64)> = points.iter().flatten().map(|c| (c.recall, c.precision)).collect();
    let bins = bins(probabilities, truths);
    let (films, positives) = (truths.len(), tp + fnn);
    let share = positives as f64 / films as f64;
    Figures {
        films,
        positives,
        auc: auc(probabilities, truths),
        auc_interval: delong(probabilities, truths),
        average_precision: points.as_deref().map(average_precision),
        threshold,
        counts,
        f1: counts.f1(),
        accuracy: wilson(tp + tn, films),
        sensitivity: wilson(tp, positives),
        specificity: wilson(tn, tn + fp),
        positive_predictive_value: wilson(tp, tp + fp),
        negative_predictive_value: wilson(tn, tn + fnn),
        brier: brier(probabilities, truths),
        brier_of_prevalence: (films > 0).then_some(share * (1.0 - share)),
        expected_calibration_error: expected_calibration_error(&bins),
        bins: bins.to_vec(),
        roc: thinned(&roc),
        precision_recall: thinned(&pr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_films_or_with_one_class_nothing_is_invented() {
        let none = figures(&[], &[], 0.5);
        assert_eq!(
            (none.auc, none.brier, none.sensitivity, none.accuracy, none.brier_of_prevalence),
            (None, None, None, None, None)
        );
        let one_class = figures(&[0.2, 0.7], &[false, false], 0.5);
        assert_eq!((one_class.auc, one_class.average_precision, one_class.sensitivity), (None, None, None));
        assert_eq!(one_class.specificity.map(|s| s.value), Some(0.5));
        assert!(one_class.brier.is_some() && one_class.roc.is_empty());
    }
}
