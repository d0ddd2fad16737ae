//! Numbers that look random and are the same on every machine: only integer arithmetic and
//! multiplication by powers of two.

/// A generator of numbers, SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly distributed in [0, 1), in steps of 2^-24.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Evenly distributed in [low, high).
    pub fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Evenly distributed in 0..n; 0 for n = 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// Mean 0, variance 1, in [-6, 6]: the sum of twelve even numbers (Irwin-Hall), near enough to normal.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    /// Exchanges the items into an even random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        // The first numbers of SplitMix64 from seed 1234567, as Rosetta Code lists them.
        let mut dice = Dice::new(1_234_567);
        for want in [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423] {
            assert_eq!(dice.bits(), want);
        }
    }

    #[test]
    fn numbers_stay_in_their_range_and_have_their_mean_and_spread() {
        let mut dice = Dice::new(9);
        let units: Vec<f32> = (0..10_000).map(|_| dice.unit()).collect();
        assert!(units.iter().all(|u| (0.0..1.0).contains(u)));
        assert!((units.iter().sum::<f32>() / 10_000.0 - 0.5).abs() < 0.01);
        let normals: Vec<f32> = (0..10_000).map(|_| dice.normal()).collect();
        assert!(normals.iter().sum::<f32>().abs() < 300.0);
        assert!((normals.iter().map(|n| n * n).sum::<f32>() / 10_000.0 - 1.0).abs() < 0.05);
        assert_eq!(dice.below(0), 0);
        assert!((0..1000).all(|_| dice.below(3) < 3));
    }
}
