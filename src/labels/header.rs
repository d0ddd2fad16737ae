//! Where the columns of a label file stand. Four public forms are known by their names: `Image Index` beside `Finding Labels` (NIH),
//! a `file` column beside finding columns, an `image` column beside `var_N` (the original project), `Path` beside fourteen findings (CheXpert).

use super::set::{Label, LabelSet};

/// Columns by what they hold.
pub(super) struct Header {
    pub file: usize,
    pub patient: Option<usize>,
    pub split: Option<usize>,
    pub age: Option<usize>,
    pub sex: Option<usize>,
    pub view: Option<usize>,
    pub projection: Option<usize>,
    /// [findings], the columns that speak of each.
    pub labels: Vec<Vec<usize>>,
    /// Whether nothing was found.
    pub no_finding: Option<usize>,
    /// The NIH's list of what a film shows.
    pub listed: Option<usize>,
}

/// Names of columns, lower case, that do not hold labels.
const FILE: [&str; 5] = ["file", "image", "path", "image_path", "image index"];
const PATIENT: [&str; 3] = ["patient", "patient_id", "patient id"];
const SPLIT: [&str; 1] = ["split"];
const AGE: [&str; 2] = ["age", "patient age"];
const SEX: [&str; 3] = ["sex", "gender", "patient gender"];
const VIEW: [&str; 4] = ["view", "ap/pa", "view_position", "view position"];
const PROJECTION: [&str; 1] = ["frontal/lateral"];
const LISTED: [&str; 1] = ["finding labels"];

/// The label that says that nothing was found, as NIH ChestX-ray14 and CheXpert spell it.
pub const NO_FINDING: [&str; 2] = ["No_Finding", "No Finding"];

fn among(names: &csv::StringRecord, wanted: &[&str]) -> Option<usize> {
    wanted.iter().find_map(|w| names.iter().position(|n| n.trim().eq_ignore_ascii_case(w)))
}

/// The column that names the film.
pub fn file_column(names: &csv::StringRecord) -> Option<usize> {
    among(names, &FILE)
}

/// Whether a column of this name says what a film is, not what it shows.
pub(super) fn is_descriptor(name: &str) -> bool {
    let all = [&FILE[..], &PATIENT, &SPLIT, &AGE, &SEX, &VIEW, &PROJECTION, &LISTED];
    all.iter().any(|names| names.iter().any(|n| name.trim().eq_ignore_ascii_case(n)))
}

/// A column's name as an id would be written: `Pleural Effusion` is `pleural_effusion`.
fn as_id(name: &str) -> String {
    name.trim().chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

impl Header {
    pub fn find(names: &csv::StringRecord, set: &LabelSet) -> Result<Self, String> {
        let at = |name: &str| names.iter().position(|n| n.trim() == name);
        let of = |label: &Label| {
            if let Some(i) = at(&label.variable) {
                return vec![i];
            }
            let public: Vec<usize> = label.columns.iter().filter_map(|c| at(c)).collect();
            if !public.is_empty() {
                return public;
            }
            names.iter().position(|n| !is_descriptor(n) && as_id(n) == label.id).into_iter().collect()
        };
        Ok(Self {
            file: file_column(names).ok_or("the header has none of the columns file, image and Path")?,
            patient: among(names, &PATIENT),
            split: among(names, &SPLIT),
            age: among(names, &AGE),
            sex: among(names, &SEX),
            view: among(names, &VIEW),
            projection: among(names, &PROJECTION),
            labels: set.findings.iter().map(of).collect(),
            no_finding: among(names, &NO_FINDING),
            listed: among(names, &LISTED),
        })
    }
}
