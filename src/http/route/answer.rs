//! An answer: a status, headers and a body in memory.

use super::problem::Problem;
use crate::lang::Lang;
use serde::Serialize;

/// What is sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What a page may do: nothing is loaded from elsewhere, nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";

impl Answer {
    /// A body of a content type.
    pub fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![
            ("Content-Type", content_type.to_owned()),
            // Answers hold findings of patients: no cache between keeps them.
            ("Cache-Control", "no-store".to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Referrer-Policy", "no-referrer".to_owned()),
        ];
        Self { status, headers, body }
    }

    /// A value as JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new(status, "application/json", body),
            Err(e) => {
                log::error!("an answer could not be written as JSON: {e}");
                Problem::internal().answer(Lang::En)
            }
        }
    }

    /// A text in a language.
    pub fn text(status: u16, content_type: &str, text: &str) -> Self {
        Self::new(status, content_type, text.as_bytes().to_vec())
    }

    /// A PNG file.
    pub fn png(body: Vec<u8>) -> Self {
        Self::new(200, "image/png", body)
    }

    /// A page that stands alone.
    pub fn page(html: &str) -> Self {
        Self::text(200, "text/html; charset=utf-8", html).with("Content-Security-Policy", POLICY)
    }

    /// Nothing.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: vec![("Cache-Control", "no-store".to_owned())], body: Vec::new() }
    }

    /// The same with another header, or in place of one of that name.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self.headers.push((name, value.into()));
        self
    }
}
