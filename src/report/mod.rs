//! Reports: what a reading says, for machines (JSON, CSV), for people (a table) and for the eye
//! (heat maps, a contact sheet).
//!
//! In: a [`View`] of one film, read or refused. Out: text or the bytes of a PNG file; nothing here
//! opens a file. Never: a number for an untrained finding, a refusal that looks like "nothing
//! found", a finding without the notice that this is a screening aid.

mod canvas;
mod colour;
pub mod comparison;
pub mod csv;
pub mod dicom;
mod display;
pub mod evaluation;
pub mod fhir;
mod heat_layer;
pub mod kept;
mod layer;
mod lettering;
mod overlay;
pub mod page;
mod panel;
pub mod plot;
pub mod reading_page;
pub mod record;
mod sheet;
pub mod table;
pub mod words;

pub use canvas::PictureError;
pub use display::Display;
pub use evaluation::aligned;
pub use layer::{film_of_png, film_png, layer};
pub use overlay::overlay;
pub use sheet::{Tile, sheet, shown};

use crate::findings::{Call, Finding, FindingState};
use crate::lang::Lang;
use crate::model::Manifest;
use crate::radiograph::{Facts, Refusal, Step};
use std::cmp::Ordering;

/// One film on one model: read or refused.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// It was read.
    Read(ReadView<'a>),
    /// It was not.
    Refused(RefusedView<'a>),
}

/// A film that was read.
#[derive(Clone, Copy, Debug)]
pub struct ReadView<'a> {
    /// The file as the user named it.
    pub file: &'a str,
    /// What the file says about the film.
    pub facts: &'a Facts,
    /// Every step the pixels went through, decoding to normalisation.
    pub steps: &'a [Step],
    /// The model.
    pub manifest: &'a Manifest,
    /// Its findings, in the order of the label set.
    pub findings: &'a [Finding],
    /// What ran the model: program part, kernels, instruction set.
    pub engine: &'a str,
}

/// A film that was not read.
#[derive(Clone, Copy, Debug)]
pub struct RefusedView<'a> {
    /// The file as the user named it.
    pub file: &'a str,
    /// Why, and what to do.
    pub refusal: &'a Refusal,
    /// The model that was asked for, where that is known.
    pub manifest: Option<&'a Manifest>,
}

/// The numbers of an assessed finding, beside the finding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assessed<'a> {
    pub finding: &'a Finding,
    pub probability: f32,
    pub threshold: f32,
    pub call: Call,
}

impl<'a> Assessed<'a> {
    /// The numbers of a finding; `None` for an untrained one.
    pub(crate) fn of(finding: &'a Finding) -> Option<Self> {
        match finding.state {
            FindingState::Untrained => None,
            FindingState::Assessed { probability, threshold, call, .. } => {
                Some(Self { finding, probability: probability.value(), threshold, call })
            }
        }
    }

    /// Every assessed finding: the positive ones first, then by falling probability.
    pub(crate) fn ranked(findings: &'a [Finding]) -> Vec<Self> {
        let mut ranked: Vec<Self> = findings.iter().filter_map(Self::of).collect();
        ranked.sort_by(|a, b| {
            let by_call = (b.call == Call::Positive).cmp(&(a.call == Call::Positive));
            by_call.then(b.probability.partial_cmp(&a.probability).unwrap_or(Ordering::Equal))
        });
        ranked
    }
}

/// The name of a finding in the user's language.
pub fn name(finding: &Finding, lang: Lang) -> &str {
    lang.pick(&finding.en, &finding.zh)
}

/// The name of a finding as the start of a line: with a capital letter where the script has them.
pub(crate) fn shown_name(finding: &Finding, lang: Lang) -> String {
    let mut letters = name(finding, lang).chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Names of the untrained findings.
pub(crate) fn unavailable(findings: &[Finding], lang: Lang) -> Vec<&str> {
    findings.iter().filter(|f| f.state == FindingState::Untrained).map(|f| name(f, lang)).collect()
}

/// The last part of a path, without its folders.
pub(crate) fn base_name(file: &str) -> &str {
    file.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(file)
}

#[cfg(test)]
pub(crate) mod examples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positive_findings_come_first_then_the_more_probable() {
        let findings = examples::findings(&[(0.9, 0.95), (0.3, 0.2), (0.5, 0.6), (0.4, 0.3)]);
        let order: Vec<f32> = Assessed::ranked(&findings).iter().map(|a| a.probability).collect();
        assert_eq!(order, [0.4, 0.3, 0.9, 0.5]);
    }

    #[test]
    fn a_base_name_has_no_folder() {
        for (file, want) in
            [("a/b.dcm", "b.dcm"), ("b.dcm", "b.dcm"), ("C:\\x\\y.png", "y.png"), ("a/b/", "b"), ("/", "/"), ("", "")]
        {
            assert_eq!(base_name(file), want);
        }
    }
}
