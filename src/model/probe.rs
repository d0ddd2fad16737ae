//! The power-on self-test of a model: a formula image and the logits that the exporter computed
//! for it. A machine, a build or a file that computes something else is found before the first film.

use super::Arithmetic;
use crate::input::Plane;
use serde::Deserialize;

/// Largest difference of a logit. Kernels sum in different orders; on the default models orders differ by 1e-5.
const TOLERANCE_F32: f32 = 1e-3;

/// Largest difference of a logit in int8. Sums are exact, but what is rounded to a step is f32: a value that lies between two
/// steps may fall to either, and moves a logit by up to this much where other operators, or other kernels, computed it.
const TOLERANCE_INT8: f32 = 0.02;

/// What a model must answer to its probe input.
#[derive(Clone, Debug, Deserialize)]
pub struct Probe {
    /// Logits of the exporter, in the manifest's order.
    logits: Vec<f32>,
}

/// Why a probe did not pass.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The probe file cannot be read.
    #[error("its probe file is not valid: {0}")]
    Syntax(String),
    /// The model did not run.
    #[error("{0}")]
    Run(String),
    /// A logit is another than where the model was made.
    #[error("logit {index} is {found}, expected is {expected} within {tolerance}: the model or this machine computes wrongly")]
    Differs {
        /// Position.
        index: usize,
        /// Computed here.
        found: f32,
        /// Computed by the exporter.
        expected: f32,
        /// Largest difference allowed.
        tolerance: f32,
    },
    /// Another number of logits.
    #[error("it has {found} logits, its probe {expected}")]
    Count {
        /// Computed here.
        found: usize,
        /// In the probe file.
        expected: usize,
    },
}

impl Probe {
    /// Reads a probe file.
    ///
    /// # Errors
    /// [`ProbeError::Syntax`].
    pub fn parse(json: &[u8]) -> Result<Self, ProbeError> {
        serde_json::from_slice(json).map_err(|e| ProbeError::Syntax(e.to_string()))
    }

    /// The probe input [1, 1, S, S]: sin(0.37 y) cos(0.23 x), computed in f64 and rounded to f32.
    pub fn input(size: usize) -> Plane {
        let value = |i: usize| ((0.37 * (i / size) as f64).sin() * (0.23 * (i % size) as f64).cos()) as f32;
        Plane { side: size, values: (0..size * size).map(value).collect() }
    }

    /// Compares logits with the exporter's.
    ///
    /// # Errors
    /// [`ProbeError::Count`] or [`ProbeError::Differs`].
    pub fn check(&self, found: &[f32], arithmetic: Arithmetic) -> Result<(), ProbeError> {
        if found.len() != self.logits.len() {
            return Err(ProbeError::Count { found: found.len(), expected: self.logits.len() });
        }
        let tolerance = match arithmetic {
            Arithmetic::F32 => TOLERANCE_F32,
            Arithmetic::Int8 => TOLERANCE_INT8,
        };
        for (index, (found, expected)) in found.iter().zip(&self.logits).enumerate() {
            // Written so that a NaN fails too.
            let close = (found - expected).abs() <= tolerance;
            if !close {
                return Err(ProbeError::Differs { index, found: *found, expected: *expected, tolerance });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logit_off_by_more_than_the_tolerance_or_not_a_number_fails_the_probe() {
        let probe = Probe::parse(br#"{"logits": [0.5, -1.0]}"#).unwrap();
        for (arithmetic, within, beyond) in [(Arithmetic::F32, 0.0005, 0.01), (Arithmetic::Int8, 0.01, 0.03)] {
            let check = |found: &[f32]| probe.check(found, arithmetic);
            assert!(check(&[0.5, -1.0]).is_ok());
            assert!(check(&[0.5 + within, -1.0]).is_ok());
            assert!(matches!(check(&[0.5, -1.0 - beyond]), Err(ProbeError::Differs { index: 1, .. })));
            assert!(matches!(check(&[f32::NAN, -1.0]), Err(ProbeError::Differs { index: 0, .. })));
            assert!(matches!(check(&[0.5]), Err(ProbeError::Count { found: 1, expected: 2 })));
        }
    }
}
