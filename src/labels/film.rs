//! The label file: which film, whose, with which findings.
//!
//! In: a CSV with a header and a label set. The film's path is in a column `file`, `image` or `Path`; `patient`, `split`,
//! `age` (years), `sex` and `view` are used where they stand. Labels are 1, 0, -1 (uncertain) and blank. Out:
//! [`LabelFile`]. Never: a film twice, a value that was guessed; every fault is noted with its row.

use super::Truth;
use super::boxes::{self, BoxColumn, FindingBox};
use super::faults::Faults;
use super::header::Header;
use super::set::LabelSet;
use super::uncertain::{Uncertain, UncertainPolicies};
use std::collections::BTreeMap;

/// Greatest age that is believed, years, as in the manifest.
pub const AGE_MAX: f64 = 120.0;

/// One film of a label file.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledFilm {
    /// Row of the label file, the header being row 1.
    pub row: usize,
    /// Path below the image folder.
    pub file: String,
    /// Patient; empty where the file does not say.
    pub patient: String,
    /// Part, as the file writes it.
    pub split: String,
    /// Age, years; `None` where the file does not say.
    pub age: Option<f64>,
    /// `M`, `F`, empty, or what else the file says.
    pub sex: String,
    /// `PA`, `AP`, empty, or what else the file says.
    pub view: String,
    /// Whether the file says that it is a lateral.
    pub lateral: bool,
    /// [findings].
    pub truths: Vec<Truth>,
    /// Boxes of the columns asked for.
    pub boxes: Vec<FindingBox>,
}

/// The films of a label file.
#[derive(Clone, Debug)]
pub struct LabelFile {
    /// Films in the order of the file.
    pub films: Vec<LabelledFilm>,
    /// Names of each finding's columns; empty where the file has none.
    pub columns: Vec<Vec<String>>,
    /// Rows that [`Request::only`] leaves out.
    pub left_out: usize,
}

/// Only films whose column has this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// Column.
    pub column: String,
    /// Value.
    pub value: String,
}

impl std::str::FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (column, value) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not COLUMN=VALUE, for example split=val"))?;
        Ok(Self { column: column.trim().to_owned(), value: value.trim().to_owned() })
    }
}

/// What is wanted of a label file.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// What uncertain labels count as.
    pub uncertain: UncertainPolicies,
    /// Which films.
    pub only: Vec<Only>,
    /// Columns with boxes.
    pub boxes: Vec<BoxColumn>,
}

/// Columns that a request names.
struct Asked<'a> {
    only: Vec<(usize, &'a str)>,
    boxes: Vec<(usize, &'a BoxColumn)>,
}

/// Reads a label file; what is wrong with its rows is added to `faults`.
///
/// # Errors
/// A sentence, where the header lacks a column without which no row can be read.
pub fn read(source: impl std::io::Read, set: &LabelSet, wanted: &Request, faults: &mut Faults) -> Result<LabelFile, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
    let names = reader.headers().map_err(|e| e.to_string())?.clone();
    let header = Header::find(&names, set)?;
    let column = |name: &str| {
        let all: Vec<&str> = names.iter().collect();
        names
            .iter()
            .position(|n| n.trim() == name)
            .ok_or_else(|| format!("there is no column {name}, the file has {}", all.join(", ")))
    };
    let asked = Asked {
        only: wanted.only.iter().map(|o| Ok((column(&o.column)?, o.value.as_str()))).collect::<Result<_, String>>()?,
        boxes: wanted.boxes.iter().map(|b| Ok((column(&b.column)?, b))).collect::<Result<_, String>>()?,
    };
    let rows = Rows { names: &names, header: &header, set, asked, uncertain: &wanted.uncertain };
    let (mut films, mut left_out, mut seen) = (Vec::new(), 0, BTreeMap::new());
    for (i, line) in reader.records().enumerate() {
        let row = i + 2;
        match line {
            Err(e) => faults.add(row, e),
            Ok(line) if line.len() != names.len() => {
                faults.add(row, format!("has {} fields, the header has {}", line.len(), names.len()));
            }
            Ok(line) if !rows.wanted(&line) => left_out += 1,
            Ok(line) => {
                let film = rows.film(row, &line, faults);
                if let Some(first) = seen.insert(film.file.clone(), row) {
                    faults.add(row, format!("{} stands in row {first} already", film.file));
                }
                films.push(film);
            }
        }
    }
    let columns = header.labels.iter().map(|at| at.iter().map(|&i| names[i].to_owned()).collect()).collect();
    Ok(LabelFile { films, columns, left_out })
}

/// What every row is read with.
struct Rows<'a> {
    names: &'a csv::StringRecord,
    header: &'a Header,
    set: &'a LabelSet,
    asked: Asked<'a>,
    uncertain: &'a UncertainPolicies,
}

impl Rows<'_> {
    fn wanted(&self, line: &csv::StringRecord) -> bool {
        self.asked.only.iter().all(|(i, value)| line.get(*i).unwrap_or("").trim() == *value)
    }

    fn film(&self, row: usize, line: &csv::StringRecord, faults: &mut Faults) -> LabelledFilm {
        let header = self.header;
        let text = |at: Option<usize>| at.and_then(|i| line.get(i)).unwrap_or("").trim().to_owned();
        let file = text(Some(header.file));
        if file.is_empty() {
            faults.add(row, "file is blank");
        }
        if std::path::Path::new(&file).components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
            faults.add(row, format!("file is {file}, allowed is a path below the image folder"));
        }
        let truths = header.labels.iter().zip(&self.set.findings);
        let truths = truths.map(|(at, label)| self.truth(row, line, at, self.uncertain.of(&label.id), faults)).collect();
        let age = age_of(&text(header.age)).unwrap_or_else(|what| {
            faults.add(row, what);
            None
        });
        let mut found = Vec::new();
        for (i, column) in &self.asked.boxes {
            match boxes::parse(line.get(*i).unwrap_or(""), column) {
                Ok(of_cell) => found.extend(of_cell),
                Err(what) => faults.add(row, what),
            }
        }
        let patient = match header.patient {
            Some(i) => text(Some(i)),
            None => patient_in_path(&file),
        };
        LabelledFilm {
            row,
            patient,
            split: text(header.split),
            age,
            sex: sex(&text(header.sex)),
            view: text(header.view).to_ascii_uppercase(),
            lateral: text(header.projection).eq_ignore_ascii_case("lateral"),
            truths,
            boxes: found,
            file,
        }
    }

    /// Positive if any column is; negative if any is and none is positive.
    fn truth(&self, row: usize, line: &csv::StringRecord, columns: &[usize], uncertain: Uncertain, faults: &mut Faults) -> Truth {
        let mut truth = Truth::Unknown;
        for &i in columns {
            let said = match line.get(i).unwrap_or("").trim() {
                "" => Truth::Unknown,
                "0" | "0.0" => Truth::Negative,
                "1" | "1.0" => Truth::Positive,
                "-1" | "-1.0" => match uncertain {
                    Uncertain::Ignore => Truth::Unknown,
                    Uncertain::Zeros => Truth::Negative,
                    Uncertain::Ones => Truth::Positive,
                },
                other => {
                    faults.add(row, format!("{} is {other}, allowed are 0, 1, -1 and blank", &self.names[i]));
                    Truth::Unknown
                }
            };
            truth = match (truth, said) {
                (Truth::Positive, _) | (_, Truth::Positive) => Truth::Positive,
                (Truth::Negative, _) | (_, Truth::Negative) => Truth::Negative,
                _ => Truth::Unknown,
            };
        }
        truth
    }
}

/// An age in years.
fn age_of(text: &str) -> Result<Option<f64>, String> {
    match text.parse::<f64>() {
        _ if text.is_empty() => Ok(None),
        Ok(age) if (0.0..=AGE_MAX).contains(&age) => Ok(Some(age)),
        _ => Err(format!("age is {text}, allowed are 0 to {AGE_MAX} years and blank")),
    }
}

fn sex(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "m" | "male" => "M".to_owned(),
        "f" | "female" => "F".to_owned(),
        _ => text.to_owned(),
    }
}

/// CheXpert has no column for the patient: `CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg`.
fn patient_in_path(file: &str) -> String {
    let numbered =
        |part: &&str| part.strip_prefix("patient").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    file.split('/').find(numbered).unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> LabelSet {
        let finding = |id: &str, n: usize, columns: &str| {
            format!("[[finding]]\nid = \"{id}\"\nvariable = \"var_{n}\"\nen = \"x\"\nzh = \"x\"\ncolumns = [{columns}]\n")
        };
        let head = "name = \"two\"\ntitle_en = \"two\"\ntitle_zh = \"two\"\n";
        let both = finding("lung_lesion", 0, "\"Mass\", \"Nodule\"") + &finding("pleural_effusion", 1, "");
        LabelSet::parse(&(head.to_owned() + &both)).unwrap()
    }

    fn parsed(text: &str, wanted: &Request) -> (LabelFile, Vec<String>) {
        let mut faults = Faults::default();
        let file = read(text.as_bytes(), &set(), wanted, &mut faults).unwrap();
        (file, faults.lines)
    }

    #[test]
    fn the_form_of_the_nih_is_read() {
        let (file, faults) = parsed("file,patient,age,sex,view,Mass,Nodule\na/1.jpg,7,58,M,PA,0,1\n", &Request::default());
        assert_eq!(faults, Vec::<String>::new());
        let film = &file.films[0];
        assert_eq!((film.file.as_str(), film.patient.as_str(), film.age), ("a/1.jpg", "7", Some(58.0)));
        assert_eq!((film.sex.as_str(), film.view.as_str()), ("M", "PA"));
        assert_eq!(film.truths, [Truth::Positive, Truth::Unknown]);
        assert_eq!(file.columns, [vec!["Mass", "Nodule"], vec![]]);
    }

    #[test]
    fn the_form_of_the_original_project_is_read() {
        let (file, _) = parsed("image,var_0,var_1,Mass\na.png,0,1,1\n", &Request::default());
        assert_eq!(file.films[0].truths, [Truth::Negative, Truth::Positive]);
        assert_eq!(file.columns, [["var_0"], ["var_1"]]);
    }

    #[test]
    fn the_form_of_chexpert_is_read_with_its_uncertain_labels() {
        let text = "Path,Sex,Age,Frontal/Lateral,AP/PA,Lung Lesion,Pleural Effusion\n\
                    C/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,,-1.0\n\
                    C/train/patient00001/study1/view2_lateral.jpg,Female,68,Lateral,,0.0,1.0\n";
        for (policy, want) in [("ignore", Truth::Unknown), ("zeros", Truth::Negative), ("pleural_effusion=ones", Truth::Positive)]
        {
            let uncertain = UncertainPolicies::parse(&[policy]).unwrap();
            let (file, faults) = parsed(text, &Request { uncertain, ..Request::default() });
            assert_eq!(faults, Vec::<String>::new());
            let film = &file.films[0];
            assert_eq!((film.patient.as_str(), film.sex.as_str(), film.view.as_str()), ("patient00001", "F", "AP"));
            assert_eq!(film.truths, [Truth::Unknown, want], "{policy}");
            assert_eq!(file.films.iter().map(|f| f.lateral).collect::<Vec<_>>(), [false, true]);
        }
    }

    #[test]
    fn only_the_films_asked_for_are_read_and_the_others_counted() {
        let wanted = Request { only: vec!["split=val".parse().unwrap()], ..Request::default() };
        let (file, faults) = parsed("file,split,Mass\na,val,1\nb,train,7\nc,val,0\n", &wanted);
        assert_eq!((file.films.len(), file.left_out, faults.len()), (2, 1, 0));
        let missing = Request { only: vec!["fold=1".parse().unwrap()], ..Request::default() };
        let error = read("file,Mass\na,1\n".as_bytes(), &set(), &missing, &mut Faults::default()).unwrap_err();
        assert_eq!(error, "there is no column fold, the file has file, Mass");
    }

    #[test]
    fn all_faults_are_reported_at_once_with_their_rows() {
        let text = "file,age,Mass,b\na,1,2,\na,411,0,\n,61.0,0,\n../e,NaN,x,7\nf,5,0\n";
        let wanted = Request { boxes: vec!["b".parse().unwrap()], ..Request::default() };
        let (_, faults) = parsed(text, &wanted);
        let all = faults.join("\n");
        for what in [
            "row 2: Mass is 2",
            "row 3: a stands in row 2",
            "row 3: age is 411",
            "row 4: file is blank",
            "row 5: file is ../e",
            "row 5: age is NaN",
            "row 5: Mass is x",
            "row 5: b is \"7\"",
            "row 6: has 3 fields",
        ] {
            assert!(all.contains(what), "{what} not in\n{all}");
        }
    }
}
