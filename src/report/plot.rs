//! Plots as inline SVG: curves in the unit square, and intervals in rows.

use super::page::{capital, escaped};
use crate::stats::Interval;
use std::fmt::Write;

/// Width and height of a unit square's plot with its labels, in the drawing's own units.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 246.0;
/// The unit square inside it: left, top, side.
const LEFT: f64 = 40.0;
const TOP: f64 = 8.0;
const SIDE: f64 = 200.0;

/// A plot in the unit square.
pub struct UnitPlot {
    inner: String,
}

fn x(share: f64) -> f64 {
    LEFT + share * SIDE
}

fn y(share: f64) -> f64 {
    TOP + (1.0 - share) * SIDE
}

impl UnitPlot {
    /// An empty plot; the names of the axes are HTML.
    pub fn new(across: (&str, &str), up: (&str, &str)) -> Self {
        let mut inner = String::new();
        for tick in [0.25, 0.5, 0.75] {
            let (at, level) = (x(tick), y(tick));
            let (bottom, right) = (TOP + SIDE, LEFT + SIDE);
            let _ = write!(inner, "<path class=\"grid\" d=\"M{at:.1} {TOP:.1}V{bottom:.1}M{LEFT:.1} {level:.1}H{right:.1}\"/>");
        }
        let _ = write!(inner, "<rect class=\"frame\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\"/>");
        for (tick, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
            let _ = write!(
                inner,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                x(tick),
                TOP + SIDE + 14.0,
                LEFT - 5.0,
                y(tick) + 4.0
            );
        }
        for (class, across, up) in [("en", across.0, up.0), ("zh", across.1, up.1)] {
            let _ = write!(
                inner,
                "<g class=\"{class}\"><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>\
                 <text transform=\"translate(11 {:.1}) rotate(-90)\" text-anchor=\"middle\">{up}</text></g>",
                x(0.5),
                TOP + SIDE + 31.0,
                y(0.5)
            );
        }
        Self { inner }
    }

    /// A line through these points.
    pub fn line(&mut self, class: &str, points: &[(f64, f64)]) -> &mut Self {
        let path: Vec<String> = points.iter().map(|p| format!("{:.1} {:.1}", x(p.0), y(p.1))).collect();
        if !path.is_empty() {
            let _ = write!(self.inner, "<path class=\"{class}\" d=\"M{}\"/>", path.join("L"));
        }
        self
    }

    /// A ring around one point.
    pub fn ring(&mut self, at: (f64, f64)) -> &mut Self {
        let _ = write!(self.inner, "<circle class=\"here\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.5\"/>", x(at.0), y(at.1));
        self
    }

    /// A dot with an upright interval.
    pub fn dot(&mut self, across: f64, up: Interval, radius: f64) -> &mut Self {
        let (at, low, high) = (x(across), y(up.low), y(up.high));
        let _ = write!(self.inner, "<path class=\"bar\" d=\"M{at:.1} {low:.1}V{high:.1}\"/>");
        let _ = write!(self.inner, "<circle class=\"point\" cx=\"{at:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"/>", y(up.value));
        self
    }

    /// The drawing.
    pub fn svg(&self) -> String {
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">{}</svg>", self.inner)
    }
}

/// One row of a plot of intervals.
pub struct IntervalRow<'a> {
    /// English name.
    pub en: &'a str,
    /// Chinese name.
    pub zh: &'a str,
    /// Where the dot and the bar lie.
    pub interval: Interval,
}

/// Intervals in rows over an axis from `from` to 1, with a dashed line at `chance`.
pub fn intervals(rows: &[IntervalRow], from: f64, chance: f64) -> String {
    const NAMES: f64 = 240.0;
    const AXIS: f64 = 540.0;
    const STEP: f64 = 23.0;
    let across = |share: f64| NAMES + (share.clamp(from, 1.0) - from) / (1.0 - from) * AXIS;
    let bottom = STEP * rows.len() as f64 + 6.0;
    let mut inner = String::new();
    let mut tick = (from * 10.0).ceil() as u32;
    while tick <= 10 {
        let at = across(f64::from(tick) / 10.0);
        let _ = write!(
            inner,
            "<path class=\"grid\" d=\"M{at:.1} 4V{bottom:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.1}</text>",
            bottom + 14.0,
            f64::from(tick) / 10.0
        );
        tick += 1;
    }
    let _ = write!(inner, "<path class=\"chance\" d=\"M{0:.1} 4V{bottom:.1}\"/>", across(chance));
    for (i, row) in rows.iter().enumerate() {
        let level = STEP * (i as f64 + 0.5) + 4.0;
        let Interval { value, low, high } = row.interval;
        // Spans inside a text are not shown by viewers of SVG; the class is on the text itself.
        let names = [("en", row.en), ("zh", row.zh)];
        for (class, name) in names {
            let shown = escaped(&capital(name));
            let _ = write!(
                inner,
                "<text class=\"name {class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{shown}</text>",
                NAMES - 12.0,
                level + 4.0
            );
        }
        let _ = write!(
            inner,
            "<path class=\"bar\" d=\"M{:.1} {level:.1}H{:.1}\"/><circle class=\"point\" cx=\"{:.1}\" cy=\"{level:.1}\" r=\"4\"/>\
             <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{value:.3}</text>",
            across(low),
            across(high),
            across(value),
            NAMES + AXIS + 12.0,
            level + 4.0
        );
    }
    format!("<svg class=\"forest\" viewBox=\"0 0 {} {:.0}\" role=\"img\">{inner}</svg>", NAMES + AXIS + 70.0, bottom + 22.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_of_the_unit_square_are_the_corners_of_the_frame() {
        let mut plot = UnitPlot::new(("a", "b"), ("c", "d"));
        let svg = plot.line("curve", &[(0.0, 0.0), (1.0, 1.0)]).ring((0.0, 1.0)).svg();
        assert!(svg.contains("d=\"M40.0 208.0L240.0 8.0\""), "{svg}");
        assert!(svg.contains("cx=\"40.0\" cy=\"8.0\""));
        assert!(!UnitPlot::new(("", ""), ("", "")).line("curve", &[]).svg().contains("curve"));
    }

    #[test]
    fn an_interval_beyond_the_axis_is_cut_at_its_end() {
        let row = IntervalRow { en: "mass", zh: "肺内占位", interval: Interval { value: 0.5, low: 0.1, high: 1.0 } };
        let svg = intervals(&[row], 0.4, 0.5);
        assert!(svg.contains("M240.0 15.5H780.0"), "{svg}");
    }
}
