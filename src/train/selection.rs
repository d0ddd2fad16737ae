//! What a run says of its films and labels before any is read.
//!
//! In: flags and recipe, checked. Out: [`Selection`], by which [`super::study`] reads. Never: a file opened.

use super::bundle::MINIMUM_AGE_YEARS;
use super::films::Smaller;
use super::origin::Origin;
use super::provenance::SourceWeights;
use crate::labels::UncertainPolicies;
use std::path::PathBuf;

/// Which films and labels a run learns from.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Side that films are reduced to before anything else, pixels.
    pub detail: usize,
    /// Films of patients known to be younger are left out, years.
    pub minimum_age: f64,
    /// What becomes of films stored smaller than `detail`.
    pub smaller: Smaller,
    /// Whether there are auxiliary heads.
    pub auxiliary: bool,
    /// A teacher's probabilities and their share of the loss.
    pub soft: Option<(PathBuf, f32)>,
    /// What a film without a finding counts of the others, 0 to 1.
    pub normal_weight: f32,
    /// What uncertain labels count as.
    pub uncertain: UncertainPolicies,
    /// How much a label counts by where it is from.
    pub source_weights: SourceWeights,
    /// Sources beside the config's own.
    pub further: Vec<Origin>,
    /// The fold that is `val`, where `k_fold_path` holds folds.
    pub fold: Option<usize>,
}

impl Selection {
    /// Films of at least `detail` pixels of patients of the intended age, with their own labels alone.
    pub fn plain(detail: usize) -> Self {
        Self {
            detail,
            minimum_age: f64::from(MINIMUM_AGE_YEARS),
            smaller: Smaller::LeaveOut,
            auxiliary: false,
            soft: None,
            normal_weight: 1.0,
            uncertain: UncertainPolicies::default(),
            source_weights: SourceWeights::new(),
            further: vec![],
            fold: None,
        }
    }
}
