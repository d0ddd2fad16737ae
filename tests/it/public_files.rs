//! Promise: real files are read or refused as the intended use says, each with its own reason.
//! Runs where the public data lie (`CHEXBOX_DATA`), says so where they do not.

use chexbox::radiograph::{Code, Radiograph, Refusal, decode};
use std::path::PathBuf;

fn data() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let folder = PathBuf::from(std::env::var("CHEXBOX_DATA").unwrap_or_else(|_| default.to_owned()));
    if !folder.is_dir() {
        println!("skipped: no public data at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn read(path: PathBuf) -> Result<Radiograph, Refusal> {
    decode(&std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

#[test]
fn each_of_the_six_secondary_captures_has_its_own_answer() {
    let Some(data) = data() else { return };
    for (file, answer) in [
        ("test1.dcm", None),
        ("test2.dcm", None),
        ("test3.dcm", None),
        ("test4.dcm", Some((Code::WrongBodyPart, "BodyPartExamined (0018,0015) is RIBCAGE"))),
        ("test5.dcm", Some((Code::WrongModality, "Modality (0008,0060) is CT"))),
        ("test6.dcm", Some((Code::NotFrontal, "PatientPosition (0018,5100) is XX"))),
    ] {
        match (read(data.join("radiographs/dicom").join(file)), answer) {
            (Ok(film), None) => assert!(film.facts.age_years.is_some_and(|age| age >= 58), "{file}"),
            (Err(refusal), Some((code, detail))) => {
                assert_eq!(refusal.code(), code, "{file}");
                assert!(refusal.detail().starts_with(detail), "{file}: {}", refusal.detail());
            }
            (outcome, _) => panic!("{file}: {:?}", outcome.map(|film| film.facts)),
        }
    }
}

#[test]
fn every_codec_file_is_refused_for_what_it_shows() {
    let Some(data) = data() else { return };
    for entry in std::fs::read_dir(data.join("dicom-codecs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let code = match name.as_str() {
            "no-pixel-data.dcm" => Code::NoPixelData,
            "CR_extremity_J2K.dcm" => Code::WrongBodyPart,
            _ => Code::WrongModality,
        };
        let refusal = read(path).map(|film| film.facts).unwrap_err();
        assert_eq!(refusal.code(), code, "{name}: {refusal}");
    }
}

#[test]
fn the_real_computed_radiograph_is_the_same_film_in_both_its_files() {
    let Some(data) = data() else { return };
    let whole = read(data.join("radiographs/dicom-cr/RG1_J2KI.dcm")).unwrap();
    let binned = read(data.join("radiographs/dicom-cr/RG1_binned_explicitLE.dcm")).unwrap();
    assert_eq!((whole.grey.width(), whole.grey.height(), whole.facts.bits), (1841, 1955, 15));
    let (mut worst, mut sum) = (0.0_f32, 0.0_f64);
    for y in 0..binned.grey.height() {
        for x in 0..binned.grey.width() {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| whole.grey.at(2 * x + dx, 2 * y + dy).unwrap());
            let difference = (four.iter().sum::<f32>() / 4.0 - binned.grey.at(x, y).unwrap()).abs();
            worst = worst.max(difference);
            sum += f64::from(difference);
        }
    }
    let mean = sum / (binned.grey.width() * binned.grey.height()) as f64;
    assert!(mean < 1e-3 && worst < 0.02, "mean {mean}, worst {worst}");
}

#[test]
fn every_public_picture_is_read() {
    let Some(data) = data() else { return };
    for (folder, count) in [("nih512", 80), ("nih1024", 4), ("wingspan", 10), ("hannover", 8), ("jsrt", 8), ("kermany", 6)] {
        let paths: Vec<PathBuf> =
            std::fs::read_dir(data.join("radiographs").join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(paths.len(), count, "{folder}");
        for path in paths {
            let film = read(path.clone()).unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
            assert_eq!(film.facts.bits, 8, "{}", path.display());
        }
    }
}
