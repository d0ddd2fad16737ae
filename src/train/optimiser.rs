//! AdamW (Loshchilov and Hutter, ICLR 2019) over one flat tensor, with the safety a long run needs,
//! and the running average of the weights that is evaluated and exported.

use tch::{Kind, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.99;
const EPSILON: f64 = 1e-8;

/// Longest gradient that is followed; a longer one is shortened to it.
const GRADIENT_MAX: f64 = 2.0;

/// The average follows the weights over about this many steps.
const AVERAGE_STEPS: f64 = 250.0;

/// State of the optimiser: moments and average, each as long as the parameters.
pub struct AdamW {
    /// First moment.
    pub first: Tensor,
    /// Second moment.
    pub second: Tensor,
    /// Average of the parameters.
    pub average: Tensor,
    /// Average of the running statistics.
    pub average_buffers: Tensor,
    /// Steps taken.
    pub steps: i64,
    /// Steps since the average began.
    pub age: i64,
    decays: Tensor,
    weight_decay: f64,
}

/// What became of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The weights moved.
    Taken,
    /// The gradient was not finite and was thrown away.
    Refused,
}

impl AdamW {
    /// A fresh optimiser for these parameters; `decays` is 1 where weight decay applies.
    pub fn new(params: &Tensor, buffers: &Tensor, decays: Tensor, weight_decay: f64) -> Self {
        Self {
            first: params.zeros_like(),
            second: params.zeros_like(),
            average: params.copy(),
            average_buffers: buffers.copy(),
            steps: 0,
            age: 0,
            decays,
            weight_decay,
        }
    }

    /// Begins the average anew: running statistics of films of one size do not hold for another.
    pub fn restart_average(&mut self) {
        self.age = 0;
    }

    /// One step along `gradient` with learning rate `rate`.
    pub fn step(&mut self, params: &mut Tensor, buffers: &Tensor, gradient: &mut Tensor, rate: f64) -> Step {
        let length = gradient.norm().double_value(&[]);
        if !length.is_finite() {
            return Step::Refused;
        }
        if length > GRADIENT_MAX {
            let _ = gradient.g_mul_scalar_(GRADIENT_MAX / length);
        }
        self.steps += 1;
        let t = self.steps as f64;
        let _ = self.first.lerp_(gradient, 1.0 - BETA1);
        let _ = self.second.lerp_(&gradient.square(), 1.0 - BETA2);
        let mut size = self.second.sqrt();
        let _ = size.g_mul_scalar_((1.0 - BETA2.powf(t)).powf(-0.5)).g_add_scalar_(EPSILON);
        let decay = params.multiply(&self.decays);
        let _ = params.g_sub_(&(decay * (rate * self.weight_decay)));
        let _ = params.g_sub_(&((&self.first / size) * (rate / (1.0 - BETA1.powf(t)))));
        // A young average covers its last fifth, so that it soon forgets where it began.
        self.age += 1;
        let share = (1.0 / AVERAGE_STEPS).max(1.0 / (1.0 + self.age as f64 / 5.0));
        let _ = self.average.lerp_(params, share);
        let _ = self.average_buffers.lerp_(buffers, share);
        Step::Taken
    }
}

/// Binary cross-entropy of the known labels. `logits`, `targets`, `known` [N, findings];
/// `weights` [findings] multiplies the loss of positives. A label that is not known counts nothing.
pub fn loss(logits: &Tensor, targets: &Tensor, known: &Tensor, weights: &Tensor) -> Tensor {
    let each = logits.binary_cross_entropy_with_logits(targets, Some(known), Some(weights), tch::Reduction::Sum);
    each / known.sum(Kind::Float).clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adamw_finds_the_lowest_point_of_a_bowl_and_refuses_a_gradient_that_is_not_finite() {
        let mut at = Tensor::from_slice(&[3.0_f32, -2.0]);
        let buffers = Tensor::zeros([1], (Kind::Float, tch::Device::Cpu));
        let mut adam = AdamW::new(&at, &buffers, at.zeros_like(), 0.0);
        for _ in 0..500 {
            let mut gradient = &at - Tensor::from_slice(&[1.0_f32, 1.0]);
            assert_eq!(adam.step(&mut at, &buffers, &mut gradient, 0.05), Step::Taken);
        }
        assert!((at.double_value(&[0]) - 1.0).abs() < 0.05 && (at.double_value(&[1]) - 1.0).abs() < 0.05);
        let before = at.copy();
        let mut bad = Tensor::from_slice(&[f32::NAN, 0.0]);
        assert_eq!(adam.step(&mut at, &buffers, &mut bad, 0.05), Step::Refused);
        assert_eq!(at, before);
    }

    #[test]
    fn an_unknown_label_has_no_gradient() {
        let logits = Tensor::from_slice2(&[[0.3_f32, -1.0], [2.0, 0.5]]).set_requires_grad(true);
        let targets = Tensor::from_slice2(&[[1.0_f32, 0.0], [0.0, 1.0]]);
        let known = Tensor::from_slice2(&[[1.0_f32, 0.0], [1.0, 0.0]]);
        loss(&logits, &targets, &known, &Tensor::from_slice(&[1.0_f32, 1.0])).backward();
        let gradient = logits.grad();
        for (n, l, zero) in [(0, 0, false), (0, 1, true), (1, 0, false), (1, 1, true)] {
            assert_eq!(gradient.double_value(&[n, l]) == 0.0, zero);
        }
    }
}
