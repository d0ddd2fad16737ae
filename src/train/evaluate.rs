//! Figures of a trained network: calibration and operating points chosen on val, discrimination
//! measured on the patient-disjoint test part. Whether a head is declared trained follows from the latter.

use super::data::{Part, Record};
use super::study::{POSITIVES_MIN, Study};
use crate::model::Operating;
use crate::model::Point;
use crate::stats::{Counts, Interval, Rule, auc, choose, delong, platt, wilson};

/// AUC near chance. A head whose interval on the test part reaches below it is not known to have learnt its finding, and its
/// number would mislead.
pub const AUC_MIN: f64 = 0.55;

/// Logits of the films of one part, [films][findings].
pub struct Predictions {
    /// Indices of the films.
    pub films: Vec<usize>,
    /// Logits of each.
    pub logits: Vec<Vec<f32>>,
}

/// What is known of one finding's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// Calibration and operating point; `None` for a head that is declared untrained.
    pub operating: Option<Operating>,
    /// Why it is declared untrained, for the model card.
    pub untrained_because: Option<String>,
    /// Positives in train, val and test.
    pub positives: [usize; 3],
    /// AUC on the test part with DeLong's interval.
    pub auc: Option<Interval>,
    /// The same among the films that the finding may be learnt from, with their positives, where those are not all.
    pub within: Option<(Option<Interval>, usize)>,
    /// Calls on the test part at the operating point.
    pub counts: Option<Counts>,
    /// Sensitivity and specificity there, with Wilson's intervals.
    pub shares: Option<(Interval, Interval)>,
}

/// Every head of the network; one with fewer than `positives_min` positives in test, or whose AUC there may be near chance, is
/// declared untrained. `rule` chooses operating points on val.
pub fn heads(study: &Study, val: &Predictions, test: &Predictions, positives_min: usize, rule: Rule) -> Vec<Head> {
    let (on_val, on_test) = (study.known(&val.films, &val.logits), study.known(&test.films, &test.logits));
    let parts = on_val.iter().zip(&on_test).enumerate();
    parts.map(|(f, (v, t))| head(study, f, v, t, within(study, f, test), (positives_min, rule))).collect()
}

/// AUC and positives of finding `f` among the test films that it may be learnt from; `None` where those are all.
fn within(study: &Study, f: usize, test: &Predictions) -> Option<(Option<Interval>, usize)> {
    let finding = study.set.findings.get(f)?;
    let learns = |film: &Record| study.set.learns(finding.names(), study.origins[film.origin].plain(&film.file));
    let bound = test.films.iter().any(|film| !learns(&study.films.records[*film]));
    bound.then(|| subgroup(study, test, learns)[f])
}

type Known = (Vec<f32>, Vec<bool>);

fn head(
    study: &Study,
    f: usize,
    val: &Known,
    test: &Known,
    within: Option<(Option<Interval>, usize)>,
    (positives_min, rule): (usize, Rule),
) -> Head {
    let positives = [Part::Train, Part::Val, Part::Test].map(|part| study.records.positives(part, f));
    let mut head = Head { operating: None, untrained_because: None, positives, auc: None, within, counts: None, shares: None };
    if study.records.columns[f].is_empty() {
        head.untrained_because = Some("no label in the training data".into());
        return head;
    }
    if !study.trained[f] {
        head.untrained_because = Some(format!("{} positives in train, {POSITIVES_MIN} needed, and one in val", positives[0]));
        return head;
    }
    head.auc = delong(&test.0, &test.1);
    // Among all films, how a film was stored may tell a finding that is learnt from some of them alone.
    let doubt_within = || {
        within
            .and_then(|(auc, count)| doubt(count, positives_min, auc))
            .map(|why| format!("{why}, among the films that it is learnt from"))
    };
    if let Some(why) = doubt(positives[2], positives_min, head.auc).or_else(doubt_within) {
        head.untrained_because = Some(why);
    } else if let Some(operating) = operating(&val.0, &val.1, rule) {
        let probabilities = probabilities(&test.0, &operating);
        let counts = Counts::at(operating.threshold, &probabilities, &test.1);
        head.shares = wilson(counts.true_positives, counts.true_positives + counts.false_negatives)
            .zip(wilson(counts.true_negatives, counts.true_negatives + counts.false_positives));
        head.counts = Some(counts);
        head.operating = Some(operating);
    } else {
        head.untrained_because = Some(format!("no operating point on val by the rule {rule}"));
    }
    head
}

/// Why a head's figures on the test part do not bear a number: too few positives for an interval, or one that reaches down to
/// chance, as it does by itself where positives are few.
fn doubt(positives: usize, positives_min: usize, auc: Option<Interval>) -> Option<String> {
    match auc {
        _ if positives < positives_min => Some(format!("{positives} positives in test, {positives_min} needed for a figure")),
        Some(auc) if auc.low >= AUC_MIN => None,
        _ => Some(format!("AUC may be near chance, an interval above {AUC_MIN} needed")),
    }
}

/// Platt's calibration, and the threshold on the calibrated probability that `rule` asks for.
pub fn operating(logits: &[f32], truths: &[bool], rule: Rule) -> Option<Operating> {
    let fitted = platt(logits, truths)?;
    let mut operating =
        Operating { slope: fitted.slope as f32, intercept: fitted.intercept as f32, threshold: 0.5, point: Point::Chosen };
    operating.threshold = choose(rule, &probabilities(logits, &operating), truths)?.threshold.clamp(1e-6, 1.0 - 1e-6);
    Some(operating)
}

/// Calibrated probabilities, by the arithmetic of inference.
fn probabilities(logits: &[f32], o: &Operating) -> Vec<f32> {
    logits.iter().map(|l| 1.0 / (1.0 + (-(o.slope * l + o.intercept)).exp())).collect()
}

/// Mean AUC of the findings that `counts` says take part; `None` where none has one.
pub fn mean_auc(study: &Study, on: &Predictions, counts: impl Fn(usize) -> bool) -> Option<f64> {
    let known = study.known(&on.films, &on.logits);
    let areas: Vec<f64> = known.iter().enumerate().filter(|(f, _)| counts(*f)).filter_map(|(_, (s, t))| auc(s, t)).collect();
    (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
}

/// AUC of each finding over the films of `on` that `belongs` takes, with the number of positives.
pub fn subgroup(study: &Study, on: &Predictions, belongs: impl Fn(&Record) -> bool) -> Vec<(Option<Interval>, usize)> {
    let chosen = on.films.iter().zip(&on.logits).filter(|(i, _)| belongs(&study.films.records[**i]));
    let (films, logits): (Vec<usize>, Vec<Vec<f32>>) = chosen.map(|(i, l)| (*i, l.clone())).unzip();
    let known = study.known(&films, &logits);
    known.iter().map(|(s, t)| (delong(s, t), t.iter().filter(|t| **t).count())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_may_be_near_chance_or_has_few_positives_is_not_trained() {
        let auc = |value, low| Some(Interval { value, low, high: 1.0 });
        for (positives, auc, expected) in [
            (10, auc(0.65, 0.55), None),
            (9, auc(0.9, 0.8), Some("9 positives")),
            (10, auc(0.65, 0.549), Some("AUC may be near chance")),
            (1000, auc(0.549, 0.53), Some("AUC may be near chance")),
            (10, None, Some("AUC may be near chance")),
        ] {
            let found = doubt(positives, 10, auc);
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().starts_with(expected.unwrap_or_default()));
        }
    }

    #[test]
    fn an_operating_point_is_one_the_manifest_accepts() {
        let logits: Vec<f32> = (0..200).map(|i| (i as f32 - 100.0) / 20.0).collect();
        for truths in [
            (0..200).map(|i| i > 150).collect::<Vec<_>>(),
            (0..200).map(|i| i % 2 == 0).collect(),
            (0..200).map(|i| i < 50).collect(),
        ] {
            for rule in [Rule::BestF1, Rule::Youden, Rule::Sensitivity(0.9), Rule::Specificity(0.9)] {
                let found = operating(&logits, &truths, rule).unwrap();
                assert!(found.slope > 0.0 && found.intercept.is_finite());
                assert!(found.threshold > 0.0 && found.threshold < 1.0);
                let counts = Counts::at(found.threshold, &probabilities(&logits, &found), &truths);
                match rule {
                    Rule::Sensitivity(wish) => assert!(counts.recall().unwrap() >= wish, "{counts:?}"),
                    Rule::Specificity(wish) => assert!(counts.specificity().unwrap() >= wish, "{counts:?}"),
                    Rule::BestF1 | Rule::Youden => {}
                }
            }
        }
    }
}
