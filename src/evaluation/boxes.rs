//! Heat maps against the boxes that a reader drew.
//!
//! Two figures. The pointing game (Zhang et al. 2018, "Top-Down Neural Attention by Excitation Backprop", section 4.2,
//! without its tolerance): is the map's maximum inside a box of the finding? The share of the map's energy inside the boxes
//! (Wang et al. 2020, "Score-CAM", section 4.3). Chance for both is the share of the film that the boxes cover.

use crate::grad_cam::HeatMap;
use crate::labels::FindingBox;
use crate::stats::{Interval, wilson};
use serde::Serialize;

/// Rows and columns of the grid on which energy and area are summed: a step of a 256th of the film.
const GRID: usize = 256;

/// Two-sided 95 % quantile of the normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// One heat map against the boxes of its finding on one film.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapOnFilm {
    /// Whether the maximum is inside a box; never for a map without heat.
    pub hit: bool,
    /// Share of the energy inside the boxes, in [0, 1]; 0 for a map without heat.
    pub energy: f64,
    /// Share of the film that the boxes cover, in [0, 1].
    pub area: f64,
    /// Whether the map has any heat.
    pub warm: bool,
}

/// Figures of one finding's heat maps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BoxFigures {
    /// Films with a box of the finding.
    pub films: usize,
    /// Share of them whose maximum is inside a box, with Wilson's interval.
    pub pointing: Interval,
    /// Mean share of energy inside the boxes, with a normal interval of the mean.
    pub energy: Interval,
    /// Mean share of the film that the boxes cover: what a map that knows nothing would give.
    pub chance: f64,
    /// Maps without any heat, which count as misses.
    pub cold: usize,
}

/// Judges one heat map. The maximum is at the centre of the hottest cell, where the enlarged map has it too.
pub fn judge(map: &HeatMap, boxes: &[&FindingBox]) -> MapOnFilm {
    let inside = |x: f64, y: f64| boxes.iter().any(|b| x >= b.left && x < b.right && y >= b.top && y < b.bottom);
    let centre = |i: usize, cells: usize| (i as f64 + 0.5) / cells as f64;
    let side = map.side();
    let hottest = (0..map.values().len()).max_by(|&a, &b| map.values()[a].total_cmp(&map.values()[b]).then(b.cmp(&a)));
    let warm = map.peak() > 0.0;
    let hit = warm && hottest.is_some_and(|i| inside(centre(i % side, side), centre(i / side, side)));
    let (mut all, mut caught, mut covered) = (0.0, 0.0, 0_usize);
    for (i, heat) in map.at_film_size(GRID, GRID).into_iter().enumerate() {
        let heat = f64::from(heat);
        all += heat;
        if inside(centre(i % GRID, GRID), centre(i / GRID, GRID)) {
            caught += heat;
            covered += 1;
        }
    }
    let energy = if all > 0.0 { caught / all } else { 0.0 };
    MapOnFilm { hit, energy, area: covered as f64 / (GRID * GRID) as f64, warm }
}

/// The figures of many maps of one finding; `None` without one.
pub fn box_figures(maps: &[MapOnFilm]) -> Option<BoxFigures> {
    let n = maps.len();
    let mean = |of: &dyn Fn(&MapOnFilm) -> f64| maps.iter().map(of).sum::<f64>() / n as f64;
    let pointing = wilson(maps.iter().filter(|m| m.hit).count(), n)?;
    let energy = mean(&|m| m.energy);
    let spread = if n > 1 { (mean(&|m| (m.energy - energy).powi(2)) / (n - 1) as f64).sqrt() } else { 1.0 };
    Some(BoxFigures {
        films: n,
        pointing,
        energy: Interval { value: energy, low: (energy - Z95 * spread).max(0.0), high: (energy + Z95 * spread).min(1.0) },
        chance: mean(&|m| m.area),
        cold: maps.iter().filter(|m| !m.warm).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grad_cam::heat_map;

    fn quarter(left: f64, top: f64) -> FindingBox {
        FindingBox { label: "Mass".into(), left, top, right: left + 0.5, bottom: top + 0.5 }
    }

    #[test]
    fn a_map_that_is_hot_in_the_box_hits_it_and_one_that_is_hot_elsewhere_does_not() {
        // One hot cell of 4 x 4 in the upper right quarter.
        let mut features = [0.0; 16];
        features[3] = 2.0;
        let map = heat_map(&features, 4, &[1.0]).unwrap();
        let (right, wrong) = (quarter(0.5, 0.0), quarter(0.0, 0.5));
        let there = judge(&map, &[&right]);
        assert!(there.hit && there.warm && (there.area - 0.25).abs() < 1e-9);
        assert!(there.energy > 0.95, "{}", there.energy);
        let elsewhere = judge(&map, &[&wrong]);
        assert!(!elsewhere.hit && elsewhere.energy < 0.01, "{}", elsewhere.energy);
        let both = judge(&map, &[&right, &wrong]);
        assert!(both.hit && (both.area - 0.5).abs() < 1e-9 && both.energy >= there.energy);
    }

    #[test]
    fn an_even_map_has_the_energy_of_chance_and_a_cold_one_none() {
        let even = judge(&heat_map(&[1.0; 16], 4, &[1.0]).unwrap(), &[&quarter(0.5, 0.5)]);
        assert!((even.energy - 0.25).abs() < 1e-6);
        let cold = judge(&heat_map(&[1.0; 16], 4, &[-1.0]).unwrap(), &[&quarter(0.0, 0.0)]);
        assert_eq!((cold.hit, cold.energy, cold.warm), (false, 0.0, false));
        let figures = box_figures(&[even, cold]).unwrap();
        assert_eq!((figures.films, figures.cold, figures.chance), (2, 1, 0.25));
        assert!((figures.energy.value - 0.125).abs() < 1e-6);
        assert_eq!(box_figures(&[]), None);
    }
}
