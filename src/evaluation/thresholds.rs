//! A threshold file: operating points chosen on a validation set, bound to the model whose probabilities they cut.
//!
//! In: a rule, probabilities and truths. Out: TOML with the model's name, version and sha256 and each head's calibration.
//! Never: thresholds of one model used with another; [`ThresholdFile::check`] refuses them with a sentence.

use super::readings::ModelName;
use crate::model::{FindingSpec, Manifest, Operating, Point};
use crate::stats::{Counts, Rule, choose};
use serde::{Deserialize, Serialize};

/// Thresholds lie inside (0, 1) by at least this: a manifest accepts nothing else.
const MARGIN: f32 = 1e-6;

/// What stands above the file's keys.
const HEAD: &str = "# Operating points of one chexbox model, chosen on labelled films. chexbox read --thresholds uses them.\n\
                    # They hold for the model with this sha256 and calibration alone; another is refused.\n\n";

/// Operating points chosen for one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdFile {
    /// How they were chosen: `best-f1`, `youden`, `sensitivity=0.9`.
    pub rule: String,
    /// The label file they were chosen on.
    pub labels: String,
    /// The model.
    pub model: ModelName,
    /// The operating points.
    #[serde(rename = "finding", default)]
    pub findings: Vec<ChosenPoint>,
    #[serde(skip)]
    chosen_by: Option<Rule>,
}

/// The operating point of one finding, and what it gives on the films it was chosen on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChosenPoint {
    /// Id of the finding.
    pub id: String,
    /// A calibrated probability at or above it is a call.
    pub threshold: f32,
    /// Platt slope of the head when it was chosen.
    #[serde(default)]
    pub slope: f32,
    /// Platt intercept of the head when it was chosen.
    #[serde(default)]
    pub intercept: f32,
    /// Films with the finding.
    pub positives: usize,
    /// Films without it.
    pub negatives: usize,
    /// Sensitivity on them.
    pub sensitivity: f64,
    /// Specificity on them.
    pub specificity: f64,
    /// F1 on them.
    pub f1: f64,
}

/// Why a threshold file is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ThresholdFileError {
    /// Not TOML, a missing or unknown key, a value of another type.
    #[error("not a threshold file of chexbox evaluate --choose: {0}")]
    Syntax(#[from] Box<toml::de::Error>),
    /// A threshold that no probability can be compared with.
    #[error("the threshold of {finding} is {value}, allowed is a number above 0 and below 1")]
    Value {
        /// Id.
        finding: String,
        /// What stands there.
        value: f32,
    },
    /// Chosen for another model.
    #[error(
        "the thresholds were chosen for {} {} (sha256 {}), the model in use is {} {} (sha256 {}): choose them again with \
         chexbox evaluate --choose",
        chosen.name, chosen.version, short(&chosen.sha256), used.name, used.version, short(&used.sha256)
    )]
    OtherModel {
        /// The model of the file.
        chosen: Box<ModelName>,
        /// The model in use.
        used: Box<ModelName>,
    },
    /// The same weights under another calibration, or a finding that the model does not have.
    #[error(
        "{finding}: the model in use has no such trained finding or calibrates it otherwise: choose the thresholds again with chexbox evaluate --choose"
    )]
    OtherCalibration {
        /// Id.
        finding: String,
    },
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

impl ThresholdFile {
    pub(super) fn new(model: ModelName, rule: Rule, labels: &str) -> Self {
        Self { rule: rule.to_string(), labels: labels.to_owned(), model, findings: Vec::new(), chosen_by: Some(rule) }
    }

    pub(super) fn add(&mut self, id: &str, probabilities: &[f32], truths: &[bool]) {
        let Some(point) = self.chosen_by.and_then(|rule| choose(rule, probabilities, truths)) else { return };
        let threshold = point.threshold.clamp(MARGIN, 1.0 - MARGIN);
        let counts = Counts::at(threshold, probabilities, truths);
        self.findings.push(ChosenPoint {
            id: id.to_owned(),
            threshold,
            slope: 0.0,
            intercept: 0.0,
            positives: counts.true_positives + counts.false_negatives,
            negatives: counts.true_negatives + counts.false_positives,
            sensitivity: counts.recall().unwrap_or_default(),
            specificity: counts.specificity().unwrap_or_default(),
            f1: counts.f1().unwrap_or_default(),
        });
    }

    /// Binds the thresholds to the calibration of the model they were chosen with.
    ///
    /// # Errors
    /// [`ThresholdFileError::OtherModel`] where `manifest` is not of that model.
    pub fn bind(mut self, manifest: &Manifest) -> Result<Self, ThresholdFileError> {
        self.of_model(manifest)?;
        for point in &mut self.findings {
            if let Some(o) = operating(manifest, &point.id) {
                (point.slope, point.intercept) = (o.slope, o.intercept);
            }
        }
        Ok(self)
    }

    /// Reads a threshold file.
    ///
    /// # Errors
    /// [`ThresholdFileError::Syntax`] or [`ThresholdFileError::Value`].
    pub fn parse(text: &str) -> Result<Self, ThresholdFileError> {
        let file: Self = toml::from_str(text).map_err(Box::new)?;
        match file.findings.iter().find(|p| !(p.threshold > 0.0 && p.threshold < 1.0)) {
            None => Ok(file),
            Some(p) => Err(ThresholdFileError::Value { finding: p.id.clone(), value: p.threshold }),
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// What the TOML writer says; none is expected.
    pub fn to_text(&self) -> Result<String, toml::ser::Error> {
        Ok(HEAD.to_owned() + &toml::to_string(self)?)
    }

    /// Whether the thresholds are of this very model and calibration.
    ///
    /// # Errors
    /// [`ThresholdFileError`] that names both models, or the finding.
    pub fn check(&self, manifest: &Manifest) -> Result<(), ThresholdFileError> {
        self.of_model(manifest)?;
        let same =
            |p: &&ChosenPoint| operating(manifest, &p.id).is_some_and(|o| (o.slope, o.intercept) == (p.slope, p.intercept));
        match self.findings.iter().find(|p| !same(p)) {
            None => Ok(()),
            Some(p) => Err(ThresholdFileError::OtherCalibration { finding: p.id.clone() }),
        }
    }

    fn of_model(&self, manifest: &Manifest) -> Result<(), ThresholdFileError> {
        if self.model.sha256 == manifest.file.sha256 {
            return Ok(());
        }
        Err(ThresholdFileError::OtherModel { chosen: Box::new(self.model.clone()), used: Box::new(ModelName::of(manifest)) })
    }

    /// Finding and threshold of each.
    pub fn points(&self) -> impl Iterator<Item = (String, f32)> {
        self.findings.iter().map(|p| (p.id.clone(), p.threshold))
    }

    /// The manifest with these operating points in place of its own.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn write_into(&self, mut manifest: Manifest) -> Result<Manifest, ThresholdFileError> {
        self.check(&manifest)?;
        for point in &self.findings {
            let spec = manifest.findings.iter_mut().find(|f| f.id == point.id);
            if let Some(operating) = spec.and_then(|f| f.operating.as_mut()) {
                operating.threshold = point.threshold;
                operating.point = Point::Chosen;
            }
        }
        Ok(manifest)
    }
}

fn operating(manifest: &Manifest, id: &str) -> Option<Operating> {
    let of = |f: &FindingSpec| f.operating.filter(|_| f.trained);
    manifest.finding(id).and_then(|(_, f)| of(f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    fn chosen(manifest: &Manifest) -> ThresholdFile {
        let mut file = ThresholdFile::new(ModelName::of(manifest), Rule::Youden, "val.csv");
        file.add("mass", &[0.1, 0.25, 0.75, 0.9], &[false, false, true, true]);
        file.add("picc", &[0.1, 0.2], &[true, true]);
        file.bind(manifest).unwrap()
    }

    #[test]
    fn thresholds_come_back_from_their_file_and_go_into_the_manifest() {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3)), ("picc", "PICC", None)]);
        let file = chosen(&manifest);
        assert_eq!(file.findings.len(), 1);
        assert_eq!((file.findings[0].threshold, file.findings[0].sensitivity, file.findings[0].specificity), (0.5, 1.0, 1.0));
        let back = ThresholdFile::parse(&file.to_text().unwrap()).unwrap();
        back.check(&manifest).unwrap();
        assert_eq!(back.points().collect::<Vec<_>>(), [("mass".to_owned(), 0.5)]);
        let rewritten = back.write_into(manifest).unwrap();
        assert_eq!(rewritten.findings[0].operating.unwrap().threshold, 0.5);
    }

    #[test]
    fn a_file_for_another_model_or_calibration_is_refused_with_a_sentence() {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3))]);
        let file = chosen(&manifest);
        let mut other = manifest.clone();
        other.file.sha256 = "7b".repeat(32);
        other.version = "2.0.0".to_owned();
        let said = file.check(&other).unwrap_err().to_string();
        assert!(
            said.contains("findings25 1.2.0 (sha256 5a5a5a5a5a5a)") && said.contains("2.0.0 (sha256 7b7b7b7b7b7b)"),
            "{said}"
        );
        let mut recalibrated = manifest;
        recalibrated.findings[0].operating.as_mut().unwrap().slope = 2.0;
        assert!(matches!(file.check(&recalibrated), Err(ThresholdFileError::OtherCalibration { .. })));
        for bad in ["x", "rule = \"youden\"\n", &file.to_text().unwrap().replace("threshold = 0.5", "threshold = 1.5")] {
            assert!(ThresholdFile::parse(bad).is_err(), "{bad}");
        }
    }
}
