//! From stored values to greys: modality LUT, VOI LUT and polarity as one table (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2).
//!
//! In: what a stored value means, and how often each occurs. Out: the grey in [0, 1] of each of the
//! 256 or 65,536 levels, computed in f64 and rounded once. Formulas, x a modality value, c and w the
//! window (PS3.3 C.11.2.1.2 and C.11.2.1.3):
//! - LINEAR: 0 for x <= c - 0.5 - (w - 1) / 2, 1 for x > c - 0.5 + (w - 1) / 2, else (x - (c - 0.5)) / (w - 1) + 0.5
//! - LINEAR_EXACT: 0 for x <= c - w / 2, 1 for x > c + w / 2, else (x - c) / w + 0.5
//! - SIGMOID: 1 / (1 + exp(-4 (x - c) / w))

use super::grey::Samples;
use super::layout::Sign;

/// VOI LUT Function (0028,1056).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Linear,
    LinearExact,
    Sigmoid,
}

/// A lookup table with its first mapped value; values before and behind it get its ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    pub(super) first: i32,
    /// At least one.
    pub(super) values: Vec<u16>,
    /// The value that stands for one.
    pub(super) top: u16,
}

/// From stored values to modality values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Modality {
    Rescale { slope: f64, intercept: f64 },
    Table(Table),
}

/// From modality values to greys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Voi {
    Window {
        centre: f64,
        width: f64,
        function: Function,
    },
    Table(Table),
    /// Linear between these two modality values.
    Range {
        low: f64,
        high: f64,
    },
}

/// Whether the lowest grey is shown black or white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polarity {
    AsStored,
    Inverted,
}

impl Function {
    /// The defined term.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Linear => "LINEAR",
            Self::LinearExact => "LINEAR_EXACT",
            Self::Sigmoid => "SIGMOID",
        }
    }

    fn grey(self, x: f64, c: f64, w: f64) -> f64 {
        match self {
            // At a width of one the interval between the two bounds is empty.
            Self::Linear if x <= c - 0.5 - (w - 1.0) / 2.0 => 0.0,
            Self::Linear if x > c - 0.5 + (w - 1.0) / 2.0 => 1.0,
            Self::Linear => (x - (c - 0.5)) / (w - 1.0) + 0.5,
            Self::LinearExact if x <= c - w / 2.0 => 0.0,
            Self::LinearExact if x > c + w / 2.0 => 1.0,
            Self::LinearExact => (x - c) / w + 0.5,
            Self::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - c) / w).exp()),
        }
    }
}

impl Table {
    /// The entry for `x`; a fraction is rounded to the nearest entry.
    fn at(&self, x: f64) -> u16 {
        let last = self.values.len().saturating_sub(1);
        // Clamped to the table's length, which is at most 65,536.
        let index = (x - f64::from(self.first)).round().clamp(0.0, last as f64) as usize;
        self.values.get(index).copied().unwrap_or_default()
    }
}

impl Modality {
    /// The modality value of a stored value.
    pub(super) fn value(&self, stored: f64) -> f64 {
        match self {
            Self::Rescale { slope, intercept } => slope * stored + intercept,
            Self::Table(table) => f64::from(table.at(stored)),
        }
    }
}

impl Voi {
    fn grey(&self, x: f64) -> f64 {
        match self {
            Self::Window { centre, width, function } => function.grey(x, *centre, *width),
            Self::Table(table) => f64::from(table.at(x)) / f64::from(table.top.max(1)),
            Self::Range { low, high } if high > low => (x - low) / (high - low),
            Self::Range { .. } => 0.0,
        }
    }
}

/// The stored value of a level: levels of signed 16-bit samples have 32,768 added.
pub(super) fn stored_value(level: usize, sign: Sign) -> f64 {
    // A level is below 65,536.
    let value = level as f64;
    if sign == Sign::Signed { value - 32_768.0 } else { value }
}

/// The grey of each level of `samples`.
pub(super) fn table(samples: &Samples, sign: Sign, modality: &Modality, voi: &Voi, polarity: Polarity) -> Vec<f32> {
    (0..samples.levels())
        .map(|level| {
            let grey = voi.grey(modality.value(stored_value(level, sign))).clamp(0.0, 1.0);
            // The one rounding, to the precision of the table.
            (if polarity == Polarity::Inverted { 1.0 - grey } else { grey }) as f32
        })
        .collect()
}

/// Samples that a histogram looks at: enough for a hundredth of a film, few enough to cost nothing.
const HISTOGRAM_SAMPLES: usize = 500_000;

/// How often each level occurs, among samples evenly spread over the film.
pub(super) fn histogram(samples: &Samples) -> Vec<u32> {
    // An odd step does not follow the columns of a film of even width.
    let step = (samples.len() / HISTOGRAM_SAMPLES) | 1;
    let mut counts = vec![0_u32; samples.levels()];
    let mut add = |level: usize| {
        if let Some(n) = counts.get_mut(level) {
            *n += 1;
        }
    };
    match samples {
        Samples::U8(v) => v.iter().step_by(step).for_each(|s| add(usize::from(*s))),
        Samples::U16(v) => v.iter().step_by(step).for_each(|s| add(usize::from(*s))),
    }
    counts
}

/// Which levels occur at all.
fn seen(samples: &Samples) -> Vec<bool> {
    let mut seen = vec![false; samples.levels()];
    let mut mark = |level: usize| {
        if let Some(flag) = seen.get_mut(level) {
            *flag = true;
        }
    };
    match samples {
        Samples::U8(v) => v.iter().for_each(|s| mark(usize::from(*s))),
        Samples::U16(v) => v.iter().for_each(|s| mark(usize::from(*s))),
    }
    seen
}

/// Lowest and highest modality value among levels that occur and are not left out; `None` if there is none.
pub(super) fn film_range(
    samples: &Samples,
    sign: Sign,
    modality: &Modality,
    leave_out: impl Fn(f64) -> bool,
) -> Option<(f64, f64)> {
    let seen = seen(samples);
    let values = seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(level, _)| stored_value(level, sign));
    range(values.filter(|stored| !leave_out(*stored)).map(|stored| modality.value(stored)))
}

/// Lowest and highest modality value that `bits` stored bits can mean.
pub(super) fn stored_range(bits: u16, sign: Sign, modality: &Modality) -> Option<(f64, f64)> {
    let half = 2.0_f64.powi(i32::from(bits) - 1);
    let ends = if sign == Sign::Signed { [-half, half - 1.0] } else { [0.0, 2.0 * half - 1.0] };
    match modality {
        Modality::Rescale { .. } => range(ends.iter().map(|stored| modality.value(*stored))),
        Modality::Table(table) => range(table.values.iter().map(|v| f64::from(*v))),
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |found, v| Some(found.map_or((v, v), |(low, high): (f64, f64)| (low.min(v), high.max(v)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(function: Function, c: f64, w: f64) -> impl Fn(f64) -> f64 {
        move |x| function.grey(x, c, w)
    }

    #[test]
    fn the_examples_of_the_standard_hold() {
        // PS3.3 C.11.2.1.2.1, output range 0 to 255.
        let full = window(Function::Linear, 2048.0, 4096.0);
        for (x, grey) in [(0.0, 0.0), (4095.0, 1.0), (2047.5, 0.5)] {
            assert!((full(x) - grey).abs() < 1e-12, "{x}");
        }
        let narrow = window(Function::Linear, 2048.0, 1.0);
        assert_eq!((narrow(2047.0), narrow(2048.0)), (0.0, 1.0));
        let zero = window(Function::Linear, 0.0, 100.0);
        assert_eq!((zero(-50.0), zero(49.1)), (0.0, 1.0));
        let one = window(Function::Linear, 0.0, 1.0);
        assert_eq!((one(-1.0), one(0.0)), (0.0, 1.0));
        let exact = window(Function::LinearExact, 2048.0, 4096.0);
        assert_eq!((exact(0.0), exact(4096.0), exact(2048.0)), (0.0, 1.0, 0.5));
        let sigmoid = window(Function::Sigmoid, 100.0, 40.0);
        assert_eq!(sigmoid(100.0), 0.5);
        assert!((sigmoid(110.0) - 0.731_058_578_6).abs() < 1e-9);
    }

    #[test]
    fn a_table_holds_its_ends_beyond_itself() {
        let table = Table { first: -2, values: vec![10, 20, 30], top: 255 };
        for (x, value) in [(-100.0, 10), (-2.0, 10), (-1.0, 20), (-0.6, 20), (0.0, 30), (9e9, 30)] {
            assert_eq!(table.at(x), value, "{x}");
        }
    }

    #[test]
    fn every_tone_is_a_grey_whatever_the_parameters() {
        let modalities = [
            Modality::Rescale { slope: -3.5, intercept: 1e9 },
            Modality::Rescale { slope: 1e300, intercept: -1e300 },
            Modality::Table(Table { first: 0, values: vec![7], top: 255 }),
        ];
        let vois = [
            Voi::Window { centre: 0.0, width: 1.0, function: Function::Linear },
            Voi::Window { centre: 1e300, width: 1e-300, function: Function::LinearExact },
            Voi::Window { centre: -1e300, width: 1e-300, function: Function::Sigmoid },
            Voi::Range { low: 5.0, high: 5.0 },
            Voi::Table(Table { first: 0, values: vec![9], top: 0 }),
        ];
        let samples = Samples::U16(vec![0]);
        for modality in &modalities {
            for voi in &vois {
                for polarity in [Polarity::AsStored, Polarity::Inverted] {
                    let tones = table(&samples, Sign::Signed, modality, voi, polarity);
                    assert_eq!(tones.len(), 65_536);
                    assert!(tones.iter().all(|t| (0.0..=1.0).contains(t)), "{modality:?} {voi:?}");
                }
            }
        }
    }

    #[test]
    fn the_range_of_a_film_leaves_padding_out() {
        let samples = Samples::U16(vec![0, 32_768 + 5, 32_768 + 5, 32_768 + 90]);
        let identity = Modality::Rescale { slope: 2.0, intercept: 1.0 };
        let padding = |v: f64| v == -32_768.0;
        assert_eq!(film_range(&samples, Sign::Signed, &identity, padding), Some((11.0, 181.0)));
        assert_eq!(film_range(&samples, Sign::Signed, &identity, |_| true), None);
        assert_eq!(stored_range(8, Sign::Unsigned, &identity), Some((1.0, 511.0)));
        assert_eq!(stored_range(12, Sign::Signed, &identity), Some((-4095.0, 4095.0)));
    }
}
