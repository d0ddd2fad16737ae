//! Which step the 256 integers of a convolution's input stand for, and by which factors its channels
//! are divided first.
//!
//! One step serves all channels, one scale all weights of an output channel. A factor moved from a
//! channel's values into its weights costs nothing (ReLU lets it through into the norm or convolution
//! before) and shifts the rounding error between the two. As in SmoothQuant (Xiao et al., ICML 2023,
//! equation 4) channel c gets top_c^a / weight_c^(1 - a); here a and the step are chosen for each
//! convolution such that the squared error expected at its output is least.

use super::chain::{Conv, Weights};
use super::statistics::Statistics;
use super::weights::scale_without_cut;

/// Exponents tried.
const EXPONENTS: [f32; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
/// Steps tried, as shares of the one at which nothing is cut off.
const SHARES: [f64; 24] = [
    1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.36, 0.32, 0.28, 0.25, 0.22, 0.19, 0.16, 0.13, 0.1,
    0.08, 0.06,
];
/// Factors stay within this of 1 either way: a channel that is almost dead must not blow up its weights.
const FACTOR_MAX: f32 = 1e4;
/// Largest integer of an input.
const TOP: f64 = 255.0;

/// How the input of one convolution becomes integers.
#[derive(Clone, Debug)]
pub struct Balance {
    /// What each channel is divided by.
    pub factors: Vec<f32>,
    /// What one integer step is worth, after the division.
    pub step: f32,
}

/// The best balance for `conv`, whose weights are f32.
pub fn balance(conv: &Conv, seen: &Statistics) -> Balance {
    let Weights::F32(weights) = &conv.weights else { return Balance { factors: vec![1.0; conv.inputs], step: 1.0 } };
    let taps = conv.taps();
    let (mut largest, mut norms) = (vec![0.0_f32; conv.inputs], vec![0.0_f64; conv.inputs]);
    for row in weights.chunks_exact(conv.inputs * taps) {
        for ((channel, largest), norm) in row.chunks_exact(taps).zip(&mut largest).zip(&mut norms) {
            for w in channel {
                *largest = largest.max(w.abs());
                *norm += f64::from(*w).powi(2);
            }
        }
    }
    let energies = seen.energies();
    let tried = EXPONENTS.iter().map(|exponent| {
        let factors = factors(*exponent, seen.tops(), &largest);
        let (step, of_values) = step(&factors, seen, &norms);
        (of_values + weight_error(weights, &factors, &energies, conv), Balance { factors, step })
    });
    let best = tried.reduce(|best, next| if next.0 < best.0 { next } else { best });
    best.map_or(Balance { factors: vec![1.0; conv.inputs], step: 1.0 }, |(_, balance)| balance)
}

fn factors(exponent: f32, tops: &[f32], largest: &[f32]) -> Vec<f32> {
    let of = |(top, weight): (&f32, &f32)| {
        let factor = top.powf(exponent) / weight.powf(1.0 - exponent);
        if *top > 0.0 && *weight > 0.0 && exponent > 0.0 { factor } else { 1.0 }
    };
    let factors: Vec<f32> = tops.iter().zip(largest).map(of).collect();
    // Only ratios matter: around a mean of 1 the norm before keeps its order of magnitude.
    let logs: f32 = factors.iter().map(|f| f.ln()).sum::<f32>() / factors.len().max(1) as f32;
    let mean = logs.exp();
    factors.iter().map(|f| (f / mean).clamp(1.0 / FACTOR_MAX, FACTOR_MAX)).collect()
}

/// The step of least error at the output, and that error.
fn step(factors: &[f32], seen: &Statistics, norms: &[f64]) -> (f32, f64) {
    let top = seen.tops().iter().zip(factors).map(|(top, by)| f64::from(top / by)).fold(0.0, f64::max);
    let full = if top > 0.0 { top / TOP } else { 1.0 };
    let error = |step: f64| -> f64 {
        let channels = factors.iter().zip(norms).enumerate();
        channels.map(|(c, (by, norm))| norm * seen.error_rounded(c, step * f64::from(*by))).sum()
    };
    let tried = SHARES.iter().map(|share| (error(full * share), full * share));
    let best = tried.reduce(|best, next| if next.0 < best.0 { next } else { best });
    best.map_or((1.0, 0.0), |(error, step)| (step as f32, error))
}

/// Error that rounding the weights is expected to bring to the output.
fn weight_error(weights: &[f32], factors: &[f32], energies: &[f64], conv: &Conv) -> f64 {
    let taps = conv.taps();
    let energy: f64 = energies.iter().zip(factors).map(|(e, by)| e / f64::from(*by).powi(2)).sum::<f64>() * taps as f64;
    let rows = weights.chunks_exact(conv.inputs * taps).map(|row| {
        let scaled: Vec<f32> = row.chunks_exact(taps).zip(factors).flat_map(|(w, by)| w.iter().map(move |w| w * by)).collect();
        f64::from(scale_without_cut(&scaled, taps)).powi(2) / 12.0 * energy
    });
    rows.sum()
}
