//! Label sets: which findings there are, and which columns of a label file speak of them. Data, never code.

use crate::limits::FINDINGS_MAX;
use crate::model::Manifest;
use serde::Deserialize;

/// The label sets of the default models.
const SHIPPED: [&str; 2] = [include_str!("../../configs/labels_25.toml"), include_str!("../../configs/labels_10.toml")];

/// A label set: the findings in the order of the logits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSet {
    /// Name of the model, `findings25`.
    pub name: String,
    /// One line for people, English.
    pub title_en: String,
    /// One line for people, Chinese.
    pub title_zh: String,
    /// Where films and labels come from, with the credit that is due: sentences for the model card.
    #[serde(default)]
    pub source: Option<String>,
    /// What these films and labels cannot show: a sentence each, for the model card.
    #[serde(default)]
    pub limits: Vec<String>,
    /// Findings.
    #[serde(rename = "finding")]
    pub findings: Vec<Label>,
}

/// One finding of a label set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// English name in snake_case.
    pub id: String,
    /// Column of the label file.
    pub variable: String,
    /// English name.
    pub en: String,
    /// Chinese name.
    pub zh: String,
    /// Columns of a public label file that stand for it; positive if any of them is.
    #[serde(default)]
    pub columns: Vec<String>,
}

/// Why a label set is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum LabelSetError {
    /// Not TOML, a missing or unknown key, a value of another type.
    #[error("{0}")]
    Syntax(#[from] Box<toml::de::Error>),
    /// No finding, or too many.
    #[error("finding has {0} entries, allowed are 1 to {FINDINGS_MAX}")]
    Count(usize),
    /// An id or a variable that stands twice.
    #[error("finding {at} ({id}, {variable}): id and variable must each stand once")]
    Twice {
        /// Position in the set.
        at: usize,
        /// Its id.
        id: String,
        /// Its variable.
        variable: String,
    },
}

impl LabelSet {
    /// Reads and checks a label set.
    ///
    /// # Errors
    /// [`LabelSetError`] that names the field.
    pub fn parse(text: &str) -> Result<Self, LabelSetError> {
        let set: Self = toml::from_str(text).map_err(Box::new)?;
        if !(1..=FINDINGS_MAX).contains(&set.findings.len()) {
            return Err(LabelSetError::Count(set.findings.len()));
        }
        for (at, label) in set.findings.iter().enumerate() {
            if set.findings.iter().position(|l| l.id == label.id || l.variable == label.variable) != Some(at) {
                return Err(LabelSetError::Twice { at, id: label.id.clone(), variable: label.variable.clone() });
            }
        }
        Ok(set)
    }

    /// The label set of a model: the shipped one where its findings are the model's, else the model's own names.
    pub fn of_model(manifest: &Manifest) -> Self {
        let same = |set: &Self| set.findings.iter().map(|l| &l.id).eq(manifest.findings.iter().map(|f| &f.id));
        SHIPPED.iter().filter_map(|text| Self::parse(text).ok()).find(same).unwrap_or_else(|| {
            let label = |f: &crate::model::FindingSpec| Label {
                id: f.id.clone(),
                variable: f.variable.clone(),
                en: f.en.clone(),
                zh: f.zh.clone(),
                columns: Vec::new(),
            };
            Self {
                name: manifest.name.clone(),
                title_en: manifest.title_en.clone(),
                title_zh: manifest.title_zh.clone(),
                source: None,
                limits: Vec::new(),
                findings: manifest.findings.iter().map(label).collect(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_sets_are_valid_and_an_id_stands_once() {
        for text in SHIPPED {
            LabelSet::parse(text).unwrap();
        }
        let twice = SHIPPED[1].replace("id = \"fracture\"", "id = \"pneumonia\"");
        assert!(LabelSet::parse(&twice).unwrap_err().to_string().contains("pneumonia"));
    }

    #[test]
    fn a_model_of_other_findings_is_labelled_by_its_own_names() {
        let manifest = crate::report::examples::manifest(&[("mass", "肺内占位", Some(0.3)), ("picc", "PICC", None)]);
        let set = LabelSet::of_model(&manifest);
        assert_eq!(set.findings.iter().map(|l| l.id.as_str()).collect::<Vec<_>>(), ["mass", "picc"]);
        assert!(set.findings.iter().all(|l| l.columns.is_empty()));
    }
}
