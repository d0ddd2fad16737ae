//! AdamW (Loshchilov and Hutter, ICLR 2019) or SGD with momentum over one flat tensor, with the safety a long run needs,
//! and the running average of the weights that is evaluated and exported.

use tch::Tensor;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.99;
const EPSILON: f64 = 1e-8;

/// Longest gradient that is followed; a longer one is shortened to it.
const GRADIENT_MAX: f64 = 2.0;

/// How a gradient moves the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// AdamW.
    AdamW,
    /// Stochastic gradient descent, as PyTorch's.
    Sgd {
        /// Share of the last movement that goes on, 0 to 1.
        momentum: f64,
        /// Whether the gradient is taken ahead of it (Nesterov).
        nesterov: bool,
    },
}

/// What an optimiser is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habits {
    /// How a gradient moves the weights.
    pub rule: Rule,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The average follows the weights over about this many steps.
    pub average_steps: f64,
    /// Share of the learning rate that the trunk moves by, 0 to 1; the head moves by all of it. A long gradient is shortened before,
    /// trunk and head together, and the statistics of norms follow the films all the same.
    pub trunk_rate: f64,
}

impl Default for Habits {
    fn default() -> Self {
        Self { rule: Rule::AdamW, weight_decay: 0.05, average_steps: 250.0, trunk_rate: 1.0 }
    }
}

/// What an optimiser must know of the parameters.
pub struct Kinds {
    /// 1 where weight decay applies, else 0; as long as the parameters.
    pub decays: Tensor,
    /// How many of them are the trunk's; they come first.
    pub trunk: i64,
}

/// State of the optimiser: moments and average, each as long as the parameters.
pub struct Optimiser {
    /// First moment; the movement of SGD.
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
    kinds: Kinds,
    habits: Habits,
}

/// What became of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The weights moved.
    Taken,
    /// The gradient was not finite and was thrown away.
    Refused,
}

impl Optimiser {
    /// A fresh optimiser for these parameters.
    pub fn new(params: &Tensor, buffers: &Tensor, kinds: Kinds, habits: Habits) -> Self {
        Self {
            first: params.zeros_like(),
            second: params.zeros_like(),
            average: params.copy(),
            average_buffers: buffers.copy(),
            steps: 0,
            age: 0,
            kinds,
            habits,
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
        let mut movement = match self.habits.rule {
            Rule::AdamW => self.adam(gradient) * rate,
            Rule::Sgd { momentum, nesterov } => {
                let _ = self.first.g_mul_scalar_(momentum).g_add_(gradient);
                if nesterov { (&*gradient + &self.first * momentum) * rate } else { &self.first * rate }
            }
        };
        let decay = params.multiply(&self.kinds.decays);
        movement += decay * (rate * self.habits.weight_decay);
        if self.habits.trunk_rate < 1.0 {
            let _ = movement.narrow(0, 0, self.kinds.trunk).g_mul_scalar_(self.habits.trunk_rate);
        }
        let _ = params.g_sub_(&movement);
        // A young average covers its last fifth, so that it soon forgets where it began.
        self.age += 1;
        let share = (1.0 / self.habits.average_steps).max(1.0 / (1.0 + self.age as f64 / 5.0));
        let _ = self.average.lerp_(params, share);
        let _ = self.average_buffers.lerp_(buffers, share);
        Step::Taken
    }

    /// Moments, and the movement they give at a learning rate of 1.
    fn adam(&mut self, gradient: &Tensor) -> Tensor {
        let t = self.steps as f64;
        let _ = self.first.lerp_(gradient, 1.0 - BETA1);
        let _ = self.second.lerp_(&gradient.square(), 1.0 - BETA2);
        let mut size = self.second.sqrt();
        let _ = size.g_mul_scalar_((1.0 - BETA2.powf(t)).powf(-0.5)).g_add_scalar_(EPSILON);
        (&self.first / size) / (1.0 - BETA1.powf(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    /// No trunk, and nothing decays.
    fn all_head(params: &Tensor) -> Kinds {
        Kinds { decays: params.zeros_like(), trunk: 0 }
    }

    #[test]
    fn a_trunk_moves_by_its_share_of_the_learning_rate() {
        for rule in [Rule::AdamW, Rule::Sgd { momentum: 0.9, nesterov: true }] {
            let moved = |trunk_rate| {
                let mut at = Tensor::from_slice(&[3.0_f32, 3.0]);
                let kinds = Kinds { decays: at.ones_like(), trunk: 1 };
                let mut optimiser = Optimiser::new(&at, &at.copy(), kinds, Habits { rule, trunk_rate, ..Habits::default() });
                optimiser.step(&mut at, &Tensor::from_slice(&[0.0_f32]), &mut Tensor::from_slice(&[1.0_f32, 1.0]), 0.1);
                [0, 1].map(|i| 3.0 - at.double_value(&[i]))
            };
            let [whole, head] = moved(1.0);
            assert!(whole > 0.05 && (whole - head).abs() < 1e-6, "{rule:?}: {whole} {head}");
            for share in [0.0, 0.1] {
                let [trunk, head] = moved(share);
                assert!((head - whole).abs() < 1e-6 && (trunk - share * whole).abs() < 1e-6, "{rule:?}: {trunk} {head}");
            }
        }
    }

    #[test]
    fn every_rule_finds_the_lowest_point_of_a_bowl_and_refuses_a_gradient_that_is_not_finite() {
        let sgd = |nesterov| Rule::Sgd { momentum: 0.9, nesterov };
        for rule in [Rule::AdamW, sgd(false), sgd(true)] {
            let mut at = Tensor::from_slice(&[3.0_f32, -2.0]);
            let buffers = Tensor::zeros([1], (Kind::Float, tch::Device::Cpu));
            let mut optimiser = Optimiser::new(&at, &buffers, all_head(&at), Habits { rule, ..Habits::default() });
            for _ in 0..500 {
                let mut gradient = &at - Tensor::from_slice(&[1.0_f32, 1.0]);
                assert_eq!(optimiser.step(&mut at, &buffers, &mut gradient, 0.05), Step::Taken);
            }
            assert!((at.double_value(&[0]) - 1.0).abs() < 0.05 && (at.double_value(&[1]) - 1.0).abs() < 0.05, "{rule:?}");
            let before = at.copy();
            let mut bad = Tensor::from_slice(&[f32::NAN, 0.0]);
            assert_eq!(optimiser.step(&mut at, &buffers, &mut bad, 0.05), Step::Refused);
            assert_eq!(at, before);
        }
    }

    #[test]
    fn sgd_moves_as_pytorch_does() {
        // torch.optim.SGD([1.0], lr=0.1, momentum=0.9) on the gradients 1.0, -0.5, 0.25, by its documented formula.
        for (nesterov, want) in [(false, [0.9, 0.86, 0.799]), (true, [0.81, 0.824, 0.7441])] {
            let mut at = Tensor::from_slice(&[1.0_f32]);
            let habits =
                Habits { rule: Rule::Sgd { momentum: 0.9, nesterov }, weight_decay: 0.0, average_steps: 1.0, trunk_rate: 1.0 };
            let mut optimiser = Optimiser::new(&at, &at.copy(), all_head(&at), habits);
            for (gradient, want) in [1.0_f32, -0.5, 0.25].into_iter().zip(want) {
                optimiser.step(&mut at, &Tensor::from_slice(&[0.0_f32]), &mut Tensor::from_slice(&[gradient]), 0.1);
                assert!((at.double_value(&[0]) - want).abs() < 1e-6, "{nesterov} {at}");
            }
        }
    }
}
