//! Faults of a label file: gathered with their rows and reported all at once, so that a file is
//! corrected in one go.

use super::TrainError;
use std::path::Path;

/// Most faults that are listed; the rest are counted.
const FAULTS_LISTED: usize = 50;

/// Faults of a label file, gathered.
#[derive(Debug, Default)]
pub struct Faults {
    pub(super) count: usize,
    pub(super) lines: Vec<String>,
}

impl Faults {
    /// Adds the fault of one row.
    pub fn add(&mut self, row: usize, what: impl std::fmt::Display) {
        self.note(format!("row {row}: {what}"));
    }

    /// Adds a fault that has no row.
    pub fn note(&mut self, what: impl std::fmt::Display) {
        self.count += 1;
        if self.lines.len() < FAULTS_LISTED {
            self.lines.push(what.to_string());
        }
    }

    /// # Errors
    /// [`TrainError::Labels`] if there was any fault.
    pub fn into_result(self, path: &Path) -> Result<(), TrainError> {
        if self.count == 0 {
            return Ok(());
        }
        let rest = self.count - self.lines.len();
        let more = if rest > 0 { format!("\nand {rest} more") } else { String::new() };
        Err(TrainError::Labels { path: path.display().to_string(), count: self.count, list: self.lines.join("\n") + &more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_counted_and_the_first_fifty_are_listed() {
        assert!(Faults::default().into_result(Path::new("labels.csv")).is_ok());
        let mut faults = Faults::default();
        (2..62).for_each(|row| faults.add(row, "blank"));
        let error = faults.into_result(Path::new("labels.csv")).unwrap_err().to_string();
        for part in ["labels.csv has 60 faults", "row 2: blank", "row 51: blank", "and 10 more"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("row 52"));
    }
}
