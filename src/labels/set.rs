//! Label sets: which findings there are, and which columns of a label file speak of them. Data, never code.

use crate::limits::FINDINGS_MAX;
use crate::model::Manifest;
use serde::Deserialize;
use std::collections::BTreeMap;

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
    /// Labels that are learnt only from films whose path begins so, by finding or column: where the films with a label were
    /// collected apart from the others, how a film was stored would tell it, and a network would learn that instead.
    #[serde(default)]
    pub learn_below: BTreeMap<String, Vec<String>>,
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

impl Label {
    /// Everything that this finding is called: id, variable and columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [self.id.as_str(), self.variable.as_str()].into_iter().chain(self.columns.iter().map(String::as_str))
    }

    /// Whether a box of this label shows the finding.
    pub fn shows(&self, label: &str) -> bool {
        self.names().any(|name| name == label)
    }
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

    /// Whether a label may be learnt from the film at `file`; `names` are the finding's id, variable and columns, or a column.
    pub fn learns<'a>(&self, mut names: impl Iterator<Item = &'a str>, file: &str) -> bool {
        let below = names.find_map(|name| self.learn_below.get(name));
        below.is_none_or(|below| below.iter().any(|start| file.starts_with(start.as_str())))
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
                learn_below: BTreeMap::new(),
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
    fn a_label_of_films_collected_apart_is_learnt_from_those_alone() {
        let text = SHIPPED[1].replacen("[learn_below]", "[learn_below]\nEdema = [\"256/\", \"x/\"]", 1);
        let set = LabelSet::parse(&text).unwrap();
        let edema = set.findings.iter().find(|l| l.id == "pulmonary_edema").unwrap();
        for (file, learnt) in [("256/a.jpg", true), ("x/b.jpg", true), ("128/a.jpg", false), ("a256/", false)] {
            assert_eq!(set.learns(edema.names(), file), learnt, "{file}");
        }
        assert!(set.learns(["Nodule"].into_iter(), "128/a.jpg"));
    }

    #[test]
    fn a_model_of_other_findings_is_labelled_by_its_own_names() {
        let manifest = crate::report::examples::manifest(&[("mass", "肺内占位", Some(0.3)), ("picc", "PICC", None)]);
        let set = LabelSet::of_model(&manifest);
        assert_eq!(set.findings.iter().map(|l| l.id.as_str()).collect::<Vec<_>>(), ["mass", "picc"]);
        assert!(set.findings.iter().all(|l| l.columns.is_empty()));
    }
}
