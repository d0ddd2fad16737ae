//! Heat over a film, and the scale that says what its colours mean.

use super::canvas::{Area, Canvas, Style};
use super::colour::{self, over_film};
use super::display::Display;
use super::words;
use crate::grad_cam::HeatMap;
use crate::lang::Lang;
use std::sync::OnceLock;

/// Grey under the colours of the scale: the middle of a film's greys.
const SCALE_GREY: u8 = 128;

/// Heats with a tick on the scale.
const TICKS: [(f32, &str); 5] = [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")];

/// Steps of heat that differ in a picture of 8 bit.
const STEPS: f32 = 255.0;

/// Paints the film at (`x`, `y`), with heat over it where there is a map.
pub fn paint(canvas: &mut Canvas, x: usize, y: usize, film: &Display, heat: Option<&HeatMap>) {
    let (width, height) = (film.width(), film.height());
    let area = Area { x, y, width, height };
    let grey = |x: usize, y: usize| film.greys().get(y * width + x).copied().unwrap_or(0);
    let Some(heat) = heat else {
        canvas.paint(area, |x, y| [grey(x, y); 3]);
        return;
    };
    let heat = heat.at_film_size(width, height);
    let table = Table::get();
    canvas.paint_from(area, film.greys(), &heat, |grey, heat| table.over_film(grey, heat));
}

/// The colour over each of 256 greys at each of 256 heats, so that a film of a million pixels needs no curve per pixel.
struct Table(Vec<[colour::Rgb; 256]>);

impl Table {
    /// The one table that there is.
    fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        let step = |heat: u8| std::array::from_fn(|grey| over_film(grey as u8, f32::from(heat) / STEPS));
        TABLE.get_or_init(|| Self((0..=255).map(step).collect()))
    }

    fn over_film(&self, grey: u8, heat: f32) -> colour::Rgb {
        // In [0, 1] by construction of a heat map; the clamp keeps the index inside in any case. Half is added in f64, where
        // the sum is exact: the nearest step, without a call for every pixel.
        let step = (f64::from(heat.clamp(0.0, 1.0) * STEPS) + 0.5) as usize;
        self.0.get(step).map_or([grey; 3], |greys| greys[usize::from(grey)])
    }
}

/// The upright scale: colours in `area`, ticks and words to its right and above; text `em_px`.
pub fn upright_scale(canvas: &mut Canvas, area: Area, em_px: f32, lang: Lang) {
    let top = area.height.saturating_sub(1).max(1) as f32;
    canvas.paint(area, |_, y| over_film(SCALE_GREY, 1.0 - y as f32 / top));
    canvas.frame(area, colour::LINE);
    let (style, faint) = (Style::regular(em_px, colour::TEXT), Style::regular(em_px, colour::FAINT));
    let right = area.x + area.width;
    for (heat, label) in TICKS {
        let y = area.y as f32 + top * (1.0 - heat);
        canvas.fill(Area { x: right, y: y.round() as usize, width: (em_px / 3.0) as usize, height: 1 }, colour::FAINT);
        canvas.text(label, right as f32 + em_px * 0.55, y + em_px * 0.36, style);
    }
    let left = area.x as f32;
    let title = super::lettering::wrapped(words::ATTENTION.of(lang), em_px, em_px * 5.2);
    for (i, line) in title.iter().rev().enumerate() {
        canvas.text(line, left, area.y as f32 - em_px * (2.1 + 1.25 * i as f32), faint);
    }
    canvas.text(words::HIGH.of(lang), left, area.y as f32 - em_px * 0.6, style);
    canvas.text(words::LOW.of(lang), left, (area.y + area.height) as f32 + em_px * 1.2, style);
}

/// The level scale: colours in `area`, ticks and words below it; text `em_px`.
pub fn level_scale(canvas: &mut Canvas, area: Area, em_px: f32, lang: Lang) {
    let last = area.width.saturating_sub(1).max(1) as f32;
    canvas.paint(area, |x, _| over_film(SCALE_GREY, x as f32 / last));
    canvas.frame(area, colour::LINE);
    let style = Style::regular(em_px, colour::FAINT);
    let baseline = (area.y + area.height) as f32 + em_px * 1.6;
    for (heat, label) in TICKS {
        let x = area.x as f32 + last * heat;
        let tick = Area { x: x.round() as usize, y: area.y + area.height, width: 1, height: (em_px / 3.0) as usize };
        canvas.fill(tick, colour::FAINT);
        match heat {
            0.0 => canvas.text(&format!("{label} {}", words::LOW.of(lang)), x, baseline, style),
            1.0 => canvas.text_to(&format!("{} {label}", words::HIGH.of(lang)), x, baseline, style),
            _ => canvas.text_around(label, x, baseline, style),
        }
    }
}
