//! An evaluation for people (a table, a page) and for machines (CSV; JSON is the evaluation itself).
//!
//! Never: a figure that is not defined shown as a number; a film that took no part passed over.

mod csv;
mod page;
mod table;

pub use csv::csv;
pub use page::page;
pub use table::{aligned, table};

use crate::lang::Lang;
use crate::stats::Interval;

/// Three digits, or a dash where there is no number.
pub(super) fn digits(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"))
}

/// `0.712 (0.650-0.774)`.
pub(super) fn with_interval(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "-".to_owned(), |i| format!("{:.3} ({:.3}-{:.3})", i.value, i.low, i.high))
}

/// Why a film took no part, in words; a refusal's code as it is.
pub(super) fn why(code: &str, lang: Lang) -> &str {
    match code {
        "lateral" => lang.pick("lateral by the label file", "标签文件标为侧位"),
        "no_reading" => lang.pick("no reading or no file", "无阅片结果或无文件"),
        code => code,
    }
}

/// Reasons and how many films each has, the most frequent first.
pub(super) fn reasons<'a>(all: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    all.for_each(|why| *counts.entry(why).or_insert(0) += 1);
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts
}
