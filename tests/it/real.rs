//! Real radiographs, where they are present: what must be read is read, what must be refused is refused for its own reason.

use super::data::real;
use super::run::{chexbox, records, stderr};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn read(folder: &Path) -> Vec<Value> {
    let output = chexbox(&["read", "--json"]).arg(folder).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    records(&output)
}

fn name(record: &Value) -> String {
    record["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

/// File name to refusal code, empty where the film was read.
fn codes(folder: &Path) -> BTreeMap<String, String> {
    read(folder).iter().map(|r| (name(r), r["refusal"]["code"].as_str().unwrap_or("").to_owned())).collect()
}

#[test]
fn eighty_real_films_give_eighty_distinct_readings() {
    let Some(folder) = real("radiographs/nih512", "80 NIH films") else { return };
    let records = read(&folder);
    assert_eq!(records.len(), 80);
    let refused: Vec<_> =
        records.iter().filter(|r| r["status"] != "read").map(|r| format!("{} {}", name(r), r["refusal"])).collect();
    assert_eq!(refused, Vec::<String>::new());
    let distinct: BTreeSet<String> = records.iter().map(|r| r["findings"].to_string()).collect();
    assert_eq!(distinct.len(), 80);
}

#[test]
fn the_secondary_captures_are_read_or_refused_as_their_headers_say() {
    let Some(folder) = real("radiographs/dicom", "six DICOM secondary captures") else { return };
    let want = [
        ("test1", ""),
        ("test2", ""),
        ("test3", ""),
        ("test4", "wrong_body_part"),
        ("test5", "wrong_modality"),
        ("test6", "not_frontal"),
    ];
    let want: BTreeMap<String, String> = want.iter().map(|(f, c)| (format!("{f}.dcm"), (*c).to_owned())).collect();
    assert_eq!(codes(&folder), want);
}

#[test]
fn no_file_of_another_modality_or_body_part_is_read_whatever_its_encoding() {
    let Some(folder) = real("dicom-codecs", "DICOM files of other modalities") else { return };
    let codes = codes(&folder);
    assert!(codes.len() >= 18);
    for (file, code) in codes {
        let want = match file.as_str() {
            "CR_extremity_J2K.dcm" => "wrong_body_part",
            "no-pixel-data.dcm" => "no_pixel_data",
            _ => "wrong_modality",
        };
        assert_eq!(code, want, "{file}");
    }
}

#[test]
fn a_jpeg_2000_film_of_15_bit_and_its_binned_copy_give_the_same_calls() {
    let Some(folder) = real("radiographs/dicom-cr", "a Philips CR chest film") else { return };
    let records = read(&folder);
    assert_eq!(records.len(), 2);
    let calls = |r: &Value| -> Vec<(String, bool)> {
        let findings = r["findings"].as_array().unwrap_or_else(|| panic!("{r}"));
        findings.iter().map(|f| (f["id"].as_str().unwrap().to_owned(), f["positive"] == true)).collect()
    };
    assert_eq!(calls(&records[0]), calls(&records[1]));
}

#[test]
fn films_of_other_hospitals_are_read() {
    for (folder, count) in [("nih1024", 4), ("hannover", 8), ("jsrt", 8), ("wingspan", 10)] {
        let Some(path) = real(&format!("radiographs/{folder}"), folder) else { continue };
        let records = read(&path);
        assert_eq!(records.len(), count, "{folder}");
        let refused: Vec<_> =
            records.iter().filter(|r| r["status"] != "read").map(|r| format!("{} {}", name(r), r["refusal"])).collect();
        assert_eq!(refused, Vec::<String>::new(), "{folder}");
    }
}
