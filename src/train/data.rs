//! The label file of a run: which film, whose, with which findings, in which part.
//!
//! In: label files as [`crate::labels`] reads them; `patient` must stand in them (or in the path, as in CheXpert's), `split`
//! (train, val, test) is used where it does. Out: [`Records`], every film in one part and no patient in two; laterals are
//! left out and counted. Never: a run on a file with faults; all of them are reported at once.

use super::TrainError;
use super::origin::Origin;
use crate::labels::{self, Faults, LabelSet, LabelledFilm, Request, UncertainPolicies};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::labels::Truth;

/// One in so many patients of `train` goes to the test part: a tenth would leave most findings of the
/// public pool fewer positives than a figure needs, and more would be missed in training.
const TEST_ONE_IN: u64 = 7;

/// Where there is no `split` column, one in so many of the remaining patients goes to `val`.
const VAL_ONE_IN: u64 = 8;

/// What a film is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Weights are learnt from it.
    #[default]
    Train,
    /// Thresholds, calibration and stopping are chosen on it.
    Val,
    /// Figures are measured on it, and from them follows whether a head is declared trained. No weight,
    /// threshold, calibration or snapshot is chosen on it.
    Test,
}

impl Part {
    /// The part as files name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// One film of the label file.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Position of its source among the [`Origin`]s.
    pub origin: usize,
    /// Row of the label file, the header being row 1.
    pub row: usize,
    /// Path below the image folder, as [`Origin::qualify`] writes it.
    pub file: String,
    /// Patient.
    pub patient: String,
    /// Age, years; `None` where the file does not say.
    pub age: Option<f64>,
    /// `M`, `F`, or empty.
    pub sex: String,
    /// `PA`, `AP`, or empty.
    pub view: String,
    /// Part.
    pub part: Part,
    /// Fold, where the films are split into folds and this one is not of the test part.
    pub fold: Option<usize>,
    /// Whether the file says that nothing was found, as in [`LabelledFilm`].
    pub normal: Option<bool>,
    /// [findings].
    pub truths: Vec<Truth>,
}

/// The films of the label files.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Films in the order of the files.
    pub films: Vec<Record>,
    /// Name of each finding's columns; empty where no file has any.
    pub columns: Vec<Vec<String>>,
    /// Laterals, which are left out.
    pub laterals: usize,
}

/// Reads the label files of these sources; what is wrong with their rows comes back beside the films, a list for each.
///
/// # Errors
/// [`TrainError::File`] or [`TrainError::Content`] where one cannot be read at all.
pub fn read(origins: &[Origin], set: &LabelSet, uncertain: &UncertainPolicies) -> Result<(Records, Vec<Faults>), TrainError> {
    let mut all = Records { columns: vec![vec![]; set.findings.len()], ..Records::default() };
    let mut faults = Vec::new();
    for (i, origin) in origins.iter().enumerate() {
        let path = &origin.labels;
        let file = std::fs::File::open(path).map_err(|e| TrainError::file(path, e))?;
        let mut of_file = Faults::default();
        let request = Request { uncertain: uncertain.clone(), ..Request::default() };
        let records = parse(file, set, &request, &mut of_file).map_err(|what| TrainError::content(path, what))?;
        faults.push(of_file);
        all.films.extend(records.films.into_iter().map(|film| Record {
            origin: i,
            file: origin.qualify(&film.file),
            patient: origin.qualify(&film.patient),
            ..film
        }));
        for (all, of_file) in all.columns.iter_mut().zip(records.columns) {
            all.extend(of_file.into_iter().filter(|c| !all.contains(c)).collect::<Vec<_>>());
        }
        all.laterals += records.laterals;
    }
    Ok((all, faults))
}

fn parse(source: impl std::io::Read, set: &LabelSet, request: &Request, faults: &mut Faults) -> Result<Records, String> {
    let file = labels::read(source, set, request, faults)?;
    let all = file.films.len();
    let films: Vec<Record> = file.films.into_iter().filter(|f| !f.lateral).map(|film| record(film, faults)).collect();
    one_part_a_patient(&films, faults);
    Ok(Records { laterals: all - films.len(), films, columns: file.columns })
}

fn record(film: LabelledFilm, faults: &mut Faults) -> Record {
    let LabelledFilm { row, file, patient, split, age, sex, view, normal, truths, .. } = film;
    if patient.is_empty() {
        faults.add(row, "patient is blank: without it the parts cannot be kept apart");
    }
    let part = part_of(&split, &patient).unwrap_or_else(|what| {
        faults.add(row, what);
        Part::Train
    });
    Record { origin: 0, row, file, patient, age, sex, view, part, fold: None, normal, truths }
}

/// The part of a film: `val` and `test` as the file says; of `train`, a fixed share of the patients is the test part.
fn part_of(split: &str, patient: &str) -> Result<Part, String> {
    match split {
        "val" => Ok(Part::Val),
        "test" => Ok(Part::Test),
        "train" | "" if hash(patient, "test").is_multiple_of(TEST_ONE_IN) => Ok(Part::Test),
        "" if hash(patient, "val").is_multiple_of(VAL_ONE_IN) => Ok(Part::Val),
        "train" | "" => Ok(Part::Train),
        other => Err(format!("split is {other}, allowed are train, val and test")),
    }
}

fn hash(patient: &str, purpose: &str) -> u64 {
    let digest = Sha256::digest(format!("{purpose}:{patient}"));
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn one_part_a_patient(films: &[Record], faults: &mut Faults) {
    let mut parts: BTreeMap<&str, Part> = BTreeMap::new();
    for film in films {
        let first = *parts.entry(&film.patient).or_insert(film.part);
        if first != film.part {
            let (a, b) = (first.as_str(), film.part.as_str());
            faults.add(film.row, format!("patient {} stands in {a} and {b}, allowed is one part", film.patient));
        }
    }
}

impl Records {
    /// Number of patients of a part.
    pub fn patients(&self, part: Part) -> usize {
        self.films.iter().filter(|f| f.part == part).map(|f| &f.patient).collect::<BTreeSet<_>>().len()
    }

    /// Films with finding `finding` in `part`.
    pub fn positives(&self, part: Part, finding: usize) -> usize {
        self.films.iter().filter(|f| f.part == part && f.truths[finding] == Truth::Positive).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> LabelSet {
        toml::from_str(
            r#"
            name = "two"
            title_en = "two"
            title_zh = "两项"
            [[finding]]
            id = "lung_lesion"
            variable = "var_0"
            en = "lung lesion"
            zh = "肺内占位"
            columns = ["Mass", "Nodule"]
            [[finding]]
            id = "fracture"
            variable = "var_1"
            en = "fracture"
            zh = "骨折"
            "#,
        )
        .unwrap()
    }

    fn parsed(text: &str) -> (Records, Faults) {
        let mut faults = Faults::default();
        let records = parse(text.as_bytes(), &set(), &Request::default(), &mut faults).unwrap();
        (records, faults)
    }

    #[test]
    fn a_finding_is_positive_if_any_of_its_public_columns_is_and_unknown_where_all_are_blank() {
        let (records, faults) = parsed("file,patient,Mass,Nodule\na,1,0,1\nb,2,1,\nc,3,0,\nd,4,,\n");
        assert_eq!(faults.count, 0);
        let truths: Vec<_> = records.films.iter().map(|f| f.truths[0]).collect();
        assert_eq!(truths, [Truth::Positive, Truth::Positive, Truth::Negative, Truth::Unknown]);
        assert!(records.films.iter().all(|f| f.truths[1] == Truth::Unknown));
    }

    #[test]
    fn a_column_of_its_own_goes_before_the_public_ones() {
        let (records, _) = parsed("image,patient,Mass,Nodule,var_0,var_1\na,1,1,1,0,1\n");
        assert_eq!(records.films[0].truths, [Truth::Negative, Truth::Positive]);
        assert_eq!(records.columns, [["var_0"], ["var_1"]]);
    }

    #[test]
    fn all_faults_are_reported_at_once_with_their_rows() {
        let text = "file,patient,Mass,split,age\na,1,2,train,\na,1,0,train,0\n,2,0,train,61.0\nb,,0,train,120\n\
                    c,3,x,val,411\nd,3,0,later,058Z\n../e,4,0,val,NaN\nf,5,0\n";
        let (_, faults) = parsed(text);
        let all = faults.lines.join("\n");
        for (row, what) in [
            (2, "Mass is 2"),
            (3, "a stands in row 2"),
            (4, "file is blank"),
            (5, "patient is blank"),
            (6, "Mass is x"),
            (7, "split is later"),
            (7, "patient 3 stands in"),
            (8, "file is ../e"),
            (9, "has 3 fields"),
            (6, "age is 411"),
            (7, "age is 058Z"),
            (8, "age is NaN"),
        ] {
            assert!(all.contains(&format!("row {row}: {what}")), "{what} not in\n{all}");
        }
    }

    #[test]
    fn several_sources_are_mixed_under_names_of_their_own_and_laterals_are_counted() {
        let folder = std::env::temp_dir().join(format!("chexbox-sources-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let origin = |name: &str, text: &str| {
            let labels = folder.join(format!("{name}.csv"));
            std::fs::write(&labels, text).unwrap();
            let (train_images, test_images) = (folder.clone(), folder.clone());
            Origin { name: name.into(), labels, train_images, test_images, loss_weight: 1.0, sampling: 1.0 }
        };
        let nih = origin("", "file,patient,Mass\na.jpg,1,1\n");
        let chexpert = "Path,Sex,Age,Frontal/Lateral,AP/PA,Nodule,var_1\n\
                        train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,-1.0,\n\
                        train/patient00001/study1/view2_lateral.jpg,Female,68,Lateral,,1.0,1.0\n";
        let uncertain = UncertainPolicies::parse(&["lung_lesion=ones"]).unwrap();
        let (records, faults) = read(&[nih, origin("chexpert", chexpert)], &set(), &uncertain).unwrap();
        assert_eq!(faults.iter().map(|f| f.count).collect::<Vec<_>>(), [0, 0]);
        assert_eq!((records.films.len(), records.laterals), (2, 1));
        let film = &records.films[1];
        assert_eq!(film.file, "chexpert:train/patient00001/study1/view1_frontal.jpg");
        assert_eq!((film.patient.as_str(), film.origin, film.view.as_str()), ("chexpert:patient00001", 1, "AP"));
        assert_eq!(film.truths, [Truth::Positive, Truth::Unknown]);
        assert_eq!(records.columns, [vec!["Mass", "Nodule"], vec!["var_1"]]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn no_patient_is_in_two_parts_and_about_a_seventh_is_the_test_part() {
        let rows: String = (0..4000).map(|i| format!("f{i},{},0,train\n", i / 2)).collect();
        let (records, faults) = parsed(&format!("file,patient,Mass,split\n{rows}"));
        assert_eq!(faults.count, 0);
        let test = records.patients(Part::Test);
        assert!((230..340).contains(&test), "{test} of 2000");
        assert_eq!(records.patients(Part::Train) + test, 2000);
    }
}
