//! How much films without a finding count. Where they are most of the films, a head earns most of its loss by telling ill from
//! well; where they count less, more of it by telling its finding from the others.
//!
//! In: the weight of a film without a finding, the names of the heads. Out: the factor on a film's loss, and a teacher's
//! probabilities as they would be if such films were as rare as they count (Saerens, Latinne, Decaestecker 2002,
//! "Adjusting the outputs of a classifier to new a priori probabilities"). Both together have the same best answer. Never: a
//! probability of a film shifted without the teacher's word on whether it is normal.

use super::auxiliary::{Auxiliary, OF_ROW};
use super::data::{Record, Truth};
use super::label_set::LabelSet;
use super::soft::FEATURE;
use crate::labels::NO_FINDING;

/// Labels of what is in a film and no finding of the patient: a film with a line or a pacemaker may be normal.
const DEVICES: [&str; 4] = ["Support Devices", "support_devices", "picc", "pacemaker_implant"];

/// What a head's probability becomes where normal films are rarer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// It holds in no normal film, or is taken to.
    Finding,
    /// It holds in normal films alone.
    Normal,
    /// It holds in normal films as in others, or is taken to: devices, sex, view, age, a teacher's features.
    Neither,
}

impl Kind {
    fn of<'a>(mut names: impl Iterator<Item = &'a str>) -> Self {
        names.find_map(Self::by_name).unwrap_or(Self::Finding)
    }

    fn by_name(name: &str) -> Option<Self> {
        match name {
            name if NO_FINDING.contains(&name) => Some(Self::Normal),
            name if DEVICES.contains(&name) || OF_ROW.contains(&name) || name.starts_with(FEATURE) => Some(Self::Neither),
            _ => None,
        }
    }
}

/// What normal films count, and what each head says of them.
pub struct Normals {
    weight: f32,
    kinds: Vec<Kind>,
    findings: usize,
}

impl Normals {
    /// Normal films count `weight` (0 to 1) of the others. Heads: those of the label set, then the auxiliary ones.
    pub fn of(weight: f32, set: &LabelSet, auxiliary: &Auxiliary) -> Self {
        let findings = set.findings.iter().map(|f| Kind::of(f.names()));
        let kinds = findings.chain(auxiliary.heads.iter().map(|head| Kind::of(std::iter::once(head.as_str())))).collect();
        Self { weight, kinds, findings: set.findings.len() }
    }

    /// What a normal film counts of the others.
    pub fn weight(&self) -> f32 {
        self.weight
    }

    /// Factor on the loss of a film with these auxiliary answers. A film with any finding counts in full, whatever else is said of it;
    /// of the others the file says which are normal, or, where it does not, those of which every trained finding is known.
    pub fn factor(&self, film: &Record, answers: &[Option<f32>], trained: &[bool]) -> f32 {
        let (of_set, of_auxiliary) = self.kinds.split_at(self.findings);
        let mut findings = of_set.iter().zip(&film.truths).zip(trained).filter(|((kind, _), _)| **kind == Kind::Finding);
        let found = findings.clone().any(|((_, truth), _)| *truth == Truth::Positive)
            || of_auxiliary.iter().zip(answers).any(|(kind, a)| *kind == Kind::Finding && a.is_some_and(|a| a > 0.5));
        let absent = || findings.all(|((_, truth), trained)| !trained || *truth == Truth::Negative);
        if !found && film.normal.unwrap_or_else(absent) { self.weight } else { 1.0 }
    }

    /// A teacher's word on a film, [heads], shifted; `normal` is its probability that the film is. `None` where it says something of
    /// findings and nothing of that.
    pub fn shifted(&self, of: Vec<Option<f32>>, normal: Option<f32>) -> Option<Vec<Option<f32>>> {
        let says = self.kinds.iter().zip(&of).any(|(kind, p)| *kind != Kind::Neither && p.is_some());
        if self.weight >= 1.0 || !says {
            return Some(of);
        }
        let normal = normal?;
        // Share of the films like this one that is left; the floor is for a teacher that is sure of films that count nothing.
        let left = ((1.0 - normal) + self.weight * normal).max(f32::MIN_POSITIVE);
        let one = |(kind, p): (&Kind, Option<f32>)| match kind {
            Kind::Finding => p.map(|p| (p / left).min(1.0)),
            Kind::Normal => p.map(|p| (self.weight * p / left).min(1.0)),
            Kind::Neither => p,
        };
        Some(self.kinds.iter().zip(of).map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Truth::{Negative, Positive, Unknown};

    /// Heads: mass, nodule, PICC, then Hernia, No_Finding, sex and a feature.
    fn normals(weight: f32) -> Normals {
        let of = |id: &str| format!("[[finding]]\nid='{id}'\nvariable='var_{id}'\nen='x'\nzh='x'\n");
        let text = format!("name='x'\ntitle_en='x'\ntitle_zh='x'\n{}{}{}", of("mass"), of("nodule"), of("picc"));
        let heads = ["Hernia", "No_Finding", "sex", "feature_0"].map(str::to_owned).to_vec();
        Normals::of(weight, &toml::from_str(&text).unwrap(), &Auxiliary { heads, values: vec![] })
    }

    #[test]
    fn the_shifted_word_of_a_teacher_is_the_share_among_films_that_count_so() {
        // 100 films alike: 10 with a mass, 5 of them with a hernia too, 60 normal, 30 with others; a line in half of each.
        let word = vec![Some(0.10), None, Some(0.5), Some(0.05), Some(0.60), Some(0.5), Some(0.3)];
        let counted = 0.25 * 60.0 + 40.0;
        let got = normals(0.25).shifted(word.clone(), Some(0.60)).unwrap();
        let want = [10.0 / counted, f32::NAN, 0.5, 5.0 / counted, 0.25 * 60.0 / counted, 0.5, 0.3];
        for (got, want) in got.iter().zip(want) {
            assert!(got.map_or(want.is_nan(), |got| (got - want).abs() < 1e-6), "{got:?} {want}");
        }
        assert_eq!(normals(1.0).shifted(word.clone(), None), Some(word));
    }

    #[test]
    fn the_loss_of_weighted_films_is_least_where_the_shifted_word_is() {
        // Hard labels of the same 100 films, each with its factor: the mean label is the answer of least cross-entropy.
        let of = normals(0.25);
        let groups = [(10.0, Positive, false), (60.0, Negative, true), (30.0, Negative, false)];
        let (mut yes, mut all) = (0.0, 0.0);
        for (count, truth, normal) in groups {
            let film = Record { truths: vec![truth, Unknown, Unknown], normal: Some(normal), ..Record::default() };
            let factor = of.factor(&film, &[None; 4], &[true, false, false]);
            yes += if truth == Positive { factor * count } else { 0.0 };
            all += factor * count;
        }
        let word = of.shifted(vec![Some(0.1), None, None, None, None, None, None], Some(0.6)).unwrap()[0].unwrap();
        assert!((yes / all - word).abs() < 1e-6, "{} {word}", yes / all);
    }

    #[test]
    fn a_film_with_any_finding_counts_in_full_whatever_else_is_said_of_it() {
        let of = |truths: [Truth; 3], hernia: Option<f32>, normal| {
            let film = Record { truths: truths.to_vec(), normal, ..Record::default() };
            normals(0.5).factor(&film, &[hernia, None, Some(1.0), Some(0.9)], &[true, true, false])
        };
        for (truths, hernia, normal, want, why) in [
            ([Negative, Negative, Unknown], None, Some(true), 0.5, "the file says that it is normal"),
            ([Unknown, Unknown, Unknown], None, Some(true), 0.5, "the file says so, and nothing else"),
            ([Negative, Negative, Unknown], None, Some(false), 1.0, "it has a finding that is none of the set"),
            ([Positive, Negative, Unknown], None, Some(true), 1.0, "one label was corrected, the other was not"),
            ([Negative, Negative, Unknown], Some(1.0), None, 1.0, "a public label beside the set"),
            ([Negative, Negative, Unknown], None, None, 0.5, "nothing that is learnt was found"),
            ([Negative, Negative, Positive], None, None, 0.5, "a line is no finding"),
            ([Negative, Unknown, Unknown], None, None, 1.0, "it may have a nodule"),
        ] {
            assert_eq!(of(truths, hernia, normal), want, "{why}");
        }
    }

    #[test]
    fn a_teacher_that_does_not_say_whether_a_film_is_normal_is_not_shifted() {
        let mass = vec![Some(0.1), None, None, None, None, None, None];
        assert_eq!(normals(0.5).shifted(mass.clone(), None), None);
        let silent = vec![None, None, Some(0.4), None, None, Some(1.0), Some(0.2)];
        assert_eq!(normals(0.5).shifted(silent.clone(), None), Some(silent));
        // Sure that the film is normal, which counts nothing or next to nothing: probabilities still.
        for weight in [0.0, 1e-9] {
            let sure = normals(weight).shifted(vec![Some(0.1), None, None, None, Some(1.0), None, None], Some(1.0)).unwrap();
            assert!(sure.iter().flatten().all(|p| (0.0..=1.0).contains(p)), "{sure:?}");
        }
    }
}
