//! Which films are read: upright frontal chest films of patients of 16 years and over; what else comes is refused for its
//! own reason, in a record that never shows a finding and never names the patient.

use super::dicom_file::{DicomFile, PLANTED};
use super::run::{Scratch, chexbox, records, stderr, stdout};
use chexbox::model::Bundle;
use chexbox::radiograph::Samples;
use chexbox::radiograph::drawn::{DrawnFilm, NotAChest};
use serde_json::Value;

const AGE: (u16, u16) = (0x0010, 0x1010);
const BIRTH: (u16, u16) = (0x0010, 0x0030);
const VIEW: (u16, u16) = (0x0018, 0x5101);
const PHOTOMETRIC: (u16, u16) = (0x0028, 0x0004);
const SIDE: u16 = 320;

/// Sixteen-bit samples of a drawn film.
fn samples() -> Vec<u16> {
    let film = DrawnFilm { width: SIDE.into(), height: SIDE.into(), seed: 11 }.draw_u16();
    match film.samples() {
        Samples::U16(v) => v.clone(),
        Samples::U8(v) => v.iter().map(|s| u16::from(*s) << 8).collect(),
    }
}

fn chest() -> DicomFile {
    DicomFile::chest(SIDE, SIDE, &samples()).without(BIRTH)
}

/// The record of one file.
fn record(name: &str, bytes: &[u8]) -> Value {
    let scratch = Scratch::new(name);
    std::fs::write(scratch.join(name), bytes).unwrap();
    let output = chexbox(&["read", "--json"]).arg(scratch.join(name)).output().unwrap();
    let record = records(&output).remove(0);
    assert_eq!(record["status"] == "refused", output.status.code() == Some(1), "{}", stderr(&output));
    assert_eq!(record["status"] == "refused", record["findings"].is_null());
    record
}

fn code(name: &str, film: &DicomFile) -> String {
    record(name, &film.bytes())["refusal"]["code"].as_str().unwrap_or("").to_owned()
}

#[test]
fn a_patient_is_old_enough_from_the_birthday_the_manifest_says() {
    let with_age = |age: &str| chest().with(AGE, "AS", age);
    let born = |birth: &str| chest().with(BIRTH, "DA", birth);
    for (name, film, want) in [
        ("age-015Y", with_age("015Y"), "too_young"),
        ("age-016Y", with_age("016Y"), ""),
        ("age-000Y", with_age("000Y"), "too_young"),
        ("age-003D", with_age("003D"), "too_young"),
        ("age-018M", with_age("018M"), "too_young"),
        ("age-16", with_age("16"), ""),
        ("age-absent", chest(), ""),
        // The film is of 2020-01-01.
        ("born-15", born("20040102"), "too_young"),
        ("born-16", born("20040101"), ""),
        ("age-against-birth-date", born("20150101").with(AGE, "AS", "040Y"), "too_young"),
        ("age-not-believed", born("19800101").with(AGE, "AS", "999Y"), ""),
    ] {
        assert_eq!(code(name, &film), want, "{name}");
    }
}

#[test]
fn another_minimum_age_in_a_manifest_is_kept() {
    let scratch = Scratch::new("minimum-age");
    let bundle = Bundle::embedded("findings10").unwrap().unwrap();
    let mut manifest = bundle.manifest().clone();
    manifest.intended_use.minimum_age_years = 40;
    std::fs::write(scratch.join("manifest.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    std::fs::write(scratch.join(&manifest.file.name), bundle.onnx()).unwrap();
    std::fs::write(scratch.join(&manifest.probe.name), bundle.probe()).unwrap();
    for (age, want) in [("039Y", Some("too_young")), ("040Y", None)] {
        let film = scratch.join(&format!("{age}.dcm"));
        std::fs::write(&film, chest().with(AGE, "AS", age).bytes()).unwrap();
        let output = chexbox(&["read", "--json", "--model"]).arg(scratch.path()).arg(&film).output().unwrap();
        assert_eq!(records(&output)[0]["refusal"]["code"].as_str(), want, "{age}");
    }
}

#[test]
fn a_lateral_is_refused_where_the_header_says_so() {
    for view in ["LL", "RL", "LATERAL"] {
        assert_eq!(code(view, &chest().with(VIEW, "CS", view)), "not_frontal", "{view}");
    }
    for view in ["PA", "AP"] {
        assert_eq!(code(view, &chest().with(VIEW, "CS", view)), "", "{view}");
    }
}

#[test]
fn a_lateral_is_refused_where_the_header_says_so_in_another_place() {
    let unstated = || chest().without(VIEW);
    for (name, film, want) in [
        ("unstated", unstated(), ""),
        ("rows-to-the-left", unstated().with((0x0020, 0x0020), "CS", "L\\F"), ""),
        ("rows-to-the-front", unstated().with((0x0020, 0x0020), "CS", "A\\F"), "not_frontal"),
        ("described", unstated().with((0x0008, 0x103E), "LO", "CHEST LATERAL"), "not_frontal"),
        ("described-as-both", unstated().with((0x0008, 0x103E), "LO", "CHEST PA/LAT"), ""),
        ("stated-and-described", chest().with((0x0008, 0x103E), "LO", "CHEST LATERAL"), ""),
    ] {
        assert_eq!(code(name, &film), want, "{name}");
    }
}

#[test]
fn a_picture_smaller_than_the_model_learnt_from_or_of_no_films_shape_is_refused() {
    for (width, height, want) in [(128, 128, None), (127, 160, Some("too_small")), (700, 300, Some("not_a_chest"))] {
        let film = DrawnFilm { width, height, seed: 3 }.png();
        assert_eq!(record(&format!("{width}x{height}.png"), &film)["refusal"]["code"].as_str(), want, "{width} x {height}");
    }
}

#[test]
fn a_header_that_lies_about_the_polarity_is_corrected_by_the_pixels() {
    let film = chest().with(PHOTOMETRIC, "CS", "MONOCHROME1");
    let turned = record("lying-polarity", &film.bytes());
    let right = record("right-polarity", &chest().bytes());
    let calls = |r: &Value| -> Vec<Value> { r["findings"].as_array().unwrap().iter().map(|f| f["positive"].clone()).collect() };
    assert_eq!(calls(&turned), calls(&right));
    let said = turned["provenance"]["steps"].to_string();
    assert!(said.contains("inverted: the pixels show white where air must be black"), "{said}");
}

#[test]
fn a_film_on_its_side_or_upside_down_is_refused() {
    let side = usize::from(SIDE);
    let upright = samples();
    let at = |x: usize, y: usize| upright[y * side + x];
    let turned = |map: &dyn Fn(usize, usize) -> u16| -> Vec<u16> { (0..side * side).map(|i| map(i % side, i / side)).collect() };
    for (name, pixels) in [
        ("turned-90", turned(&|x, y| at(y, side - 1 - x))),
        ("turned-180", turned(&|x, y| at(side - 1 - x, side - 1 - y))),
        ("turned-270", turned(&|x, y| at(side - 1 - y, x))),
    ] {
        assert_eq!(code(name, &DicomFile::chest(SIDE, SIDE, &pixels).without(BIRTH)), "not_upright", "{name}");
    }
}

#[test]
fn what_is_no_chest_is_refused_by_its_pixels_alone() {
    for (kind, want) in [
        (NotAChest::Blank, "blank_film"),
        (NotAChest::Hand, "not_a_chest"),
        (NotAChest::Text, "not_a_chest"),
        (NotAChest::Gradient, "not_a_chest"),
        (NotAChest::Board, "not_a_chest"),
    ] {
        let picture = kind.draw(300, 300, 5);
        let mut row = vec![0.0; 300];
        let grey = image::GrayImage::from_fn(300, 300, |x, y| {
            picture.row(y as usize, &mut row);
            image::Luma([(row[x as usize] * 255.0).round() as u8])
        });
        let mut png = std::io::Cursor::new(Vec::new());
        grey.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let record = record(&format!("{kind:?}.png"), png.get_ref());
        assert_eq!(record["refusal"]["code"], want, "{kind:?}: {record}");
    }
}

#[test]
fn a_colour_photograph_is_refused() {
    let photo = image::RgbImage::from_fn(300, 300, |x, y| image::Rgb([(x % 256) as u8, (y % 256) as u8, ((x + y) / 3) as u8]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    photo.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    assert_eq!(record("photo.jpg", jpeg.get_ref())["refusal"]["code"], "colour_picture");
}

#[test]
fn nothing_that_is_printed_or_written_names_the_patient() {
    let scratch = Scratch::new("identity");
    std::fs::write(scratch.join("read.dcm"), chest().bytes()).unwrap();
    std::fs::write(scratch.join("refused.dcm"), chest().with(AGE, "AS", "003Y").bytes()).unwrap();
    std::fs::write(scratch.join("broken.dcm"), &chest().bytes()[..9000]).unwrap();
    let films = || ["read.dcm", "refused.dcm", "broken.dcm"].map(|f| scratch.join(f));
    for form in [&["read", "--json"][..], &["read", "--csv"], &["read"]] {
        let out = scratch.join("out");
        let output = chexbox(form).args(films()).arg("--heatmaps").arg(&out).env("RUST_LOG", "trace").output().unwrap();
        assert!(!stdout(&output).contains(PLANTED) && !stderr(&output).contains(PLANTED), "{form:?}");
        for picture in std::fs::read_dir(&out).unwrap().flatten() {
            let bytes = std::fs::read(picture.path()).unwrap();
            assert!(!bytes.windows(PLANTED.len()).any(|w| w == PLANTED.as_bytes()), "{:?}", picture.path());
        }
    }
}

#[test]
fn a_pipe_in_a_folder_of_films_is_refused_and_not_waited_for() {
    let scratch = Scratch::new("fifo");
    std::fs::write(scratch.join("a.dcm"), chest().bytes()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(scratch.join("b.dcm")).status().is_ok_and(|s| s.success());
    assert!(made, "mkfifo belongs to every POSIX system");
    let output = chexbox(&["read", "--json"]).arg(scratch.path()).output().unwrap();
    let codes: Vec<Value> = records(&output).iter().map(|r| r["refusal"]["code"].clone()).collect();
    assert_eq!(codes, [Value::Null, "unreadable_file".into()]);
}
