//! The file of parts at `k_fold_path`: image, patient, part of every film that a run learns from.
//!
//! In: the parts computed from the label file. Out: the file, written by the first run. Never: a film that
//! changes its part unseen; a later run whose parts differ from the file is refused with every difference.

use super::TrainError;
use super::data::{Record, Records};
use crate::labels::Faults;
use std::collections::BTreeMap;
use std::path::Path;

/// The columns, in order.
const HEADER: [&str; 3] = ["image", "patient", "part"];

/// What to do about parts that differ.
const ADVICE: &str = "the parts computed from the label file are others: correct it, or move this file away to begin anew";

/// Checks the parts of `records` against the file at `path`, or writes it where there is none.
///
/// # Errors
/// [`TrainError::Run`] with every row that differs; [`TrainError::File`] or [`TrainError::Content`]
/// where the file cannot be read or written.
pub fn keep(records: &Records, path: &Path) -> Result<(), TrainError> {
    if !path.exists() {
        return write(records, path);
    }
    let file = std::fs::File::open(path).map_err(|e| TrainError::file(path, e))?;
    let mut faults = Faults::default();
    compare(file, records, &mut faults).map_err(|what| TrainError::content(path, what))?;
    faults.check(path.display()).map_err(|e| TrainError::Run(format!("{e}\n{ADVICE}")))
}

fn compare(source: impl std::io::Read, records: &Records, faults: &mut Faults) -> Result<(), String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
    let header = reader.headers().map_err(|e| e.to_string())?;
    if *header != HEADER[..] {
        return Err(format!("the header is {:?}, allowed is {}", header.iter().collect::<Vec<_>>(), HEADER.join(",")));
    }
    let mut computed: BTreeMap<&str, &Record> = records.films.iter().map(|f| (f.file.as_str(), f)).collect();
    for (i, line) in reader.records().enumerate() {
        match line {
            Err(e) => faults.add(i + 2, e),
            Ok(line) => compare_row(i + 2, &line, &mut computed, faults),
        }
    }
    for film in computed.into_values() {
        faults.note(format!("{} is missing, row {} of the label file has it in {}", film.file, film.row, film.part.as_str()));
    }
    Ok(())
}

/// Takes the row's film out of `computed`; what stays there at the end is missing from the file.
fn compare_row(row: usize, line: &csv::StringRecord, computed: &mut BTreeMap<&str, &Record>, faults: &mut Faults) {
    let fields: Vec<&str> = line.iter().collect();
    let [image, patient, part] = fields[..] else {
        faults.add(row, format!("has {} fields, allowed are {}", fields.len(), HEADER.len()));
        return;
    };
    match computed.remove(image) {
        None => faults.add(row, format!("{image} is not among the films of the label file, or stands here twice")),
        Some(film) if film.patient != patient => {
            faults.add(row, format!("patient of {image} is {patient}, computed is {}", film.patient));
        }
        Some(film) if film.part.as_str() != part => {
            faults.add(row, format!("part of {image} is {part}, computed is {}", film.part.as_str()));
        }
        Some(_) => {}
    }
}

/// Writes to a temporary name and renames, so the file is whole or absent.
fn write(records: &Records, path: &Path) -> Result<(), TrainError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| TrainError::file(folder, e))?;
    }
    let unfinished = path.with_extension("unfinished");
    let written = write_rows(records, &unfinished).map_err(std::io::Error::from);
    written.and_then(|()| std::fs::rename(&unfinished, path)).map_err(|e| TrainError::file(path, e))
}

fn write_rows(records: &Records, path: &Path) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(HEADER)?;
    for film in &records.films {
        writer.write_record([film.file.as_str(), film.patient.as_str(), film.part.as_str()])?;
    }
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::Part;

    fn record(row: usize, file: &str, patient: &str, part: Part) -> Record {
        let (sex, view) = (String::new(), String::new());
        Record { row, file: file.into(), patient: patient.into(), age: None, sex, view, part, truths: vec![] }
    }

    #[test]
    fn the_first_run_writes_the_parts_and_a_run_that_computes_others_is_refused_with_the_rows() {
        let folder = std::env::temp_dir().join(format!("chexbox-folds-{}", std::process::id()));
        let path = folder.join("parts/k_fold.csv");
        let films = vec![
            record(2, "a, b.png", "1", Part::Train),
            record(3, "c.png", "2 \"x\"", Part::Val),
            record(4, "d.png", "3", Part::Test),
        ];
        let mut records = Records { films, columns: vec![] };
        keep(&records, &path).unwrap();
        let written = std::fs::read(&path).unwrap();
        keep(&records, &path).unwrap();

        records.films[0].part = Part::Test;
        records.films[1].patient = "5".into();
        records.films[2] = record(4, "e.png", "3", Part::Test);
        let error = keep(&records, &path).unwrap_err().to_string();
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
            let error = keep(&records, &path).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
