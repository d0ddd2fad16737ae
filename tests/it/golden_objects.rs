//! The objects of one drawn film with findings of fixed numbers, element by element, against `tests/golden/*.txt`. Derived UIDs and the
//! program's version are masked, pixels and tables are counted. `CHEXBOX_BLESS=1` writes the goldens again.

use super::dicom_objects::film;
use chexbox::findings::{Call, Finding, FindingState, Logit, Probability};
use chexbox::grad_cam::heat_map;
use chexbox::lang::Lang;
use chexbox::model::{Bundle, Manifest};
use chexbox::radiograph::{Lineage, decode};
use chexbox::report::dicom::{Moment, Object, Source, presentation_state, secondary_capture, structured_report};
use chexbox::report::{Display, ReadView, Tile};
use dicom_object::InMemDicomObject;
use std::fmt::Write;
use std::path::Path;

fn finding(id: &str, en: &str, zh: &str, numbers: Option<(f32, f32)>) -> Finding {
    let state = numbers.map_or(FindingState::Untrained, |(probability, threshold)| FindingState::Assessed {
        logit: Logit::new(0.0).unwrap(),
        probability: Probability::new(probability).unwrap(),
        threshold,
        call: if probability >= threshold { Call::Positive } else { Call::Negative },
    });
    Finding { id: id.into(), en: en.into(), zh: zh.into(), state }
}

fn manifest() -> Manifest {
    let bundle = Bundle::embedded("findings25").unwrap().unwrap();
    let mut manifest = bundle.manifest().clone();
    manifest.version = "1.2.0".into();
    manifest.file.sha256 = "5a".repeat(32);
    manifest
}

/// The elements of an object, one a line.
fn dump(object: &InMemDicomObject, depth: usize, out: &mut String) {
    for element in object {
        let (tag, vr) = (element.header().tag, element.header().vr);
        write!(out, "{:width$}{tag} {} ", "", vr.to_string(), width = 2 * depth).unwrap();
        if let Some(items) = element.items() {
            writeln!(out, "{} items", items.len()).unwrap();
            for item in items {
                dump(item, depth + 1, out);
                writeln!(out, "{:width$}--", "", width = 2 * depth).unwrap();
            }
        } else if ["OB", "OW"].contains(&vr.to_string()) {
            writeln!(out, "{} bytes", element.to_bytes().unwrap().len()).unwrap();
        } else {
            let value = element.to_str().unwrap().trim_end_matches('\0').trim_end().to_owned();
            let value = if value.starts_with("2.25.") { "2.25.(derived)".to_owned() } else { value };
            writeln!(out, "{}", value.replace(env!("CARGO_PKG_VERSION"), "VERSION")).unwrap();
        }
    }
}

fn is_golden(name: &str, object: &Object) {
    let read = dicom_object::from_reader(object.file.as_slice()).unwrap().into_inner();
    let mut text = String::new();
    dump(&read, 0, &mut text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("CHEXBOX_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (line, (found, want)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, want, "{name}, line {}", line + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count(), "{name}");
}

#[test]
fn the_objects_of_one_drawn_film_are_these_element_by_element() {
    let bytes = film("Wang^XiaoDong=王^小东".as_bytes(), "ISO_IR 192").bytes();
    let (lineage, radiograph) = (Lineage::of(&bytes).unwrap(), decode(&bytes).unwrap());
    let manifest = manifest();
    let findings = [
        finding("pneumothorax", "pneumothorax", "气胸", Some((0.75, 0.5))),
        finding("patchy_consolidation", "patchy consolidation", "斑片影", Some((0.125, 0.25))),
        finding("picc", "PICC", "PICC", None),
    ];
    let view = ReadView {
        file: "王小东.dcm",
        facts: &radiograph.facts,
        steps: &radiograph.steps,
        manifest: &manifest,
        findings: &findings,
        engine: "drawn",
    };
    let at = Moment::new((2020, 1, 31), (8, 30, 15), 8 * 60).unwrap();
    let heat = heat_map(&[0.0, 0.0, 0.0, 4.0], 2, &[1.0]).unwrap();
    let tiles = [Tile { finding: &findings[0], heat: &heat }];
    for (lang, ending) in [(Lang::En, "en"), (Lang::Zh, "zh")] {
        let source = Source { view: &view, lineage: &lineage, film_sha256: &[7; 32], at, lang };
        is_golden(&format!("structured_report_{ending}.txt"), &structured_report(&source).unwrap());
        let capture = secondary_capture(&source, &Display::of(&radiograph.grey), &tiles).unwrap();
        is_golden(&format!("secondary_capture_{ending}.txt"), &capture);
        is_golden(&format!("presentation_state_{ending}.txt"), &presentation_state(&source, &radiograph.grey, &tiles).unwrap());
        // A file's name may be the patient's.
        assert!(!capture.file.windows(9).any(|bytes| bytes == "王小东".as_bytes()));
    }
}
