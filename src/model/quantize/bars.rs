//! What rounding to 8-bit integers may cost a model, and which of it a model exceeds.

use crate::model::Quantization;

/// Mean AUC on validation films that may be lost.
const AUC_LOSS_MAX: f64 = 0.002;
/// Least share of calls that must stay the same.
const CALLS_AGREE_MIN: f64 = 0.99;
/// Least mean correlation of the heat maps before and after.
const HEAT_MAPS_CORRELATE_MIN: f64 = 0.99;

/// The bars that these figures miss, a phrase each; a figure that is no number misses its bar.
pub fn missed(cost: &Quantization) -> Vec<String> {
    let lost = cost.auc_f32 - cost.auc_int8;
    let mut missed = Vec::new();
    if lost.is_nan() || lost > AUC_LOSS_MAX {
        missed.push(format!("{lost:.4} of mean AUC is lost, allowed are {AUC_LOSS_MAX}"));
    }
    missed.extend(calls_missed(cost.calls_agree));
    missed.extend(heat_maps_missed(cost.heat_maps_correlate));
    missed
}

/// The bar of calls, where `agree`, the share of calls that stay the same, misses it.
pub fn calls_missed(agree: f64) -> Option<String> {
    let short = agree.is_nan() || agree < CALLS_AGREE_MIN;
    short.then(|| format!("{:.2} % of calls agree, needed are {} %", agree * 100.0, CALLS_AGREE_MIN * 100.0))
}

/// The bar of heat maps, where their mean correlation misses it.
pub fn heat_maps_missed(correlation: f64) -> Option<String> {
    let short = correlation.is_nan() || correlation < HEAT_MAPS_CORRELATE_MIN;
    short.then(|| format!("heat maps correlate at {correlation:.4}, needed is {HEAT_MAPS_CORRELATE_MIN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(auc_int8: f64, calls_agree: f64, heat_maps_correlate: f64) -> Quantization {
        let (auc_f32, heat_maps_correlate_p5) = (0.75, heat_maps_correlate);
        Quantization {
            calibration_films: 1,
            films: 1,
            auc_f32,
            auc_int8,
            calls_agree,
            heat_maps_correlate,
            heat_maps_correlate_p5,
        }
    }

    #[test]
    fn each_bar_is_missed_by_its_own_figure_alone() {
        assert!(missed(&cost(0.7481, 0.99, 0.99)).is_empty());
        assert!(missed(&cost(0.80, 1.0, 1.0)).is_empty(), "a gain is no loss");
        for (cost, what) in [
            (cost(0.7479, 1.0, 1.0), "mean AUC"),
            (cost(f64::NAN, 1.0, 1.0), "mean AUC"),
            (cost(0.75, 0.9899, 1.0), "98.99 % of calls"),
            (cost(0.75, f64::NAN, 1.0), "of calls"),
            (cost(0.75, 1.0, 0.9899), "heat maps correlate at 0.9899"),
            (cost(0.75, 1.0, f64::NAN), "heat maps"),
        ] {
            let missed = missed(&cost);
            assert!(missed.len() == 1 && missed[0].contains(what), "{missed:?}");
        }
    }
}
