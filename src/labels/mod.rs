//! Labels: what somebody says about films, in CSV files, and the label sets that give their columns a meaning.
//!
//! In: the text of a label file and a [`LabelSet`]. Out: [`LabelFile`], the labelled films with one [`Truth`] for each
//! finding; two files merged ([`merge`]). Never: a file with a fault that is used; all faults are gathered with their row
//! numbers ([`Faults`]) and reported at once. Training and evaluation read labels with the same code.

pub mod boxes;
mod faults;
mod film;
mod header;
mod listed;
pub mod merge;
pub mod path;
mod row;
mod set;
mod table;
mod uncertain;

pub use header::{NO_FINDING, file_column};

pub use boxes::{BoxColumn, FindingBox};
pub use faults::{FaultList, Faults};
pub use film::{LabelFile, LabelledFilm, Only, Request, read};
pub use row::AGE_MAX;
pub use set::{Label, LabelSet, LabelSetError};
pub use table::{SOURCE_SUFFIX, Table};
pub use uncertain::{Uncertain, UncertainPolicies, UncertainPolicyError};

/// What a label file says about one finding of one film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Present.
    Positive,
    /// Absent.
    Negative,
    /// Not said; takes no part in a loss or a figure.
    Unknown,
}

impl Truth {
    /// Whether the finding is there; `None` where that is not known.
    pub fn known(self) -> Option<bool> {
        match self {
            Self::Positive => Some(true),
            Self::Negative => Some(false),
            Self::Unknown => None,
        }
    }
}
