//! A model's manifest: what the file is, what goes in, what comes out, and what each number means.
//!
//! `build.rs` reads the same file with this same code, so that a set of models which the binary
//! would refuse never gets into it. Hence nothing here names another module of the crate.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Side of the largest input a manifest may ask for, pixels.
const INPUT_SIDE_MAX: usize = 2_048;
/// Most findings of a label set.
const FINDINGS_MAX: usize = 256;

/// Everything a bundle says about its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name that `--model` takes, for example `findings25`.
    pub name: String,
    /// Version of the weights.
    pub version: String,
    /// One line for people, English.
    pub title_en: String,
    /// One line for people, Chinese.
    pub title_zh: String,
    /// The model file.
    pub file: FileSpec,
    /// The probe file.
    pub probe: FileSpec,
    /// How a film becomes the input.
    pub input: InputSpec,
    /// Shapes of the two outputs.
    pub output: OutputSpec,
    /// Which films the model is meant for.
    pub intended_use: IntendedUse,
    /// What rounding to 8-bit integers cost, where the file was rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// The label set, in the order of the logits.
    #[serde(rename = "finding")]
    pub findings: Vec<FindingSpec>,
}

/// A file of the bundle and what it must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// File name inside the bundle's folder.
    pub name: String,
    /// Size, bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// How a film becomes the network's input [1, 1, S, S], or [1, 3, S, S] where it has `colour`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Side S of the network's input, pixels.
    pub size: usize,
    /// Side of the square a film is first reduced to, pixels: the resolution of the training films.
    pub detail: usize,
    /// Subtracted from the grey in [0, 1].
    pub mean: f32,
    /// Divides the difference.
    pub std: f32,
    /// Which part of the film it is.
    #[serde(default, skip_serializing_if = "Fit::is_stretch")]
    pub fit: Fit,
    /// For a network that takes three channels and had another scale for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<Colour>,
}

/// Which part of a film becomes the square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// The whole film, stretched.
    #[default]
    Stretch,
    /// The largest square in its middle.
    CentreCrop,
}

impl Fit {
    fn is_stretch(&self) -> bool {
        *self == Self::Stretch
    }

    /// First pixel and number of pixels along an axis of `length` pixels, where the other axis has `other`.
    pub fn window(self, length: usize, other: usize) -> (usize, usize) {
        match self {
            Self::Stretch => (0, length),
            Self::CentreCrop => {
                let side = length.min(other);
                (length / 2 - side / 2, side)
            }
        }
    }
}

/// What the grey value v of a pixel becomes in each of three channels: (v - mean) / std.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// Subtracted.
    pub mean: [f32; 3],
    /// Divides the difference.
    pub std: [f32; 3],
}

/// Shapes of the outputs: `logits` [1, findings], `features` [1, channels, side, side].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// Channels of the last feature map.
    pub feature_channels: usize,
    /// Rows and columns of the last feature map.
    pub feature_side: usize,
}

/// Films the model is meant for; others are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntendedUse {
    /// Youngest patient, years; applies where the age is known.
    pub minimum_age_years: u32,
}

/// The file's 8-bit integers against the same network in f32, on the validation films.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Films that the steps of the integers were calibrated on; none of them a validation or test film.
    pub calibration_films: usize,
    /// Films of the comparison.
    pub films: usize,
    /// Mean AUC of the trained findings in f32.
    pub auc_f32: f64,
    /// The same in int8.
    pub auc_int8: f64,
    /// Share of calls (films times trained findings) that are the same in both.
    pub calls_agree: f64,
    /// Mean correlation of the heat maps of trained findings in both.
    pub heat_maps_correlate: f64,
    /// 5th percentile of that correlation.
    pub heat_maps_correlate_p5: f64,
}

/// One finding of the label set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingSpec {
    /// English name in snake_case; stable.
    pub id: String,
    /// Column of the label file, `var_0` and so on.
    pub variable: String,
    /// English name.
    pub en: String,
    /// Chinese name.
    pub zh: String,
    /// Whether the head has learnt from evidence. An untrained head is never shown as a number.
    pub trained: bool,
    /// Calibration and operating point; present exactly where trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating: Option<Operating>,
}

/// From a logit to a call: probability = 1 / (1 + exp(-(slope * logit + intercept))), positive at or above the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operating {
    /// Platt slope (Platt 1999), positive.
    pub slope: f32,
    /// Platt intercept.
    pub intercept: f32,
    /// Operating point on the calibrated probability, in (0, 1).
    pub threshold: f32,
    /// Whether somebody chose it.
    #[serde(default, skip_serializing_if = "Point::is_chosen")]
    pub point: Point,
}

/// Where an operating point comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Chosen on labelled films.
    #[default]
    Chosen,
    /// Nobody chose it: the finding makes no calls until somebody does.
    Open,
}

impl Point {
    fn is_chosen(&self) -> bool {
        *self == Self::Chosen
    }
}

/// Why a manifest, or a file it names, is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, a missing or unknown key, a value of another type.
    #[error("manifest is not valid: {0}")]
    Syntax(#[from] Box<toml::de::Error>),
    /// A value outside what is allowed.
    #[error("manifest field {field} is {value}, allowed is {allowed}")]
    Value {
        /// Key path.
        field: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A file has another size than the manifest says.
    #[error("{file} has {found} bytes, its manifest says {expected}: the file and the manifest are not of one export")]
    Size {
        /// File name.
        file: String,
        /// Bytes found.
        found: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// A file has another digest than the manifest says.
    #[error(
        "{file} has sha256 {found}, its manifest says {expected}: the file was changed after its export or the copy is damaged"
    )]
    Digest {
        /// File name.
        file: String,
        /// Digest found.
        found: String,
        /// Digest expected.
        expected: String,
    },
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] that names the field, its value and what was allowed.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(Box::new)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks `content` against the size and digest of `file`.
    ///
    /// # Errors
    /// [`ManifestError::Size`] or [`ManifestError::Digest`].
    pub fn check_file(file: &FileSpec, content: &[u8]) -> Result<(), ManifestError> {
        let found = content.len() as u64;
        if found != file.bytes {
            return Err(ManifestError::Size { file: file.name.clone(), found, expected: file.bytes });
        }
        let found = sha256_hex(content);
        if found != file.sha256 {
            return Err(ManifestError::Digest { file: file.name.clone(), found, expected: file.sha256.clone() });
        }
        Ok(())
    }

    /// Position and description of the finding with this id.
    pub fn finding(&self, id: &str) -> Option<(usize, &FindingSpec)> {
        self.findings.iter().enumerate().find(|(_, f)| f.id == id)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let name_ok = |s: &str| {
            !s.is_empty()
                && s.len() <= 64
                && s.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
                && !s.starts_with('.')
        };
        let name_rule = "1 to 64 letters, digits, '_', '-' or '.', not starting with '.'";
        for (field, value) in
            [("name", &self.name), ("version", &self.version), ("file.name", &self.file.name), ("probe.name", &self.probe.name)]
        {
            ensure(name_ok(value), field, value, name_rule)?;
        }
        for (field, file) in [("file.sha256", &self.file), ("probe.sha256", &self.probe)] {
            let hex = file.sha256.len() == 64 && file.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            ensure(hex, field, &file.sha256, "64 lower-case hexadecimal digits")?;
        }
        let input = &self.input;
        ensure((32..=INPUT_SIDE_MAX).contains(&input.size), "input.size", input.size, "32 to 2048")?;
        ensure((32..=INPUT_SIDE_MAX).contains(&input.detail), "input.detail", input.detail, "32 to 2048")?;
        ensure(input.mean.is_finite(), "input.mean", input.mean, "a finite number")?;
        ensure(input.std.is_finite() && input.std > 0.0, "input.std", input.std, "a number above 0")?;
        if let Some(colour) = &input.colour {
            let all = |values: [f32; 3], right: fn(f32) -> bool| values.into_iter().all(right);
            ensure(all(colour.mean, f32::is_finite), "input.colour.mean", format!("{:?}", colour.mean), "three finite numbers")?;
            let scales = all(colour.std, |s| s.is_finite() && s > 0.0);
            ensure(scales, "input.colour.std", format!("{:?}", colour.std), "three numbers above 0")?;
        }
        let output = &self.output;
        ensure((1..=8192).contains(&output.feature_channels), "output.feature_channels", output.feature_channels, "1 to 8192")?;
        ensure((1..=256).contains(&output.feature_side), "output.feature_side", output.feature_side, "1 to 256")?;
        let age = self.intended_use.minimum_age_years;
        ensure(age <= 120, "intended_use.minimum_age_years", age, "0 to 120")?;
        ensure((1..=FINDINGS_MAX).contains(&self.findings.len()), "finding", self.findings.len(), "1 to 256 findings")?;
        ensure(self.findings.iter().any(|f| f.trained), "finding.trained", false, "true for at least one finding")?;
        for (i, f) in self.findings.iter().enumerate() {
            f.check(&format!("finding {i} ({})", f.id), name_ok(&f.id))?;
            let first = self.findings.iter().position(|g| g.id == f.id) == Some(i);
            ensure(first, "finding.id", &f.id, "each id once")?;
        }
        Ok(())
    }
}

impl InputSpec {
    /// Channels of the network's input.
    pub fn channels(&self) -> usize {
        if self.colour.is_some() { 3 } else { 1 }
    }
}

impl Operating {
    /// Calibrated probability of a logit (Platt 1999).
    pub fn probability(&self, logit: f32) -> f32 {
        let score = f64::from(self.slope) * f64::from(logit) + f64::from(self.intercept);
        (1.0 / (1.0 + (-score).exp())) as f32
    }

    /// Whether a logit is called positive.
    pub fn call(&self, logit: f32) -> bool {
        self.probability(logit) >= self.threshold
    }
}

impl FindingSpec {
    fn check(&self, at: &str, id_ok: bool) -> Result<(), ManifestError> {
        let snake = id_ok && self.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        ensure(snake, &format!("{at}.id"), &self.id, "snake_case")?;
        ensure(!self.en.is_empty(), &format!("{at}.en"), &self.en, "an English name")?;
        ensure(!self.zh.is_empty(), &format!("{at}.zh"), &self.zh, "a Chinese name")?;
        let field = format!("{at}.operating");
        match (&self.operating, self.trained) {
            (None, false) => Ok(()),
            (None, true) => ensure(false, &field, "missing", "present for a trained finding"),
            (Some(_), false) => ensure(false, &field, "present", "absent for an untrained finding"),
            (Some(o), true) => {
                ensure(o.slope.is_finite() && o.slope > 0.0, &format!("{field}.slope"), o.slope, "a number above 0")?;
                ensure(o.intercept.is_finite(), &format!("{field}.intercept"), o.intercept, "a finite number")?;
                let inside = o.threshold > 0.0 && o.threshold < 1.0;
                ensure(inside, &format!("{field}.threshold"), o.threshold, "above 0 and below 1")
            }
        }
    }
}

/// SHA-256 of `content` in lower-case hexadecimal.
pub fn sha256_hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}

fn ensure(ok: bool, field: &str, value: impl ToString, allowed: &'static str) -> Result<(), ManifestError> {
    if ok { Ok(()) } else { Err(ManifestError::Value { field: field.to_owned(), value: value.to_string(), allowed }) }
}
