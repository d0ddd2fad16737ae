//! Rounds one convolution, and moves the mean of what that loses into its summands.

use super::balance::Balance;
use super::chain::{Conv, Weights};
use super::statistics::Statistics;
use super::weights;

/// Makes the weights of `conv` integers. Its inputs have been divided, and its weights multiplied, by the balance's factors;
/// `seen` is from before that.
pub fn round(conv: &mut Conv, seen: &Statistics, balance: &Balance) {
    let energies = seen.energies().iter().zip(&balance.factors).map(|(e, by)| e / f64::from(*by).powi(2)).collect::<Vec<_>>();
    let rounded = weights::quantized(conv, balance.step, &energies);
    if let (Weights::F32(before), Weights::Int8 { values, scales, .. }) = (&conv.weights, &rounded) {
        let means = means(conv, seen, balance);
        let row = conv.inputs * conv.taps();
        let rows = before.chunks_exact(row).zip(values.chunks_exact(row)).zip(scales);
        for (((before, after), scale), bias) in rows.zip(&mut conv.bias) {
            let lost = before.iter().zip(after).zip(&means).map(|((w, q), (mean, rounded))| {
                f64::from(*w) * mean - f64::from(*q) * f64::from(*scale) * rounded
            });
            *bias += lost.sum::<f64>() as f32;
        }
    }
    conv.weights = rounded;
}

/// For each weight of an output channel the mean of what it is multiplied by, before and after rounding.
fn means(conv: &Conv, seen: &Statistics, balance: &Balance) -> Vec<(f64, f64)> {
    // A tap beside the centre looks over the border at one row or column of the map, where there are zeros.
    let inside = seen.side().saturating_sub(1) as f64 / seen.side().max(1) as f64;
    let centre = conv.side / 2;
    let share = |at: usize| if at == centre { 1.0 } else { inside };
    let means = seen.means();
    let channels = means.iter().zip(&balance.factors).enumerate().map(|(c, (mean, by))| {
        let by = f64::from(*by);
        (mean / by, seen.mean_rounded(c, f64::from(balance.step) * by) / by)
    });
    channels
        .flat_map(|(mean, rounded)| {
            let taps = (0..conv.side).flat_map(move |y| (0..conv.side).map(move |x| share(y) * share(x)));
            taps.map(move |share| (share * mean, share * rounded))
        })
        .collect()
}
