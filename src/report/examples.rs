//! Drawn examples that the unit tests of the reports share.

use crate::findings::{Call, Finding, FindingState, Logit, Probability};
use crate::model::{FileSpec, FindingSpec, Fit, InputSpec, IntendedUse, Manifest, Operating, OutputSpec, Point};
use crate::radiograph::{Facts, Step};

/// A manifest with these findings: id, Chinese name, operating point where trained. Slope 1, intercept 0.
pub fn manifest(findings: &[(&str, &str, Option<f32>)]) -> Manifest {
    let file = |name: &str| FileSpec { name: name.to_owned(), bytes: 1, sha256: "5a".repeat(32) };
    Manifest {
        name: "findings25".to_owned(),
        version: "1.2.0".to_owned(),
        title_en: "example".to_owned(),
        title_zh: "示例".to_owned(),
        file: file("model.onnx"),
        probe: file("probe.bin"),
        input: InputSpec { size: 224, detail: 128, mean: 0.5, std: 0.25, fit: Fit::Stretch, colour: None },
        output: OutputSpec { feature_channels: 1024, feature_side: 7 },
        intended_use: IntendedUse { minimum_age_years: 16 },
        quantization: None,
        findings: findings
            .iter()
            .enumerate()
            .map(|(i, (id, zh, threshold))| FindingSpec {
                id: (*id).to_owned(),
                variable: format!("var_{i}"),
                en: (*id).replace('_', " "),
                zh: (*zh).to_owned(),
                trained: threshold.is_some(),
                operating: threshold.map(|threshold| Operating { slope: 1.0, intercept: 0.0, threshold, point: Point::Chosen }),
            })
            .collect(),
    }
}

/// Assessed findings `finding_0`, `finding_1` and so on from pairs of probability and threshold.
pub fn findings(numbers: &[(f32, f32)]) -> Vec<Finding> {
    numbers
        .iter()
        .enumerate()
        .map(|(i, (probability, threshold))| Finding {
            id: format!("finding_{i}"),
            en: format!("finding {i}"),
            zh: format!("征象 {i}"),
            state: FindingState::Assessed {
                logit: Logit::new((probability / (1.0 - probability)).ln()).unwrap(),
                probability: Probability::new(*probability).unwrap(),
                threshold: *threshold,
                call: if probability >= threshold { Call::Positive } else { Call::Negative },
            },
        })
        .collect()
}

/// A finding without evidence.
pub fn untrained(id: &str, zh: &str) -> Finding {
    Finding { id: id.to_owned(), en: id.replace('_', " "), zh: zh.to_owned(), state: FindingState::Untrained }
}

/// Facts of a DICOM film.
pub fn facts() -> Facts {
    Facts { format: "dicom", columns: 2048, rows: 2500, bits: 12, view: Some("PA".to_owned()), ..Facts::default() }
}

/// Steps of a film.
pub fn steps() -> Vec<Step> {
    vec![Step::new("decode", "2048 x 2500, 12 bit"), Step::new("polarity", "MONOCHROME1, inverted")]
}
