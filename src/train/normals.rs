//! How much films without a finding count. Where they are most of the films, a head earns most of its loss by telling ill from
//! well; where they count less, more of it by telling its finding from the others.
//!
//! In: the weight of a film without a finding, the names of the heads. Out: the factor on a film's loss, and a teacher's
//! probabilities as they would be if such films were as rare as they count (Saerens, Latinne, Decaestecker 2002,
//! "Adjusting the outputs of a classifier to new a priori probabilities"). Both together have the same best answer. Never: a
//! probability of a film shifted without the teacher's word on whether it is normal.

use super::auxiliary::{Auxiliary, NO_FINDING, NOT_OF_FINDINGS};
use super::data::{Record, Truth};
use super::soft::FEATURE;

/// What a head's probability becomes where normal films are rarer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// It holds in no normal film, or is taken to.
    Finding,
    /// It holds in normal films alone.
    Normal,
    /// It says nothing of findings: sex, view, age, support devices, a teacher's features.
    Neither,
}

/// The weight of normal films and which head says that a film is one.
pub struct Normals {
    weight: f32,
    kinds: Vec<Kind>,
    findings: usize,
}

impl Normals {
    /// Normal films count `weight` (0 to 1) of the others. Heads: `findings` of the label set, then the auxiliary ones.
    pub fn of(weight: f32, findings: usize, auxiliary: &Auxiliary) -> Self {
        let kind = |head: &String| match head.as_str() {
            head if NO_FINDING.contains(&head) => Kind::Normal,
            head if NOT_OF_FINDINGS.contains(&head) || head.starts_with(FEATURE) => Kind::Neither,
            _ => Kind::Finding,
        };
        let kinds = std::iter::repeat_n(Kind::Finding, findings).chain(auxiliary.heads.iter().map(kind)).collect();
        Self { weight, kinds, findings }
    }

    /// What a normal film counts of the others.
    pub fn weight(&self) -> f32 {
        self.weight
    }

    /// Factor on the loss of a film with these auxiliary answers. It is normal where its label says so, or where no label
    /// does, if findings are known of it and none is positive.
    pub fn factor(&self, film: &Record, answers: &[Option<f32>]) -> f32 {
        let said = self.kinds[self.findings..].iter().zip(answers).find_map(|(kind, a)| a.filter(|_| *kind == Kind::Normal));
        let normal = match said {
            Some(said) => said > 0.5,
            None => film.truths.contains(&Truth::Negative) && !film.truths.contains(&Truth::Positive),
        };
        if normal { self.weight } else { 1.0 }
    }

    /// A teacher's word on a film: `of` [heads] shifted; `None` where it says something of findings, and not whether the film is
    /// normal.
    pub fn shifted(&self, of: Vec<Option<f32>>) -> Option<Vec<Option<f32>>> {
        if self.weight >= 1.0 {
            return Some(of);
        }
        let normal = self.kinds.iter().zip(&of).find_map(|(kind, p)| p.filter(|_| *kind == Kind::Normal));
        let says = self.kinds.iter().zip(&of).any(|(kind, p)| *kind == Kind::Finding && p.is_some());
        let Some(normal) = normal else { return (!says).then_some(of) };
        // Share of the films like this one that is left; 0 where a normal film counts nothing and the teacher is sure.
        let left = (1.0 - (1.0 - self.weight) * normal).max(f32::MIN_POSITIVE);
        let one = |(kind, p): (&Kind, Option<f32>)| match kind {
            Kind::Finding => p.map(|p| (p / left).min(1.0)),
            Kind::Normal => p.map(|p| self.weight * p / left),
            Kind::Neither => p,
        };
        Some(self.kinds.iter().zip(of).map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(weight: f32) -> Normals {
        let heads = ["Hernia", "No_Finding", "sex", "feature_0"].map(str::to_owned).to_vec();
        Normals::of(weight, 1, &Auxiliary { heads, values: vec![] })
    }

    #[test]
    fn the_shifted_word_of_a_teacher_is_the_share_among_films_that_count_so() {
        // 100 films alike: 10 with the finding, 5 of them with a hernia too, 60 normal, 30 with others.
        let word = vec![Some(0.10), Some(0.05), Some(0.60), Some(0.5), Some(0.3)];
        let counted = 0.25 * 60.0 + 40.0;
        let got = normals(0.25).shifted(word.clone()).unwrap();
        for (got, want) in got.iter().zip([10.0 / counted, 5.0 / counted, 0.25 * 60.0 / counted, 0.5, 0.3]) {
            assert!((got.unwrap() - want).abs() < 1e-6, "{got:?} {want}");
        }
        assert_eq!(normals(1.0).shifted(word.clone()), Some(word));
    }

    #[test]
    fn the_loss_of_weighted_films_is_least_where_the_shifted_word_is() {
        // Hard labels of the same 100 films, each with its factor: the mean label is the answer of least cross-entropy.
        let film = |truth| Record { truths: vec![truth], ..Record::default() };
        let of = normals(0.25);
        let groups = [(10.0, Truth::Positive, 0.0), (60.0, Truth::Negative, 1.0), (30.0, Truth::Negative, 0.0)];
        let (mut yes, mut all) = (0.0, 0.0);
        for (count, truth, normal) in groups {
            let factor = of.factor(&film(truth), &[None, Some(normal), None, None]);
            yes += if truth == Truth::Positive { factor * count } else { 0.0 };
            all += factor * count;
        }
        let word = of.shifted(vec![Some(0.1), None, Some(0.6), None, None]).unwrap()[0].unwrap();
        assert!((yes / all - word).abs() < 1e-6, "{} {word}", yes / all);
    }

    #[test]
    fn a_film_without_the_label_is_normal_if_findings_are_known_and_none_is_positive() {
        let of = |truths: &[Truth], said| {
            let film = Record { truths: truths.to_vec(), ..Record::default() };
            normals(0.5).factor(&film, &[None, said, None, None])
        };
        let (yes, no, unknown) = (Truth::Positive, Truth::Negative, Truth::Unknown);
        assert_eq!([of(&[no, unknown], None), of(&[yes, no], None), of(&[unknown], None)], [0.5, 1.0, 1.0]);
        // It has a finding that is none of the set.
        assert_eq!(of(&[no, no], Some(0.0)), 1.0);
    }

    #[test]
    fn a_teacher_that_does_not_say_whether_a_film_is_normal_is_not_shifted() {
        assert_eq!(normals(0.5).shifted(vec![Some(0.1), None, None, None, None]), None);
        let silent = vec![None, None, None, Some(1.0), Some(0.2)];
        assert_eq!(normals(0.5).shifted(silent.clone()), Some(silent));
        // Sure that the film is normal, which counts nothing: still a probability.
        let sure = normals(0.0).shifted(vec![Some(0.1), None, Some(1.0), None, None]).unwrap();
        assert_eq!((sure[0], sure[2]), (Some(1.0), Some(0.0)));
    }
}
