//! Which films an epoch shows, and in which order.

use super::random::Random;

/// The films of an epoch, in order: film i stands there `repeats[i]` times, a part of a time by lot.
pub fn order(films: &[usize], repeats: &[f32], name: [u64; 2]) -> Vec<usize> {
    let mut all = Vec::with_capacity(films.len());
    for (&film, &repeat) in films.iter().zip(repeats) {
        let lot = if repeat.fract() == 0.0 { 1.0 } else { Random::of(&[name[0], name[1], film as u64, 0x5eed]).unit() };
        let times = repeat.trunc() as usize + usize::from(lot < repeat.fract());
        all.extend(std::iter::repeat_n(film, times));
    }
    Random::of(&name).permutation(all.len()).into_iter().map(|i| all[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_film_stands_in_an_epoch_as_often_as_asked_for() {
        let films: Vec<usize> = (10..4010).collect();
        let mut once = order(&films, &vec![1.0; 4000], [1, 2]);
        assert_ne!(once, films);
        once.sort_unstable();
        assert_eq!(once, films);
        let repeats: Vec<f32> = (0..4000).map(|i| if i < 2000 { 2.5 } else { 0.25 }).collect();
        let some = order(&films, &repeats, [1, 2]);
        let often = some.iter().filter(|f| **f < 2010).count();
        assert!((4900..5100).contains(&often), "{often}");
        assert!((420..580).contains(&(some.len() - often)), "{}", some.len());
        assert_eq!(some, order(&films, &repeats, [1, 2]));
        assert_ne!(some, order(&films, &repeats, [1, 3]));
    }
}
