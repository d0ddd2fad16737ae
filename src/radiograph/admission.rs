//! Whether a decoded film may be read: its pixels must show an upright frontal chest, and its patient must be old enough.

use super::gate::{self, GateVerdict};
use super::refusal::{Code, Refusal};
use super::{Radiograph, Step};
use crate::limits::FILM_ASPECT_MAX;

/// Whether the film is a film's shape and has the pixels that a model learnt from, `detail` along each side.
///
/// # Errors
/// [`Code::TooSmall`].
pub fn large_enough(film: &Radiograph, detail: usize) -> Result<(), Refusal> {
    let (width, height) = (film.grey.width(), film.grey.height());
    if width.min(height) < detail {
        let found = format!("the film is {width} x {height} px, the model needs {detail} along each side");
        return Err(Refusal::new(Code::TooSmall, found));
    }
    Ok(())
}

/// Looks at the pixels: refuses what is no upright frontal chest film, turns round the greys of one that
/// is inverted against its header, and writes down what it did.
///
/// # Errors
/// [`Code::BlankFilm`], [`Code::NotAChest`], [`Code::NotUpright`].
pub fn gate(film: Radiograph) -> Result<Radiograph, Refusal> {
    let (width, height) = (film.grey.width(), film.grey.height());
    if width.max(height) > width.min(height).saturating_mul(FILM_ASPECT_MAX) {
        let detail =
            format!("the picture is {width} x {height} px, a chest film is at most {FILM_ASPECT_MAX} times as long as wide");
        return Err(Refusal::new(Code::NotAChest, detail));
    }
    let verdict = gate::check(&film.grey)?;
    let Radiograph { mut grey, facts, mut steps } = film;
    steps.push(Step::new("gate", verdict.detail()));
    if matches!(verdict, GateVerdict::Inverted(_)) {
        grey = grey.inverted();
        steps.push(Step::new("polarity", "inverted: the pixels show white where air must be black, against what the file says"));
    }
    Ok(Radiograph { grey, facts, steps })
}

/// Whether the patient is old enough for a model; a film whose header states no age passes.
///
/// # Errors
/// [`Code::TooYoung`].
pub fn of_age(film: &Radiograph, minimum_years: u32) -> Result<(), Refusal> {
    match film.facts.age_years {
        Some(age) if age < minimum_years => {
            let detail = format!("Patient's Age (0010,1010) is {age} years, the model is meant for {minimum_years} and over");
            Err(Refusal::new(Code::TooYoung, detail))
        }
        _ => Ok(()),
    }
}
