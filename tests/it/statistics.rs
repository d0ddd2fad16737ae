//! The statistics agree with scikit-learn, statsmodels and scipy on the committed reference (`tools/statistics_reference.py`), with
//! ties, with one class alone and with constant scores.

use chexbox::evaluation::figures;
use chexbox::stats::{Agreement, Interval, Rule, choose, curve, wilson};
use serde_json::Value;

/// Largest difference from the reference: rounding in another order of summation.
const TOLERANCE: f64 = 1e-9;

fn reference() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/statistics/reference.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn same(found: Option<f64>, want: &Value, what: &str) {
    match (found, want.as_f64()) {
        (None, None) => {}
        (Some(a), Some(b)) if (a - b).abs() < TOLERANCE => {}
        _ => panic!("{what}: found {found:?}, the reference says {want}"),
    }
}

fn same_interval(found: Option<Interval>, want: &Value, what: &str) {
    for (i, value) in [found.map(|f| f.value), found.map(|f| f.low), found.map(|f| f.high)].into_iter().enumerate() {
        same(value, want.get(i).unwrap_or(&Value::Null), &format!("{what}[{i}]"));
    }
}

#[test]
fn every_figure_agrees_with_the_independent_reference() {
    let reference = reference();
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() >= 13);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let scores: Vec<f32> = case["scores"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
        let truths: Vec<bool> = case["truths"].as_array().unwrap().iter().map(|v| v.as_bool().unwrap()).collect();
        let threshold = case["threshold"].as_f64().unwrap() as f32;
        let found = figures(&scores, &truths, threshold);
        let at = |key: &str| format!("{name}: {key}");
        for (key, value) in [
            ("auc", found.auc),
            ("average_precision", found.average_precision),
            ("f1", found.f1),
            ("brier", found.brier),
            ("ece", found.expected_calibration_error),
            ("precision_of_sklearn", found.positive_predictive_value.map(|i| i.value)),
            ("recall_of_sklearn", found.sensitivity.map(|i| i.value)),
            ("best_f1", choose(Rule::BestF1, &scores, &truths).map(|p| p.f1)),
        ] {
            same(value, &case[key], &at(key));
        }
        for (key, interval) in [
            ("delong", found.auc_interval),
            ("precision", found.positive_predictive_value),
            ("recall", found.sensitivity),
            ("specificity", found.specificity),
            ("negative_predictive_value", found.negative_predictive_value),
            ("accuracy", found.accuracy),
        ] {
            same_interval(interval, &case[key], &at(key));
        }
        assert_eq!(serde_json::to_value(found.counts).unwrap(), case["counts"], "{name}");
        let points = curve(&scores, &truths).unwrap_or_default();
        let roc: Vec<(f64, f64)> = points.iter().map(|p| (p.fall_out, p.recall)).collect();
        // The first point of the reference calls nothing.
        same_points(&roc, case["roc"].as_array().unwrap().get(1..).unwrap_or(&[]), &at("roc"));
        let pr: Vec<(f64, f64)> = points.iter().map(|p| (p.recall, p.precision)).collect();
        let want = case["precision_recall"].as_array().unwrap();
        same_points(&pr, want, &at("precision_recall"));
        if let Some(point) = choose(Rule::Youden, &scores, &truths) {
            let chosen = figures(&scores, &truths, point.threshold);
            let youden = chosen.sensitivity.unwrap().value + chosen.specificity.unwrap().value - 1.0;
            same(Some(youden), &case["youden"], &at("youden"));
        }
    }
}

fn same_points(found: &[(f64, f64)], want: &[Value], what: &str) {
    assert_eq!(found.len(), want.len(), "{what}");
    for ((x, y), point) in found.iter().zip(want) {
        same(Some(*x), &point[0], what);
        same(Some(*y), &point[1], what);
    }
}

#[test]
fn agreement_and_shares_agree_with_the_independent_reference() {
    let reference = reference();
    for pair in reference["pairs"].as_array().unwrap() {
        let cell = |i: usize, j: usize| usize::try_from(pair["table"][i][j].as_u64().unwrap()).unwrap();
        let found = Agreement { both: cell(0, 0), first_only: cell(0, 1), second_only: cell(1, 0), neither: cell(1, 1) };
        let name = pair["name"].as_str().unwrap();
        same(found.kappa(), &pair["kappa"], &format!("{name}: kappa"));
        same(Some(found.mcnemar()), &pair["mcnemar"], &format!("{name}: mcnemar"));
        same(Some(found.mcnemar()), &pair["binomial"], &format!("{name}: binomial"));
    }
    for share in reference["shares"].as_array().unwrap() {
        let of = |key: &str| usize::try_from(share[key].as_u64().unwrap()).unwrap();
        same_interval(wilson(of("successes"), of("trials")), &share["wilson"], "wilson");
    }
}
