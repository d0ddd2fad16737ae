//! Figures of a trained network: calibration and operating points chosen on val, discrimination
//! measured on the patient-disjoint test part. Whether a head is declared trained follows from the latter.

use super::data::{Part, Record, Truth};
use super::study::{POSITIVES_MIN, Study};
use crate::model::Operating;
use crate::model::Point;
use crate::stats::{Counts, Interval, Rule, auc, choose, delong, platt, wilson};

/// AUC near chance. A head whose interval on the test part reaches below it is not known to have learnt its finding, and its
/// number would mislead.
pub const AUC_MIN: f64 = 0.55;

/// Chance. A head whose interval reaches it among films that all have some finding may know no more than that a film is ill. One
/// above it may still be helped by that: who has many findings is more ill than who has one.
pub const CHANCE: f64 = 0.5;

/// A population in which those without the one finding mostly have another: what a ward is, and what a pool of mostly normal
/// films flatters a model by.
pub fn has_a_finding(film: &Record) -> bool {
    film.truths.contains(&Truth::Positive)
}

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

/// Every head of the network; one with fewer than `positives_min` positives in test, whose AUC there may be near chance, or chance
/// among films with a finding, is declared untrained. `rule` chooses operating points on val.
pub fn heads(study: &Study, val: &Predictions, test: &Predictions, positives_min: usize, rule: Rule) -> Vec<Head> {
    let (on_val, on_test) = (study.known(&val.films, &val.logits), study.known(&test.films, &test.logits));
    let parts = on_val.iter().zip(&on_test).enumerate();
    parts
        .map(|(f, (val, test_films))| {
            let on = On { val, test: test_films, within: within(study, f, test), among: among(study, f, test) };
            head(study, f, &on, (positives_min, rule))
        })
        .collect()
}

/// What one head says of the parts.
struct On<'a> {
    val: &'a Known,
    test: &'a Known,
    within: Option<(Option<Interval>, usize)>,
    among: Known,
}

/// AUC and positives of finding `f` among the test films that it may be learnt from; `None` where those are all.
fn within(study: &Study, f: usize, test: &Predictions) -> Option<(Option<Interval>, usize)> {
    let learns = learns(study, f);
    let bound = test.films.iter().any(|film| !learns(&study.films.records[*film]));
    bound.then(|| subgroup(study, test, learns)[f])
}

/// Scores and truths of finding `f` among the test films with a finding that it may be learnt from: among the others, how a film was
/// stored may tell it.
fn among(study: &Study, f: usize, test: &Predictions) -> Known {
    let learns = learns(study, f);
    on_films(study, test, |film| has_a_finding(film) && learns(film)).swap_remove(f)
}

/// Whether finding `f` may be learnt from a film.
fn learns(study: &Study, f: usize) -> impl Fn(&Record) -> bool + '_ {
    move |film| study.set.learns(study.set.findings[f].names(), study.origins[film.origin].plain(&film.file))
}

type Known = (Vec<f32>, Vec<bool>);

fn head(study: &Study, f: usize, on: &On<'_>, (positives_min, rule): (usize, Rule)) -> Head {
    let (val, test, within) = (on.val, on.test, on.within);
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
    let doubts =
        doubt(positives[2], positives_min, head.auc).or_else(doubt_within).or_else(|| doubt_among(&on.among, positives_min));
    if let Some(why) = doubts {
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

/// Why a head that tells its finding from normal films is not known to tell it among others. Nothing is said where films without
/// the finding are fewer than would bear an interval.
fn doubt_among((scores, truths): &Known, films_min: usize) -> Option<String> {
    let others = truths.iter().filter(|t| !**t).count();
    let auc = (others >= films_min).then(|| delong(scores, truths)).flatten().filter(|auc| auc.low <= CHANCE)?;
    Some(format!(
        "may be no better than chance among films with a finding: AUC {:.2} ({:.2}-{:.2}) there",
        auc.value, auc.low, auc.high
    ))
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
    let known = on_films(study, on, belongs);
    known.iter().map(|(s, t)| (delong(s, t), t.iter().filter(|t| **t).count())).collect()
}

/// Scores and truths of each finding over the films of `on` that `belongs` takes.
fn on_films(study: &Study, on: &Predictions, belongs: impl Fn(&Record) -> bool) -> Vec<Known> {
    let chosen = on.films.iter().zip(&on.logits).filter(|(i, _)| belongs(&study.films.records[**i]));
    let (films, logits): (Vec<usize>, Vec<Vec<f32>>) = chosen.map(|(i, l)| (*i, l.clone())).unzip();
    study.known(&films, &logits)
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

    /// What a network would say that knows no more than `says` of a film.
    fn heads_of(says: impl Fn(&Record, usize) -> f32) -> Vec<Head> {
        let study = super::super::smoke::study(&std::env::temp_dir(), "heads", 3).unwrap();
        let of = |part| {
            let films = study.films.of(part);
            let logits = films.iter().map(|i| (0..3).map(|f| says(&study.films.records[*i], f)).collect()).collect();
            Predictions { films, logits }
        };
        heads(&study, &of(Part::Val), &of(Part::Test), 10, Rule::BestF1)
    }

    #[test]
    fn a_head_that_knows_that_a_film_is_ill_and_not_of_what_is_not_trained() {
        for head in &heads_of(|film, _| f32::from(u8::from(has_a_finding(film))))[..2] {
            assert!(head.auc.unwrap().low > AUC_MIN, "{head:?}");
            let why = head.untrained_because.as_deref().unwrap();
            assert_eq!(why, "may be no better than chance among films with a finding: AUC 0.50 (0.50-0.50) there");
        }
        for head in &heads_of(|film, f| f32::from(u8::from(film.truths[f] == Truth::Positive)))[..2] {
            assert!(head.operating.is_some(), "{head:?}");
        }
    }

    #[test]
    fn few_films_to_tell_a_finding_from_say_nothing() {
        let (scores, truths) = (vec![0.0; 30], (0..30).map(|i| i < 21).collect::<Vec<_>>());
        assert_eq!(doubt_among(&(scores.clone(), truths.clone()), 10), None);
        assert!(doubt_among(&(scores, truths), 9).is_some());
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
