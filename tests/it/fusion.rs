//! A DenseNet runs on operators of our own, in every form it is written in, and computes what tract alone computes; another
//! graph runs on tract alone, and says so.

use super::data::real;
use super::densenet::{self, Form, Joined, Norms, Pooled, Stored};
use super::run::{Scratch, chexbox, records, run, stderr, stdout};
use chexbox::input;
use chexbox::model::{Activations, Arithmetic, Bundle, Engine, Network, Options, Precision, Session};
use chexbox::radiograph::drawn::DrawnFilm;
use chexbox::reading;
use prost::Message;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

/// An image of C planes by a formula, as large as normalised greys are.
fn image(channels: usize, size: usize) -> Vec<f32> {
    let value = |i: usize| {
        let (c, y, x) = (i / (size * size), i / size % size, i % size);
        ((0.37 * y as f64 + c as f64).sin() * (0.23 * x as f64).cos() * 2.0) as f32
    };
    (0..channels * size * size).map(value).collect()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn both(model: &ModelProto, channels: usize, size: usize) -> (Network, Activations, Activations) {
    let fused = Network::of(model.clone(), size).unwrap();
    let alone = Network::with(model.clone(), size, Engine::TractAlone).unwrap();
    assert!(alone.fusions().is_err() && alone.engine().ends_with(" f32"));
    let image = image(channels, size);
    let (a, b) = (fused.run_image(&image).unwrap(), alone.run_image(&image).unwrap());
    (fused, a, b)
}

/// Every form in f32, at odd sizes too: the same numbers as tract alone within 1e-4 of the largest.
#[test]
fn every_form_of_a_densenet_in_f32_is_fused_and_computes_what_tract_alone_computes() {
    let small = Form::small;
    let forms = [
        (small(), 64),
        (small(), 45),
        (Form { channels: 3, logits: 1, ..small() }, 64),
        (Form { pooled: Pooled::Before, ..small() }, 70),
        (Form { norms: Norms::Folded, ..small() }, 64),
        (Form { joined: Joined::AllAgain, norms: Norms::Folded, channels: 3, ..small() }, 64),
        (Form { stored: Stored::Int8Weights, ..small() }, 64),
        (Form { stored: Stored::Int8Weights, norms: Norms::Folded, joined: Joined::AllAgain, ..small() }, 96),
        (Form { blocks: vec![3], ..small() }, 33),
        (Form { blocks: vec![6, 12, 32, 32], stem: 8, growth: 4, bottleneck: 8, logits: 14, ..small() }, 64),
        (Form { blocks: vec![6, 12, 48, 32], stem: 8, growth: 4, bottleneck: 8, logits: 25, ..small() }, 64),
    ];
    for (form, size) in forms {
        let (network, fused, alone) = both(&form.model(size), form.channels, size);
        let fusions = network.fusions().unwrap_or_else(|why| panic!("{form:?}: {why}"));
        assert_eq!((&fusions.layers, fusions.transitions), (&form.blocks, form.blocks.len() - 1));
        assert_eq!(fusions.arithmetic, Arithmetic::F32);
        for (a, b) in [(&fused.logits, &alone.logits), (&fused.features, &alone.features)] {
            let largest = b.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
            assert!(furthest(a, b) <= 1e-4 * largest, "{form:?} at {size}: {} of {largest}", furthest(a, b));
        }
    }
}

/// A value between two steps may be rounded to either where sums were taken in another order, and the next layers carry that on.
#[test]
fn a_quantized_densenet_is_fused_in_int8_and_agrees_with_tract_alone_within_rounding() {
    for (form, size) in [
        (Form::quantized(), 64),
        (Form { joined: Joined::AllAgain, ..Form::quantized() }, 51),
        (Form { norms: Norms::Nodes, blocks: vec![4, 4, 4], ..Form::quantized() }, 96),
    ] {
        let (network, fused, alone) = both(&form.model(size), 1, size);
        let fusions = network.fusions().unwrap_or_else(|why| panic!("{form:?}: {why}"));
        assert_eq!((&fusions.layers, fusions.arithmetic), (&form.blocks, Arithmetic::Int8));
        assert!(network.engine().contains(" + chexbox int8 "), "{}", network.engine());
        let largest = alone.logits.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
        assert!(furthest(&fused.logits, &alone.logits) <= 0.01 * largest, "{form:?}: {:?} {:?}", fused.logits, alone.logits);
    }
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

fn named<'a>(model: &'a mut ModelProto, name: &str) -> &'a mut NodeProto {
    graph(model).node.iter_mut().find(|n| n.name == name).unwrap_or_else(|| panic!("no node {name}"))
}

fn attribute(model: &mut ModelProto, node: &str, name: &str, values: &[i64]) {
    let node = named(model, node);
    node.attribute.retain(|a| a.name != name);
    node.attribute.push(densenet::ints(name, values));
}

/// Puts an operator between a node and what it reads first.
fn before(model: &mut ModelProto, name: &str, op: &str, others: &[&str]) {
    let node = named(model, name);
    let from = std::mem::replace(&mut node.input[0], format!("{name}.before"));
    let inputs: Vec<&str> = std::iter::once(from.as_str()).chain(others.iter().copied()).collect();
    let new = densenet::node(op, &inputs, &format!("{name}.extra"), &format!("{name}.before"), vec![]);
    let at = graph(model).node.iter().position(|n| n.name == name).unwrap();
    graph(model).node.insert(at, new);
}

/// Takes out a node that has one input.
fn without(model: &mut ModelProto, name: &str) {
    let (from, to) = (named(model, name).input[0].clone(), named(model, name).output[0].clone());
    graph(model).node.retain(|n| n.name != name);
    let inputs = graph(model).node.iter_mut().flat_map(|n| &mut n.input);
    inputs.filter(|i| **i == to).for_each(|i| i.clone_from(&from));
}

fn replace(model: &mut ModelProto, tensor: tract_onnx::pb::TensorProto) {
    let all = &mut graph(model).initializer;
    let old = all.iter_mut().find(|t| t.name == tensor.name).unwrap_or_else(|| panic!("no tensor {}", tensor.name));
    *old = tensor;
}

type Change = fn(&mut ModelProto);

/// One change each, the node that the reason must name, and what it must say was expected.
#[test]
fn a_graph_that_differs_anywhere_is_left_to_tract_whole_and_the_node_is_named() {
    let plain: [(Change, &str, &str); 13] = [
        (|m| attribute(m, "stem", "strides", &[1, 1]), "stem", "7 x 7 of stride 2"),
        (|m| attribute(m, "stem", "pads", &[3, 3, 2, 2]), "stem", "7 x 7"),
        (|m| attribute(m, "pool0", "pads", &[0, 0, 0, 0]), "pool0", "a max pool 3 x 3 of stride 2 and padding 1"),
        (
            |m| {
                attribute(m, "block1.layer0.conv2", "dilations", &[2, 2]);
                attribute(m, "block1.layer0.conv2", "pads", &[2, 2, 2, 2]);
            },
            "block1.layer0",
            "3 x 3 of stride 1 and padding 1",
        ),
        (|m| without(m, "block0.layer1.norm1.relu"), "block0.layer1", "a ReLU"),
        (|m| without(m, "stem.norm.relu"), "stem", "a ReLU"),
        (|m| without(m, "block0.layer1.norm1"), "block0", "a batch normalization"),
        (|m| attribute(m, "transition0.pool", "pads", &[1, 1, 1, 1]), "transition0.pool", "an average pool 2 x 2"),
        (|m| named(m, "transition0.pool").op_type = "MaxPool".into(), "transition0.pool", "a max pool 3 x 3"),
        (|m| named(m, "block0.layer1.join").input.swap(0, 1), "pool0", "a convolution 3 x 3 of stride 1 and padding 1"),
        (|m| before(m, "block1.layer2.conv1", "Sigmoid", &[]), "block1.layer2.conv1.extra", "a ReLU"),
        (|m| named(m, "mean").op_type = "GlobalMaxPool".into(), "mean", "the mean of each channel"),
        (
            |m| {
                graph(m).initializer.push(densenet::floats("zero", &[1], &[0.0]));
                let node = densenet::node("Add", &["logits", "zero"], "more", "logits2", vec![]);
                graph(m).node.push(node);
                graph(m).output[0].name = "logits2".into();
                graph(m).node.iter_mut().flat_map(|n| &mut n.output).filter(|o| *o == "logits").for_each(|o| *o = "l".into());
                let last = graph(m).node.last_mut().unwrap();
                (last.input[0], last.output[0]) = ("l".into(), "logits".into());
                graph(m).output[0].name = "logits".into();
            },
            "more",
            "a linear layer",
        ),
    ];
    let joined: [(Change, &str, &str); 1] =
        [(|m| named(m, "block0.layer1.all").input.swap(0, 1), "block0.layer1.all", "all channels of the block so far")];
    let quantized: [(Change, &str, &str); 4] = [
        (
            |m| replace(m, densenet::tensor("block0.layer0.q1.zero", &[], DataType::Uint8, vec![3])),
            "block0.layer0.q1",
            "quantization to u8 with zero point 0",
        ),
        (
            |m| {
                graph(m).initializer.push(densenet::floats("other", &[], &[0.5]));
                named(m, "block0.layer1.q2.back").input[1] = "other".into();
            },
            "block0.layer1.q2",
            "one step both ways",
        ),
        (
            |m| replace(m, densenet::tensor("block1.layer0.conv1.weight.zero", &[16], DataType::Int8, vec![1; 16])),
            "block1.layer0.conv1.weight",
            "constant weights",
        ),
        (
            |m| {
                let weight = densenet::floats("plain", &[8, 16, 3, 3], &[0.01; 8 * 16 * 9]);
                graph(m).initializer.push(weight);
                named(m, "block1.layer2.conv2").input[1] = "plain".into();
            },
            "block1.layer2.conv2",
            "int8 weights behind a quantized input",
        ),
    ];
    let size = 64;
    let plain = plain.into_iter().map(|case| (Form::small(), case));
    let quantized = quantized.into_iter().map(|case| (Form::quantized(), case));
    let mut others = Vec::new();
    let joined = joined.into_iter().map(|case| (Form { joined: Joined::AllAgain, ..Form::small() }, case));
    for (form, (change, node, wanted)) in plain.chain(quantized).chain(joined) {
        let mut model = form.model(size);
        change(&mut model);
        let network = Network::of(model.clone(), size).unwrap_or_else(|e| panic!("{node}, {wanted}: {e}"));
        let why = network.fusions().err().unwrap_or_else(|| panic!("{node}: fused all the same")).to_owned();
        if !why.contains(node) || !why.contains(wanted) {
            others.push(format!("{node}, {wanted}: {why}"));
        }
        assert!(network.engine().starts_with("tract ") && network.engine().ends_with(" f32"), "{}", network.engine());
        let alone = Network::with(model, size, Engine::TractAlone).unwrap();
        let image = image(1, size);
        assert_eq!(network.run_image(&image).unwrap(), alone.run_image(&image).unwrap());
    }
    assert_eq!(others, Vec::<String>::new());
}

#[test]
fn int8_weights_that_would_saturate_a_lesser_cpu_are_left_to_tract_on_every_cpu() {
    let mut model = Form::quantized().model(64);
    let weight = densenet::tensor("block0.layer0.conv1.weight.int8", &[16, 16, 1, 1], DataType::Int8, vec![100; 256]);
    replace(&mut model, weight);
    let network = Network::of(model, 64).unwrap();
    let why = network.fusions().unwrap_err();
    assert!(why.contains("-128 to 128 were expected"), "{why}");
}

#[test]
fn an_operator_that_is_not_known_is_refused_by_name_with_those_that_are() {
    let mut model = Form::small().model(64);
    before(&mut model, "stem", "Erf", &[]);
    let error = Network::of(model, 64).unwrap_err().to_string();
    assert!(error.contains("stem.extra") && error.contains("Erf") && error.contains("BatchNormalization"), "{error}");
}

fn embedded() -> impl Iterator<Item = Bundle> {
    Bundle::embedded_names().map(|name| Bundle::embedded(name).unwrap().unwrap())
}

#[test]
fn our_own_models_are_fused_as_densenet121_and_agree_with_tract_alone_on_drawn_films() {
    for bundle in embedded() {
        let session = Session::load(&bundle).unwrap();
        let fusions = session.fusions().unwrap();
        assert_eq!((fusions.layers.as_slice(), fusions.transitions), (&[6, 12, 24, 16][..], 3));
        let name = session.engine().to_owned();
        assert!(name.contains(&format!(" + chexbox {} {}", fusions.arithmetic, fusions.instruction_set)), "{name}");
        let manifest = session.manifest();
        let model = ModelProto::decode(bundle.onnx()).unwrap();
        let alone = Network::with(model, manifest.input.size, Engine::TractAlone).unwrap();
        let (logit, feature) = if fusions.arithmetic == Arithmetic::Int8 { (0.02, f32::INFINITY) } else { (1e-4, 1e-4) };
        for seed in 1..4 {
            let film = reading::admit(&DrawnFilm { width: 512, height: 512, seed }.png()).unwrap();
            let input = input::prepare(&film.grey, &manifest.input);
            let (a, b) = (session.run(&input).unwrap(), alone.run(&input).unwrap());
            assert!(furthest(&a.logits, &b.logits) <= logit, "{} {seed}: {}", manifest.name, furthest(&a.logits, &b.logits));
            let largest = b.features.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
            assert!(furthest(&a.features, &b.features) <= feature * largest, "{} {seed}", manifest.name);
            for (i, finding) in manifest.findings.iter().enumerate() {
                let Some(o) = finding.operating else { continue };
                let positive = |logit: f32| 1.0 / (1.0 + (-(o.slope * logit + o.intercept)).exp()) >= o.threshold;
                // A logit at its very operating point may fall to either side.
                let near = |logit: f32| positive(logit - 0.02) != positive(logit + 0.02);
                assert!(positive(a.logits[i]) == positive(b.logits[i]) || near(b.logits[i]), "{} {}", manifest.name, finding.id);
            }
        }
    }
}

#[test]
fn a_session_can_be_had_in_f32_and_for_another_size_of_input() {
    let bundle = embedded().next().unwrap();
    let manifest = bundle.manifest();
    let f32 = Session::load_with(&bundle, Options { precision: Precision::F32, size: None }).unwrap();
    assert_eq!(f32.fusions().unwrap().arithmetic, Arithmetic::F32);
    let size = manifest.input.size + 96;
    let larger = Session::load_with(&bundle, Options { size: Some(size), ..Options::default() }).unwrap();
    assert_eq!((larger.input().size, larger.feature_side()), (size, size / 32));
    let film = reading::admit(&DrawnFilm { width: 512, height: 512, seed: 1 }.png()).unwrap();
    let found = larger.run(&input::prepare(&film.grey, larger.input())).unwrap();
    assert_eq!(found.features.len(), manifest.output.feature_channels * (size / 32).pow(2));
    assert!(f32.run(&input::prepare(&film.grey, larger.input())).is_err(), "an input of another size was taken");
}

/// What the kernels of one instruction set may move a calibrated logit by: a sum that rounds otherwise before a step of the
/// integers moves others behind it.
const ROUNDING: f64 = 0.02;

/// Films drawn here, and real ones where they are.
fn films(scratch: &Scratch) -> Vec<String> {
    let mut films: Vec<PathBuf> = (1..=4)
        .map(|seed| {
            let path = scratch.path().join(format!("drawn{seed}.png"));
            std::fs::write(&path, DrawnFilm { width: 512, height: 512, seed }.png()).unwrap();
            path
        })
        .collect();
    if let Some(folder) = real("radiographs/nih512", "instruction sets on real films") {
        let mut real: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).collect();
        real.sort();
        films.extend(real.into_iter().step_by(8));
    }
    films.into_iter().map(|film| film.to_string_lossy().into_owned()).collect()
}

/// One finding of one film: which, its call, its calibrated logit, and how far that is from the operating point.
type Found = (String, bool, f64, f64);

/// The findings of films with the choice of kernels capped, and the names of the engines.
fn findings(films: &[String], cap: Option<&str>) -> (BTreeSet<String>, Vec<Found>) {
    let mut command = chexbox(&["read", "--json"]);
    match cap {
        Some(cap) => command.env("CHEXBOX_CPU", cap),
        None => command.env_remove("CHEXBOX_CPU"),
    };
    let output = command.args(films).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let records = records(&output);
    let engines =
        records.iter().map(|r| r["provenance"]["engine"].as_str().unwrap_or_else(|| panic!("{r}")).to_owned()).collect();
    let assessed = records.iter().flat_map(|record| {
        let film = record["file"].as_str().unwrap_or_else(|| panic!("{record}"));
        let model = record["model"]["name"].as_str().unwrap_or_else(|| panic!("{record}"));
        record["findings"].as_array().unwrap().iter().filter_map(move |f| {
            let logit = |key: &str| f[key].as_f64().map(|p| (p / (1.0 - p)).ln());
            let (logit, point) = logit("probability").zip(logit("threshold"))?;
            Some((format!("{film} {model} {}", f["id"]), f["positive"].as_bool()?, logit, (logit - point).abs()))
        })
    });
    let mut assessed: Vec<_> = assessed.collect();
    assessed.sort_by(|a, b| a.0.cmp(&b.0));
    (engines, assessed)
}

#[test]
fn every_instruction_set_gives_the_same_findings_within_a_rounding_and_the_record_names_the_one_that_ran() {
    let scratch = Scratch::new("sets");
    let films = films(&scratch);
    let (_, free) = findings(&films, None);
    assert!(free.len() >= 4 * films.len(), "{free:?}");
    for cap in ["portable", "sse4.1", "avx2", "avx-vnni"] {
        let (engines, capped) = findings(&films, Some(cap));
        assert_eq!(free.len(), capped.len(), "{cap}");
        let mut furthest = 0.0f64;
        for (a, b) in free.iter().zip(&capped) {
            assert_eq!(a.0, b.0, "{cap}");
            assert!(a.1 == b.1 || a.3 <= ROUNDING, "{cap}: another call, {a:?} and {b:?}");
            furthest = furthest.max((a.2 - b.2).abs());
        }
        println!("{cap}: {} findings, furthest logit {furthest:.6}", free.len());
        assert!(furthest <= ROUNDING, "{cap}: logits differ by {furthest}");
        for engine in engines {
            assert!(engine.contains(" + chexbox "), "{engine}");
            assert!(cap != "portable" || engine.ends_with(" portable"), "{engine}");
        }
    }
}

#[test]
fn an_unknown_instruction_set_is_refused_with_those_there_are() {
    for args in [&["read"][..], &["--version", "-v"]] {
        let output = chexbox(args).env("CHEXBOX_CPU", "sse9").output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        for word in ["CHEXBOX_CPU", "sse9", "avx512-vnni", "sse4.1", "portable"] {
            assert!(stderr(&output).contains(word), "{}", stderr(&output));
        }
    }
}

#[test]
fn the_version_says_on_request_what_computes() {
    let plain = stdout(&run(&["--version"]));
    assert_eq!(plain, format!("chexbox {}\n", env!("CARGO_PKG_VERSION")));
    let output = chexbox(&["--version", "-v"]).env("CHEXBOX_CPU", "portable").output().unwrap();
    let detailed = stdout(&output);
    assert!(detailed.starts_with(&plain) && detailed.contains("kernels   portable, this CPU has "), "{detailed}");
    for bundle in embedded() {
        let line = detailed.lines().find(|l| l.starts_with(&bundle.manifest().name)).unwrap_or_else(|| panic!("{detailed}"));
        assert!(line.contains(" + chexbox ") && line.ends_with(" portable"), "{line}");
    }
}

#[test]
fn a_model_of_the_users_that_is_not_recognised_is_used_and_the_log_says_that_it_is_slow() {
    let scratch = Scratch::new("unfused");
    let bundle = embedded().next().unwrap();
    let mut manifest = bundle.manifest().clone();
    manifest.name = "our-site".to_owned();
    let mut model = ModelProto::decode(bundle.onnx()).unwrap();
    // Adding nothing changes no number, and makes it another graph.
    let last = graph(&mut model).node.iter().find(|n| n.op_type == "GlobalAveragePool").unwrap().name.clone();
    graph(&mut model).initializer.push(densenet::floats("nothing", &[1], &[0.0]));
    before(&mut model, &last, "Add", &["nothing"]);
    let onnx = model.encode_to_vec();
    manifest.file.bytes = onnx.len() as u64;
    manifest.file.sha256 = chexbox::model::sha256_hex(&onnx);
    std::fs::write(scratch.join("manifest.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    std::fs::write(scratch.join(&manifest.file.name), onnx).unwrap();
    std::fs::write(scratch.join(&manifest.probe.name), bundle.probe()).unwrap();
    let read = chexbox(&["read", "--json", "--model"]).arg(scratch.path()).env("RUST_LOG", "warn").output().unwrap();
    assert_eq!(read.status.code(), Some(0), "{}", stderr(&read));
    assert!(stderr(&read).contains("our-site runs on tract alone"), "{}", stderr(&read));
    assert_eq!(records(&read)[0]["model"]["name"], "our-site");
}
