//! From scores to calls: counts at a threshold, and the threshold that a rule asks for.

use super::descending;

/// Right and wrong calls at one threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Called, and there.
    pub true_positives: usize,
    /// Called, not there.
    pub false_positives: usize,
    /// Not called, and not there.
    pub true_negatives: usize,
    /// Not called, but there.
    pub false_negatives: usize,
}

impl Counts {
    /// Counts where a score at or above `threshold` is a call.
    pub fn at(threshold: f32, scores: &[f32], truths: &[bool]) -> Self {
        let mut counts = Self::default();
        for (score, truth) in scores.iter().zip(truths) {
            match (*score >= threshold, truth) {
                (true, true) => counts.true_positives += 1,
                (true, false) => counts.false_positives += 1,
                (false, false) => counts.true_negatives += 1,
                (false, true) => counts.false_negatives += 1,
            }
        }
        counts
    }

    /// TP / (TP + FP); `None` where nothing was called.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Sensitivity, TP / (TP + FN); `None` without a positive.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// TN / (TN + FP); `None` without a negative.
    pub fn specificity(&self) -> Option<f64> {
        share(self.true_negatives, self.true_negatives + self.false_positives)
    }

    /// TN / (TN + FN), the negative predictive value; `None` where everything was called.
    pub fn negative_predictive_value(&self) -> Option<f64> {
        share(self.true_negatives, self.true_negatives + self.false_negatives)
    }

    /// Right calls of all; `None` without a film.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.true_positives + self.true_negatives;
        share(right, right + self.false_positives + self.false_negatives)
    }

    /// 2 TP / (2 TP + FP + FN); `None` where nothing was called and nothing was there.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// A threshold and what it gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingPoint {
    /// A score at or above it is a call.
    pub threshold: f32,
    /// F1 there.
    pub f1: f64,
    /// Precision there.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
}

/// How an operating point is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The highest F1, the original project's `val_threshold`.
    BestF1,
    /// The highest sensitivity + specificity - 1 (Youden 1950).
    Youden,
    /// The highest threshold with at least this sensitivity.
    Sensitivity(f64),
    /// The lowest threshold with at least this specificity.
    Specificity(f64),
}

/// Text that names no rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rule, allowed are best-f1, youden, sensitivity=S and specificity=S with S above 0 and at most 1")]
pub struct RuleError(String);

impl std::str::FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let wrong = || RuleError(text.to_owned());
        let wish = |s: &str| s.parse::<f64>().ok().filter(|v| *v > 0.0 && *v <= 1.0).ok_or_else(wrong);
        match text.split_once('=') {
            None if text == "best-f1" => Ok(Self::BestF1),
            None if text == "youden" => Ok(Self::Youden),
            Some(("sensitivity", s)) => Ok(Self::Sensitivity(wish(s)?)),
            Some(("specificity", s)) => Ok(Self::Specificity(wish(s)?)),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BestF1 => f.write_str("best-f1"),
            Self::Youden => f.write_str("youden"),
            Self::Sensitivity(s) => write!(f, "sensitivity={s}"),
            Self::Specificity(s) => write!(f, "specificity={s}"),
        }
    }
}

impl Rule {
    /// How good a threshold is, the larger the better; `None` where the rule does not allow it.
    fn merit(self, counts: &Counts) -> Option<f64> {
        let (sensitivity, specificity) = (counts.recall()?, counts.specificity()?);
        match self {
            Self::BestF1 => counts.f1(),
            Self::Youden => Some(sensitivity + specificity - 1.0),
            Self::Sensitivity(wish) => (sensitivity >= wish).then_some(specificity),
            Self::Specificity(wish) => (specificity >= wish).then_some(sensitivity),
        }
    }
}

/// The threshold with the highest F1; see [`choose`].
pub fn best_f1(scores: &[f32], truths: &[bool]) -> Option<OperatingPoint> {
    choose(Rule::BestF1, scores, truths)
}

/// The threshold that `rule` asks for; of equals the highest threshold, which calls fewest films.
/// It lies halfway between the lowest score called and the next one below, so that rounding of a
/// score does not change a call. `None` without a positive or without a negative, and where no threshold that calls a
/// film fulfils the rule.
pub fn choose(rule: Rule, scores: &[f32], truths: &[bool]) -> Option<OperatingPoint> {
    let positives = truths.iter().filter(|t| **t).count();
    if positives == 0 || positives == truths.len() || scores.len() != truths.len() {
        return None;
    }
    let order = descending(scores);
    let mut counts = Counts { false_negatives: positives, true_negatives: truths.len() - positives, ..Counts::default() };
    let mut best: Option<(f64, OperatingPoint)> = None;
    let mut groups = order.chunk_by(|&a, &b| scores[a] == scores[b]).peekable();
    while let Some(tied) = groups.next() {
        for &i in tied {
            if truths[i] {
                counts.true_positives += 1;
                counts.false_negatives -= 1;
            } else {
                counts.false_positives += 1;
                counts.true_negatives -= 1;
            }
        }
        let (Some(f1), Some(precision), Some(recall)) = (counts.f1(), counts.precision(), counts.recall()) else { continue };
        let Some(merit) = rule.merit(&counts) else { continue };
        if best.is_none_or(|(most, _)| merit > most) {
            let score = scores[tied[0]];
            let next = groups.peek().map_or(score, |g| scores[g[0]]);
            best = Some((merit, OperatingPoint { threshold: between(next, score), f1, precision, recall }));
        }
    }
    best.map(|(_, point)| point)
}

/// Halfway, but never at or below `low` unless they are equal.
fn between(low: f32, high: f32) -> f32 {
    let middle = low + (high - low) / 2.0;
    if middle > low { middle } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_f1_is_what_trying_every_threshold_finds() {
        for step in [3, 5, 11] {
            let scores: Vec<f32> = (0..80).map(|i| ((i * step + 7) % 23) as f32 / 23.0).collect();
            let truths: Vec<bool> = (0..80).map(|i| (i * 29) % 10 < 4).collect();
            let best = best_f1(&scores, &truths).unwrap();
            let tried = scores.iter().filter_map(|t| Counts::at(*t, &scores, &truths).f1()).fold(0.0, f64::max);
            assert!((best.f1 - tried).abs() < 1e-12);
            let counts = Counts::at(best.threshold, &scores, &truths);
            assert_eq!(counts.f1(), Some(best.f1));
            assert_eq!(counts.precision(), Some(best.precision));
            assert_eq!(counts.recall(), Some(best.recall));
        }
    }

    #[test]
    fn each_rule_finds_what_trying_every_threshold_finds() {
        let scores: Vec<f32> = (0..90).map(|i| ((i * 7 + 3) % 31) as f32 / 31.0).collect();
        let truths: Vec<bool> = (0..90).map(|i| (i * 7 + 3) % 31 + (i % 9) > 22).collect();
        let tried: Vec<Counts> = scores.iter().map(|t| Counts::at(*t, &scores, &truths)).collect();
        let most = |of: &dyn Fn(&Counts) -> Option<f64>| tried.iter().filter_map(of).fold(f64::MIN, f64::max);
        let sens = |c: &Counts| c.recall().unwrap();
        let spec = |c: &Counts| c.specificity().unwrap();
        let at = |rule| Counts::at(choose(rule, &scores, &truths).unwrap().threshold, &scores, &truths);

        let youden = at(Rule::Youden);
        assert_eq!(sens(&youden) + spec(&youden), most(&|c| Some(sens(c) + spec(c))));
        let sensitive = at(Rule::Sensitivity(0.9));
        assert!(sens(&sensitive) >= 0.9);
        assert_eq!(spec(&sensitive), most(&|c| (sens(c) >= 0.9).then(|| spec(c))));
        let specific = at(Rule::Specificity(0.9));
        assert!(spec(&specific) >= 0.9);
        assert_eq!(sens(&specific), most(&|c| (spec(c) >= 0.9).then(|| sens(c))));
        assert_eq!(choose(Rule::Specificity(0.9), &[0.5; 4], &[true, false, true, false]), None);
        assert!(choose(Rule::Sensitivity(1.0), &[0.5; 4], &[true, false, true, false]).is_some());
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        for text in ["best-f1", "youden", "sensitivity=0.9", "specificity=0.95"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for text in ["", "f1", "sensitivity", "sensitivity=0", "sensitivity=1.1", "specificity=x", "youden=1"] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }

    #[test]
    fn ties_are_called_together() {
        let point = best_f1(&[0.5, 0.5, 0.5, 0.1], &[true, false, true, false]).unwrap();
        assert_eq!((point.precision, point.recall), (2.0 / 3.0, 1.0));
        assert!(point.threshold > 0.1 && point.threshold <= 0.5);
    }

    #[test]
    fn without_a_positive_or_a_negative_there_is_no_operating_point() {
        assert_eq!(best_f1(&[0.1, 0.2], &[false, false]), None);
        assert_eq!(best_f1(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(best_f1(&[], &[]), None);
    }

    #[test]
    fn shares_of_nothing_are_not_numbers() {
        let none = Counts::default();
        assert_eq!((none.precision(), none.recall(), none.specificity(), none.f1()), (None, None, None, None));
    }
}
