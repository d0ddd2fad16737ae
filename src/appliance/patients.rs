//! What a site keeps of its patients: keys of `chexbox.toml` that begin with `deidentify`, checked.

use super::config::Keys;
use std::path::PathBuf;

/// What is kept of patients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patients {
    /// What the films' headers say.
    Stated,
    /// Pseudonyms alone.
    Pseudonyms {
        /// File with the key; none for systemd's credential.
        key: Option<PathBuf>,
    },
}

impl Patients {
    /// What the keys say. Pictures exclude pseudonyms: they show what is burned into the pixels.
    ///
    /// # Errors
    /// Every value that cannot be meant, in both languages.
    pub fn of(keys: &Keys) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let mut fault = |en: &str, zh: &str| faults.push(format!("{en} / {zh}"));
        if keys.deidentify != Some(true) {
            if keys.deidentify_key.is_some() {
                fault("deidentify-key is set without deidentify", "设置了 deidentify-key 但未设置 deidentify");
            }
            return if faults.is_empty() { Ok(Self::Stated) } else { Err(faults) };
        }
        if keys.keep_images == Some(true) {
            fault(
                "deidentify excludes keep-images: some films have the patient's name burned into their pixels",
                "deidentify 与 keep-images 不能同时使用：部分胸片的像素中含有患者姓名",
            );
        }
        if keys.forward.as_ref().is_some_and(|forward| !forward.is_empty()) {
            fault(
                "deidentify excludes forward: an archive files objects under the patient, who would wait in the store with them",
                "deidentify 与 forward 不能同时使用：发送的对象含有患者身份，并会留在数据目录中",
            );
        }
        if faults.is_empty() { Ok(Self::Pseudonyms { key: keys.deidentify_key.clone() }) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Patients, Vec<String>> {
        Patients::of(&Keys::parse(text).unwrap())
    }

    #[test]
    fn pseudonyms_are_kept_where_the_site_says_so() {
        for (text, want) in [
            ("", Patients::Stated),
            ("deidentify = false", Patients::Stated),
            ("deidentify = true", Patients::Pseudonyms { key: None }),
            ("deidentify = true\ndeidentify-key = \"k\"", Patients::Pseudonyms { key: Some("k".into()) }),
        ] {
            assert_eq!(of(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_would_keep_the_patient_all_the_same_is_named() {
        for (text, named) in [
            ("deidentify-key = \"k\"", "without deidentify"),
            ("deidentify = false\ndeidentify-key = \"k\"", "without deidentify"),
            ("deidentify = true\nkeep-images = true", "burned into"),
            ("deidentify = true\n[[forward]]\nname = \"a\"\nto = \"dicom://A@b:1\"", "excludes forward"),
        ] {
            let said = of(text).unwrap_err().join("\n");
            assert!(said.contains(named), "{text}: {said}");
        }
    }
}
