//! The models are standard ONNX files of 8-bit integers that every processor and every runtime computes alike,
//! and the verbs that write, show, check and make them keep what they promise.

use super::run::{Scratch, run, stderr, stdout};
use chexbox::model::{Bundle, Network, Options, Precision, Probe, Session, sha256_hex};
use chexbox::radiograph::drawn::DrawnFilm;
use chexbox::{input, reading};
use prost::Message;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

fn proto(onnx: &[u8]) -> ModelProto {
    ModelProto::decode(onnx).unwrap()
}

/// The parts of a bundle as files in a folder.
fn unpacked(name: &str, folder: &Path) {
    let bundle = Bundle::embedded(name).unwrap().unwrap();
    let manifest = bundle.manifest();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("manifest.toml"), toml::to_string(manifest).unwrap()).unwrap();
    std::fs::write(folder.join(&manifest.file.name), bundle.onnx()).unwrap();
    std::fs::write(folder.join(&manifest.probe.name), bundle.probe()).unwrap();
}

fn export(model: &str, out: &Path, options: &[&str]) {
    let out = out.to_str().unwrap();
    let done = run(&[&["model", "export", model, out], options].concat());
    assert!(done.status.success(), "{}", stderr(&done));
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn neighbouring_weights_of_every_embedded_model_add_up_to_what_sixteen_bits_hold() {
    for name in Bundle::embedded_names() {
        let model = proto(Bundle::embedded(name).unwrap().unwrap().onnx());
        assert_eq!(model.opset_import.iter().map(|o| (o.domain.as_str(), o.version)).collect::<Vec<_>>(), [("", 13)]);
        let graph = model.graph.unwrap();
        let mut convolutions = 0;
        for weights in graph.initializer.iter().filter(|t| t.data_type == DataType::Int8 as i32 && t.dims.len() == 4) {
            let [outputs, inputs, h, w] = [0, 1, 2, 3].map(|i| weights.dims[i] as usize);
            let at = |o: usize, c: usize, t: usize| {
                if c < inputs { i32::from(weights.raw_data[(o * inputs + c) * h * w + t] as i8) } else { 0 }
            };
            for (o, c, t) in
                (0..outputs).flat_map(|o| (0..inputs).step_by(2).flat_map(move |c| (0..h * w).map(move |t| (o, c, t))))
            {
                // 255 is the largest input; what is added are its products with both weights.
                let (a, b) = (255 * at(o, c, t), 255 * at(o, c + 1, t));
                let (most, least) = (a.max(0) + b.max(0), a.min(0) + b.min(0));
                assert!(most <= i32::from(i16::MAX) && least >= i32::from(i16::MIN), "{name} {} [{o}, {c}, {t}]", weights.name);
            }
            convolutions += 1;
        }
        assert_eq!(convolutions, 2 * 58 + 3, "{name}: two convolutions a dense layer, one a transition");
    }
}

/// A Python with onnxruntime, or `None` and a line that says what was skipped.
fn python() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("CHEXBOX_PYTHON").unwrap_or_else(|| "python3".into());
    let there = Command::new(&python).args(["-c", "import numpy, onnxruntime"]).output().is_ok_and(|o| o.status.success());
    if !there {
        println!("skipped: exported files in ONNX Runtime ({} lacks numpy or onnxruntime)", Path::new(&python).display());
    }
    there.then_some(python)
}

/// What ONNX Runtime computes for the probe's input.
fn by_onnxruntime(python: &std::ffi::OsStr, file: &Path, size: usize) -> Vec<f32> {
    let script = "import sys, json, numpy as np, onnxruntime as o
s = int(sys.argv[2]); y, x = np.mgrid[0:s, 0:s].astype(np.float64)
image = (np.sin(0.37 * y) * np.cos(0.23 * x)).astype(np.float32)[None, None]
options = o.SessionOptions(); options.intra_op_num_threads = 1; options.log_severity_level = 3
logits, features = o.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider']).run(['logits', 'features'], {'image': image})
print(json.dumps([float(v) for v in logits[0]]))";
    let done = Command::new(python).args(["-c", script]).arg(file).arg(size.to_string()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn exported_files_run_in_onnx_runtime_and_agree_with_the_embedded_model() {
    let scratch = Scratch::new("exported");
    let python = python();
    for name in Bundle::embedded_names() {
        let bundle = Bundle::embedded(name).unwrap().unwrap();
        let size = bundle.manifest().input.size;
        let as_stored = Session::load(&bundle).unwrap();
        let plain = Session::load_with(&bundle, Options { precision: Precision::F32, size: None }).unwrap();
        for (precision, session, tolerance) in [("int8", &as_stored, 0.02), ("f32", &plain, 1e-3)] {
            let file = scratch.join(&format!("{name}.{precision}.onnx"));
            export(name, &file, &["--precision", precision]);
            let content = std::fs::read(&file).unwrap();
            let input = Probe::input(size);
            let want = session.run(&input).unwrap().logits;
            let found = Network::of(proto(&content), size).unwrap().run(&input).unwrap().logits;
            assert!(furthest(&found, &want) < 1e-5, "{name} {precision}");
            let operators: Vec<String> = proto(&content).graph.unwrap().node.into_iter().map(|n| n.op_type).collect();
            assert_eq!(operators.iter().any(|o| o.contains("Linear")), precision == "int8", "{name} {precision}");
            if let Some(python) = &python {
                let apart = furthest(&by_onnxruntime(python, &file, size), &want);
                println!("{name} {precision}: {apart:.5} from onnxruntime");
                assert!(apart <= tolerance, "{name} {precision}: {apart}");
            }
        }
    }
}

#[test]
fn a_file_exported_for_another_size_runs_there() {
    let scratch = Scratch::new("resized");
    let file = scratch.join("m.onnx");
    export("findings10", &file, &["--size", "96"]);
    let network = Network::of(proto(&std::fs::read(&file).unwrap()), 96).unwrap();
    assert_eq!(network.feature_shape(), [1024, 3, 3]);
    let ours = network.run(&Probe::input(96)).unwrap().logits;
    if let Some(python) = python() {
        assert!(furthest(&by_onnxruntime(&python, &file, 96), &ours) <= 0.02);
    }
    let refused = run(&["model", "export", "findings10", file.to_str().unwrap(), "--size", "31"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("32..=2048"), "{}", stderr(&refused));
}

#[test]
fn show_says_what_a_model_holds_in_both_languages_and_as_json() {
    let shown = stdout(&run(&["model", "show", "findings25"]));
    for words in ["DenseNet121: 6 + 12 + 24 + 16 dense layers", "int8 convolutions", "kept by all quantized convolutions", "mass"]
    {
        assert!(shown.contains(words), "{words} not in\n{shown}");
    }
    assert!(stdout(&run(&["model", "show", "findings25", "--lang", "zh"])).contains("所有量化卷积均满足"));
    let json: Value = serde_json::from_str(&stdout(&run(&["model", "show", "findings25", "--json"]))).unwrap();
    let bundle = Bundle::embedded("findings25").unwrap().unwrap();
    assert_eq!(json["sha256"], bundle.manifest().file.sha256.as_str());
    assert_eq!(json["network"]["precision"], "int8");
    assert_eq!(json["network"]["quantized"].as_array().unwrap().len(), 119);
    assert_eq!(json["manifest"]["finding"].as_array().unwrap().len(), 25);
    let nothing = run(&["model", "show", "findings26"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(stderr(&nothing).contains("findings10, findings25"), "{}", stderr(&nothing));
}

#[test]
fn verify_passes_what_is_whole_and_names_what_is_damaged_and_the_remedy() {
    let scratch = Scratch::new("verify");
    for name in Bundle::embedded_names() {
        let done = run(&["model", "verify", name]);
        assert!(done.status.success(), "{}", stdout(&done));
        assert!(!stdout(&done).contains("FAILED"));
    }
    let folder = scratch.join("bundle");
    let verify = || run(&["model", "verify", folder.to_str().unwrap()]);
    unpacked("findings10", &folder);
    assert!(verify().status.success());

    let mut onnx = std::fs::read(folder.join("model.onnx")).unwrap();
    let middle = onnx.len() / 2;
    onnx[middle] ^= 1;
    std::fs::write(folder.join("model.onnx"), &onnx).unwrap();
    let damaged = verify();
    assert_eq!(damaged.status.code(), Some(3));
    let said = stdout(&damaged);
    for words in ["FAILED  model file: model.onnx has sha256", "ok      probe file", "what to do: copy the bundle again"] {
        assert!(said.contains(words), "{words} not in\n{said}");
    }
    let json = run(&["model", "verify", folder.to_str().unwrap(), "--json"]);
    let json: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(json["passed"], false);
}

#[test]
fn verify_finds_integers_that_break_the_pair_rule_though_every_digest_fits() {
    let scratch = Scratch::new("breach");
    let folder = scratch.join("bundle");
    unpacked("findings10", &folder);
    let bundle = Bundle::embedded("findings10").unwrap().unwrap();
    let mut model = proto(bundle.onnx());
    let tensors = &mut model.graph.as_mut().unwrap().initializer;
    let weights =
        tensors.iter_mut().find(|t| t.data_type == DataType::Int8 as i32 && t.dims.len() == 4 && t.dims[2] == 1).unwrap();
    weights.raw_data[..2].copy_from_slice(&[100, 100]);
    let onnx = model.encode_to_vec();
    let mut manifest = bundle.manifest().clone();
    manifest.file.bytes = onnx.len() as u64;
    manifest.file.sha256 = sha256_hex(&onnx);
    std::fs::write(folder.join("model.onnx"), &onnx).unwrap();
    std::fs::write(folder.join("manifest.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    let done = run(&["model", "verify", folder.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(3));
    let said = stdout(&done);
    assert!(said.contains("FAILED  pair rule of the integers") && said.contains("add up to 200, allowed is 128"), "{said}");
}

#[test]
fn a_model_quantized_by_the_verb_keeps_its_logits_close_and_the_same_films_give_the_same_file() {
    let scratch = Scratch::new("quantize");
    let (plain, films) = (scratch.join("plain.onnx"), scratch.join("films"));
    export("findings10", &plain, &["--precision", "f32"]);
    std::fs::create_dir_all(&films).unwrap();
    for seed in 1..=6 {
        let out = films.join(format!("{seed}.png"));
        let seed = seed.to_string();
        let args = ["test-film", "--out", out.to_str().unwrap(), "--width", "200", "--height", "240", "--seed", &seed];
        assert!(run(&args).status.success());
    }
    std::fs::write(films.join("note.txt"), "no film").unwrap();
    let quantize = |out: &Path, threads: &str| {
        let args = ["model", "quantize", "--model", plain.to_str().unwrap(), "--calibration", films.to_str().unwrap()];
        let done = run(&[&args[..], &["--out", out.to_str().unwrap(), "--threads", threads]].concat());
        assert!(done.status.success(), "{}", stderr(&done));
        assert!(stderr(&done).contains("1 of 7 films were refused and not used"), "{}", stderr(&done));
        assert!(stdout(&done).contains("calibrated on 6 films"), "{}", stdout(&done));
    };
    let (one, two) = (scratch.join("one.onnx"), scratch.join("two.onnx"));
    quantize(&one, "1");
    quantize(&two, "2");
    let (one, two) = (std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
    assert_eq!(sha256_hex(&one), sha256_hex(&two));

    let bundle = Bundle::embedded("findings10").unwrap().unwrap();
    let spec = &bundle.manifest().input;
    let network = |onnx: &[u8]| Network::of(proto(onnx), spec.size).unwrap();
    let (before, after) = (network(&std::fs::read(&plain).unwrap()), network(&one));
    // Films that were not calibrated with.
    for seed in 7..=10 {
        let film = reading::admit(&DrawnFilm { width: 200, height: 240, seed }.png()).unwrap();
        let input = input::prepare(&film.grey, spec);
        let (before, after) = (before.run(&input).unwrap().logits, after.run(&input).unwrap().logits);
        let far = furthest(&before, &after);
        println!("film {seed}: furthest logit {far:.4}");
        assert!(far < 0.1, "{seed}: {before:?} {after:?}");
    }

    let again =
        run(&["model", "quantize", "--model", films.join("note.txt").to_str().unwrap(), "--calibration", "x", "--out", "y"]);
    assert_eq!(again.status.code(), Some(3));
}
