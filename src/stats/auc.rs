//! Area under the receiver operating characteristic.

use super::descending;

/// AUC = P(score of a positive > score of a negative) + P(equal) / 2, the Mann-Whitney statistic.
/// `scores` and `truths` are of one length; `None` without a positive or without a negative.
pub fn auc(scores: &[f32], truths: &[bool]) -> Option<f64> {
    let pairs = placements(scores, truths)?;
    Some(pairs.of_positives.iter().sum::<f64>() / pairs.of_positives.len() as f64)
}

/// Placement values (DeLong, DeLong and Clarke-Pearson 1988): for each positive the share of
/// negatives below it, for each negative the share of positives above it, ties counting half.
pub(super) struct Placements {
    pub of_positives: Vec<f64>,
    pub of_negatives: Vec<f64>,
}

pub(super) fn placements(scores: &[f32], truths: &[bool]) -> Option<Placements> {
    let positives = truths.iter().filter(|t| **t).count();
    let negatives = truths.len() - positives;
    if positives == 0 || negatives == 0 || scores.len() != truths.len() {
        return None;
    }
    let order = descending(scores);
    let (mut of_positives, mut of_negatives) = (Vec::with_capacity(positives), Vec::with_capacity(negatives));
    let (mut positives_above, mut negatives_above) = (0, 0);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let equal_positives = tied.iter().filter(|&&i| truths[i]).count();
        let equal_negatives = tied.len() - equal_positives;
        let below = (negatives - negatives_above) as f64 - equal_negatives as f64 / 2.0;
        let above = positives_above as f64 + equal_positives as f64 / 2.0;
        of_positives.extend(std::iter::repeat_n(below / negatives as f64, equal_positives));
        of_negatives.extend(std::iter::repeat_n(above / positives as f64, equal_negatives));
        positives_above += equal_positives;
        negatives_above += equal_negatives;
    }
    Some(Placements { of_positives, of_negatives })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_pairs_and_ties_count_half() {
        let cases: [(&[f32], &[bool], Option<f64>); 8] = [
            (&[0.1, 0.9], &[false, true], Some(1.0)),
            (&[0.9, 0.1], &[false, true], Some(0.0)),
            (&[0.5, 0.5], &[false, true], Some(0.5)),
            (&[0.5, 0.5, 0.9, 0.1], &[true, false, true, false], Some(0.875)),
            (&[1.0; 7], &[true, false, true, false, false, false, true], Some(0.5)),
            (&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true], Some(0.75)),
            (&[0.1, 0.2], &[true, true], None),
            (&[], &[], None),
        ];
        for (scores, truths, want) in cases {
            assert_eq!(auc(scores, truths), want, "{scores:?} {truths:?}");
        }
    }

    #[test]
    fn auc_agrees_with_counting_every_pair() {
        let scores: Vec<f32> = (0..60).map(|i| ((i * 37 + 11) % 17) as f32).collect();
        let truths: Vec<bool> = (0..60).map(|i| (i * 13) % 7 < 3).collect();
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (a, _) in scores.iter().zip(&truths).filter(|(_, t)| **t) {
            for (b, _) in scores.iter().zip(&truths).filter(|(_, t)| !**t) {
                sum += if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                };
                pairs += 1.0;
            }
        }
        assert!((auc(&scores, &truths).unwrap() - sum / pairs).abs() < 1e-12);
    }
}
