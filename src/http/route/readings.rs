//! /v1/readings: films in, readings out, found again, removed.

use super::Context;
use super::answer::Answer;
use super::multipart;
use super::problem::{Code, PROBLEM_JSON, Problem, REFUSED};
use super::reading_json::{Form, Maps, address, outcome, reading};
use super::request::{Request, escaped, quoted};
use crate::http::desk::{Ask, Caller, Entry, Film, FilmRead, Given, Made, Query, Status};
use crate::lang::Lang;
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, PAGE_READINGS, READINGS_PAGE_MAX, SEARCH_CHARS_MAX};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use std::sync::Arc;

/// POST /v1/readings.
pub fn create(context: &Context, request: &mut Request, by: &Caller) -> Result<Answer, Problem> {
    request.only(&["model", "heatmaps", "name"])?;
    let (maps, lang) = (maps(request)?, request.lang());
    let key = idempotency_key(request)?;
    let names: Vec<&str> = context.desk.models().iter().map(|m| m.name.as_str()).collect();
    let ask = Ask { models: models(request.value("model"), &names)?, idempotency_key: key };
    let boundary = request.header("content-type").and_then(multipart::boundary).transpose()?;
    let body = Arc::new(std::mem::take(&mut request.body));
    match boundary {
        Some(boundary) => {
            let parts = multipart::parts(&body, &boundary)?;
            if parts.is_empty() {
                return Err(Problem::new(Code::BadBody).because("the form holds no film"));
            }
            let films = parts.into_iter().map(|p| Film::part(&body, p.range, p.name)).collect::<Vec<_>>();
            let names: Vec<Option<String>> = films.iter().map(|f| f.name.clone()).collect();
            let read = context.desk.read(films, &ask, by)?;
            Ok(several(&names, &read, maps, lang))
        }
        None => {
            let name = request.value("name").map(multipart::base_name).filter(|n| !n.is_empty());
            let read = context.desk.read(vec![Film::whole(&body, name)], &ask, by)?;
            single(read.into_iter().next().unwrap_or_default(), ask.models.len(), maps, lang)
        }
    }
}

/// The answer to one film sent by itself.
fn single(read: FilmRead, models: usize, maps: Maps, lang: Lang) -> Result<Answer, Problem> {
    let mut given: Vec<Given> = read.into_iter().collect::<Result<_, _>>()?;
    let status = if given.iter().any(|g| g.made == Made::Now) { 201 } else { 200 };
    if models > 1 {
        let readings: Vec<Value> = given.iter().map(|g| outcome(&g.entry, maps, lang)).collect();
        return Ok(Answer::json(status, &json!({"readings": readings})));
    }
    let entry = given.pop().ok_or_else(Problem::internal)?.entry;
    let value = outcome(&entry, maps, lang);
    Ok(match entry.kept.refusal {
        Some(_) => Answer::json(REFUSED, &value).with("Content-Type", PROBLEM_JSON),
        None => Answer::json(status, &value).with("Location", address(&entry)),
    }
    .with("Content-Language", lang.pick("en", "zh")))
}

/// The answer to the films of a form: each has its reading or its problem, in order.
fn several(names: &[Option<String>], read: &[FilmRead], maps: Maps, lang: Lang) -> Answer {
    let mut readings = Vec::new();
    for (name, film) in names.iter().zip(read) {
        for given in film {
            let mut value = match given {
                Ok(given) => outcome(&given.entry, maps, lang),
                Err(fault) => Value::Object(Problem::from(*fault).value(lang)),
            };
            if let Some(object) = value.as_object_mut() {
                object.insert("file".to_owned(), json!(name));
            }
            readings.push(value);
        }
    }
    Answer::json(200, &json!({"readings": readings})).with("Content-Language", lang.pick("en", "zh"))
}

/// GET /v1/readings/{id}.
pub fn show(context: &Context, request: &mut Request, by: &Caller, id: &str) -> Result<Answer, Problem> {
    request.only(&["heatmaps"])?;
    let (entry, lang) = (known(context, id, by)?, request.lang());
    let value = reading(&entry, maps(request)?, Form::Whole, lang);
    Ok(Answer::json(200, &value).with("Content-Language", lang.pick("en", "zh")))
}

/// DELETE /v1/readings/{id}.
pub fn delete(context: &Context, request: &mut Request, by: &Caller, id: &str) -> Result<Answer, Problem> {
    request.only(&[])?;
    if context.desk.delete(id, by)? { Ok(Answer::empty(204)) } else { Err(Problem::new(Code::NoSuchReading)) }
}

/// GET /v1/readings.
pub fn list(context: &Context, request: &mut Request, by: &Caller) -> Result<Answer, Problem> {
    request.only(&["since", "until", "patient", "finding", "status", "q", "limit", "cursor"])?;
    let (query, lang) = (query(request)?, request.lang());
    let found = context.desk.find(&query, by)?;
    let readings: Vec<Value> = found.entries.iter().map(|e| reading(e, Maps::All, Form::Short, lang)).collect();
    let next = found.next.map(|cursor| {
        let kept = request.query.iter().filter(|(name, _)| name != "cursor");
        let kept = kept.map(|(name, value)| format!("{name}={}&", escaped(value))).collect::<String>();
        format!("/v1/readings?{kept}cursor={}", escaped(&cursor))
    });
    Ok(Answer::json(200, &json!({"readings": readings, "next": next})).with("Content-Language", lang.pick("en", "zh")))
}

/// The reading of this name.
pub fn known(context: &Context, id: &str, by: &Caller) -> Result<Entry, Problem> {
    context.desk.reading(id, by)?.ok_or_else(|| Problem::new(Code::NoSuchReading))
}

fn query(request: &Request) -> Result<Query, Problem> {
    let bad = |what: String| Problem::new(Code::BadQuery).because(what);
    let text = |name: &str| match request.value(name).filter(|v| !v.is_empty()) {
        Some(v) if v.chars().count() > SEARCH_CHARS_MAX => {
            Err(bad(format!("{name} is longer than {SEARCH_CHARS_MAX} characters")))
        }
        v => Ok(v.map(str::to_owned)),
    };
    let status = match request.value("status").filter(|v| !v.is_empty()) {
        None => None,
        Some("read") => Some(Status::Read),
        Some("refused") => Some(Status::Refused),
        Some(other) => return Err(bad(format!("status is {}, allowed are read and refused", quoted(other)))),
    };
    let limit = match request.value("limit") {
        None => PAGE_READINGS,
        Some(v) => match v.parse() {
            Ok(n) if (1..=READINGS_PAGE_MAX).contains(&n) => n,
            _ => return Err(bad(format!("limit is {}, allowed are 1 to {READINGS_PAGE_MAX}", quoted(v)))),
        },
    };
    Ok(Query {
        since_ms: time(request, "since", 0)?,
        until_ms: time(request, "until", 1)?,
        patient: text("patient")?,
        finding: text("finding")?,
        status,
        text: text("q")?,
        cursor: request.value("cursor").map(str::to_owned),
        limit,
    })
}

/// A moment (RFC 3339), or a day in UTC: its start, or that of `days` later.
fn time(request: &Request, name: &str, days: i64) -> Result<Option<i64>, Problem> {
    let Some(text) = request.value(name).filter(|v| !v.is_empty()) else { return Ok(None) };
    let moment = text.parse::<Timestamp>().ok();
    let day = || {
        let day = text.parse::<Date>().ok().filter(|_| text.len() == 10)?;
        // The last days of the calendar have no next one; nothing was made behind them.
        let start = day.checked_add(days.days()).ok().and_then(|d| d.to_zoned(TimeZone::UTC).ok());
        Some(start.map_or(Timestamp::MAX, |d| d.timestamp()))
    };
    let wrong = || {
        let what =
            format!("{name} is {}, needed is a moment such as 2026-11-23T08:00:00Z or a day such as 2026-11-23", quoted(text));
        Problem::new(Code::BadQuery).because(what)
    };
    moment.or_else(day).map(|t| Some(t.as_millisecond())).ok_or_else(wrong)
}

/// The heat maps that the query asks for.
fn maps(request: &Request) -> Result<Maps, Problem> {
    let Some(text) = request.value("heatmaps") else { return Ok(Maps::All) };
    let named = Maps::NAMES.iter().find(|(name, _)| *name == text);
    let wrong = || Problem::new(Code::BadQuery).because(format!("heatmaps is {}, allowed are all, positive, none", quoted(text)));
    named.map(|(_, maps)| *maps).ok_or_else(wrong)
}

/// Places of the models asked for among `names`.
fn models(asked: Option<&str>, names: &[&str]) -> Result<Vec<usize>, Problem> {
    match asked {
        None => Ok(vec![0]),
        Some("all") => Ok((0..names.len()).collect()),
        Some(name) => {
            let place = names.iter().position(|n| *n == name);
            let wrong = || format!("model is {}, there are {}, all", quoted(name), names.join(", "));
            place.map(|p| vec![p]).ok_or_else(|| Problem::new(Code::NoSuchModel).because(wrong()))
        }
    }
}

/// Idempotency-Key: visible characters, of bounded length.
fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(key) = request.header("idempotency-key") else { return Ok(None) };
    let key = key.trim();
    if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Some(key.to_owned()));
    }
    let what = format!("Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible characters");
    Err(Problem::new(Code::BadHeader).because(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> Request {
        let (path, query) = Request::target(target).unwrap();
        Request { method: "GET".into(), path, query, headers: Vec::new(), peer: [127, 0, 0, 1].into(), body: Vec::new() }
    }

    #[test]
    fn a_day_is_its_whole_day_and_a_moment_itself() {
        let query = query(&request("/?since=2026-11-23&until=2026-11-23")).unwrap();
        assert_eq!(query.until_ms.unwrap() - query.since_ms.unwrap(), 86_400_000);
        let one = self::query(&request("/?since=2026-11-23T08:00:00%2B08:00")).unwrap();
        assert_eq!(one.since_ms, query.since_ms);
        for broken in ["2026-13-01", "today", "2026-11-23T08", "20261123", "2026-11-23T25:00:00Z"] {
            assert!(time(&request(&format!("/?until={broken}")), "until", 1).is_err(), "{broken}");
        }
    }

    #[test]
    fn the_last_day_of_the_calendar_is_a_day() {
        assert!(
            time(&request("/?until=9999-12-31"), "until", 1).unwrap() > time(&request("/?until=9998-01-01"), "until", 1).unwrap()
        );
    }

    #[test]
    fn limits_states_and_maps_outside_their_lists_are_refused() {
        for good in ["/?limit=1", "/?limit=200", "/?status=read", "/?status=", "/"] {
            assert!(query(&request(good)).is_ok(), "{good}");
        }
        for bad in ["/?limit=0", "/?limit=201", "/?limit=-1", "/?limit=", "/?status=Read"] {
            assert!(query(&request(bad)).is_err(), "{bad}");
        }
        assert!(query(&request(&format!("/?q={}", "a".repeat(SEARCH_CHARS_MAX + 1)))).is_err());
        assert_eq!(maps(&request("/?heatmaps=positive")).unwrap(), Maps::Positive);
        assert!(maps(&request("/?heatmaps=some")).is_err());
    }

    #[test]
    fn a_model_is_named_or_the_first() {
        let names = ["a", "b"];
        for (asked, want) in [(None, vec![0]), (Some("b"), vec![1]), (Some("all"), vec![0, 1])] {
            assert_eq!(models(asked, &names).unwrap(), want);
        }
        assert!(models(Some("c"), &names).is_err());
    }
}
