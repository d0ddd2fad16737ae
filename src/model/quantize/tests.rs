//! The whole quantizer on a small network with random numbers.

use super::chain::{Affine, Block, Chain, Conv, Layer, Transition, Weights};
use super::plan::Plan;
use super::{Calibration, Precision, QuantizeError, Summary, quantize, recognise, resized, write};
use crate::input::Plane;
use crate::model::onnx::node;
use tract_onnx::pb::ModelProto;

/// Pseudo-random numbers of mean 0 (a linear congruential generator; Knuth's constants).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    fn many(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.roll() * size).collect()
    }

    fn affine(&mut self, channels: usize) -> Affine {
        // Ranges a hundred times apart, as in trained networks.
        let scale = (0..channels).map(|_| 10_f32.powf(self.roll())).collect();
        Affine { scale, shift: self.many(channels, 0.5) }
    }

    fn conv(&mut self, outputs: usize, inputs: usize, side: usize) -> Conv {
        let size = (3.0 / (inputs * side * side) as f32).sqrt();
        Conv {
            outputs,
            inputs,
            side,
            weights: Weights::F32(self.many(outputs * inputs * side * side, size)),
            bias: self.many(outputs, 0.1),
        }
    }
}

/// Two blocks, growth 3, an odd number of channels on the way.
fn chain(seed: u64) -> Chain {
    let mut dice = Dice(seed);
    let stem = dice.conv(7, 1, 7);
    let mut blocks = Vec::new();
    let mut channels = 7;
    for (layers, after) in [(2, Some(5)), (3, None)] {
        let layers = (0..layers).map(|_| {
            let layer = Layer { norm: dice.affine(channels), bottleneck: dice.conv(6, channels, 1), growth: dice.conv(3, 6, 3) };
            channels += 3;
            layer
        });
        let layers = layers.collect();
        let transition = after.map(|out| Transition { norm: dice.affine(channels), conv: dice.conv(out, channels, 1) });
        channels = after.unwrap_or(channels);
        blocks.push(Block { layers, transition });
    }
    Chain { stem, blocks, norm: dice.affine(channels), head: dice.many(2 * channels, 0.5), head_bias: dice.many(2, 0.1) }
}

fn film(i: usize) -> Plane {
    Plane { side: 40, values: Dice(1000 + i as u64).many(40 * 40, 2.0) }
}

fn quantized(model: &ModelProto, threads: usize) -> ModelProto {
    let calibration = Calibration { size: 40, films: 12, film: &film, threads, seen: &|_, _| () };
    quantize(model, &calibration).unwrap()
}

fn logits(model: &ModelProto, film: &Plane) -> Vec<f32> {
    Plan::new(model, &[], 1, film.side).unwrap().run(film).unwrap().swap_remove(0).1
}

#[test]
fn what_is_written_is_recognised_again() {
    let written = write::write(&chain(1), 40).model;
    let again = write::write(&recognise::recognise(&written).unwrap(), 40).model;
    for i in 0..3 {
        let (a, b) = (logits(&written, &film(i)), logits(&again, &film(i)));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
    }
}

#[test]
fn integers_keep_the_logits_close_and_the_pair_rule() {
    for seed in 1..4 {
        let plain = write::write(&chain(seed), 40).model;
        let rounded = quantized(&plain, 2);
        let summary = Summary::of(&rounded).unwrap();
        assert_eq!((summary.precision, summary.quantized.len(), summary.breach()), (Precision::Int8, 11, None));
        let shape = summary.densenet.unwrap();
        assert_eq!((shape.blocks, shape.growth, shape.logits), (vec![2, 3], 3, 2));
        let (mut apart, mut spread) = (0.0_f32, 0.0_f32);
        // Films that were not calibrated on.
        for i in 100..120 {
            let (a, b) = (logits(&plain, &film(i)), logits(&rounded, &film(i)));
            apart = a.iter().zip(&b).fold(apart, |m, (a, b)| m.max((a - b).abs()));
            spread = a.iter().fold(spread, |m, a| m.max(a.abs()));
        }
        assert!(apart < 0.02 * spread, "seed {seed}: {apart} of {spread}");
    }
}

#[test]
fn the_same_films_give_the_same_bytes_on_any_number_of_threads() {
    let plain = write::write(&chain(5), 40).model;
    let one = quantized(&plain, 1);
    assert_eq!(one, quantized(&plain, 3));
    assert_eq!(one, quantized(&plain, 12));
}

#[test]
fn another_size_changes_what_the_file_declares_and_nothing_else() {
    let model = quantized(&write::write(&chain(2), 40).model, 2);
    let other = resized(&model, 96).unwrap();
    let (a, b) = (model.graph.as_ref().unwrap(), other.graph.as_ref().unwrap());
    assert_eq!((&a.node, &a.initializer), (&b.node, &b.initializer));
    let run = Plan::new(&other, &[], 1, 96).unwrap().run(&Plane { side: 96, values: vec![0.5; 96 * 96] }).unwrap();
    assert_eq!(run[1].0, [14, 12, 12]);
    assert_eq!(resized(&other, 40).unwrap().graph, model.graph);
}

#[test]
fn a_graph_that_is_no_densenet_is_refused_by_what_stands_where() {
    let plain = || write::write(&chain(1), 40).model;
    let changed = |change: &dyn Fn(&mut tract_onnx::pb::GraphProto)| {
        let mut model = plain();
        change(model.graph.as_mut().unwrap());
        recognise::recognise(&model).unwrap_err().to_string()
    };
    let position = |g: &tract_onnx::pb::GraphProto, op: &str| g.node.iter().position(|n| n.op_type == op).unwrap();
    for (error, words) in [
        (changed(&|g| g.node.remove(1).op_type.clear()), "expected is Relu"),
        (changed(&|g| g.node[0].attribute[1].ints = vec![1, 1]), "strides is [1, 1], a DenseNet has [2, 2]"),
        (changed(&|g| g.initializer[0].raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes())), "not finite"),
        (changed(&|g| g.initializer[0].dims[0] = 6), "does not hold the floats of its shape"),
        (changed(&|g| g.initializer.clear()), "is not a constant"),
        (
            changed(&|g| {
                let at = position(g, "Concat");
                g.node[at].input.reverse();
            }),
            "expected is BatchNormalization",
        ),
        (
            changed(&|g| {
                let at = position(g, "Gemm");
                g.node[at].attribute.clear();
            }),
            "transB = 1",
        ),
        (
            changed(&|g| {
                let at = position(g, "AveragePool");
                g.node[at].attribute.clear();
            }),
            "strides is [1, 1]",
        ),
        (changed(&|g| g.node.push(node("Relu", "extra", &["image"], "more", vec![]))), "expected is Conv"),
        (changed(&|g| g.input.clear()), "expected is one"),
    ] {
        assert!(error.contains(words), "{error}, not: {words}");
    }
    assert!(matches!(recognise::recognise(&ModelProto::default()), Err(QuantizeError::NoGraph)));
    let none = Calibration { size: 40, films: 0, film: &film, threads: 1, seen: &|_, _| () };
    assert!(matches!(quantize(&plain(), &none), Err(QuantizeError::NoFilms)));
}
