//! Heat maps: which parts of the film speak for a finding. Grad-CAM in closed form.
//!
//! In: the last feature map A [C, s, s] of one film and the row W[c] [C] of the classifier for one
//! finding c. Out: a [`HeatMap`] [s, s], and its enlargement onto the film. Nothing is back-propagated.
//!
//! Why no gradient is needed. The network ends with a global average and one linear layer:
//! `logit_c = b_c + sum_k W[c,k] * (1 / s^2) * sum_yx A_k(y,x)`, so that
//! `d logit_c / d A_k(y,x) = W[c,k] / s^2` at every position. Grad-CAM (Selvaraju et al. 2017, "Grad-CAM:
//! Visual Explanations from Deep Networks via Gradient-based Localization", section 3, equations 1 and 2)
//! weighs each channel by the mean of that gradient over the positions, `alpha_k = W[c,k] / s^2`, and
//! takes `ReLU(sum_k alpha_k A_k)`. Up to the factor 1 / s^2 and the ReLU this is the class activation
//! map of Zhou et al. 2016 ("Learning Deep Features for Discriminative Localization", section 2).
//!
//! The film was stretched to a square for the network; the map is stretched back to the film's own
//! columns and rows. One cell of a 7 x 7 map covers a seventh of the film: the map says where, not how large.

use crate::input::Axis;

/// Name of the method, for the record's provenance.
pub const METHOD: &str = "grad-cam, closed form for global average pooling and a linear classifier, normalised to its own peak, bilinear onto the film";

/// A heat map [side, side], row by row from the top left: non-negative, relative to its peak.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    side: usize,
    values: Vec<f32>,
    peak: f32,
}

/// Why there is no heat map.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum HeatMapError {
    /// Features and weights are not of one model.
    #[error("the feature map has {found} values, {channels} channels of {side} x {side} are needed")]
    Shape {
        /// Values given.
        found: usize,
        /// Channels of the classifier.
        channels: usize,
        /// Rows and columns of the feature map.
        side: usize,
    },
    /// The features or weights hold a value that is no number.
    #[error("the heat map holds {value} at row {row}, column {column}, allowed is a finite number")]
    NotFinite {
        /// The value.
        value: f32,
        /// Row of the map.
        row: usize,
        /// Column of the map.
        column: usize,
    },
}

/// The Grad-CAM heat map of one finding: `ReLU(sum_k weights[k] / s^2 * features[k])`, divided by its peak.
///
/// `features` [C, s, s] is what enters the global average; `weights` [C] is the finding's row of the
/// classifier. A map that is zero everywhere (nothing speaks for the finding) stays zero.
///
/// # Errors
/// [`HeatMapError::Shape`] or [`HeatMapError::NotFinite`].
pub fn heat_map(features: &[f32], side: usize, weights: &[f32]) -> Result<HeatMap, HeatMapError> {
    let area = side.saturating_mul(side);
    if area == 0 || weights.is_empty() || Some(features.len()) != area.checked_mul(weights.len()) {
        return Err(HeatMapError::Shape { found: features.len(), channels: weights.len(), side });
    }
    let mut sums = vec![0.0_f64; area];
    for (channel, weight) in features.chunks_exact(area).zip(weights) {
        let alpha = f64::from(*weight) / area as f64;
        for (sum, value) in sums.iter_mut().zip(channel) {
            *sum += alpha * f64::from(*value);
        }
    }
    let raw: Vec<f32> = sums.into_iter().map(|s| s as f32).collect();
    if let Some(i) = raw.iter().position(|v| !v.is_finite()) {
        return Err(HeatMapError::NotFinite { value: raw[i], row: i / side, column: i % side });
    }
    let peak = raw.iter().copied().fold(0.0, f32::max);
    let values = raw.into_iter().map(|v| if peak > 0.0 { v.max(0.0) / peak } else { 0.0 }).collect();
    Ok(HeatMap { side, values, peak })
}

impl HeatMap {
    /// A map as it was kept; none where it is not a square of heats in [0, 1] and a finite peak.
    pub fn kept(side: usize, values: Vec<f32>, peak: f32) -> Option<Self> {
        let whole = side > 0 && side.checked_mul(side) == Some(values.len());
        let heats = values.iter().all(|v| (0.0..=1.0).contains(v)) && peak.is_finite();
        (whole && heats).then_some(Self { side, values, peak })
    }

    /// Rows and columns.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Heat [side, side] in [0, 1], relative to the peak.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The largest value of the map before it was divided by it, in units of the logit; 0 for a map without heat.
    pub fn peak(&self) -> f32 {
        self.peak
    }

    /// The map stretched onto `width` x `height` pixels, row by row, in [0, 1]: bilinear between the
    /// centres of its cells, the border repeated.
    pub fn at_film_size(&self, width: usize, height: usize) -> Vec<f32> {
        let (columns, rows) = (Axis::new(self.side, width), Axis::new(self.side, height));
        let mut wide = vec![0.0_f32; self.side * width];
        if width > 0 {
            for (from, to) in self.values.chunks_exact(self.side).zip(wide.chunks_exact_mut(width)) {
                columns.apply(from, to);
            }
        }
        let mut heat = Vec::with_capacity(width.saturating_mul(height));
        for weights in rows.weights() {
            let start = heat.len();
            heat.resize(start + width, 0.0);
            for &(y, weight) in weights {
                for (to, from) in heat[start..].iter_mut().zip(&wide[y * width..]) {
                    *to += weight * from;
                }
            }
        }
        heat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_the_weighted_sum_of_the_channels_cut_at_zero() {
        // Two channels of 2 x 2; sums by hand: 2*1-1*0, 2*0-1*3, 2*2-1*1, 2*1-1*2, each / 4.
        let features = [1.0, 0.0, 2.0, 1.0, 0.0, 3.0, 1.0, 2.0];
        let map = heat_map(&features, 2, &[2.0, -1.0]).unwrap();
        assert_eq!(map.peak(), 0.75);
        for (v, want) in map.values().iter().zip([2.0 / 3.0, 0.0, 1.0, 0.0]) {
            assert!((v - want).abs() < 1e-6, "{v}, want {want}");
        }
    }

    #[test]
    fn a_map_without_heat_stays_zero() {
        for weights in [[0.0], [-1.0]] {
            let map = heat_map(&[1.0, 2.0, 3.0, 4.0], 2, &weights).unwrap();
            assert_eq!((map.values(), map.peak()), (&[0.0; 4][..], 0.0));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_and_values_that_are_no_numbers_are_errors() {
        for (features, side, weights) in [
            (vec![0.0; 7], 2, vec![1.0; 2]),
            (vec![0.0; 8], 2, vec![]),
            (vec![], 0, vec![1.0]),
            (vec![], usize::MAX, vec![1.0; 2]),
        ] {
            assert!(matches!(heat_map(&features, side, &weights), Err(HeatMapError::Shape { .. })), "{side}");
        }
        for bad in [f32::NAN, f32::INFINITY, f32::MAX] {
            let error = heat_map(&[0.0, bad, 0.0, 0.0], 2, &[8.0]).unwrap_err();
            assert!(matches!(error, HeatMapError::NotFinite { row: 0, column: 1, .. }), "{error}");
        }
    }

    #[test]
    fn stretching_interpolates_between_cell_centres_and_keeps_the_film_s_own_aspect_ratio() {
        let map = heat_map(&[0.0, 4.0, 0.0, 4.0], 2, &[1.0]).unwrap();
        let heat = map.at_film_size(4, 3);
        assert_eq!(heat.len(), 12);
        for row in heat.chunks_exact(4) {
            for (v, want) in row.iter().zip([0.0, 0.25, 0.75, 1.0]) {
                assert!((v - want).abs() < 1e-6, "{v}, want {want}");
            }
        }
        assert!(map.at_film_size(0, 3).is_empty());
    }
}
