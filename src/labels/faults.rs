//! Faults of a label file: gathered with their rows and reported all at once, so that a file is
//! corrected in one go.

/// Most faults that are listed; the rest are counted.
const FAULTS_LISTED: usize = 50;

/// Faults of a label file, gathered.
#[derive(Debug, Default)]
pub struct Faults {
    pub(crate) count: usize,
    pub(crate) lines: Vec<String>,
}

/// Every fault of one file, for people.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} has {}:\n{list}", if *count == 1 { "1 fault".to_owned() } else { format!("{count} faults") })]
pub struct FaultList {
    /// The file.
    pub path: String,
    /// Number of faults.
    pub count: usize,
    /// One fault a line, with its row.
    pub list: String,
}

impl Faults {
    /// Adds the fault of one row, the header being row 1.
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

    /// Ends the gathering.
    ///
    /// # Errors
    /// [`FaultList`] of the file named `path` if there was any fault.
    pub fn check(self, path: impl std::fmt::Display) -> Result<(), FaultList> {
        if self.count == 0 {
            return Ok(());
        }
        let rest = self.count - self.lines.len();
        let more = if rest > 0 { format!("\nand {rest} more") } else { String::new() };
        Err(FaultList { path: path.to_string(), count: self.count, list: self.lines.join("\n") + &more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_counted_and_the_first_fifty_are_listed() {
        assert!(Faults::default().check("labels.csv").is_ok());
        let mut faults = Faults::default();
        (2..62).for_each(|row| faults.add(row, "blank"));
        let error = faults.check("labels.csv").unwrap_err().to_string();
        for part in ["labels.csv has 60 faults", "row 2: blank", "row 51: blank", "and 10 more"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("row 52"));
    }
}
