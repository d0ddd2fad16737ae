//! From logits to findings: calibrated probability, operating point, call.
//!
//! In: the model's logits [findings] of one film, the manifest that says what each of them means,
//! and the user's own thresholds. Out: one [`Finding`] for each line of the label set, in its order.
//! Never: a number for an untrained head; a missing or non-finite logit that passes as "negative".

use crate::model::{FindingSpec, Manifest, Operating, Point};
use std::collections::BTreeMap;

/// What the network says about one finding, before calibration; finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Logit(f32);

impl Logit {
    /// A logit; `None` where `value` is not finite.
    pub fn new(value: f32) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }

    /// The number.
    pub fn value(self) -> f32 {
        self.0
    }

    /// Calibrated probability 1 / (1 + exp(-(slope * logit + intercept))), in [0, 1] (Platt 1999, section 2.1).
    /// `None` where the parameters are not finite.
    pub fn calibrated(self, by: &Operating) -> Option<Probability> {
        Probability::new(by.probability(self.0))
    }
}

/// A probability in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(f32);

impl Probability {
    /// A probability; `None` outside [0, 1].
    pub fn new(value: f32) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The number.
    pub fn value(self) -> f32 {
        self.0
    }
}

/// One line of the label set, assessed on one film.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// English name in snake_case; stable.
    pub id: String,
    /// English name.
    pub en: String,
    /// Chinese name.
    pub zh: String,
    /// What is known about it.
    pub state: FindingState,
}

/// What is known about a finding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FindingState {
    /// The model has learnt nothing about it, or nobody has chosen its operating point; it is never shown as a number.
    Untrained,
    /// The model has assessed it.
    Assessed {
        /// Output of the network.
        logit: Logit,
        /// Calibrated probability.
        probability: Probability,
        /// Operating point on the probability, in (0, 1): the manifest's or the user's.
        threshold: f32,
        /// The probability against the operating point.
        call: Call,
    },
}

/// Whether a finding reaches its operating point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// At or above it.
    Positive,
    /// Below it.
    Negative,
}

impl Finding {
    /// Whether the model has learnt to assess it.
    pub fn is_trained(&self) -> bool {
        matches!(self.state, FindingState::Assessed { .. })
    }

    /// Whether the finding was assessed and reaches its operating point.
    pub fn is_positive(&self) -> bool {
        matches!(self.state, FindingState::Assessed { call: Call::Positive, .. })
    }
}

/// Why logits or thresholds are not accepted.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FindingsError {
    /// The model and the manifest are not of one export.
    #[error("the model gave {found} logits, the label set of {model} has {expected} findings")]
    Count {
        /// Name of the model.
        model: String,
        /// Logits given.
        found: usize,
        /// Findings of the label set.
        expected: usize,
    },
    /// A logit, or what calibration makes of it, is not a number.
    #[error("the logit of {finding} is {value}, allowed is a finite number")]
    NotFinite {
        /// Id of the finding.
        finding: String,
        /// The logit.
        value: f32,
    },
    /// Not of the form FINDING=VALUE.
    #[error("threshold {text:?} is not of the form FINDING=VALUE, for example {example}=0.3")]
    Form {
        /// What the user wrote.
        text: String,
        /// A finding that may stand there.
        example: String,
    },
    /// No model in use has this finding.
    #[error("threshold for {finding:?}: no model in use has this finding, allowed are {allowed}")]
    Unknown {
        /// What the user wrote.
        finding: String,
        /// Trained findings.
        allowed: String,
    },
    /// The finding has no number that a threshold could apply to.
    #[error("threshold for {finding}: this finding is untrained and has no probability, allowed are {allowed}")]
    Untrained {
        /// Id of the finding.
        finding: String,
        /// Trained findings.
        allowed: String,
    },
    /// A value that is not a number inside (0, 1).
    #[error("threshold for {finding} is {value:?}, allowed is a number above 0 and below 1")]
    Value {
        /// Id of the finding.
        finding: String,
        /// What the user wrote.
        value: String,
    },
    /// Two values for one finding.
    #[error("threshold for {finding} is given twice, allowed is once")]
    Twice {
        /// Id of the finding.
        finding: String,
    },
}

/// The user's own operating points, which replace those of the manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds(BTreeMap<String, f32>);

impl Thresholds {
    /// No own operating points.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads texts such as `cardiomegaly=0.3` and checks them against the models in use: each
    /// finding must be trained in at least one of them.
    ///
    /// # Errors
    /// [`FindingsError`] that names the text and lists what is allowed.
    pub fn parse<S: AsRef<str>>(texts: &[S], models: &[&Manifest]) -> Result<Self, FindingsError> {
        let mut thresholds = BTreeMap::new();
        for text in texts {
            let (finding, value) = one(text.as_ref(), models)?;
            if thresholds.insert(finding.clone(), value).is_some() {
                return Err(FindingsError::Twice { finding });
            }
        }
        Ok(Self(thresholds))
    }

    /// These operating points, and `chosen` ones for findings that have none here.
    #[must_use]
    pub fn or(mut self, chosen: impl IntoIterator<Item = (String, f32)>) -> Self {
        for (finding, threshold) in chosen {
            self.0.entry(finding).or_insert(threshold);
        }
        self
    }

    /// The trained findings of a model that make no calls: nobody has chosen an operating point for them, here or there.
    pub fn open<'a>(&self, manifest: &'a Manifest) -> Vec<&'a str> {
        manifest.findings.iter().filter(|f| f.trained && !usable(f, self)).map(|f| f.id.as_str()).collect()
    }

    /// The user's operating point for the finding with this id.
    pub fn of(&self, id: &str) -> Option<f32> {
        self.0.get(id).copied()
    }
}

fn one(text: &str, models: &[&Manifest]) -> Result<(String, f32), FindingsError> {
    let trained = || models.iter().flat_map(|m| &m.findings).filter(|f| f.trained).map(|f| f.id.as_str());
    let allowed = || {
        let mut ids: Vec<&str> = trained().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.join(", ")
    };
    let Some((finding, value)) = text.split_once('=') else {
        let example = trained().next().unwrap_or("FINDING").to_owned();
        return Err(FindingsError::Form { text: text.to_owned(), example });
    };
    let (finding, value) = (finding.trim().to_owned(), value.trim());
    if !trained().any(|id| id == finding) {
        let known = models.iter().any(|m| m.finding(&finding).is_some());
        let allowed = allowed();
        return Err(match known {
            true => FindingsError::Untrained { finding, allowed },
            false => FindingsError::Unknown { finding, allowed },
        });
    }
    match value.parse::<f32>() {
        Ok(number) if number > 0.0 && number < 1.0 => Ok((finding, number)),
        _ => Err(FindingsError::Value { finding, value: value.to_owned() }),
    }
}

/// Assesses the `logits` [findings] of one film.
///
/// # Errors
/// [`FindingsError::Count`] or [`FindingsError::NotFinite`]: a fault of the model, never "nothing found".
pub fn assess(logits: &[f32], manifest: &Manifest, thresholds: &Thresholds) -> Result<Vec<Finding>, FindingsError> {
    let expected = manifest.findings.len();
    if logits.len() != expected {
        return Err(FindingsError::Count { model: manifest.name.clone(), found: logits.len(), expected });
    }
    manifest.findings.iter().zip(logits).map(|(spec, logit)| assess_one(*logit, spec, thresholds)).collect()
}

fn assess_one(value: f32, spec: &FindingSpec, thresholds: &Thresholds) -> Result<Finding, FindingsError> {
    let not_finite = || FindingsError::NotFinite { finding: spec.id.clone(), value };
    // An untrained head is checked too: a NaN anywhere means that the run went wrong.
    let logit = Logit::new(value).ok_or_else(not_finite)?;
    let state = match &spec.operating {
        Some(operating) if usable(spec, thresholds) => {
            let probability = logit.calibrated(operating).ok_or_else(not_finite)?;
            let threshold = thresholds.of(&spec.id).unwrap_or(operating.threshold);
            let call = if probability.value() >= threshold { Call::Positive } else { Call::Negative };
            FindingState::Assessed { logit, probability, threshold, call }
        }
        _ => FindingState::Untrained,
    };
    Ok(Finding { id: spec.id.clone(), en: spec.en.clone(), zh: spec.zh.clone(), state })
}

/// Whether a finding may be called: it is trained, and somebody chose where.
fn usable(spec: &FindingSpec, thresholds: &Thresholds) -> bool {
    let chosen = spec.operating.is_some_and(|o| o.point == Point::Chosen) || thresholds.of(&spec.id).is_some();
    spec.trained && chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    fn manifest() -> Manifest {
        examples::manifest(&[("mass", "肺内占位", Some(0.5)), ("nodule", "肺结节", Some(0.25)), ("picc", "PICC", None)])
    }

    fn state(logits: &[f32], thresholds: &Thresholds, i: usize) -> (f32, f32, Call) {
        match assess(logits, &manifest(), thresholds).unwrap()[i].state {
            FindingState::Assessed { probability, threshold, call, .. } => (probability.value(), threshold, call),
            FindingState::Untrained => panic!("finding {i} is untrained"),
        }
    }

    #[test]
    fn a_probability_is_the_platt_sigmoid_of_its_logit() {
        let by = |slope, intercept| Operating { slope, intercept, threshold: 0.5, point: Point::Chosen };
        for (logit, operating, want) in [
            (0.0, by(1.0, 0.0), 0.5),
            (3.0_f32.ln(), by(1.0, 0.0), 0.75),
            (1.0, by(2.0, -2.0), 0.5),
            (f32::MAX, by(1.0, 0.0), 1.0),
            (f32::MIN, by(1.0, 0.0), 0.0),
        ] {
            let p = Logit::new(logit).unwrap().calibrated(&operating).unwrap().value();
            assert!((p - want).abs() < 1e-6, "{logit}: {p}, want {want}");
        }
    }

    #[test]
    fn a_finding_is_positive_at_its_operating_point_and_negative_just_below() {
        let none = Thresholds::none();
        assert_eq!(state(&[0.0, 0.0, 0.0], &none, 0), (0.5, 0.5, Call::Positive));
        assert_eq!(state(&[-1e-5, 0.0, 0.0], &none, 0).2, Call::Negative);
        assert_eq!(state(&[0.0, -2.0, 0.0], &none, 1).2, Call::Negative);
    }

    #[test]
    fn an_untrained_head_gives_no_number_whatever_its_logit() {
        for logit in [-100.0, 0.0, 100.0] {
            let findings = assess(&[0.0, 0.0, logit], &manifest(), &Thresholds::none()).unwrap();
            assert_eq!(findings[2].state, FindingState::Untrained);
            assert!(!findings[2].is_positive());
        }
    }

    #[test]
    fn a_wrong_number_of_logits_or_one_that_is_not_finite_is_an_error_and_never_negative() {
        for count in [0, 2, 4] {
            let error = assess(&vec![0.0; count], &manifest(), &Thresholds::none()).unwrap_err();
            assert_eq!(error, FindingsError::Count { model: "findings25".to_owned(), found: count, expected: 3 });
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for i in 0..3 {
                let mut logits = [0.0; 3];
                logits[i] = bad;
                let error = assess(&logits, &manifest(), &Thresholds::none()).unwrap_err();
                assert!(matches!(error, FindingsError::NotFinite { .. }), "{bad} at {i}");
            }
        }
    }

    #[test]
    fn a_threshold_of_the_user_replaces_the_operating_point() {
        let thresholds = Thresholds::parse(&["mass=0.6", " nodule = 0.1 "], &[&manifest()]).unwrap();
        assert_eq!(state(&[0.0, -1.5, 0.0], &thresholds, 0), (0.5, 0.6, Call::Negative));
        let (_, threshold, call) = state(&[0.0, -1.5, 0.0], &thresholds, 1);
        assert_eq!((threshold, call), (0.1, Call::Positive));
    }

    #[test]
    fn a_threshold_that_cannot_apply_says_what_is_allowed() {
        for (text, want) in [
            ("mass", "threshold \"mass\" is not of the form FINDING=VALUE, for example mass=0.3"),
            ("mas=0.3", "threshold for \"mas\": no model in use has this finding, allowed are mass, nodule"),
            ("picc=0.3", "threshold for picc: this finding is untrained and has no probability, allowed are mass, nodule"),
            ("mass=0", "threshold for mass is \"0\", allowed is a number above 0 and below 1"),
            ("mass=1", "threshold for mass is \"1\", allowed is a number above 0 and below 1"),
            ("mass=NaN", "threshold for mass is \"NaN\", allowed is a number above 0 and below 1"),
            ("mass=30%", "threshold for mass is \"30%\", allowed is a number above 0 and below 1"),
        ] {
            assert_eq!(Thresholds::parse(&[text], &[&manifest()]).unwrap_err().to_string(), want);
        }
        let twice = Thresholds::parse(&["mass=0.3", "mass=0.4"], &[&manifest()]).unwrap_err();
        assert_eq!(twice.to_string(), "threshold for mass is given twice, allowed is once");
    }

    #[test]
    fn with_two_models_a_threshold_may_name_a_finding_of_either() {
        let other = examples::manifest(&[("fracture", "骨折", Some(0.5)), ("picc", "PICC", Some(0.5))]);
        let thresholds = Thresholds::parse(&["mass=0.3", "picc=0.4"], &[&manifest(), &other]).unwrap();
        assert_eq!((thresholds.of("mass"), thresholds.of("picc"), thresholds.of("fracture")), (Some(0.3), Some(0.4), None));
    }
}
