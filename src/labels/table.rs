//! A label file as a table of text, all of its columns kept: what a merge works on.

use super::faults::Faults;
use super::header::{file_column, is_descriptor};
use std::collections::BTreeMap;

/// What follows a label column's name in the name of its source column.
pub const SOURCE_SUFFIX: &str = "@source";

/// A CSV in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows, each with as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a CSV; rows of another length than the header are faults.
    ///
    /// # Errors
    /// A sentence, where there is no header.
    pub fn parse(source: impl std::io::Read, faults: &mut Faults) -> Result<Self, String> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
        let columns: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(|n| n.trim().to_owned()).collect();
        if columns.iter().all(String::is_empty) {
            return Err("has no header".to_owned());
        }
        for (i, name) in columns.iter().enumerate() {
            if columns.iter().position(|n| n == name) != Some(i) {
                faults.add(1, format!("the column {name:?} stands twice"));
            }
        }
        let mut rows = Vec::new();
        for (i, line) in reader.records().enumerate() {
            match line {
                Err(e) => faults.add(i + 2, e),
                Ok(line) if line.len() != columns.len() => {
                    faults.add(i + 2, format!("has {} fields, the header has {}", line.len(), columns.len()));
                }
                Ok(line) => rows.push(line.iter().map(str::to_owned).collect()),
            }
        }
        Ok(Self { columns, rows })
    }

    /// The table as CSV.
    ///
    /// # Errors
    /// What the csv package says; writing to memory gives no cause for it.
    pub fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.columns)?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        writer.into_inner().map_err(|e| csv::Error::from(std::io::Error::from(e.error().kind())))
    }

    pub(super) fn at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c == name)
    }

    /// The column that joins two files: the film's, or the one named.
    pub(super) fn key(&self, by: Option<&str>) -> Result<usize, String> {
        match by {
            Some(name) => self.at(name).ok_or_else(|| format!("has no column {name}, it has {}", self.columns.join(", "))),
            None => file_column(&csv::StringRecord::from(self.columns.clone()))
                .ok_or_else(|| "has none of the columns file, image and Path; --by COLUMN names another".to_owned()),
        }
    }

    /// Columns that hold labels: no descriptor, nothing but 0, 1, -1 and blanks in them, and not all blank.
    pub(super) fn labels(&self, key: usize) -> Vec<usize> {
        let whole = |(said, filled): (usize, usize)| said > 0 && said == filled;
        self.candidates(key).filter(|&c| whole(self.said(c))).collect()
    }

    /// Columns that hold labels, a column of mostly labels with something else in it among them; the something is a fault.
    pub(super) fn labels_or_faults(&self, key: usize, faults: &mut Faults) -> Vec<usize> {
        let mostly = |(said, filled): (usize, usize)| 2 * said > filled;
        let columns: Vec<usize> = self.candidates(key).filter(|&c| mostly(self.said(c))).collect();
        for &c in &columns {
            for (i, row) in self.rows.iter().enumerate().filter(|(_, r)| !r[c].trim().is_empty() && said(&r[c]).is_none()) {
                faults.add(i + 2, format!("{} is {}, allowed are 0, 1, -1 and blank", self.columns[c], row[c]));
            }
        }
        columns
    }

    fn candidates(&self, key: usize) -> impl Iterator<Item = usize> {
        let named = move |c: &usize| *c != key && !is_descriptor(&self.columns[*c]) && !self.columns[*c].ends_with(SOURCE_SUFFIX);
        (0..self.columns.len()).filter(named)
    }

    /// How many cells of a column are labels, and how many are not blank.
    fn said(&self, c: usize) -> (usize, usize) {
        let count = |of: fn(&str) -> bool| self.rows.iter().filter(|r| of(&r[c])).count();
        (count(|v| said(v).is_some()), count(|v| !v.trim().is_empty()))
    }

    /// The rows whose key is blank or stands in a row before are faults.
    pub(super) fn unique(&self, key: usize, faults: &mut Faults) {
        let mut seen = BTreeMap::new();
        for (i, row) in self.rows.iter().enumerate() {
            match row[key].trim() {
                "" => faults.add(i + 2, format!("{} is blank", self.columns[key])),
                name => {
                    if let Some(first) = seen.insert(name, i + 2) {
                        faults.add(i + 2, format!("{name} stands in row {first} already"));
                    }
                }
            }
        }
    }
}

/// What a cell says: `Some(None)` is uncertain, `None` no label at all.
pub(super) fn said(cell: &str) -> Option<Option<bool>> {
    match cell.trim() {
        "1" | "1.0" => Some(Some(true)),
        "0" | "0.0" => Some(Some(false)),
        "-1" | "-1.0" => Some(None),
        _ => None,
    }
}
