//! Auxiliary heads: what a film's row says besides the findings of the label set. Trained beside them, they give the
//! trunk more to learn from; an export cuts them off.
//!
//! In: a label file, a teacher's soft labels. Out: for each film sex (1: F), view (1: AP), age (a share of 100 years;
//! cross-entropy of a share is least at its mean), every public label that does not by itself stand for a finding, and the
//! teacher's features. Never: a head of the bundle.

use super::TrainError;
use super::data::{Part, Record};
use super::label_set::LabelSet;
use super::origin::Origin;
use super::soft::Soft;
use super::study::POSITIVES_MIN;
use crate::labels::NO_FINDING;
use std::collections::HashMap;
use std::path::Path;

/// Years that an age is a share of.
const YEARS: f64 = 100.0;

/// Labels of NIH ChestX-ray14 and of CheXpert, as their files spell them.
const PUBLIC: [&str; 26] = [
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
    NO_FINDING[0],
    NO_FINDING[1],
    "Enlarged Cardiomediastinum",
    "Lung Opacity",
    "Lung Lesion",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "Pleural Thickening",
    "Lung Calcification",
    "Scoliosis",
];

/// The heads that a row gives beside its public labels.
pub(super) const OF_ROW: [&str; 3] = ["sex", "view", "age"];

/// Auxiliary targets of films.
pub struct Auxiliary {
    /// Name of each head.
    pub heads: Vec<String>,
    /// [films][heads], 0 to 1; `None` where the file does not say.
    pub values: Vec<Vec<Option<f32>>>,
}

impl Auxiliary {
    /// No heads.
    pub fn none(films: usize) -> Self {
        Self { heads: vec![], values: vec![vec![]; films] }
    }

    /// What the label files of these sources say of these films.
    ///
    /// # Errors
    /// [`TrainError`] where a label file cannot be read.
    pub fn read(origins: &[Origin], set: &LabelSet, films: &[Record]) -> Result<Self, TrainError> {
        let files: Vec<(Vec<String>, Columns)> = origins.iter().map(|o| columns(&o.labels, set)).collect::<Result<_, _>>()?;
        let mut heads: Vec<String> = vec![];
        for name in files.iter().flat_map(|(names, _)| names) {
            if !heads.contains(name) {
                heads.push(name.clone());
            }
        }
        let public = |film: &Record, head: &String| {
            let (names, films) = &files[film.origin];
            films.get(origins[film.origin].plain(&film.file))?[names.iter().position(|n| n == head)?]
        };
        let of = |film: &Record| -> Vec<Option<f32>> {
            let of_row = [is(&film.sex, "F", "M"), is(&film.view, "AP", "PA"), film.age.map(share)];
            heads.iter().map(|head| public(film, head)).chain(of_row).collect()
        };
        let values = films.iter().map(of).collect();
        heads.extend(OF_ROW.map(str::to_owned));
        Ok(Self { heads, values })
    }

    /// Adds a head for each of the teacher's features, which are the last values of its films.
    pub fn add_features(&mut self, soft: &Soft, films: &[Record]) {
        self.heads.extend_from_slice(soft.features());
        for (values, film) in self.values.iter_mut().zip(films) {
            let of = soft.of(&film.file);
            values.extend_from_slice(&of[of.len() - soft.features().len()..]);
        }
    }

    /// The heads that have evidence: both answers often enough in train.
    pub fn with_evidence(&self, films: &[Record]) -> Vec<usize> {
        (0..self.heads.len()).filter(|&h| has_evidence(films, &self.values, h)).collect()
    }
}

fn is(text: &str, yes: &str, no: &str) -> Option<f32> {
    match text {
        _ if text == yes => Some(1.0),
        _ if text == no => Some(0.0),
        _ => None,
    }
}

fn share(age: f64) -> f32 {
    (age / YEARS).clamp(0.0, 1.0) as f32
}

fn has_evidence(films: &[Record], values: &[Vec<Option<f32>>], head: usize) -> bool {
    let train = || films.iter().zip(values).filter(|(f, _)| f.part == Part::Train).filter_map(|(_, v)| v[head]);
    train().filter(|v| *v >= 0.5).count() >= POSITIVES_MIN && train().filter(|v| *v < 0.5).count() >= POSITIVES_MIN
}

/// Public labels by film.
type Columns = HashMap<String, Vec<Option<f32>>>;

/// The public columns that do not by themselves stand for a finding of the set, and what they say of each film.
fn columns(path: &Path, set: &LabelSet) -> Result<(Vec<String>, Columns), TrainError> {
    let fault = |e: csv::Error| TrainError::content(path, e.to_string());
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(fault)?;
    let names = reader.headers().map_err(fault)?.clone();
    let Some(film) = crate::labels::file_column(&names) else { return Ok((vec![], HashMap::new())) };
    let stands = |column: &&String| names.iter().any(|n| n.trim() == *column);
    let is_finding = |name: &str| set.findings.iter().any(|f| f.columns.iter().filter(stands).eq([name]));
    let wanted: Vec<usize> =
        (0..names.len()).filter(|&i| PUBLIC.contains(&names[i].trim()) && !is_finding(names[i].trim())).collect();
    let mut found = HashMap::new();
    for line in reader.records() {
        let line = line.map_err(fault)?;
        let value = |i: &usize| line.get(*i).and_then(|t| is(t.trim().trim_end_matches(".0"), "1", "0"));
        found.insert(line.get(film).unwrap_or("").trim().to_owned(), wanted.iter().map(value).collect());
    }
    Ok((wanted.iter().map(|&i| names[i].trim().to_owned()).collect(), found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_labels_that_are_no_finding_become_heads_where_both_answers_are_frequent() {
        let folder = std::env::temp_dir().join(format!("chexbox-auxiliary-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("labels.csv");
        let set: LabelSet = toml::from_str(
            "name='x'\ntitle_en='x'\ntitle_zh='x'\n[[finding]]\nid='a'\nvariable='var_0'\nen='a'\nzh='a'\ncolumns=['Edema']\n\
             [[finding]]\nid='b'\nvariable='var_1'\nen='b'\nzh='b'\ncolumns=['Mass','Nodule']\n",
        )
        .unwrap();
        let mut text = String::from("file,patient,Edema,Mass,Nodule,Hernia,split\n");
        let mut films = vec![];
        for i in 0..60 {
            text += &format!("f{i},{i},{},{},{},{},train\n", i % 2, i % 2, if i == 3 { "" } else { "1" }, u8::from(i == 0));
            let (sex, view) = (["M", "F"][i % 2].to_owned(), String::new());
            let (row, file, patient, age) = (i + 2, format!("f{i}"), i.to_string(), Some(2.0 * i as f64));
            films.push(Record { row, file, patient, age, sex, view, ..Record::default() });
        }
        std::fs::write(&path, text).unwrap();
        let (labels, images) = (path, folder.clone());
        let origin = Origin {
            name: String::new(),
            labels,
            train_images: images.clone(),
            test_images: images,
            loss_weight: 1.0,
            sampling: 1.0,
        };
        let found = Auxiliary::read(&[origin], &set, &films).unwrap();
        // Edema is a finding; Nodule has no negatives and Hernia one positive; nothing is known of the view.
        assert_eq!(found.heads, ["Mass", "Nodule", "Hernia", "sex", "view", "age"]);
        assert_eq!(found.with_evidence(&films), [0, 3, 5]);
        assert_eq!(found.values[3], [Some(1.0), None, Some(0.0), Some(1.0), None, Some(0.06)]);
        assert_eq!(found.values[59], [Some(1.0), Some(1.0), Some(0.0), Some(1.0), None, Some(1.0)]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
