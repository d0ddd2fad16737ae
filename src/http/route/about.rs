//! What the service says about itself: models, health, metrics, its document, and the page for people.

use super::Context;
use super::answer::Answer;
use super::problem::{Code, Problem};
use super::reading_json::shortest;
use super::request::Request;
use crate::http::page;
use crate::report::record::PROGRAM;
use serde_json::{Value, json};

/// The document of every address (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("openapi.json");

/// GET /v1/models.
pub fn models(context: &Context, request: &Request) -> Result<Answer, Problem> {
    request.only(&[])?;
    let lang = request.lang();
    let models: Vec<Value> = context
        .desk
        .models()
        .into_iter()
        .map(|m| {
            let finding = |f: &crate::model::FindingSpec| {
                json!({
                    "id": f.id,
                    "name": lang.pick(&f.en, &f.zh),
                    "variable": f.variable,
                    "trained": f.trained,
                    "threshold": f.operating.map(|o| shortest(o.threshold)),
                })
            };
            json!({
                "name": m.name,
                "version": m.version,
                "sha256": m.file.sha256,
                "title": lang.pick(&m.title_en, &m.title_zh),
                "input_size": m.input.size,
                "minimum_age_years": m.intended_use.minimum_age_years,
                "findings": m.findings.iter().map(finding).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(Answer::json(200, &json!({"models": models})).with("Content-Language", lang.pick("en", "zh")))
}

/// GET /healthz: the program runs and answers.
pub fn health(request: &Request) -> Result<Answer, Problem> {
    request.only(&[])?;
    Ok(Answer::json(200, &json!({"status": "ok", "program": PROGRAM})))
}

/// GET /readyz: films can be read and kept.
pub fn ready(context: &Context, request: &Request) -> Result<Answer, Problem> {
    request.only(&[])?;
    context.desk.ready()?;
    Ok(Answer::json(200, &json!({"status": "ready"})))
}

/// GET /metrics.
pub fn metrics(context: &Context, request: &Request) -> Result<Answer, Problem> {
    request.only(&[])?;
    let text = context.desk.metrics() + &context.tally.text();
    Ok(Answer::text(200, "text/plain; version=0.0.4; charset=utf-8", &text))
}

/// GET /openapi.json.
pub fn openapi(request: &Request) -> Result<Answer, Problem> {
    request.only(&[])?;
    Ok(Answer::text(200, "application/json", OPENAPI))
}

/// What the page for people may do: load its own files, ask this service, show pictures that it made. No more.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// GET / and /page/{file}.
pub fn page(request: &Request, file: &str) -> Result<Answer, Problem> {
    request.only(&[])?;
    let file = page::file(file).ok_or_else(|| Problem::new(Code::NoSuchPage))?;
    let headers = |answer: Answer| {
        answer.with("ETag", file.etag).with("Cache-Control", "no-cache").with("Content-Security-Policy", PAGE_POLICY)
    };
    if request.header("if-none-match").is_some_and(|tags| tags.split(',').any(|t| t.trim() == file.etag)) {
        return Ok(headers(Answer::empty(304)));
    }
    Ok(headers(Answer::new(200, file.content_type, file.content.to_vec())))
}
