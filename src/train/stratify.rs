//! k folds of films: no patient in two, every finding spread over all (iterative stratification, Sechidis, Tsoumakas,
//! Vlahavas 2011, with patients for examples).
//!
//! In: records with their parts. Out: a fold for each film, `None` for the test part, which no fold touches. The finding
//! with the fewest positives left is dealt out first, each patient to the fold that still wants most of it; ties go to the
//! fold that still wants most films, then by lot. Never: another result for the same films and seed.

use super::data::{Part, Record, Truth};
use super::random::Random;
use std::collections::BTreeMap;

/// Films of one patient.
struct Patient {
    films: Vec<usize>,
    /// [findings]: films with it.
    positives: Vec<usize>,
}

/// The fold of each film.
pub fn split(films: &[Record], findings: usize, folds: usize, seed: u64) -> Vec<Option<usize>> {
    let patients = patients(films, findings, seed);
    let share = |total: usize| vec![total as f64 / folds as f64; folds];
    let mut wanted: Vec<Vec<f64>> = (0..findings).map(|f| share(patients.iter().map(|p| p.positives[f]).sum())).collect();
    let mut films_wanted = share(patients.iter().map(|p| p.films.len()).sum());
    let mut of = vec![None; films.len()];
    let mut left: Vec<&Patient> = patients.iter().collect();
    while !left.is_empty() {
        let remaining = |f: usize| left.iter().map(|p| p.positives[f]).sum::<usize>();
        let rarest = (0..findings).filter(|f| remaining(*f) > 0).min_by_key(|f| remaining(*f));
        let (now, later): (Vec<&Patient>, Vec<&Patient>) =
            left.into_iter().partition(|p| rarest.is_none_or(|f| p.positives[f] > 0));
        left = later;
        for patient in now {
            let key = |fold: usize| (rarest.map_or(0.0, |f| wanted[f][fold]), films_wanted[fold]);
            let fold = (0..folds).max_by(|a, b| compare(key(*a), key(*b))).unwrap_or_default();
            for (f, n) in patient.positives.iter().enumerate() {
                wanted[f][fold] -= *n as f64;
            }
            films_wanted[fold] -= patient.films.len() as f64;
            for &i in &patient.films {
                of[i] = Some(fold);
            }
        }
    }
    of
}

fn compare(a: (f64, f64), b: (f64, f64)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
}

/// The patients outside the test part, in an order of this seed, those with most films first.
fn patients(films: &[Record], findings: usize, seed: u64) -> Vec<Patient> {
    let mut by_name: BTreeMap<&str, Patient> = BTreeMap::new();
    for (i, film) in films.iter().enumerate().filter(|(_, f)| f.part != Part::Test) {
        let patient = by_name.entry(&film.patient).or_insert_with(|| Patient { films: vec![], positives: vec![0; findings] });
        patient.films.push(i);
        for (count, truth) in patient.positives.iter_mut().zip(&film.truths) {
            *count += usize::from(*truth == Truth::Positive);
        }
    }
    let order = Random::of(&[seed, 0xf01d]).permutation(by_name.len());
    let mut shuffled: Vec<(usize, Patient)> = order.into_iter().zip(by_name.into_values()).collect();
    shuffled.sort_by_key(|(lot, p)| (std::cmp::Reverse(p.films.len()), *lot));
    shuffled.into_iter().map(|(_, p)| p).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn films() -> Vec<Record> {
        let mut random = Random::of(&[3]);
        let truth = |yes| if yes { Truth::Positive } else { Truth::Negative };
        (0..3000)
            .map(|i| Record {
                file: format!("{i}"),
                patient: format!("{}", (i as f64).sqrt() as usize * 7 + i % 7),
                part: if i % 10 == 0 { Part::Test } else { Part::Train },
                truths: [0.3, 0.05, 0.01].map(|p| truth(random.unit() < p)).to_vec(),
                ..Record::default()
            })
            .collect()
    }

    #[test]
    fn no_patient_is_in_two_folds_and_every_finding_is_spread_evenly() {
        let mut films = films();
        // A patient's films stand in one part.
        for film in &mut films {
            film.part = if film.patient.len() == 1 { Part::Test } else { Part::Train };
        }
        let of = split(&films, 3, 5, 1);
        let mut seen: BTreeMap<&str, Option<usize>> = BTreeMap::new();
        for (film, fold) in films.iter().zip(&of) {
            assert_eq!(*seen.entry(&film.patient).or_insert(*fold), *fold, "{}", film.patient);
            assert_eq!(fold.is_none(), film.part == Part::Test);
        }
        for finding in 0..3 {
            let count = |k| films.iter().zip(&of).filter(|(f, o)| **o == Some(k) && f.truths[finding] == Truth::Positive).count();
            let counts: Vec<usize> = (0..5).map(count).collect();
            let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(high - low <= 2 + high / 10, "finding {finding}: {counts:?}");
        }
        let sizes: Vec<usize> = (0..5).map(|k| of.iter().filter(|o| **o == Some(k)).count()).collect();
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() < 60, "{sizes:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_folds_and_another_seed_others() {
        let films = films();
        assert_eq!(split(&films, 3, 4, 1), split(&films, 3, 4, 1));
        assert_ne!(split(&films, 3, 4, 1), split(&films, 3, 4, 2));
    }
}
