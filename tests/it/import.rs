//! `chexbox model import`: a network of another project gives here what it gives there, from the PNG file on, and makes no calls
//! at operating points that nobody chose.
//!
//! The reference is made by tools/import_reference.py with torchvision and torchxrayvision themselves.

use super::run::{Scratch, records, run, stderr, stdout};
use chexbox::model::{Bundle, Session};
use chexbox::{input, reading};
use serde_json::Value;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import")
}

fn reference(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap()
}

/// Three findings, for the network with torchvision's names.
const THREE: &str = "name = \"three\"\ntitle_en = \"three findings\"\ntitle_zh = \"三项\"\n\
    [[finding]]\nid = \"a\"\nvariable = \"var_0\"\nen = \"a\"\nzh = \"甲\"\n\
    [[finding]]\nid = \"b\"\nvariable = \"var_1\"\nen = \"b\"\nzh = \"乙\"\n\
    [[finding]]\nid = \"c\"\nvariable = \"var_2\"\nen = \"c\"\nzh = \"丙\"\n";

fn import(weights: &Path, labels: &Path, out: &Path, more: &[&str]) -> std::process::Output {
    let [weights, labels, out] = [weights, labels, out].map(|p| p.to_str().unwrap());
    run(&[&["model", "import", "--weights", weights, "--labels", labels, "--out", out][..], more].concat())
}

/// The logits that the bundle in `folder` gives for a film, by the same code as `chexbox read`.
fn logits(folder: &Path, film: &Path) -> Vec<f32> {
    let manifest = std::fs::read_to_string(folder.join("manifest.toml")).unwrap();
    let bundle = Bundle::checked(&manifest, |name| Ok(Cow::Owned(std::fs::read(folder.join(name)).unwrap()))).unwrap();
    let session = Session::load(&bundle).unwrap();
    let film = reading::admit(&std::fs::read(film).unwrap()).unwrap();
    session.run(&input::prepare(&film.grey, session.input())).unwrap().logits
}

/// The largest difference of a logit to what the other project computes, over the films of `reference`.
fn furthest(bundle: &Path, folder: &Path, reference: &Value) -> f64 {
    let mut furthest = 0.0_f64;
    for (film, want) in reference.as_object().unwrap() {
        let want: Vec<f64> = want["logits"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let found = logits(bundle, &folder.join(film));
        assert_eq!(found.len(), want.len());
        furthest = found.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(furthest, f64::max);
    }
    furthest
}

/// Both projects' networks of a folder of tools/import_reference.py, imported and compared.
fn agree(folder: &Path, scratch: &Scratch) {
    let reference = reference(folder);
    let side = reference["side"].to_string();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let three = scratch.join("three.toml");
    std::fs::write(&three, THREE).unwrap();
    for (project, weights, labels) in [
        ("torchxrayvision", "torchxrayvision.pt", root.join("configs/labels_torchxrayvision.toml")),
        ("torchvision", "torchvision.pth", three),
    ] {
        let bundle = scratch.join(project);
        let done = import(&folder.join(weights), &labels, &bundle, &["--from", project, "--size", &side]);
        assert!(done.status.success(), "{}", stderr(&done));
        let apart = furthest(&bundle, folder, &reference[project]);
        println!("{project}: logits at most {apart:.1e} apart");
        assert!(apart < 1e-4, "{project}: {apart}");
        let verified = run(&["model", "verify", bundle.to_str().unwrap()]);
        assert!(!stdout(&verified).contains("FAILED  probe"), "{}", stdout(&verified));
    }
}

#[test]
fn an_imported_network_gives_the_logits_that_its_own_project_gives_for_the_same_file() {
    let scratch = Scratch::new("import-parity");
    agree(&data(), &scratch);
}

#[test]
fn so_does_a_densenet121_where_a_python_has_both_projects() {
    let Some(python) = std::env::var_os("CHEXBOX_IMPORT_PYTHON") else {
        println!("skipped: CHEXBOX_IMPORT_PYTHON names no Python that has torchvision, torchxrayvision and scikit-image");
        return;
    };
    let scratch = Scratch::new("import-full");
    let folder = scratch.join("reference");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/import_reference.py");
    let mut command = std::process::Command::new(python);
    let done = command.arg(script).arg(&folder).arg(env!("CARGO_BIN_EXE_chexbox")).arg("--full").status().unwrap();
    assert!(done.success());
    agree(&folder, &scratch);
}

#[test]
fn operating_points_of_the_file_call_as_its_project_does_and_heads_without_one_are_untrained() {
    let scratch = Scratch::new("import-points");
    let labels = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/labels_torchxrayvision.toml");
    let bundle = scratch.join("xrv");
    let done = import(&data().join("torchxrayvision.pt"), &labels, &bundle, &["--from", "torchxrayvision", "--size", "192"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stdout(&done).contains("18 findings, 16 of them trained"), "{}", stdout(&done));
    for (film, want) in reference(&data())["torchxrayvision"].as_object().unwrap() {
        let film = data().join(film);
        let read = run(&["read", "--json", "--model", bundle.to_str().unwrap(), film.to_str().unwrap()]);
        assert!(read.status.success(), "{}", stderr(&read));
        let record = records(&read).remove(0);
        let findings = record["findings"].as_array().unwrap_or_else(|| panic!("{record}"));
        for (finding, want) in findings.iter().zip(want["calls"].as_array().unwrap()) {
            match want.as_bool() {
                None => assert!(finding["probability"].is_null(), "{finding}"),
                Some(want) => assert_eq!(finding["positive"].as_bool(), Some(want), "{finding}"),
            }
        }
    }
}

#[test]
fn a_model_without_operating_points_reads_nothing_until_they_are_chosen() {
    let scratch = Scratch::new("import-open");
    let (labels, bundle, films) = (scratch.join("three.toml"), scratch.join("bundle"), scratch.join("films"));
    std::fs::write(&labels, THREE).unwrap();
    std::fs::create_dir_all(&films).unwrap();
    let done = import(&data().join("torchvision.pth"), &labels, &bundle, &["--from", "torchvision", "--size", "192"]);
    assert!(done.status.success() && stderr(&done).contains("not chosen yet"), "{}", stderr(&done));
    let model = bundle.to_str().unwrap();
    let film = data().join("square.png");
    let refused = run(&["read", "--json", "--model", model, film.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("evaluate") && stdout(&refused).is_empty(), "{}", stderr(&refused));

    let mut rows = "file,a\n".to_owned();
    for (i, name) in ["square", "tall", "wide"].iter().enumerate() {
        std::fs::copy(data().join(format!("{name}.png")), films.join(format!("{name}.png"))).unwrap();
        rows += &format!("{name}.png,{}\n", i % 2);
    }
    std::fs::write(scratch.join("labels.csv"), rows).unwrap();
    let csv = scratch.join("labels.csv");
    let chosen = run(&[
        "evaluate",
        "--model",
        model,
        "--labels",
        csv.to_str().unwrap(),
        "--images",
        films.to_str().unwrap(),
        "--choose",
        "youden",
        "--into",
        model,
    ]);
    assert!(chosen.status.success(), "{}", stderr(&chosen));
    let read = run(&["read", "--json", "--model", model, film.to_str().unwrap()]);
    assert!(read.status.success(), "{}", stderr(&read));
    assert!(stderr(&read).contains("no operating point for b, c"), "{}", stderr(&read));
}

#[test]
fn weights_that_do_not_fit_are_refused_with_what_was_needed() {
    let scratch = Scratch::new("import-refused");
    let (labels, out, broken) = (scratch.join("three.toml"), scratch.join("out"), scratch.join("w.pth"));
    std::fs::write(&labels, THREE).unwrap();
    std::fs::write(&broken, b"nothing of use").unwrap();
    let xrv = data().join("torchxrayvision.pt");
    for (weights, more, words) in [
        (&xrv, &["--from", "torchxrayvision"][..], "18 logits, the label set three 3 findings"),
        (&broken, &["--from", "torchvision"][..], "is no PyTorch file of weights"),
        (&data().join("torchvision.pth"), &["--range", "1", "1"][..], "is no range"),
    ] {
        let refused = import(weights, &labels, &out, more);
        assert_eq!(refused.status.code(), Some(3), "{}", stdout(&refused));
        assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
        assert!(!out.exists(), "nothing is written");
    }
    assert_eq!(import(&xrv, &labels, &out, &[]).status.code(), Some(2), "how films were prepared must be said");
}
