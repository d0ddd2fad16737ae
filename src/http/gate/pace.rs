//! How fast a client moves its bytes: over a whole phase of its conversation, and over the last few seconds.

use super::GateLimits;

/// The bytes moved since a phase began.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    since_ms: u64,
    bytes: u64,
    window_since_ms: u64,
    window_bytes: u64,
}

impl Pace {
    /// A phase that begins now.
    pub fn begin(now_ms: u64) -> Self {
        Self { since_ms: now_ms, bytes: 0, window_since_ms: now_ms, window_bytes: 0 }
    }

    /// Counts bytes.
    pub fn moved(&mut self, count: usize) {
        self.bytes += count as u64;
        self.window_bytes += count as u64;
    }

    /// How long the phase has lasted.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.since_ms)
    }

    /// Bytes a second since the phase began.
    pub fn rate(&self, now_ms: u64) -> u64 {
        self.bytes.saturating_mul(1_000) / self.age_ms(now_ms).max(1)
    }

    /// Whether the bytes of the last window are fewer than the slowest rate allows. A window is as long as the grace, so that a
    /// fast beginning pays for no long pause.
    pub fn is_too_slow(&mut self, limits: &GateLimits, now_ms: u64) -> bool {
        let window_ms = now_ms.saturating_sub(self.window_since_ms);
        if window_ms < limits.rate_grace_ms {
            return false;
        }
        let slow = self.window_bytes.saturating_mul(1_000) < limits.rate_min.saturating_mul(window_ms);
        (self.window_since_ms, self.window_bytes) = (now_ms, 0);
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_beginning_pays_for_no_pause() {
        let limits = GateLimits { rate_min: 1_000, rate_grace_ms: 5_000, ..GateLimits::default() };
        let mut pace = Pace::begin(100);
        pace.moved(1_000_000);
        assert!(!pace.is_too_slow(&limits, 5_099));
        assert!(!pace.is_too_slow(&limits, 5_100));
        pace.moved(4_999);
        assert!(pace.is_too_slow(&limits, 10_100), "one byte less than 1,000 a second");
        pace.moved(5_000);
        assert!(!pace.is_too_slow(&limits, 15_100), "just 1,000 a second");
        assert_eq!((pace.age_ms(10_100), pace.rate(10_100)), (10_000, 100_999));
    }
}
