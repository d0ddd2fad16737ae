//! What happens to a radiograph, on one screen.
//!
//! ```text
//! bytes -> decode -> gate (polarity, is it a frontal chest film?) -> age -> prepare -> network
//!       -> findings (calibrated probability, operating point, call) -> heat maps (Grad-CAM)
//! ```
//! In: the bytes of one file, of unknown origin. Out: a [`Reading`], or a [`Refusal`] with a code, a
//! sentence and a remedy. Never: a film that failed somewhere and looks as if nothing was found.

use crate::findings::{self, Finding, Thresholds};
use crate::grad_cam::{self, HeatMap};
use crate::input;
use crate::model::Session;
use crate::radiograph::{self, Code, Radiograph, Refusal, Step};

/// A model and the operating points it is used with.
pub struct Reader {
    /// The loaded model.
    pub session: Session,
    /// Operating points the user set instead of the manifest's.
    pub thresholds: Thresholds,
}

/// What a model says about one film.
#[derive(Clone, Debug)]
pub struct Reading {
    /// One entry for each finding of the label set, in its order.
    pub findings: Vec<Finding>,
    /// Grad-CAM of each trained finding, by position in `findings`; empty unless asked for.
    pub heat_maps: Vec<(usize, HeatMap)>,
    /// What the model's own preprocessing did to the pixels.
    pub steps: Vec<Step>,
}

/// Whether a reading draws heat maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeatMaps {
    /// Of every trained finding.
    Draw,
    /// None: they cost little, but not nothing.
    Skip,
}

/// From the bytes of a file to a film that may be read.
///
/// # Errors
/// The [`Refusal`] that says why this file is not an upright frontal chest film.
pub fn admit(bytes: &[u8]) -> Result<Radiograph, Refusal> {
    let film = radiograph::decode(bytes)?;
    radiograph::gate(film)
}

impl Reader {
    /// Reads an admitted film with this model.
    ///
    /// # Errors
    /// [`Code::TooYoung`] or [`Code::TooSmall`] for a film outside the model's intended use, [`Code::InternalFault`] if
    /// the network or its answer failed.
    pub fn read(&self, film: &Radiograph, maps: HeatMaps) -> Result<Reading, Refusal> {
        let manifest = self.session.manifest();
        radiograph::of_age(film, manifest.intended_use.minimum_age_years)?;
        radiograph::large_enough(film, manifest.input.detail)?;
        let prepared = input::prepare(&film.grey, self.session.input());
        let activations = self.session.run(&prepared).map_err(internal)?;
        let findings = findings::assess(&activations.logits, manifest, &self.thresholds).map_err(internal)?;
        let heat_maps = match maps {
            HeatMaps::Skip => Vec::new(),
            HeatMaps::Draw => self.heat_maps(&findings, &activations.features)?,
        };
        Ok(Reading { findings, heat_maps, steps: input::steps(&film.grey, self.session.input()) })
    }

    fn heat_maps(&self, findings: &[Finding], features: &[f32]) -> Result<Vec<(usize, HeatMap)>, Refusal> {
        let side = self.session.feature_side();
        let fit = self.session.input().fit;
        let map = |i: usize| grad_cam::heat_map(features, side, self.session.head_weights(i)).map(|map| map.on(fit));
        let trained = findings.iter().enumerate().filter(|(_, f)| f.is_trained());
        trained.map(|(i, _)| Ok((i, map(i).map_err(internal)?))).collect()
    }
}

fn internal(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::InternalFault, error.to_string())
}
