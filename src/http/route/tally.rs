//! How often each address gave each status, for /metrics. Names of addresses are patterns: nothing of a request is in them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// Answers by pattern and status.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<(&'static str, u16), u64>>);

impl Tally {
    /// Counts one answer.
    pub fn count(&self, pattern: &'static str, status: u16) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((pattern, status)).or_default() += 1;
    }

    /// In Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text =
            String::from("# HELP chexbox_requests_total Answers by address and status.\n# TYPE chexbox_requests_total counter\n");
        for ((pattern, status), count) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let pattern = if pattern.is_empty() { "none" } else { pattern };
            let _ = writeln!(text, "chexbox_requests_total{{address=\"{pattern}\",status=\"{status}\"}} {count}");
        }
        text
    }
}
