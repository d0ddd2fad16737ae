//! Where films and labels come from: one label file and its image folders, or several mixed with weights.
//!
//! In: the config's own files and the further sources a recipe names. Out: [`Origin`]s. Films and patients of a further
//! source carry its name in front (`chexpert:`), so that two sources can number them alike; their columns are found by the
//! same label set. Never: a patient of one source taken for one of another.

use std::path::PathBuf;

/// One label file with its images.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Name; empty for the config's own.
    pub name: String,
    /// Label file.
    pub labels: PathBuf,
    /// Images of the parts `train` and `val`.
    pub train_images: PathBuf,
    /// Images of the part `test`.
    pub test_images: PathBuf,
    /// Factor on the loss of its films.
    pub loss_weight: f32,
    /// How often a film of it is seen in an epoch: 0.5 every second epoch, 2 twice an epoch.
    pub sampling: f32,
}

impl Origin {
    /// The config's own source.
    pub fn own(config: &super::label_set::PathConfig) -> Self {
        Self {
            name: String::new(),
            labels: config.train_label_path.clone(),
            train_images: config.train_img_path.clone(),
            test_images: config.test_img_path.clone(),
            loss_weight: 1.0,
            sampling: 1.0,
        }
    }

    /// What stands in front of its films and patients.
    fn prefix(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!("{}:", self.name) }
    }

    /// A film or patient of this source by the name that is unique among all sources.
    pub fn qualify(&self, name: &str) -> String {
        self.prefix() + name
    }

    /// The name as the source itself has it.
    pub fn plain<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(&self.prefix()).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_further_source_carry_it_in_front_and_give_it_back() {
        let config: crate::train::label_set::PathConfig = serde_json::from_str(
            r#"{"train_label_path":"a","k_fold_path":"b","train_img_path":"c","test_img_path":"d","snapshot_path":"e"}"#,
        )
        .unwrap();
        let own = Origin::own(&config);
        assert_eq!((own.qualify("x/1.png").as_str(), own.plain("x/1.png")), ("x/1.png", "x/1.png"));
        let other = Origin { name: "chexpert".into(), ..own };
        assert_eq!(other.qualify("x/1.png"), "chexpert:x/1.png");
        assert_eq!(other.plain("chexpert:x/1.png"), "x/1.png");
    }
}
