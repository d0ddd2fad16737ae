//! Every instruction set that this machine has against the plain loops, and those against the reference. The shapes and
//! numbers are drawn from a fixed seed.
//!
//! The int8 cases draw scales that are powers of two and shifts on their grid, so that every float operation is exact and
//! the reference in f64 must be met bit for bit, ties of the rounding included.

use super::*;
use reference::Map;

mod reference;

/// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `below` - 1.
    fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % below
    }

    fn of(&mut self, choices: &[usize]) -> usize {
        choices[self.below(choices.len())]
    }

    /// An integer from -`most` to `most`.
    fn whole(&mut self, most: i16) -> f32 {
        let span = 2 * usize::from(most.unsigned_abs()) + 1;
        let drawn = i32::try_from(self.below(span)).unwrap() - i32::from(most);
        f32::from(i16::try_from(drawn).unwrap())
    }

    fn wholes(&mut self, count: usize, most: i16, step: f32) -> Vec<f32> {
        (0..count).map(|_| self.whole(most) * step).collect()
    }

    /// Evenly from -`most` to `most`.
    fn reals(&mut self, count: usize, most: f32) -> Vec<f32> {
        (0..count).map(|_| self.whole(i16::MAX) / f32::from(i16::MAX) * most).collect()
    }
}

/// The two arithmetics, for cases that run with both.
const INT8_AND_F32: [bool; 2] = [true, false];

/// Grid of the exact cases: everything is a multiple of it, and no sum leaves 24 bits.
const GRID: f32 = 1.0 / 1024.0;

fn conv(draw: &mut Draw, [outputs, inputs, kernel]: [usize; 3], int8: bool) -> Conv {
    let count = outputs * inputs * kernel * kernel;
    let weights = if int8 {
        let values = (0..count).map(|_| i8::try_from(draw.below(25)).unwrap() - 12).collect();
        // 2^-4 to 2^-6 a step of the input, 2^-4 one of the weights: products lie on the grid.
        let input_scale = [1.0 / 16.0, 1.0 / 32.0, 1.0 / 64.0][draw.below(3)];
        ConvWeights::Int8 { values, scales: vec![1.0 / 16.0; outputs], input_scale }
    } else {
        #[allow(clippy::cast_precision_loss)] // counts of a few thousand
        let most = 2.0 / ((inputs * kernel * kernel) as f32).sqrt();
        ConvWeights::F32(draw.reals(count, most))
    };
    let bias = if int8 { draw.wholes(outputs, 2000, GRID) } else { draw.reals(outputs, 0.5) };
    Conv { out_channels: outputs, in_channels: inputs, kernel, weights, bias }
}

fn affine(draw: &mut Draw, channels: usize, int8: bool) -> Affine {
    if int8 {
        let scale = (0..channels).map(|_| [0.5, 1.0, -1.0, 0.25][draw.below(4)]).collect();
        Affine { scale, shift: draw.wholes(channels, 3000, GRID / 8.0) }
    } else {
        Affine { scale: draw.reals(channels, 1.5), shift: draw.reals(channels, 0.5) }
    }
}

fn block(draw: &mut Draw, int8: bool) -> BlockSpec {
    let in_channels = draw.of(&[1, 2, 3, 7, 16, 31, 33, 64, 65]);
    let mut channels = in_channels;
    let layers = (0..1 + draw.below(3)).map(|_| {
        let between = draw.of(&[1, 4, 6, 31, 32, 33, 128, 130]);
        let growth = draw.of(&[1, 5, 16, 31, 32, 32, 33]);
        let norm = affine(draw, channels, int8);
        let bottleneck = conv(draw, [between, channels, 1], int8);
        channels += growth;
        DenseLayerSpec { norm, bottleneck, growth: conv(draw, [growth, between, 3], int8) }
    });
    BlockSpec { in_channels, layers: layers.collect() }
}

fn present() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| set.is_present())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Equal, or within a 10,000th of the largest magnitude.
fn assert_near(found: &[f32], expected: &[f64], exactly: bool, case: &str) {
    assert_eq!(found.len(), expected.len(), "{case}");
    let most = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*f) - e).abs();
        assert!(error <= if exactly { 0.0 } else { 1e-4 * most }, "{case}: element {i} is {f}, not {e}");
    }
}

/// What a block leaves in a buffer whose appended channels held garbage.
fn run_block(spec: &BlockSpec, set: InstructionSet, threads: usize, input: &Map) -> Vec<f32> {
    let block = Block::new(spec, set).unwrap();
    let mut buffer = vec![f32::NAN; input.height * input.width * block.channels()];
    for (to, from) in buffer.chunks_exact_mut(block.channels()).zip(input.values.chunks_exact(input.channels)) {
        #[allow(clippy::cast_possible_truncation)] // they were f32
        to.iter_mut().zip(from).for_each(|(t, f)| *t = *f as f32);
    }
    Pool::new(threads).install(|| block.run(&mut buffer, input.height, input.width)).unwrap();
    buffer
}

fn input(draw: &mut Draw, sides: [usize; 2], channels: usize, int8: bool) -> Map {
    let count = sides[0] * sides[1] * channels;
    let values = if int8 { draw.wholes(count, 9000, GRID) } else { draw.reals(count, 2.0) };
    Map::of(&values, sides, channels, channels)
}

#[test]
fn blocks_of_any_shape_agree_with_the_graph_on_every_instruction_set_and_number_of_threads() {
    let mut draw = Draw(1);
    for case in 0..24 {
        for int8 in INT8_AND_F32 {
            let spec = block(&mut draw, int8);
            let sides = if case % 6 == 0 { [1, 1] } else { [1 + draw.below(20), 1 + draw.below(20)] };
            let input = input(&mut draw, sides, spec.in_channels, int8);
            let expected = reference::block(&input, &spec).values;
            for set in present() {
                let alone = run_block(&spec, set, 1, &input);
                assert_near(&alone, &expected, int8, &format!("case {case}, int8 {int8}, {set}, {sides:?}"));
                for threads in [2, 3, 8] {
                    assert_eq!(
                        bits(&run_block(&spec, set, threads, &input)),
                        bits(&alone),
                        "case {case}, {set}, {threads} threads"
                    );
                }
            }
        }
    }
}

#[test]
fn transitions_of_any_shape_agree_with_the_graph() {
    let mut draw = Draw(2);
    for case in 0..40 {
        for int8 in INT8_AND_F32 {
            let channels = [draw.of(&[1, 3, 8, 63, 64, 66, 130]), draw.of(&[1, 4, 31, 32, 33, 64])];
            let spec = TransitionSpec {
                norm: affine(&mut draw, channels[0], int8),
                conv: conv(&mut draw, [channels[1], channels[0], 1], int8),
            };
            let sides = [2 + draw.below(12), 2 + draw.below(12)];
            let input = input(&mut draw, sides, channels[0], int8);
            let expected = reference::transition(&input, &spec).values;
            #[allow(clippy::cast_possible_truncation)] // they were f32
            let values: Vec<f32> = input.values.iter().map(|v| *v as f32).collect();
            let pitch = channels[1] + draw.below(3);
            for set in present() {
                let transition = Transition::new(&spec, set).unwrap();
                for threads in [1, 2, 5] {
                    let mut out = vec![7.0; (sides[0] / 2) * (sides[1] / 2) * pitch];
                    Pool::new(threads).install(|| transition.run(&values, sides[0], sides[1], &mut out, pitch)).unwrap();
                    let found: Vec<f32> = out.chunks_exact(pitch).flat_map(|p| p[..channels[1]].to_vec()).collect();
                    assert_near(&found, &expected, int8, &format!("case {case}, int8 {int8}, {set}, {threads} threads"));
                    assert!(
                        out.chunks_exact(pitch).all(|p| p[channels[1]..].iter().all(|v| *v == 7.0)),
                        "wrote beyond its channels"
                    );
                }
            }
        }
    }
}

#[test]
fn stems_of_any_size_agree_with_the_graph() {
    let mut draw = Draw(3);
    for side in (1..=12).chain([16, 31, 32, 57, 64]) {
        let (planes, channels) = (1 + 2 * draw.below(2), draw.of(&[1, 8, 32, 40, 64]));
        let spec = StemSpec { conv: conv(&mut draw, [channels, planes, 7], false) };
        let image = draw.reals(planes * side * side, 2.0);
        let expected = reference::stem(&image, side, &spec);
        let (out_side, pitch) = (Stem::out_side(side), channels + draw.below(4));
        assert_eq!(expected.width, out_side);
        for set in present() {
            let stem = Stem::new(&spec, set).unwrap();
            let runs = [1, 2, 7].map(|threads| {
                let mut out = vec![7.0; out_side * out_side * pitch];
                Pool::new(threads).install(|| stem.run(&image, side, &mut out, pitch)).unwrap();
                out
            });
            let found = Map::of(&runs[0], [out_side; 2], pitch, channels).values;
            #[allow(clippy::cast_possible_truncation)] // they were f32
            let found: Vec<f32> = found.iter().map(|v| *v as f32).collect();
            assert_near(&found, &expected.values, false, &format!("side {side}, {set}"));
            assert!(runs.iter().all(|out| bits(out) == bits(&runs[0])), "side {side}, {set}: threads differ");
        }
    }
}

#[test]
fn the_tail_gives_features_by_channel_and_logits_of_their_means() {
    let spec = TailSpec {
        norm: Affine { scale: vec![1.0, -2.0], shift: vec![0.5, 0.0] },
        weights: vec![1.0, 10.0, 0.0, -1.0],
        bias: vec![0.25, 0.0],
    };
    let tail = Tail::new(spec, InstructionSet::detected()).unwrap();
    let (mut features, mut logits) = (vec![0.0; 6], vec![0.0; 2]);
    tail.run(&[1.0, -1.0, 2.0, 3.0, -4.0, -0.5], 1, 3, &mut features, &mut logits).unwrap();
    assert_eq!(features, [1.5, 2.5, 0.0, 2.0, 0.0, 1.0]);
    let means = [4.0 / 3.0, 1.0];
    assert!((logits[0] - (means[0] + 10.0 * means[1] + 0.25)).abs() < 1e-6);
    assert!((logits[1] + means[1]).abs() < 1e-6);
}

/// A block of one layer over 64 channels, in steps of 1, whose 1x1 weights are all `weights`, two by two.
fn extreme(weights: [i8; 2]) -> BlockSpec {
    let int8 = |outputs: usize, inputs: usize, kernel: usize, values: Vec<i8>| Conv {
        out_channels: outputs,
        in_channels: inputs,
        kernel,
        weights: ConvWeights::Int8 { values, scales: vec![1.0; outputs], input_scale: 1.0 },
        bias: vec![0.0; outputs],
    };
    let bottleneck = int8(32, 64, 1, (0..32 * 64).map(|i| weights[i % 2]).collect());
    let growth = int8(32, 32, 3, (0..32 * 32 * 9).map(|i| if i / 9 % 2 == 0 { 127 } else { 1 }).collect());
    let norm = Affine { scale: vec![1.0; 64], shift: vec![0.0; 64] };
    BlockSpec { in_channels: 64, layers: vec![DenseLayerSpec { norm, bottleneck, growth }] }
}

#[test]
fn sums_at_the_bound_of_16_bits_are_exact_everywhere() {
    // Beyond 255 on purpose: the quantization saturates there.
    let full = Map::of(&[300.0; 5 * 5 * 64], [5, 5], 64, 64);
    for weights in [[127, 1], [64, 64], [-128, 0], [-64, -64], [127, -128], [-1, 127]] {
        let spec = extreme(weights);
        let expected = reference::block(&full, &spec).values;
        for set in present() {
            assert_near(&run_block(&spec, set, 1, &full), &expected, true, &format!("{weights:?} {set}"));
        }
    }
}

#[test]
fn weights_that_would_saturate_16_bits_are_refused_on_every_cpu() {
    for weights in [[127, 2], [65, 64], [-128, -1], [-65, -64]] {
        for set in present() {
            let error = Block::new(&extreme(weights), set).err();
            assert!(matches!(error, Some(KernelError::Saturates { output: 0, position: 0, .. })), "{weights:?}: {error:?}");
        }
    }
}

#[test]
fn numbers_that_are_none_become_the_same_bytes_everywhere() {
    let wild =
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, -0.0, 0.5, 1.5, 2.5, 254.5, 255.5, 1e-40, 3e9, -3e9];
    let values: Vec<f32> = (0..6 * 64).map(|i| wild[i % wild.len()]).collect();
    let spec = extreme([1, 0]);
    let runs: Vec<_> = present().map(|set| bits(&run_block(&spec, set, 1, &Map::of(&values, [2, 3], 64, 64)))).collect();
    // Compared without what came in, since a NaN may change its payload on the way there and back.
    for run in &runs {
        for (one, other) in run.chunks_exact(96).zip(runs[0].chunks_exact(96)) {
            assert_eq!(one[64..], other[64..]);
        }
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let mut draw = Draw(4);
    let good = block(&mut draw, true);
    let refused = |change: &dyn Fn(&mut BlockSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        Block::new(&spec, InstructionSet::detected()).err().expect("a broken block is refused").to_string()
    };
    assert!(refused(&|s| s.in_channels += 1).contains("normalization"));
    assert!(refused(&|s| s.in_channels = 0).contains("1 to 2304"));
    assert!(refused(&|s| s.layers[0].norm.scale[0] = f32::NAN).contains("NaN"));
    assert!(refused(&|s| s.layers[0].bottleneck.bias[0] = f32::INFINITY).contains("inf"));
    assert!(refused(&|s| s.layers[0].growth.kernel = 1).contains("kernel"));
    let mixed = refused(&|s| {
        let growth = &s.layers[0].growth;
        s.layers[0].growth = conv(&mut Draw(5), [growth.out_channels, growth.in_channels, 3], false);
    });
    assert!(mixed.contains("mixes"));
    let step = |to: f32| {
        move |s: &mut BlockSpec| {
            if let ConvWeights::Int8 { input_scale, .. } = &mut s.layers[0].growth.weights {
                *input_scale = to;
            }
        }
    };
    for wrong in [0.0, -1.0, f32::NAN, 1e-42] {
        assert!(refused(&step(wrong)).contains("no arithmetic"), "{wrong}");
    }
    assert!(refused(&step(1e-30)).contains("31 bits"));
}

#[test]
fn maps_of_another_size_are_refused() {
    let spec = extreme([1, 1]);
    let block = Block::new(&spec, InstructionSet::detected()).unwrap();
    let mut buffer = vec![0.0; 4 * 96];
    assert_eq!(block.run(&mut buffer, 2, 2), Ok(()));
    for (height, width) in [(0, 2), (2, 0), (2, 3), (1, 2), (SIDE_MAX + 1, 1), (usize::MAX, 2)] {
        assert!(block.run(&mut buffer, height, width).is_err(), "{height} x {width}");
    }
    let stem = Stem::new(&StemSpec { conv: conv(&mut Draw(6), [8, 1, 7], false) }, InstructionSet::detected()).unwrap();
    for (length, side, out, pitch) in
        [(16, 5, 8, 8), (15, 4, 8, 8), (16, 4, 8, 7), (16, 4, 7, 8), (0, 0, 0, 8), (16, 4, 0, usize::MAX)]
    {
        assert!(stem.run(&vec![0.0; length], side, &mut vec![0.0; out], pitch).is_err(), "{length} {side} {out} {pitch}");
    }
}
