//! The file at `k_fold_path`: image, patient, and the part or the fold of every film of the label files.
//!
//! In: the parts computed from the label files, or a file of folds written by [`split`]. Out: the file, written by the first
//! run or by `chexbox folds`; parts that follow from it. Never: a film that changes its part unseen; a later run whose films
//! differ from the file is refused with every difference.

use super::TrainError;
use super::data::{Part, Record};
use crate::labels::Faults;
use std::collections::BTreeMap;
use std::path::Path;

/// The first columns, in order; the third is the part or the fold.
const HEADER: [&str; 2] = ["image", "patient"];
const PART: &str = "part";
const FOLD: &str = "fold";
/// What stands in the column of folds for a film of the test part.
const TEST: &str = "test";

/// What to do about parts that differ.
const ADVICE: &str = "the label files say otherwise: correct them, or move this file away to begin anew";

/// What a `k_fold_path` file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Parts, the same as those computed.
    Parts,
    /// Folds; `None` for films of the test part. In the order of the records.
    Folds {
        /// Fold of each film.
        of: Vec<Option<usize>>,
        /// Number of folds.
        count: usize,
    },
}

/// Checks the parts of `films` against the file at `path`, or writes them where there is none; reads folds where it has those.
///
/// # Errors
/// [`TrainError::Run`] with every row that differs; [`TrainError::File`] or [`TrainError::Content`]
/// where the file cannot be read or written.
pub fn keep(films: &[Record], path: &Path) -> Result<Kept, TrainError> {
    if !path.exists() {
        write(films, PART, |film, _| film.part.as_str().to_owned(), path)?;
        return Ok(Kept::Parts);
    }
    let file = std::fs::File::open(path).map_err(|e| TrainError::file(path, e))?;
    let mut faults = Faults::default();
    let kept = compare(file, films, &mut faults).map_err(|what| TrainError::content(path, what))?;
    faults.check(path.display()).map_err(|e| TrainError::Run(format!("{e}\n{ADVICE}")))?;
    Ok(kept)
}

/// Writes the folds of `films`, `None` being the test part.
///
/// # Errors
/// [`TrainError::File`] where the file cannot be written.
pub fn write_folds(films: &[Record], folds: &[Option<usize>], path: &Path) -> Result<(), TrainError> {
    let fold = |_: &Record, i: usize| folds.get(i).copied().flatten().map_or(TEST.to_owned(), |f| f.to_string());
    write(films, FOLD, fold, path)
}

/// What is read from a file row by row.
struct Reading<'a> {
    /// Position of each film that has not been met yet.
    waiting: BTreeMap<&'a str, usize>,
    films: &'a [Record],
    of: Vec<Option<usize>>,
    folds: bool,
}

fn compare(source: impl std::io::Read, films: &[Record], faults: &mut Faults) -> Result<Kept, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
    let header: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(str::to_owned).collect();
    let third = header.get(2).map(String::as_str);
    if header.len() != 3 || header[..2] != HEADER || !matches!(third, Some(PART | FOLD)) {
        return Err(format!("the header is {header:?}, allowed is image,patient,part or image,patient,fold"));
    }
    let waiting = films.iter().enumerate().map(|(i, f)| (f.file.as_str(), i)).collect();
    let mut reading = Reading { waiting, films, of: vec![None; films.len()], folds: third == Some(FOLD) };
    for (i, line) in reader.records().enumerate() {
        match line {
            Err(e) => faults.add(i + 2, e),
            Ok(line) => reading.row(i + 2, &line, faults),
        }
    }
    for &i in reading.waiting.values() {
        let film = &films[i];
        faults.note(format!("{} is missing, row {} of the label file has it in {}", film.file, film.row, film.part.as_str()));
    }
    let count = reading.of.iter().flatten().max().map_or(0, |most| most + 1);
    Ok(if reading.folds { Kept::Folds { of: reading.of, count } } else { Kept::Parts })
}

impl Reading<'_> {
    fn row(&mut self, row: usize, line: &csv::StringRecord, faults: &mut Faults) {
        let fields: Vec<&str> = line.iter().collect();
        let [image, patient, third] = fields[..] else {
            faults.add(row, format!("has {} fields, allowed are 3", fields.len()));
            return;
        };
        let Some(i) = self.waiting.remove(image) else {
            faults.add(row, format!("{image} is not among the films of the label file, or stands here twice"));
            return;
        };
        let film = &self.films[i];
        if film.patient != patient {
            faults.add(row, format!("patient of {image} is {patient}, computed is {}", film.patient));
        } else if self.folds && third != TEST {
            match third.parse() {
                Ok(fold) if fold < crate::limits::FOLDS_MAX => self.of[i] = Some(fold),
                _ => faults
                    .add(row, format!("fold of {image} is {third}, allowed are test and 0 to {}", crate::limits::FOLDS_MAX - 1)),
            }
        } else if film.part.as_str() != third && (!self.folds || film.part != Part::Test) {
            faults.add(row, format!("part of {image} is {third}, computed is {}", film.part.as_str()));
        }
    }
}

/// Writes to a temporary name and renames, so the file is whole or absent.
fn write(films: &[Record], third: &str, cell: impl Fn(&Record, usize) -> String, path: &Path) -> Result<(), TrainError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| TrainError::file(folder, e))?;
    }
    let unfinished = path.with_extension("unfinished");
    let rows = || -> Result<(), csv::Error> {
        let mut writer = csv::Writer::from_path(&unfinished)?;
        writer.write_record([HEADER[0], HEADER[1], third])?;
        for (i, film) in films.iter().enumerate() {
            writer.write_record([film.file.as_str(), film.patient.as_str(), &cell(film, i)])?;
        }
        writer.flush()?;
        Ok(())
    };
    rows().map_err(std::io::Error::from).and_then(|()| std::fs::rename(&unfinished, path)).map_err(|e| TrainError::file(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(row: usize, file: &str, patient: &str, part: Part) -> Record {
        Record { row, file: file.into(), patient: patient.into(), part, ..Record::default() }
    }

    #[test]
    fn the_first_run_writes_the_parts_and_a_run_that_computes_others_is_refused_with_the_rows() {
        let folder = std::env::temp_dir().join(format!("chexbox-folds-{}", std::process::id()));
        let path = folder.join("parts/k_fold.csv");
        let mut films = vec![
            record(2, "a, b.png", "1", Part::Train),
            record(3, "c.png", "2 \"x\"", Part::Val),
            record(4, "d.png", "3", Part::Test),
        ];
        assert_eq!(keep(&films, &path).unwrap(), Kept::Parts);
        let written = std::fs::read(&path).unwrap();
        assert_eq!(keep(&films, &path).unwrap(), Kept::Parts);

        films[0].part = Part::Test;
        films[1].patient = "5".into();
        films[2] = record(4, "e.png", "3", Part::Test);
        let error = keep(&films, &path).unwrap_err().to_string();
        for what in [
            "row 2: part of a, b.png is train, computed is test",
            "row 3: patient of c.png is 2 \"x\", computed is 5",
            "row 4: d.png is not among",
            "e.png is missing, row 4 of the label file has it in test",
            "move this file away",
        ] {
            assert!(error.contains(what), "{what} not in\n{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), written, "the file is left as it is");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        for (text, what) in [("image,part\n", "the header is"), ("image,patient,part\na\n", "row 2: has 1 fields")] {
            std::fs::write(&path, text).unwrap();
            let error = keep(&films, &path).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn folds_are_read_back_as_written_and_a_film_of_the_test_part_can_be_in_none() {
        let folder = std::env::temp_dir().join(format!("chexbox-k-fold-{}", std::process::id()));
        let path = folder.join("k_fold.csv");
        let films = [record(2, "a", "1", Part::Train), record(3, "b", "2", Part::Val), record(4, "c", "3", Part::Test)];
        let of = vec![Some(1), Some(0), None];
        write_folds(&films, &of, &path).unwrap();
        assert_eq!(keep(&films, &path).unwrap(), Kept::Folds { of, count: 2 });
        std::fs::write(&path, "image,patient,fold\na,1,x\nb,2,test\nc,3,1\n").unwrap();
        let error = keep(&films, &path).unwrap_err().to_string();
        for what in ["row 2: fold of a is x", "row 3: part of b is test, computed is val"] {
            assert!(error.contains(what), "{what} not in\n{error}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
