//! The coding parameters of a JPEG-LS scan (T.87 C.2.4.1.1, A.2.1): stated ones checked, the others derived.

/// What an LSE segment states; 0 is the default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Preset {
    pub(super) maxval: u16,
    pub(super) thresholds: [u16; 3],
    pub(super) reset: u16,
}

/// The parameters of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    /// Highest sample.
    pub(super) maxval: i32,
    /// Most that a sample may be off; 0 is lossless.
    pub(super) near: i32,
    /// Gradients from which the next region of contexts begins.
    pub(super) thresholds: [i32; 3],
    /// Samples of a context after which its counts are halved.
    pub(super) reset: i32,
    /// Different prediction errors.
    pub(super) range: i32,
    /// Bits of a prediction error that is written out.
    pub(super) qbpp: u32,
    /// Longest code word.
    pub(super) limit: u32,
}

/// The thresholds of eight bits, lossless (C.2.4.1.1.1).
const BASIC: [i32; 3] = [3, 7, 21];
/// What is left between the basic thresholds and zero when they are scaled.
const BASE: [i32; 3] = [2, 3, 4];
/// How much each threshold grows with NEAR.
const BY_NEAR: [i32; 3] = [3, 5, 7];
const RESET: u16 = 64;

impl Parameters {
    /// The parameters of a scan of samples of `precision` bits; `None` where stated ones are not allowed.
    pub(super) fn of(precision: u8, near: u8, preset: Preset) -> Option<Self> {
        if !(2..=16).contains(&precision) {
            return None;
        }
        let most = (1_i32 << precision) - 1;
        let maxval = if preset.maxval == 0 { most } else { i32::from(preset.maxval) };
        let near = i32::from(near);
        if maxval > most || near > maxval / 2 {
            return None;
        }
        let mut thresholds = defaults(maxval, near);
        let mut lowest = near + 1;
        for (threshold, stated) in thresholds.iter_mut().zip(preset.thresholds) {
            if stated != 0 {
                *threshold = i32::from(stated);
            }
            if !(lowest..=maxval.max(lowest)).contains(threshold) {
                return None;
            }
            lowest = *threshold;
        }
        let reset = if preset.reset == 0 { RESET } else { preset.reset };
        if reset < 3 {
            return None;
        }
        let range = (maxval + 2 * near) / (2 * near + 1) + 1;
        let bits = bits_for(maxval + 1).max(2);
        let limit = 2 * (bits + bits.max(8));
        Some(Self { maxval, near, thresholds, reset: i32::from(reset), range, qbpp: bits_for(range), limit })
    }

    /// The region of a gradient, -4 to 4 (A.3.3).
    pub(super) fn region(&self, gradient: i32) -> i32 {
        let size = gradient.abs();
        let [t1, t2, t3] = self.thresholds;
        let region = i32::from(size > self.near) + i32::from(size >= t1) + i32::from(size >= t2) + i32::from(size >= t3);
        if gradient < 0 { -region } else { region }
    }

    /// The sample that a prediction and its error give (A.4.5).
    pub(super) fn sample(&self, prediction: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let sample = prediction + error * step;
        let turned = if sample < -self.near {
            sample + self.range * step
        } else if sample > self.maxval + self.near {
            sample - self.range * step
        } else {
            sample
        };
        turned.clamp(0, self.maxval)
    }
}

/// The default thresholds (C.2.4.1.1.1).
fn defaults(maxval: i32, near: i32) -> [i32; 3] {
    let mut lowest = near + 1;
    let mut out = [0; 3];
    for (i, threshold) in out.iter_mut().enumerate() {
        let wanted = if maxval >= 128 {
            let factor = (maxval.min(4095) + 128) / 256;
            factor * (BASIC[i] - BASE[i]) + BASE[i] + BY_NEAR[i] * near
        } else {
            let factor = 256 / (maxval + 1);
            BASE[i].max(BASIC[i] / factor + BY_NEAR[i] * near)
        };
        *threshold = if wanted > maxval || wanted < lowest { lowest } else { wanted };
        lowest = *threshold;
    }
    out
}

/// Bits of the numbers below `n`, for `n` of 2 and more.
fn bits_for(n: i32) -> u32 {
    32 - (n - 1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_standard() {
        let of = |precision, near| Parameters::of(precision, near, Preset::default()).unwrap();
        for (precision, near, thresholds, range, qbpp, limit) in [
            (8, 0, [3, 7, 21], 256, 8, 32),
            (12, 0, [18, 67, 276], 4096, 12, 48),
            (16, 0, [18, 67, 276], 65_536, 16, 64),
            (8, 3, [12, 22, 42], 38, 6, 32),
            (2, 0, [2, 3, 3], 4, 2, 20),
        ] {
            let found = of(precision, near);
            assert_eq!((found.thresholds, found.range, found.qbpp, found.limit), (thresholds, range, qbpp, limit));
            assert_eq!(found.reset, 64);
        }
    }

    #[test]
    fn stated_parameters_are_checked() {
        let stated = |maxval, thresholds, reset| Parameters::of(8, 0, Preset { maxval, thresholds, reset });
        assert_eq!(stated(200, [4, 9, 30], 32).unwrap().thresholds, [4, 9, 30]);
        for (maxval, thresholds, reset) in [(256, [0; 3], 0), (0, [9, 4, 30], 0), (0, [4, 9, 256], 0), (0, [0; 3], 2)] {
            assert_eq!(stated(maxval, thresholds, reset), None);
        }
        assert_eq!(Parameters::of(17, 0, Preset::default()), None);
        assert_eq!(Parameters::of(1, 0, Preset::default()), None);
        assert_eq!(Parameters::of(8, 128, Preset::default()), None);
        assert!(Parameters::of(8, 127, Preset::default()).is_some());
    }

    #[test]
    fn gradients_fall_into_nine_regions() {
        let eight = Parameters::of(8, 0, Preset::default()).unwrap();
        for (gradient, region) in [(0, 0), (1, 1), (2, 1), (3, 2), (6, 2), (7, 3), (20, 3), (21, 4), (255, 4), (-7, -3)] {
            assert_eq!(eight.region(gradient), region, "{gradient}");
        }
    }
}
