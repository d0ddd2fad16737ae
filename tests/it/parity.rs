//! Preprocessing and logits against an independent implementation (`tools/parity.py`: pydicom, Pillow,
//! numpy, onnxruntime): logits within 0.02, prepared pixels within 1/255.

use super::data::real;
use super::run::Scratch;
use chexbox::input;
use chexbox::model::{Bundle, Session};
use chexbox::reading;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Both compute the same sums of integers; but what lies between two steps may be rounded to either, because the f32
/// arithmetic before it differs in its last bit, and a logit then moves by parts of what a step is worth.
const LOGIT: f32 = 0.02;
const PIXEL: f32 = 1.0 / 255.0;

fn sessions() -> BTreeMap<String, Session> {
    let load = |name: &str| Session::load(&Bundle::embedded(name).unwrap().unwrap()).unwrap();
    Bundle::embedded_names().map(|n| (n.to_owned(), load(n))).collect()
}

/// Greys of the network's input before normalisation, and the logits.
fn ours(film: &Path, session: &Session) -> (Vec<f32>, Vec<f32>) {
    let bytes = std::fs::read(film).unwrap();
    let film = reading::admit(&bytes).unwrap_or_else(|e| panic!("{}: {e}", film.display()));
    let spec = &session.manifest().input;
    let plane = input::enlarge(&input::reduce(&film.grey, spec.detail, spec.fit), spec.size);
    let logits = session.run(&input::normalise(plane.clone(), spec)).unwrap().logits;
    (plane.values, logits)
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

#[test]
fn drawn_films_of_every_encoding_agree_with_the_committed_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parity");
    let reference: Value = serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap();
    let sessions = sessions();
    for (name, session) in &sessions {
        assert_eq!(
            reference["model_sha256"][name],
            session.manifest().file.sha256.as_str(),
            "the reference was made with another {name}; make it again: tools/parity.py reference"
        );
    }
    let films = reference["films"].as_object().unwrap();
    let names = std::fs::read_dir(&folder).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut committed: Vec<String> = names.filter(|n| n != "reference.json" && !n.ends_with(".plane.png")).collect();
    committed.sort();
    assert!(committed.len() >= 11, "{committed:?}");
    assert_eq!(films.keys().cloned().collect::<Vec<_>>(), committed);
    for (film, entry) in films {
        let plane = image::open(folder.join(format!("{film}.plane.png"))).unwrap().into_luma16();
        let plane: Vec<f32> = plane.pixels().map(|p| f32::from(p.0[0]) / 65535.0).collect();
        for (name, session) in &sessions {
            let (pixels, logits) = ours(&folder.join(film), session);
            let (dp, dl) = (furthest(&pixels, &plane), furthest(&logits, &floats(&entry[name]["logits"])));
            println!("{film} {name}: pixels {dp:.6}, logits {dl:.6}");
            assert!(dp <= PIXEL, "{film} {name}: pixels differ by {dp}");
            assert!(dl <= LOGIT, "{film} {name}: logits differ by {dl}");
        }
    }
}

/// A Python with the reference's packages, or `None` and a line that says so.
fn python() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("CHEXBOX_PYTHON").unwrap_or_else(|| "python3".into()));
    let imports = "import pydicom, PIL, numpy, onnxruntime, openjpeg";
    let there = Command::new(&python).args(["-c", imports]).output().is_ok_and(|o| o.status.success());
    if !there {
        println!("skipped: {} lacks the packages of tools/requirements.txt (CHEXBOX_PYTHON names another)", python.display());
    }
    there.then_some(python)
}

#[test]
fn real_films_agree_with_the_independent_implementation() {
    let Some(root) = real("radiographs", "parity on real films") else { return };
    let Some(python) = python() else { return };
    let below = |folder: &str| -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(root.join(folder)).unwrap().flatten().map(|e| e.path()).collect();
        files.sort();
        files
    };
    let mut films = below("dicom-cr");
    films.extend(below("dicom").into_iter().take(3));
    for folder in ["nih1024", "jsrt", "wingspan", "hannover"] {
        films.extend(below(folder));
    }
    films.extend(below("nih512").into_iter().step_by(8));
    let scratch = Scratch::new("parity");
    let list: Vec<String> = films.iter().map(|f| f.display().to_string()).collect();
    std::fs::write(scratch.join("films.txt"), list.join("\n")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/parity.py");
    let done =
        Command::new(python).arg(script).arg("logits").arg(scratch.join("films.txt")).arg(scratch.join("out")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let sessions = sessions();
    let (mut compared, mut furthest_lossless) = (0, 0.0_f32);
    for line in std::fs::read_to_string(scratch.join("out")).unwrap().lines() {
        let theirs: Value = serde_json::from_str(line).unwrap();
        let (file, model) = (theirs["file"].as_str().unwrap(), theirs["model"].as_str().unwrap());
        let (pixels, logits) = ours(Path::new(file), &sessions[model]);
        let (dp, dl) = (furthest(&pixels, &floats(&theirs["plane"])), furthest(&logits, &floats(&theirs["logits"])));
        // JPEG leaves the inverse transform's rounding to the decoder: ours and Pillow's differ by a grey level here and there.
        let lossy = file.ends_with(".jpg") || file.contains("J2K");
        assert!(dp <= PIXEL, "{file} {model}: pixels differ by {dp}");
        assert!(dl <= if lossy { 0.05 } else { LOGIT }, "{file} {model}: logits differ by {dl}");
        compared += 1;
        if !lossy {
            furthest_lossless = furthest_lossless.max(dl);
        }
    }
    println!("{compared} readings of {} real films agree, logits of lossless ones to {furthest_lossless:.5}", films.len());
    assert_eq!(compared, films.len() * sessions.len());
}
