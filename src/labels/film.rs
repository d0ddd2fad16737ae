//! The label file: which film, whose, with which findings.
//!
//! In: a CSV with a header and a label set. The film's path is in a column `file`, `image` or `Path`; `patient`, `split`,
//! `age` (years), `sex` and `view` are used where they stand. Labels are 1, 0, -1 (uncertain) and blank, each in a column, or
//! the NIH's list of what a film shows in `Finding Labels`. Out: [`LabelFile`]. Never: a film twice, a value that was guessed; every fault is noted with its row.

use super::Truth;
use super::boxes::{BoxColumn, FindingBox};
use super::faults::Faults;
use super::header::Header;
use super::listed;
use super::row::{Asked, Rows};
use super::set::{Label, LabelSet};
use super::uncertain::UncertainPolicies;
use std::collections::BTreeMap;

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
    /// Whether the file says that nothing was found; `None` where it has no column for that.
    pub normal: Option<bool>,
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
    let listed = |label: &Label| header.listed.filter(|_| listed::speaks_of(label)).and_then(|i| names.get(i));
    let own = |at: &[usize]| -> Vec<String> { at.iter().filter_map(|&i| names.get(i)).map(str::to_owned).collect() };
    let columns = header.labels.iter().zip(&set.findings);
    let columns =
        columns.map(|(at, label)| if at.is_empty() { listed(label).map(str::to_owned).into_iter().collect() } else { own(at) });
    let columns = columns.collect();
    Ok(LabelFile { films, columns, left_out })
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
    fn the_official_list_of_the_nih_is_read_and_a_name_that_it_does_not_have_is_a_fault() {
        let text = "Image Index,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position\n\
                    1.png,Mass|Effusion,7,058Y,M,PA\n2.png,No Finding,8,61,F,AP\n3.png,Cardiomegaly,8,61,F,AP\n4.png,,8,61,F,AP\n";
        let (file, faults) = parsed(text, &Request::default());
        assert_eq!(faults, Vec::<String>::new());
        // pleural_effusion of this set names no column of the NIH's, so that nothing is said of it.
        let truths: Vec<Truth> = file.films.iter().map(|f| f.truths[0]).collect();
        assert_eq!(truths, [Truth::Positive, Truth::Negative, Truth::Negative, Truth::Unknown]);
        assert!(file.films.iter().all(|f| f.truths[1] == Truth::Unknown));
        assert_eq!((file.films[0].age, file.films[0].patient.as_str()), (Some(58.0), "7"));
        assert_eq!(file.columns, [vec!["Finding Labels"], vec![]]);
        let (_, faults) = parsed("file,Finding Labels\na,Mass|Masses\nb,No Finding|Mass\n", &Request::default());
        let all = faults.join("\n");
        assert!(
            all.contains("row 2: Finding Labels has Masses") && all.contains("row 3: Finding Labels has No Finding"),
            "{all}"
        );
    }

    #[test]
    fn a_film_is_normal_where_a_label_says_so_in_any_public_form() {
        let normal = |text: &str| {
            let (file, faults) = parsed(text, &Request::default());
            assert_eq!(faults, Vec::<String>::new());
            file.films.iter().map(|f| f.normal).collect::<Vec<_>>()
        };
        assert_eq!(normal("file,Mass,No_Finding\na,0,1\nb,0,0\n"), [Some(true), Some(false)]);
        assert_eq!(normal("Path,No Finding,Lung Lesion\na,1.0,\nb,,-1.0\n"), [Some(true), Some(false)]);
        assert_eq!(normal("file,Finding Labels\na,No Finding\nb,Hernia\nc,\n"), [Some(true), Some(false), None]);
        assert_eq!(normal("image,var_0\na,0\n"), [None]);
        let (_, faults) = parsed("file,Mass,No_Finding\na,0,normal\n", &Request::default());
        assert_eq!(faults, ["row 2: No_Finding is normal, allowed are 0, 1, -1 and blank"]);
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
