//! The NIH's own form of labels (ChestX-ray14, Data_Entry_2017.csv): one column `Finding Labels` that lists what a film shows,
//! `Cardiomegaly|Emphysema`, or `No Finding`.
//!
//! In: a cell. Out: what it says of a finding. A finding of the fourteen that is not listed is absent; of others nothing is said.

use super::Truth;
use super::header::NO_FINDING;
use super::set::Label;

/// The fourteen, as the file writes them.
const NAMES: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
];
const NONE: &str = NO_FINDING[1];

/// What a cell lists; a blank one says nothing.
#[derive(Default)]
pub(super) struct Listed<'a>(Vec<&'a str>);

impl<'a> Listed<'a> {
    /// # Errors
    /// A sentence, where the cell has a name that is none of the file's, or says of a film with findings that it has none.
    pub(super) fn of(cell: &'a str) -> Result<Self, String> {
        if cell.trim().is_empty() {
            return Ok(Self::default());
        }
        let names: Vec<&str> = cell.split('|').map(str::trim).collect();
        if let Some(other) = names.iter().find(|n| **n != NONE && !NAMES.contains(n)) {
            return Err(format!("Finding Labels has {other}, allowed are {NONE}, {}", NAMES.join(", ")));
        }
        if names.len() > 1 && names.contains(&NONE) {
            return Err(format!("Finding Labels has {NONE} beside findings"));
        }
        Ok(Self(names))
    }

    /// Whether it says that nothing was found; `None` where it is blank.
    pub(super) fn normal(&self) -> Option<bool> {
        self.0.first().map(|first| *first == NONE)
    }

    /// What is said of a finding.
    pub(super) fn truth(&self, label: &Label) -> Truth {
        match (speaks_of(label) && !self.0.is_empty(), label.columns.iter().any(|c| self.0.contains(&c.as_str()))) {
            (false, _) => Truth::Unknown,
            (true, true) => Truth::Positive,
            (true, false) => Truth::Negative,
        }
    }
}

/// Whether the list can speak of a finding: one of its public names is among the fourteen.
pub(super) fn speaks_of(label: &Label) -> bool {
    label.columns.iter().any(|c| NAMES.contains(&c.as_str()))
}
