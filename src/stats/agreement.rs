//! Two series of calls on the same films: how far they agree, and whether one is right more often.

/// How often two series of calls gave what: [first positive][second positive].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Agreement {
    /// Both positive.
    pub both: usize,
    /// The first alone.
    pub first_only: usize,
    /// The second alone.
    pub second_only: usize,
    /// Neither.
    pub neither: usize,
}

impl Agreement {
    /// Counts pairs of calls.
    pub fn of(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for pair in pairs {
            match pair {
                (true, true) => counts.both += 1,
                (true, false) => counts.first_only += 1,
                (false, true) => counts.second_only += 1,
                (false, false) => counts.neither += 1,
            }
        }
        counts
    }

    /// Pairs.
    pub fn pairs(&self) -> usize {
        self.both + self.first_only + self.second_only + self.neither
    }

    /// Share of pairs that agree; `None` without a pair.
    pub fn observed(&self) -> Option<f64> {
        (self.pairs() > 0).then(|| (self.both + self.neither) as f64 / self.pairs() as f64)
    }

    /// Cohen's kappa (Cohen 1960): (observed - expected) / (1 - expected), in [-1, 1]. `None` without a pair and where both
    /// series give one and the same answer throughout, so that chance alone would agree everywhere.
    pub fn kappa(&self) -> Option<f64> {
        let (n, observed) = (self.pairs() as f64, self.observed()?);
        let first = (self.both + self.first_only) as f64 / n;
        let second = (self.both + self.second_only) as f64 / n;
        let expected = first * second + (1.0 - first) * (1.0 - second);
        (expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
    }

    /// McNemar's exact test (McNemar 1947, two-sided binomial): the probability, were the two alike, of the disagreements
    /// leaning to one side at least as far as these. In (0, 1]; 1 without a disagreement.
    pub fn mcnemar(&self) -> f64 {
        let (n, k) = (self.first_only + self.second_only, self.first_only.min(self.second_only));
        // Logarithms, because 0.5^n underflows where the films are many.
        let mut log_choose = 0.0;
        let mut tail = 0.0;
        for i in 0..=k {
            tail += (log_choose - n as f64 * std::f64::consts::LN_2).exp();
            log_choose += ((n - i) as f64 / (i + 1) as f64).ln();
        }
        (2.0 * tail).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kappa_is_what_cohen_s_formula_gives() {
        // Observed 0.7, expected 0.5.
        let counts = Agreement { both: 20, first_only: 5, second_only: 10, neither: 15 };
        assert!((counts.kappa().unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(Agreement { both: 5, neither: 5, ..Agreement::default() }.kappa(), Some(1.0));
        assert_eq!(Agreement { both: 5, ..Agreement::default() }.kappa(), None);
        assert_eq!(Agreement::default().kappa(), None);
    }

    #[test]
    fn mcnemar_counts_the_disagreements_alone() {
        let p = |first_only, second_only| Agreement { both: 7, first_only, second_only, neither: 9 }.mcnemar();
        assert_eq!(p(0, 0), 1.0);
        assert_eq!(p(3, 3), 1.0);
        assert!((p(0, 5) - 2.0 / 32.0).abs() < 1e-12);
        assert!((p(1, 5) - 2.0 * 7.0 / 64.0).abs() < 1e-12);
        assert_eq!(p(2, 9), p(9, 2));
        let many = p(40_000, 41_000);
        assert!(many > 0.0 && many < 0.01, "{many}");
    }
}
