//! Promise: a heat map and a contact sheet look as they were approved. The pictures of a drawn film are
//! compared with `tests/golden`, one step of 255 a channel allowed.
//!
//! A picture that differs is written beside the approved one and their difference to the target
//! folder. `CHEXBOX_BLESS=1 cargo test pictures` approves what the code draws now.

use chexbox::findings::{Call, Finding, FindingState, Logit, Probability};
use chexbox::grad_cam::{HeatMap, heat_map};
use chexbox::lang::Lang;
use chexbox::model::{FileSpec, FindingSpec, Fit, InputSpec, IntendedUse, Manifest, Operating, OutputSpec, Point};
use chexbox::radiograph::{Facts, Grey, Samples, linear_tone};
use chexbox::report::{Display, ReadView, Tile, overlay, sheet, shown};
use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use std::path::Path;

/// Largest difference of a channel: rounding may differ between processors.
const TOLERANCE: u8 = 1;

/// Id, English, Chinese, probability and threshold where trained.
type Line = (&'static str, &'static str, &'static str, Option<(f32, f32)>);

const LINES: [Line; 7] = [
    ("cardiomegaly", "cardiomegaly", "心影增大", Some((0.81, 0.35))),
    ("pleural_effusion", "pleural effusion", "胸腔积液", Some((0.42, 0.4))),
    ("pneumothorax", "pneumothorax", "气胸", Some((0.03, 0.2))),
    ("interstitial_involvement", "interstitial involvement", "间质改变", Some((0.12, 0.25))),
    ("picc", "PICC", "PICC", None),
    ("scoliosis", "scoliosis", "脊柱侧弯", None),
    ("site_finding", "site's own \u{1f4a9}", "龘", Some((0.000_1, 0.5))),
];

#[test]
fn an_overlay_of_a_portrait_film_looks_as_approved() {
    let findings = findings(1.0);
    let picture = overlay(&Display::of(&film(160, 200)), &heat(1.5, 4.5), &findings[0], &manifest(), Lang::En);
    check("overlay_portrait_en", &decode(&picture.unwrap()));
}

#[test]
fn an_overlay_of_a_landscape_film_looks_as_approved() {
    let findings = findings(0.4);
    let picture = overlay(&Display::of(&film(200, 160)), &heat(5.0, 2.0), &findings[1], &manifest(), Lang::Zh);
    check("overlay_landscape_zh", &decode(&picture.unwrap()));
}

#[test]
fn a_sheet_of_a_film_with_findings_looks_as_approved() {
    check_but_version("sheet_positive_en", &sheet_of(film(160, 200), &findings(1.0), Lang::En));
}

#[test]
fn a_sheet_of_a_film_without_a_positive_finding_looks_as_approved() {
    check_but_version("sheet_negative_zh", &sheet_of(film(200, 160), &findings(0.4), Lang::Zh));
}

fn sheet_of(film: Grey, findings: &[Finding], lang: Lang) -> Vec<u8> {
    let (width, height) = (film.width(), film.height());
    let facts = Facts { format: "dicom", columns: width, rows: height, bits: 8, view: Some("PA".to_owned()), ..Facts::default() };
    let manifest = manifest();
    let view =
        ReadView { file: "films/drawn film.dcm", facts: &facts, steps: &[], manifest: &manifest, findings, engine: "none" };
    let heats: Vec<(usize, HeatMap)> = shown(findings).into_iter().map(|i| (i, heat(1.0 + i as f32, 4.0))).collect();
    let tiles: Vec<Tile> = heats.iter().map(|(i, heat)| Tile { finding: &findings[*i], heat }).collect();
    sheet(&view, &Display::of(&film), &tiles, lang).unwrap()
}

/// A drawn film: a body, two lungs, a spine and ribs, from quadratic forms alone so that every processor draws the same.
fn film(width: usize, height: usize) -> Grey {
    let inside = |x: f32, y: f32, cx: f32, cy: f32, rx: f32, ry: f32| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) < 1.0;
    let grey = |x: f32, y: f32| {
        let lung = inside(x, y, 0.3, 0.48, 0.15, 0.32) || inside(x, y, 0.7, 0.48, 0.15, 0.32);
        let (heart, spine) = (inside(x, y, 0.56, 0.6, 0.16, 0.18), (x - 0.5).abs() < 0.05);
        match (heart, lung, spine, inside(x, y, 0.5, 0.6, 0.47, 0.56)) {
            (true, ..) => 205,
            (_, true, ..) => 60 + 14 * ((y * 20.0) as u8 % 2),
            (_, _, true, _) => 230,
            (.., true) => 170,
            _ => 12,
        }
    };
    let at = |i: usize, n: usize| (i as f32 + 0.5) / n as f32;
    let samples = (0..width * height).map(|i| grey(at(i % width, width), at(i / width, height))).collect();
    Grey::new(width, height, Samples::U8(samples), linear_tone(256)).unwrap()
}

/// A 7 x 7 map with its peak at a column and row.
fn heat(column: f32, row: f32) -> HeatMap {
    let cell = |i: usize| ((i % 7) as f32 - column).powi(2) + ((i / 7) as f32 - row).powi(2);
    let features: Vec<f32> = (0..49).map(|i| 1.0 / (1.0 + cell(i))).collect();
    heat_map(&features, 7, &[1.0]).unwrap()
}

fn findings(share: f32) -> Vec<Finding> {
    let state = |numbers: Option<(f32, f32)>| match numbers {
        None => FindingState::Untrained,
        Some((probability, threshold)) => FindingState::Assessed {
            logit: Logit::new(0.0).unwrap(),
            probability: Probability::new(probability * share).unwrap(),
            threshold,
            call: if probability * share >= threshold { Call::Positive } else { Call::Negative },
        },
    };
    let finding = |(id, en, zh, numbers): Line| Finding { id: id.into(), en: en.into(), zh: zh.into(), state: state(numbers) };
    LINES.map(finding).to_vec()
}

fn manifest() -> Manifest {
    let file = |name: &str| FileSpec { name: name.to_owned(), bytes: 1, sha256: "0123456789abcdef".repeat(4) };
    let spec = |(id, en, zh, numbers): Line| FindingSpec {
        id: id.into(),
        variable: id.into(),
        en: en.into(),
        zh: zh.into(),
        trained: numbers.is_some(),
        operating: numbers.map(|(_, threshold)| Operating { slope: 1.0, intercept: 0.0, threshold, point: Point::Chosen }),
    };
    Manifest {
        name: "drawn".to_owned(),
        version: "1.0.0".to_owned(),
        title_en: "drawn".to_owned(),
        title_zh: "drawn".to_owned(),
        file: file("model.onnx"),
        probe: file("probe.bin"),
        input: InputSpec { size: 224, detail: 128, mean: 0.5, std: 0.25, fit: Fit::Stretch, colour: None },
        output: OutputSpec { feature_channels: 1, feature_side: 7 },
        intended_use: IntendedUse { minimum_age_years: 16 },
        quantization: None,
        findings: LINES.map(spec).to_vec(),
    }
}

/// Compares a sheet without the program's version at its lower right, which every release changes.
fn check_but_version(name: &str, drawn: &[u8]) {
    let mut drawn = decode(drawn);
    let (width, height) = drawn.dimensions();
    for y in height - 50..height {
        for x in width - 240..width {
            drawn.put_pixel(x, y, image::Rgb([0; 3]));
        }
    }
    check(name, &drawn);
}

/// Compares a picture with the approved one of this name.
fn check(name: &str, drawn: &RgbImage) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.png"));
    if std::env::var_os("CHEXBOX_BLESS").is_some() {
        approve(&path, drawn);
        return;
    }
    let approved = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; CHEXBOX_BLESS=1 writes it", path.display()));
    let approved = decode(&approved);
    let differing = differing(&approved, drawn);
    if differing > 0 {
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.diff.png"));
        side_by_side(&approved, drawn).save(&beside).unwrap();
        panic!("{name}: {differing} pixels differ by more than {TOLERANCE}: approved, drawn, difference in {}", beside.display());
    }
}

/// Writes an approved picture, as small as PNG makes it.
fn approve(path: &Path, picture: &RgbImage) {
    let file = std::fs::File::create(path).unwrap();
    let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
    picture.write_with_encoder(encoder).unwrap();
}

fn decode(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).unwrap().into_rgb8()
}

fn differing(a: &RgbImage, b: &RgbImage) -> usize {
    if a.dimensions() != b.dimensions() {
        return a.len().max(b.len()) / 3;
    }
    a.pixels().zip(b.pixels()).filter(|(a, b)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > TOLERANCE)).count()
}

/// Approved, drawn and their difference (white where they differ) from left to right.
fn side_by_side(approved: &RgbImage, drawn: &RgbImage) -> RgbImage {
    let (width, height) = (approved.width().max(drawn.width()), approved.height().max(drawn.height()));
    RgbImage::from_fn(width * 3, height, |x, y| {
        let at = |picture: &RgbImage| picture.get_pixel_checked(x % width, y).copied().unwrap_or(image::Rgb([255, 0, 255]));
        match x / width {
            0 => at(approved),
            1 => at(drawn),
            _ => image::Rgb(if at(approved).0.iter().zip(at(drawn).0).any(|(a, b)| a.abs_diff(b) > TOLERANCE) {
                [255; 3]
            } else {
                [0; 3]
            }),
        }
    })
}

#[test]
fn a_picture_that_differs_by_two_steps_is_noticed_and_by_one_is_not() {
    let picture = |v: u8| RgbImage::from_pixel(2, 2, image::Rgb([v; 3]));
    assert_eq!(differing(&picture(100), &picture(101)), 0);
    assert_eq!(differing(&picture(100), &picture(102)), 4);
    assert_eq!(differing(&picture(100), &RgbImage::new(3, 3)), 9);
    assert_eq!(side_by_side(&picture(100), &picture(102)).get_pixel(4, 0).0, [255; 3]);
}
