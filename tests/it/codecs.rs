//! Promise: every transfer syntax of radiography machines decodes to the samples that other decoders
//! find, lossless ones bit for bit, lossy ones within a grey level of eight bits; `chexbox pixels`
//! shows them. The references are made by `tools/codecs.py` with pydicom, its plugins and dcmtk.

use crate::dicom_file::{DicomFile, drawn, drawn8};
use crate::memory::estimated;
use crate::run::{Scratch, run, stderr, stdout};
use chexbox::radiograph::{Code, Raised, decode, stored_pixels};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/codecs")
}

fn references() -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(folder().join("reference.json")).unwrap()).unwrap()
}

fn sum(samples: &[u16]) -> String {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn grey16(png: &Path) -> Vec<u16> {
    image::open(png).unwrap().into_luma16().into_raw()
}

fn farthest(a: &[u16], b: &[u16]) -> u16 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// The compressed data of a film of `tests/data/codecs`.
pub fn codestream(file: &str) -> Vec<u8> {
    let bytes = std::fs::read(folder().join(file)).unwrap();
    let start = bytes.windows(3).position(|three| three == [0xFF, 0xD8, 0xFF]).unwrap();
    bytes[start..].to_vec()
}

#[test]
fn every_transfer_syntax_decodes_to_the_samples_that_others_find() {
    let references = references();
    assert!(references.len() > 80, "{} references", references.len());
    for reference in &references {
        let file = reference["file"].as_str().unwrap();
        let pixels = stored_pixels(&std::fs::read(folder().join(file)).unwrap()).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(pixels.raised == Raised::By32768, reference["signed"].as_bool().unwrap(), "{file}");
        if let Some(sha256) = reference["sha256"].as_str() {
            assert_eq!(sum(&pixels.samples), sha256, "{file}");
        }
        let grey_level = 1 << (reference["bits"].as_u64().unwrap() - 8);
        for who in ["pydicom", "dcmtk"] {
            let Some(png) = reference[who].as_str() else { continue };
            let worst = farthest(&pixels.samples, &grey16(&folder().join(png)));
            assert!(worst <= grey_level, "{file}: a sample is {worst} from that of {who}");
        }
        assert!(reference["sha256"].is_string() || reference["pydicom"].is_string(), "{file} has no reference");
        if reference["bits"] != 16 || reference["signed"] == true {
            continue;
        }
        let film = decode(&std::fs::read(folder().join(file)).unwrap()).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(film.facts.transfer_syntax, reference["transfer_syntax"].as_str().map(str::to_owned));
    }
    let syntaxes: std::collections::BTreeSet<_> = references.iter().filter_map(|r| r["transfer_syntax"].as_str()).collect();
    for uid in ["2", "1.99", "5", "4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91"] {
        assert!(syntaxes.contains(format!("1.2.840.10008.1.2.{uid}").as_str()), "no reference in {uid}");
    }
}

#[test]
fn what_dcmtk_encodes_here_comes_back_bit_for_bit_within_the_memory_that_was_estimated() {
    let scratch = Scratch::new("codecs");
    let deep = DicomFile::chest(1500, 1400, &drawn(1500, 1400, 4095)).with((0x0028, 0x0101), "US", 12);
    let films = [("deep", deep.with((0x0028, 0x0102), "US", 11)), ("flat", DicomFile::chest8(1500, 1400, &drawn8(1500, 1400)))];
    for (name, film) in films {
        let film = film.with((0x0008, 0x0018), "UI", "2.25.1").with((0x0028, 0x0006), "US", 0).without((0x0028, 0x0006));
        let plain = scratch.join("plain.dcm");
        std::fs::write(&plain, film.bytes()).unwrap();
        let samples = stored_pixels(&film.bytes()).unwrap().samples;
        for (encoder, options) in [("dcmcjpls", "+el"), ("dcmcjpeg", "+e1")] {
            let coded = scratch.join("coded.dcm");
            let done = Command::new(encoder).args([options, "+un"]).args([&plain, &coded]).output();
            let Ok(done) = done else {
                println!("skipped: {name} by {encoder}, which is not installed");
                continue;
            };
            assert!(done.status.success(), "{encoder}: {}", String::from_utf8_lossy(&done.stderr));
            let bytes = std::fs::read(&coded).unwrap();
            assert!(stored_pixels(&bytes).unwrap().samples == samples, "{name} by {encoder}");
            estimated(&format!("{name} by {encoder}"), &bytes, 5);
        }
    }
}

#[test]
fn pixels_writes_the_samples_before_any_window_and_names_what_they_are() {
    let scratch = Scratch::new("pixels");
    for (file, bits, added) in [("jpegls_12_signed.dcm", "12", "32768"), ("jpeg_predictor4_16.dcm", "16", "0")] {
        let (film, png) = (folder().join(file), scratch.join("out.png"));
        let path = |p: &Path| p.to_str().unwrap().to_owned();
        let output = run(&["pixels".to_owned(), path(&film), "--json".to_owned(), "--out".to_owned(), path(&png)]);
        assert!(output.status.success(), "{}", stderr(&output));
        let references = references();
        let reference = references.iter().find(|r| r["file"] == file).unwrap();
        let printed: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(sum(&grey16(&png)), reference["sha256"].as_str().unwrap(), "{file}");
        assert_eq!(printed["sha256 of the samples (16 bit, little endian)"], reference["sha256"], "{file}");
        for (name, value) in [
            ("Rows (0028,0010)", "49"),
            ("Columns (0028,0011)", "51"),
            ("BitsStored (0028,0101)", bits),
            ("PhotometricInterpretation (0028,0004)", "MONOCHROME2"),
            ("added to each sample", added),
        ] {
            assert_eq!(printed[name], value, "{file}: {name}");
        }
        let uid = reference["transfer_syntax"].as_str().unwrap();
        assert!(printed["TransferSyntaxUID (0002,0010)"].as_str().unwrap().contains(uid), "{printed}");
    }
}

#[test]
fn pixels_of_a_windowed_film_are_those_stored_and_a_refusal_says_why_in_both_languages() {
    let scratch = Scratch::new("pixels-refused");
    let samples = drawn(50, 50, 4095);
    let film = DicomFile::chest(50, 50, &samples).with((0x0008, 0x0060), "CS", "CT");
    let film = film.with((0x0028, 0x1050), "DS", "500").with((0x0028, 0x1051), "DS", "10").with((0x0028, 0x1053), "DS", "2");
    let (path, png) = (scratch.join("film.dcm"), scratch.join("film.png"));
    std::fs::write(&path, film.with((0x0028, 0x0004), "CS", "MONOCHROME1").bytes()).unwrap();
    let arguments = ["pixels", path.to_str().unwrap(), "--out", png.to_str().unwrap()];
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(grey16(&png), samples);
    assert!(stdout(&output).contains("WindowCenter (0028,1050) 500") && !stdout(&output).contains("Planted"));
    let unknown = film_in_unknown_syntax();
    std::fs::write(&path, &unknown).unwrap();
    for (lang, sentence) in [("en", "not supported"), ("zh", "不支持")] {
        let output = run(&[&arguments[..2], &["--lang", lang]].concat());
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(
            said.contains(sentence) && said.contains("unsupported_encoding") && said.contains("1.2.840.10008.1.2.4.201"),
            "{said}"
        );
    }
}

fn film_in_unknown_syntax() -> Vec<u8> {
    let film = DicomFile::chest(50, 50, &[]).fragments("1.2.840.10008.1.2.4.201", vec![vec![0; 8]]);
    assert_eq!(stored_pixels(&film.bytes()).map(|_| ()).unwrap_err().code(), Code::UnsupportedEncoding);
    film.bytes()
}
