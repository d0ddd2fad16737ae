//! What is made small: the cross-entropy of the known labels, with what is done for rare findings.

use tch::{Kind, Tensor};

/// What is done about findings that are rare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Imbalance {
    /// Nothing.
    Plain,
    /// The loss of positives is multiplied by the square root of negatives / positives, at most by this.
    Weighted {
        /// At least 1.
        most: f32,
    },
    /// Focal loss (Lin et al. 2017) in the form for targets between 0 and 1 (Li et al. 2020): |target - p|^gamma times the
    /// cross-entropy.
    Focal {
        /// 0 is plain cross-entropy.
        gamma: f64,
    },
    /// Films with a finding in less than a tenth of the films are seen more often: by the square root of a tenth over its
    /// share, at most by this (repeat factors, Gupta et al. 2019).
    Sampled {
        /// At least 1.
        most: f32,
    },
}

/// Summed loss. `logits`, `targets` (0 to 1) and `known` (weight, 0 where nothing is known) [N, heads]; `positives` [heads]
/// multiplies the loss of positives.
pub fn summed(logits: &Tensor, targets: &Tensor, known: &Tensor, positives: &Tensor, imbalance: Imbalance) -> Tensor {
    let Imbalance::Focal { gamma } = imbalance else {
        return logits.binary_cross_entropy_with_logits(targets, Some(known), Some(positives), tch::Reduction::Sum);
    };
    let each = logits.binary_cross_entropy_with_logits(targets, Some(known), Some(positives), tch::Reduction::None);
    // The floor keeps the derivative of the power finite where target and probability meet.
    let far = (targets - logits.sigmoid()).abs().clamp_min(1e-6).pow_tensor_scalar(gamma);
    (each * far).sum(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_label_has_no_gradient() {
        for imbalance in [Imbalance::Plain, Imbalance::Focal { gamma: 2.0 }] {
            let logits = Tensor::from_slice2(&[[0.3_f32, -1.0], [2.0, 0.5]]).set_requires_grad(true);
            let targets = Tensor::from_slice2(&[[1.0_f32, 0.0], [0.0, 1.0]]);
            let known = Tensor::from_slice2(&[[1.0_f32, 0.0], [1.0, 0.0]]);
            summed(&logits, &targets, &known, &Tensor::from_slice(&[1.0_f32, 1.0]), imbalance).backward();
            let gradient = logits.grad();
            for (n, l, zero) in [(0, 0, false), (0, 1, true), (1, 0, false), (1, 1, true)] {
                assert_eq!(gradient.double_value(&[n, l]) == 0.0, zero);
            }
        }
    }

    #[test]
    fn focal_loss_is_the_published_formula() {
        let (z, gamma) = (0.8_f64, 2.0);
        let p = 1.0 / (1.0 + (-z).exp());
        let of = |target: f32| {
            let one = |v: f32| Tensor::from_slice(&[v]).view([1, 1]);
            let positives = Tensor::from_slice(&[1.0_f32]);
            summed(&one(z as f32), &one(target), &one(1.0), &positives, Imbalance::Focal { gamma }).double_value(&[])
        };
        assert!((of(1.0) - -(1.0 - p).powf(gamma) * p.ln()).abs() < 1e-6);
        assert!((of(0.0) - -p.powf(gamma) * (1.0 - p).ln()).abs() < 1e-6);
    }
}
