//! How well a model reads: its readings against labels, against readers, and its heat maps against boxes.
//!
//! In: [`Readings`] (made now or read from records), a [`crate::labels::LabelFile`]. Out: an [`Evaluation`], a
//! [`Comparison`], a [`ThresholdFile`]: numbers with their intervals, for [`crate::report`] to show. Never: a film that
//! drops out unseen (each one that takes no part is counted and listed with the reason), a figure for an untrained head.

mod boxes;
mod comparison;
mod figures;
mod groups;
mod matching;
mod readings;
mod thresholds;
mod whole;

pub use boxes::{BoxFigures, MapOnFilm, box_figures, judge};
pub use comparison::{Comparison, ComparisonRow, Readers, Side, Verdict, compare};
pub use figures::{Figures, figures};
pub use groups::{Group, GroupFigures};
pub use matching::{Matched, match_films};
pub use readings::{Head, ModelName, ReadFilm, Readings, Refused};
pub use thresholds::{ChosenPoint, ThresholdFile, ThresholdFileError};
pub use whole::{Evaluation, FilmCounts, LeftOut, Means, Named, Unavailable, evaluate};
