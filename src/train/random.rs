//! Random numbers that are the same on every machine and can be resumed from three integers: a
//! stream is named by (seed, epoch, film), so a run that is started again draws what it would have drawn.

/// A stream of random numbers: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream with this name.
    pub fn of(parts: &[u64]) -> Self {
        let mut random = Self { state: 0x9e37_79b9_7f4a_7c15 };
        for part in parts {
            random.state ^= part.wrapping_mul(0xd134_2543_de82_ef95);
            random.state = random.bits();
        }
        random
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// A number in [low, high).
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// `n` numbers of the normal distribution with mean 0 and this deviation (Box and Muller 1958).
    pub fn normal(&mut self, n: usize, deviation: f32) -> Vec<f32> {
        let one = |random: &mut Self| {
            let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
            radius * (std::f32::consts::TAU * random.unit()).cos() * deviation
        };
        (0..n).map(|_| one(self)).collect()
    }

    /// A permutation of 0..n (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let j = (self.bits() % (i as u64 + 1)) as usize;
            order.swap(i, j);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_stream_depends_on_every_part_of_its_name() {
        let first = |parts: &[u64]| Random::of(parts).bits();
        assert_eq!(first(&[1, 2, 3]), first(&[1, 2, 3]));
        assert_ne!(first(&[1, 2, 3]), first(&[1, 3, 2]));
        assert_ne!(first(&[1, 2, 3]), first(&[0, 2, 3]));
    }

    #[test]
    fn a_permutation_holds_each_index_once() {
        let mut order = Random::of(&[7]).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn normal_numbers_have_their_mean_and_deviation() {
        let values = Random::of(&[5]).normal(20_000, 3.0);
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 20_000.0).sqrt();
        assert!(mean.abs() < 0.1 && (spread - 3.0).abs() < 0.1 && values.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn units_fill_zero_to_one_evenly() {
        let mut random = Random::of(&[1]);
        let values: Vec<f32> = (0..10_000).map(|_| random.unit()).collect();
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)));
        assert!((values.iter().sum::<f32>() / 10_000.0 - 0.5).abs() < 0.02);
    }
}
