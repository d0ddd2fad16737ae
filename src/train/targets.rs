//! What each head of the network shall say about each film, and how much that counts.
//!
//! In: truths, auxiliary answers, a teacher's soft labels, what normal films count. Out: a row of targets and weights per
//! film, the findings first, then the auxiliary heads. Cross-entropy is linear in its target, so (1 - a) of the loss of the
//! hard label plus a of the loss of the soft one is the loss of the mixed target. Never: a weight where nothing is known.

use super::auxiliary::Auxiliary;
use super::data::Record;
use super::label_set::LabelSet;
use super::normals::Normals;
use super::origin::Origin;
use super::soft::Soft;
use crate::labels::NO_FINDING;

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
    /// How much normal films count.
    pub normals: &'a Normals,
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
    /// Films that they cannot be shifted for, as normal films count less and they do not say whether these are.
    pub unshifted: usize,
}

impl Targets {
    /// Targets of these films.
    pub fn of(records: &[Record], from: &Evidence) -> Self {
        let kept = from.auxiliary.with_evidence(records);
        let findings = from.trained.len();
        let auxiliary: Vec<String> = kept.iter().map(|&h| from.auxiliary.heads[h].clone()).collect();
        let mut unshifted = 0;
        let row = |(i, film): (usize, &Record)| {
            let path = from.origins[film.origin].plain(&film.file);
            let answers = kept.iter().map(|&h| from.auxiliary.values[i][h]);
            let hard: Vec<Option<f32>> =
                film.truths.iter().map(|t| t.known().map(|yes| f32::from(u8::from(yes)))).chain(answers).collect();
            let word = from.soft.map(|(soft, _)| from.normals.shifted(soft.of(&film.file), soft.normal(&film.file)));
            unshifted += usize::from(matches!(word, Some(None)));
            let all = word.flatten();
            let normal = from.normals.factor(film, &from.auxiliary.values[i], from.trained);
            let of_film = normal * from.origins[film.origin].loss_weight;
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
                (target, weight * factor * of_film)
            });
            let (targets, weights) = mixed.unzip();
            Row { targets, weights }
        };
        let films = records.iter().enumerate().map(row).collect();
        let softened = from.soft.map_or(0, |(soft, _)| records.iter().filter(|r| soft.has(&r.file)).count());
        Self { auxiliary, films, softened, unshifted }
    }

    /// That soft labels are of these films, and can be followed.
    ///
    /// # Errors
    /// A sentence that says what they lack.
    pub fn check(&self) -> Result<(), String> {
        match (self.softened, self.unshifted) {
            (0, _) => Err("its column file names no film of the label file".into()),
            (_, 0) => Ok(()),
            (_, films) => Err(format!(
                "of {films} films it says which findings they have and not whether they have any, which a normal_weight below 1 needs: \
                 give it a column {} of the probability that a film has none, or say --normal-weight 1",
                NO_FINDING[0]
            )),
        }
    }

    /// Mean target of head `head` over `films`, weights counted; a half where nothing is known.
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
    use crate::train::data::Truth;
    use crate::train::label_set::PathConfig;
    use crate::train::objective::{Imbalance, summed};
    use crate::train::study::POSITIVES_MIN;
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

    /// Targets of a film with an edema and of two normal ones; `word` is the teacher's file.
    fn of_three(weight: f32, word: &str) -> Targets {
        let set: LabelSet = toml::from_str(
            "name='x'\ntitle_en='x'\ntitle_zh='x'\n[[finding]]\nid='a'\nvariable='var_0'\nen='a'\nzh='a'\ncolumns=['Edema']\n",
        )
        .unwrap();
        let film = |(file, truth): (&str, Truth)| Record { file: file.into(), truths: vec![truth], ..Record::default() };
        let mut records: Vec<Record> =
            [("a", Truth::Positive), ("b", Truth::Negative), ("c", Truth::Negative)].map(film).to_vec();
        let normal = |film: &Record| vec![Some(f32::from(u8::from(film.file != "a")))];
        // Repeated until the auxiliary head has evidence.
        records = records.iter().cycle().take(3 * POSITIVES_MIN).cloned().collect();
        let auxiliary = Auxiliary { heads: vec![NO_FINDING[0].into()], values: records.iter().map(normal).collect() };
        let file = std::env::temp_dir().join(format!("chexbox-targets-{}-{weight}-{}.csv", std::process::id(), word.len()));
        std::fs::write(&file, word).unwrap();
        let soft = Soft::read(&file, &set, &auxiliary.heads).unwrap();
        std::fs::remove_file(file).unwrap();
        let config = PathConfig {
            train_label_path: "l".into(),
            k_fold_path: "k".into(),
            train_img_path: "i".into(),
            test_img_path: "i".into(),
            snapshot_path: "s".into(),
        };
        let (normals, origins) = (Normals::of(weight, &set, &auxiliary), [Origin::own(&config)]);
        let evidence = Evidence {
            trained: &[true],
            auxiliary: &auxiliary,
            soft: Some((&soft, 0.5)),
            normals: &normals,
            factors: &[],
            origins: &origins,
            set: &set,
        };
        Targets::of(&records, &evidence)
    }

    #[test]
    fn normal_films_count_less_and_the_teacher_s_word_follows() {
        let word = "file,Edema,No_Finding\na,0.5,0.25\nb,0.125,0.75\n";
        let all = of_three(1.0, word);
        let rows: Vec<(&[f32], &[f32])> = all.films[..3].iter().map(|r| (&r.targets[..], &r.weights[..])).collect();
        assert_eq!(rows[0], (&[0.75, 0.125][..], &[1.0, 1.0][..]));
        assert_eq!(rows[1], (&[0.0625, 0.875][..], &[1.0, 1.0][..]));
        assert_eq!(rows[2], (&[0.0, 1.0][..], &[1.0, 1.0][..]));
        let less = of_three(0.5, word);
        // Of films like a 0.875 are left, of films like b 0.625.
        let near = |got: &[f32], want: [f32; 2]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6);
        assert!(near(&less.films[0].targets, [0.5 + 0.25 / 0.875, 0.0625 / 0.875]), "{:?}", less.films[0]);
        assert!(near(&less.films[1].targets, [0.0625 / 0.625, 0.5 + 0.1875 / 0.625]), "{:?}", less.films[1]);
        assert_eq!(less.films[..3].iter().map(|r| r.weights[0]).collect::<Vec<_>>(), [1.0, 0.5, 0.5]);
        assert_eq!(less.check(), Ok(()));
    }

    #[test]
    fn a_teacher_that_says_nothing_of_normal_films_is_refused_where_they_count_less() {
        let word = "file,Edema\na,0.5\nb,0.125\n";
        assert_eq!(of_three(1.0, word).check(), Ok(()));
        let refused = of_three(0.5, word).check().unwrap_err();
        assert!(refused.contains("of 40 films") && refused.contains("a column No_Finding"), "{refused}");
        assert!(of_three(1.0, "file,Edema,No_Finding\nz,0.5,0.5\n").check().unwrap_err().contains("names no film"));
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
