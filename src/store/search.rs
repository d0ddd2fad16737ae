//! Readings found by time, patient, finding, status and text, newest first, a page at a time.
//!
//! A page ends with a cursor, not a number of rows: readings that come in meanwhile move nothing.

use super::StoreError;
use super::connection::Store;
use super::reading::{Malformed, Status, Stored};
use super::readings::{COLUMNS, stored};
use crate::limits::{QUERY_CHARS_MAX, READINGS_PAGE_MAX};
use rusqlite::types::Value;
use std::fmt;
use std::str::FromStr;

/// Where a page goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(i64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const WRONG: Malformed = Malformed("a cursor is what the last page gave");
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(WRONG);
        }
        text.parse().map(Self).map_err(|_| WRONG)
    }
}

/// What is asked for; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Made at this time or later, milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Made before this time.
    pub until_ms: Option<i64>,
    /// Patient ID or accession number, exactly.
    pub patient: Option<String>,
    /// The patient's ID may be this one as well; nothing by itself.
    pub or_patient: Option<String>,
    /// A finding that is called.
    pub finding: Option<String>,
    /// How it ended.
    pub status: Option<Status>,
    /// Part of patient's name or id, accession number, film's name, or of the reading's own id.
    pub text: Option<String>,
    /// Go on here.
    pub before: Option<Cursor>,
    /// At most so many; never more than `READINGS_PAGE_MAX`, and one at least.
    pub limit: usize,
}

/// A page of readings.
#[derive(Clone, Debug)]
pub struct Page {
    /// Newest first.
    pub readings: Vec<Stored>,
    /// Where the next page begins; none at the end.
    pub next: Option<Cursor>,
}

impl Query {
    /// The conditions, and the values that go into them.
    fn conditions(&self) -> (String, Vec<Value>) {
        let mut conditions = vec!["1".to_owned()];
        let mut values = Vec::new();
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            conditions.push(condition.replace('?', &format!("?{}", values.len())));
        };
        let text = |text: &String| Value::Text(text.chars().take(QUERY_CHARS_MAX).collect());
        if let Some(since) = self.since_ms {
            add("r.created_ms >= ?", since.into());
        }
        if let Some(until) = self.until_ms {
            add("r.created_ms < ?", until.into());
        }
        if let Some(patient) = &self.patient {
            let cut = |text: &String| text.chars().take(QUERY_CHARS_MAX).collect::<String>();
            let any: Vec<String> = std::iter::once(patient).chain(&self.or_patient).map(cut).collect();
            let among = "IN (SELECT value FROM json_each(?))";
            add(&format!("(r.patient_id {among} OR r.accession {among})"), Value::Text(serde_json::json!(any).to_string()));
        }
        if let Some(finding) = &self.finding {
            let called = "EXISTS (SELECT 1 FROM findings AS f WHERE f.reading = r.seq AND f.finding = ? AND f.positive = 1)";
            add(called, text(finding));
        }
        if let Some(status) = self.status {
            add("r.status = ?", Value::Text(status.as_str().to_owned()));
        }
        if let Some(words) = &self.text {
            let places = ["r.patient_name", "r.patient_id", "r.accession", "r.film_name", "r.id"];
            let places: Vec<String> = places.iter().map(|place| format!("{place} LIKE ? ESCAPE '\\'")).collect();
            add(&format!("({})", places.join(" OR ")), Value::Text(format!("%{}%", literal(words))));
        }
        if let Some(before) = self.before {
            add("r.seq < ?", before.0.into());
        }
        (conditions.join(" AND "), values)
    }
}

/// The text with LIKE's own signs escaped.
fn literal(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars().take(QUERY_CHARS_MAX) {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl Store {
    /// The readings that a query asks for.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn find(&self, query: &Query) -> Result<Page, StoreError> {
        let (conditions, mut values) = query.conditions();
        let limit = query.limit.clamp(1, READINGS_PAGE_MAX);
        // One more than the page, which tells whether there is a next one.
        values.push(Value::Integer(i64::try_from(limit + 1).unwrap_or(i64::MAX)));
        let last = values.len();
        let question = format!("SELECT {COLUMNS} FROM readings AS r WHERE {conditions} ORDER BY r.seq DESC LIMIT ?{last}");
        let mut found: Vec<(Stored, i64)> = self.read(|connection| {
            let mut rows = connection.prepare_cached(&question)?;
            let rows = rows.query_map(rusqlite::params_from_iter(values), stored)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(_, seq)| Cursor(*seq));
        Ok(Page { readings: found.into_iter().map(|(reading, _)| reading).collect(), next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_like_would_expand_is_taken_literally() {
        assert_eq!(literal("50%_a\\b"), "50\\%\\_a\\\\b");
    }

    #[test]
    fn only_a_cursor_parses_as_a_cursor() {
        assert_eq!("17".parse(), Ok(Cursor(17)));
        for text in ["", "-1", "+1", "1x", "99999999999999999999"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
