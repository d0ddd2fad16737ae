//! Soft labels: probabilities that another model, a teacher, gives films (Hinton, Vinyals, Dean 2015).
//!
//! In: a CSV with the column `file` (or `image`) as in the label file, and a column of probabilities for any finding
//! (its id, its variable or its public labels) or auxiliary head; columns `feature_…` hold what the teacher sees besides,
//! squeezed into 0 to 1 (Romero et al. 2015, FitNets), and become auxiliary heads of their own. Out: a probability per film
//! and head where there is one. Never: a run on a file with faults; all of them are reported at once.

use super::TrainError;
use crate::labels::{Faults, Label, LabelSet, NO_FINDING};
use std::collections::HashMap;
use std::path::Path;

/// What the names of features begin with.
pub(super) const FEATURE: &str = "feature_";

/// Probabilities of films, by their path below the image folder.
pub struct Soft {
    films: HashMap<String, Vec<Option<f32>>>,
    /// That a film has no finding.
    normal: HashMap<String, f32>,
    /// Names of the features, which stand behind the findings and the auxiliary heads.
    features: Vec<String>,
    heads: usize,
}

impl Soft {
    /// Reads the probabilities of the findings of `set` and of these auxiliary heads.
    ///
    /// # Errors
    /// [`TrainError::Labels`] with every fault and its row; [`TrainError::File`] where it cannot be read.
    pub fn read(path: &Path, set: &LabelSet, auxiliary: &[String]) -> Result<Self, TrainError> {
        let file = std::fs::File::open(path).map_err(|e| TrainError::file(path, e))?;
        let mut faults = Faults::default();
        let soft = parse(file, set, auxiliary, &mut faults).map_err(|what| TrainError::content(path, what))?;
        faults.check(path.display())?;
        Ok(soft)
    }

    /// Names of the teacher's features, in the order of the file.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The probabilities of a film: of the findings, the auxiliary heads, the features.
    pub fn of(&self, file: &str) -> Vec<Option<f32>> {
        self.films.get(file).cloned().unwrap_or_else(|| vec![None; self.heads])
    }

    /// The probability that a film has no finding.
    pub fn normal(&self, file: &str) -> Option<f32> {
        self.normal.get(file).copied()
    }

    /// Whether it says anything of this film.
    pub fn has(&self, file: &str) -> bool {
        self.films.contains_key(file)
    }
}

fn parse(source: impl std::io::Read, set: &LabelSet, auxiliary: &[String], faults: &mut Faults) -> Result<Soft, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
    let names = reader.headers().map_err(|e| e.to_string())?.clone();
    let at = |name: &str| names.iter().position(|n| n.trim() == name);
    let film = at("file").or_else(|| at("image")).ok_or("the header has neither a column file nor image")?;
    let of = |label: &Label| match at(&label.id).or_else(|| at(&label.variable)) {
        Some(i) => vec![i],
        None => label.columns.iter().filter_map(|c| at(c)).collect(),
    };
    let mut columns: Vec<Vec<usize>> = set.findings.iter().map(of).collect();
    if columns.iter().all(Vec::is_empty) {
        return Err("no column is named after a finding of the label set: its id, its variable or a public label".into());
    }
    columns.extend(auxiliary.iter().map(|name| at(name).into_iter().collect::<Vec<_>>()));
    let features: Vec<String> = names.iter().map(str::trim).filter(|name| name.starts_with(FEATURE)).map(str::to_owned).collect();
    columns.extend(features.iter().map(|name| at(name).into_iter().collect::<Vec<_>>()));
    let none: Vec<usize> = NO_FINDING.iter().find_map(|name| at(name)).into_iter().collect();
    // Most often it is an auxiliary head as well, whose faults are told already.
    let head = columns.iter().position(|columns| *columns == none).filter(|_| !none.is_empty());
    let (mut films, mut normal) = (HashMap::new(), HashMap::new());
    for (i, line) in reader.records().enumerate() {
        let row = i + 2;
        match line {
            Err(e) => faults.add(row, e),
            Ok(line) if line.len() != names.len() => {
                faults.add(row, format!("has {} fields, the header has {}", line.len(), names.len()));
            }
            Ok(line) => {
                let file = line[film].trim().to_owned();
                let values: Vec<Option<f32>> = columns.iter().map(|at| any(at, row, &line, &names, faults)).collect();
                if let Some(p) = head.map_or_else(|| any(&none, row, &line, &names, faults), |head| values[head]) {
                    normal.insert(file.clone(), p);
                }
                if films.insert(file.clone(), values).is_some() {
                    faults.add(row, format!("{file} stands in an earlier row already"));
                }
            }
        }
    }
    Ok(Soft { films, normal, features, heads: columns.len() })
}

/// The probability that any of several labels holds, taken as independent given the film; `None` where all are blank.
fn any(at: &[usize], row: usize, line: &csv::StringRecord, names: &csv::StringRecord, faults: &mut Faults) -> Option<f32> {
    let mut none_of = None;
    for &i in at {
        let text = line[i].trim();
        match text.parse::<f32>() {
            _ if text.is_empty() => {}
            Ok(p) if (0.0..=1.0).contains(&p) => none_of = Some(none_of.unwrap_or(1.0) * (1.0 - p)),
            _ => faults.add(row, format!("{} is {text}, allowed are 0 to 1 and blank", &names[i])),
        }
    }
    none_of.map(|p: f32| 1.0 - p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> LabelSet {
        toml::from_str(
            "name='x'\ntitle_en='x'\ntitle_zh='x'\n[[finding]]\nid='edema'\nvariable='var_0'\nen='a'\nzh='a'\ncolumns=['Edema']\n\
             [[finding]]\nid='b'\nvariable='var_1'\nen='b'\nzh='b'\ncolumns=['Mass','Nodule']\n\
             [[finding]]\nid='c'\nvariable='var_2'\nen='c'\nzh='c'\n",
        )
        .unwrap()
    }

    #[test]
    fn a_column_stands_for_its_finding_and_several_for_any_of_them() {
        let text = "file,Edema,Mass,Nodule,Hernia\na,0.25,0.5,0.5,0.125\nb,,,1,\n";
        let mut faults = Faults::default();
        let soft = parse(text.as_bytes(), &set(), &["Hernia".into(), "age".into()], &mut faults).unwrap();
        assert_eq!(faults.count, 0);
        assert_eq!(soft.of("a"), [Some(0.25), Some(0.75), None, Some(0.125), None]);
        assert_eq!(soft.of("b"), [None, Some(1.0), None, None, None]);
        assert_eq!((soft.of("c"), soft.has("c")), (vec![None; 5], false));
    }

    #[test]
    fn a_teacher_says_in_either_spelling_that_nothing_was_found() {
        for name in NO_FINDING {
            let text = format!("file,Edema,{name}\na,0.25,0.75\nb,0.5,\n");
            let soft = parse(text.as_bytes(), &set(), &[], &mut Faults::default()).unwrap();
            assert_eq!((soft.normal("a"), soft.normal("b"), soft.normal("c")), (Some(0.75), None, None));
        }
        for auxiliary in [&[][..], &["No_Finding".to_owned()]] {
            let (mut faults, text) = (Faults::default(), "file,Edema,No_Finding\na,0.25,2\n");
            parse(text.as_bytes(), &set(), auxiliary, &mut faults).unwrap();
            assert_eq!(faults.lines, ["row 2: No_Finding is 2, allowed are 0 to 1 and blank"]);
        }
    }

    #[test]
    fn features_stand_behind_the_heads() {
        let text = "feature_1,file,Edema,feature_0,Hernia\n0.75,a,0.25,0.5,0.125\n";
        let soft = parse(text.as_bytes(), &set(), &["Hernia".into()], &mut Faults::default()).unwrap();
        assert_eq!(soft.features(), ["feature_1", "feature_0"]);
        assert_eq!(soft.of("a"), [Some(0.25), None, None, Some(0.125), Some(0.75), Some(0.5)]);
    }

    #[test]
    fn all_faults_are_reported_at_once_with_their_rows() {
        let text = "image,edema\na,1.5\nb,x\na,0.5\nc\nd,NaN\ne,-0.1\n";
        let mut faults = Faults::default();
        parse(text.as_bytes(), &set(), &[], &mut faults).unwrap();
        let all = faults.lines.join("\n");
        for (row, what) in [
            (2, "edema is 1.5"),
            (3, "edema is x"),
            (4, "a stands in"),
            (5, "has 1 fields"),
            (6, "edema is NaN"),
            (7, "edema is -0.1"),
        ] {
            assert!(all.contains(&format!("row {row}: {what}")), "{what} not in\n{all}");
        }
        assert!(parse("file,nothing\n".as_bytes(), &set(), &[], &mut Faults::default()).is_err());
    }
}
