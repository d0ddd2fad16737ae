//! What each head of the network shall say about each film, and how much that counts.
//!
//! In: truths, auxiliary answers, a teacher's soft labels. Out: a row of targets and weights per film, the findings
//! first, then the auxiliary heads. Cross-entropy is linear in its target, so (1 - a) of the loss of the hard label plus
//! a of the loss of the soft one is the loss of the mixed target. Never: a weight where nothing is known.

use super::auxiliary::Auxiliary;
use super::data::Record;
use super::label_set::LabelSet;
use super::origin::Origin;
use super::soft::Soft;

/// Targets of one film.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// [heads], 0 to 1.
    pub targets: Vec<f32>,
    /// [heads]: share of the loss that counts, 0 where nothing is known.
    pub weights: Vec<f32>,
}

/// What targets are made of.
pub struct Evidence<'a> {
    /// For each finding, whether it counts.
    pub trained: &'a [bool],
    /// Auxiliary answers, all heads.
    pub auxiliary: &'a Auxiliary,
    /// A teacher's probabilities and their share of the loss.
    pub soft: Option<(&'a Soft, f32)>,
    /// [films][findings]: how much a label counts by where it is from; empty where all count the same.
    pub factors: &'a [Vec<f32>],
    /// Sources of the films.
    pub origins: &'a [Origin],
    /// The label set, which may bind a label to some of the films.
    pub set: &'a LabelSet,
}

/// Targets of all films.
pub struct Targets {
    /// Names of the auxiliary heads.
    pub auxiliary: Vec<String>,
    /// [films].
    pub films: Vec<Row>,
    /// Films that the soft labels say something of.
    pub softened: usize,
}

impl Targets {
    /// Targets of these films.
    pub fn of(records: &[Record], from: &Evidence) -> Self {
        let kept = from.auxiliary.with_evidence(records);
        let findings = from.trained.len();
        let auxiliary: Vec<String> = kept.iter().map(|&h| from.auxiliary.heads[h].clone()).collect();
        let row = |(i, film): (usize, &Record)| {
            let path = from.origins[film.origin].plain(&film.file);
            let answers = kept.iter().map(|&h| from.auxiliary.values[i][h]);
            let hard: Vec<Option<f32>> =
                film.truths.iter().map(|t| t.known().map(|yes| f32::from(u8::from(yes)))).chain(answers).collect();
            let all = from.soft.map(|(soft, _)| soft.of(&film.file));
            let softened = |head: usize| {
                let at = if head < findings { head } else { findings + kept[head - findings] };
                all.as_ref().and_then(|all| all[at])
            };
            let share = from.soft.map_or(0.0, |(_, share)| share);
            let mixed = hard.iter().enumerate().map(|(head, hard)| {
                let counts = match from.set.findings.get(head) {
                    Some(finding) => from.trained[head] && from.set.learns(finding.names(), path),
                    None => from.set.learns(std::iter::once(auxiliary[head - findings].as_str()), path),
                };
                let (target, weight) = if counts { mix(*hard, softened(head), share) } else { (0.0, 0.0) };
                let factor = from.factors.get(i).and_then(|f| f.get(head)).copied().unwrap_or(1.0);
                (target, weight * factor * from.origins[film.origin].loss_weight)
            });
            let (targets, weights) = mixed.unzip();
            Row { targets, weights }
        };
        let films = records.iter().enumerate().map(row).collect();
        let softened = from.soft.map_or(0, |(soft, _)| records.iter().filter(|r| soft.has(&r.file)).count());
        Self { auxiliary, films, softened }
    }

    /// Mean target of auxiliary head `head` over `films`, weights counted; a half where nothing is known.
    pub fn mean(&self, head: usize, films: &[usize]) -> f32 {
        let rows = films.iter().map(|&i| &self.films[i]);
        let (sum, weight) =
            rows.fold((0.0, 0.0), |(s, w), row| (s + row.targets[head] * row.weights[head], w + row.weights[head]));
        if weight > 0.0 { sum / weight } else { 0.5 }
    }
}

/// Target and weight of a hard label and a soft one, of which the soft one has this share.
fn mix(hard: Option<f32>, soft: Option<f32>, share: f32) -> (f32, f32) {
    match (hard, soft) {
        (Some(hard), Some(soft)) => ((1.0 - share) * hard + share * soft, 1.0),
        (Some(hard), None) => (hard, 1.0),
        (None, Some(soft)) => (soft, share),
        (None, None) => (0.0, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::objective::{Imbalance, summed};
    use tch::{Kind, Tensor};

    #[test]
    fn the_loss_of_a_mixed_target_is_the_mixed_loss_of_the_hard_and_the_soft_label() {
        let (hard, soft, share) = ([1.0_f32, 0.0], [0.3_f32, 0.9], 0.7_f32);
        let mixed: Vec<f32> = hard.iter().zip(soft).map(|(h, s)| mix(Some(*h), Some(s), share).0).collect();
        let logits = Tensor::from_slice2(&[[0.4_f32, -1.5]]);
        let (known, weights) = (Tensor::ones([1, 2], (Kind::Float, tch::Device::Cpu)), Tensor::from_slice(&[3.0_f32, 1.0]));
        let of = |targets: &[f32]| {
            let targets = Tensor::from_slice(targets).view([1, 2]);
            summed(&logits, &targets, &known, &weights, Imbalance::Plain).double_value(&[])
        };
        let apart = f64::from(1.0 - share) * of(&hard) + f64::from(share) * of(&soft);
        assert!((of(&mixed) - apart).abs() < 1e-6, "{} {apart}", of(&mixed));
    }

    #[test]
    fn an_unknown_label_counts_as_much_as_the_teacher_does_and_an_untrained_finding_nothing() {
        for (hard, soft, want) in [
            (Some(1.0), Some(0.5), (0.75, 1.0)),
            (Some(0.0), None, (0.0, 1.0)),
            (None, Some(0.25), (0.25, 0.5)),
            (None, None, (0.0, 0.0)),
        ] {
            assert_eq!(mix(hard, soft, 0.5), want);
        }
    }
}
