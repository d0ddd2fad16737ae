//! Fits one network of the gate's committee: logistic loss, Adam (Kingma and Ba, 2015), a little
//! weight decay, a learning rate that falls linearly.

use crate::radiograph::drawn::Dice;
use crate::radiograph::gate::score::{HIDDEN_1, HIDDEN_2, Member};

/// Descriptions, [rows, features], and whether each is an upright chest film.
#[derive(Default)]
pub(super) struct Examples {
    pub features: Vec<f32>,
    pub chest: Vec<bool>,
}

const BATCH: usize = 256;
const RATE: f32 = 2e-3;
const DECAY: f32 = 1e-4;
const MOMENTUM: [f32; 2] = [0.9, 0.999];

/// One network after this many passes over the examples; another seed gives another network.
pub(super) fn fit(examples: &Examples, passes: usize, seed: u64) -> Member {
    let rows = examples.chest.len();
    let width = examples.features.len() / rows.max(1);
    let mut dice = Dice::new(seed);
    let mut member = first_guess(width, &mut dice);
    let mut order: Vec<usize> = (0..rows).collect();
    let mut adam = Adam { mean: vec![0.0; member.weights.len()], square: vec![0.0; member.weights.len()], steps: 0 };
    let batches = passes * rows.div_ceil(BATCH);
    for _ in 0..passes {
        dice.shuffle(&mut order);
        for batch in order.chunks(BATCH) {
            let mut slope = vec![0.0; member.weights.len()];
            for &row in batch {
                let features = &examples.features[row * width..(row + 1) * width];
                add_slope(&member, features, examples.chest[row], &mut slope);
            }
            let rate = RATE * (1.0 - 0.95 * adam.steps as f32 / batches as f32);
            adam.step(&mut member.weights, &slope, batch.len(), rate);
        }
    }
    member
}

/// Normal weights of variance 2 / inputs (He et al., 2015), no biases.
fn first_guess(width: usize, dice: &mut Dice) -> Member {
    let mut weights = Vec::with_capacity(Member::len(width));
    for (inputs, outputs) in [(width, HIDDEN_1), (HIDDEN_1, HIDDEN_2), (HIDDEN_2, 1)] {
        let spread = (2.0 / inputs as f32).sqrt();
        weights.extend((0..inputs * outputs).map(|_| spread * dice.normal()));
        weights.extend(std::iter::repeat_n(0.0, outputs));
    }
    Member { weights }
}

/// Adds the slope of the logistic loss of one example to `slope`.
fn add_slope(member: &Member, features: &[f32], chest: bool, slope: &mut [f32]) {
    let (mut first, mut second) = ([0.0; HIDDEN_1], [0.0; HIDDEN_2]);
    let logit = member.logit(features, &mut first, &mut second);
    let error = 1.0 / (1.0 + (-logit).exp()) - f32::from(u8::from(chest));
    let at_2 = features.len() * HIDDEN_1 + HIDDEN_1;
    let at_3 = at_2 + HIDDEN_1 * HIDDEN_2 + HIDDEN_2;
    let mut back_2 = [0.0; HIDDEN_2];
    for j in 0..HIDDEN_2 {
        slope[at_3 + j] += error * second[j];
        back_2[j] = if second[j] > 0.0 { error * member.weights[at_3 + j] } else { 0.0 };
        slope[at_3 - HIDDEN_2 + j] += back_2[j];
    }
    slope[at_3 + HIDDEN_2] += error;
    let mut back_1 = [0.0; HIDDEN_1];
    for i in 0..HIDDEN_1 {
        if first[i] > 0.0 {
            let row = at_2 + i * HIDDEN_2..at_2 + (i + 1) * HIDDEN_2;
            back_1[i] = member.weights[row.clone()].iter().zip(&back_2).map(|(w, b)| w * b).sum();
            slope[row].iter_mut().zip(&back_2).for_each(|(s, b)| *s += first[i] * b);
        }
        slope[at_2 - HIDDEN_1 + i] += back_1[i];
    }
    for (row, feature) in slope.chunks_exact_mut(HIDDEN_1).zip(features) {
        row.iter_mut().zip(&back_1).for_each(|(s, b)| *s += feature * b);
    }
}

struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: u32,
}

impl Adam {
    fn step(&mut self, weights: &mut [f32], slope: &[f32], rows: usize, rate: f32) {
        self.steps += 1;
        let [keep_mean, keep_square] = MOMENTUM;
        // Both running means start at zero; these factors undo that.
        let mean_scale = 1.0 - keep_mean.powf(self.steps as f32);
        let square_scale = 1.0 - keep_square.powf(self.steps as f32);
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((weight, slope), (mean, square)) in weights.iter_mut().zip(slope).zip(moments) {
            let slope = slope / rows as f32 + DECAY * *weight;
            *mean = keep_mean * *mean + (1.0 - keep_mean) * slope;
            *square = keep_square * *square + (1.0 - keep_square) * slope * slope;
            *weight -= rate * (*mean / mean_scale) / ((*square / square_scale).sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_loss() {
        let member = first_guess(5, &mut Dice::new(3));
        let features = [0.3, -1.0, 2.0, 0.7, -0.2];
        let loss = |weights: &[f32]| {
            let (mut first, mut second) = ([0.0; HIDDEN_1], [0.0; HIDDEN_2]);
            let member = Member { weights: weights.to_vec() };
            f64::from(member.logit(&features, &mut first, &mut second)).exp().ln_1p()
        };
        let mut slope = vec![0.0; member.weights.len()];
        add_slope(&member, &features, false, &mut slope);
        for at in (0..slope.len()).step_by(7) {
            let nudged = |by: f32| {
                let mut weights = member.weights.clone();
                weights[at] += by;
                loss(&weights)
            };
            let want = (nudged(1e-2) - nudged(-1e-2)) / 2e-2;
            assert!((f64::from(slope[at]) - want).abs() < 2e-2 * want.abs().max(0.05), "{at}: {} {want}", slope[at]);
        }
    }

    #[test]
    fn a_network_learns_what_no_line_can_part() {
        let mut dice = Dice::new(8);
        let mut examples = Examples::default();
        for _ in 0..2_000 {
            let (x, y) = (dice.within(-1.0, 1.0), dice.within(-1.0, 1.0));
            examples.features.extend([x, y]);
            examples.chest.push(x * y > 0.0);
        }
        let member = fit(&examples, 40, 1);
        let right = examples
            .features
            .chunks_exact(2)
            .zip(&examples.chest)
            .filter(|(f, chest)| (member.logit(f, &mut [0.0; HIDDEN_1], &mut [0.0; HIDDEN_2]) > 0.0) == **chest);
        assert!(right.count() > 1_900);
    }
}
