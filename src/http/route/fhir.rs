//! A reading as a FHIR R4 bundle, from its record alone: the film is long gone. The record does not know the film's study, so the
//! patient and the order are named by their identifiers.

use super::Context;
use super::answer::Answer;
use super::problem::{Code, Problem};
use super::reading_json::moment;
use super::readings::known;
use super::request::Request;
use crate::http::desk::Caller;
use crate::report::fhir::{self, MEDIA_TYPE};

/// GET /v1/readings/{id}/fhir.
pub fn bundle(context: &Context, request: &mut Request, by: &Caller, id: &str) -> Result<Answer, Problem> {
    request.only(&[])?;
    let (entry, lang) = (known(context, id, by)?, request.lang());
    if let Some(refusal) = entry.kept.refusal() {
        return Err(Problem::new(Code::NothingToReport).because(refusal.message(lang)));
    }
    let issued = moment(entry.created_ms).ok_or_else(Problem::internal)?;
    let findings = entry.kept.findings();
    let reading = fhir::Reading::kept(&entry.kept, &findings, entry.patient.as_ref(), &entry.id, issued, lang);
    let answer = Answer::json(200, &fhir::bundle(&reading)).with("Content-Type", MEDIA_TYPE);
    Ok(answer.with("Content-Language", lang.pick("en", "zh")))
}
