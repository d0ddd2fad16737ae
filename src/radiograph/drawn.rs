//! Pictures drawn by code: chest films for the first command of a newcomer and for tests, and
//! pictures that are no chest film for the tests of the gate.
//!
//! In: a size and a seed. Out: greys, the same on every machine: nothing but the four operations
//! and square roots, which IEEE 754 defines to the last bit. Nothing here comes from a patient.
//!
//! A film is an optical thickness for every pixel, turned into grey by Beer's law. Coordinates:
//! x from -1 (left border as seen) to 1, y from 0 (top) to 1; the anatomy is stretched to the
//! film's own aspect ratio. The heart points to the viewer's right.

mod dice;
mod not_a_chest;
mod png;

pub use dice::Dice;
pub use not_a_chest::NotAChest;

use super::grey::{Grey, Samples, linear_tone};
use crate::limits;

/// A drawn frontal chest film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawnFilm {
    /// Columns; held to the limits of a film.
    pub width: usize,
    /// Rows; held to the limits of a film.
    pub height: usize,
    /// Chooses the anatomy and the noise.
    pub seed: u64,
}

impl DrawnFilm {
    /// The film with one byte a pixel.
    pub fn draw(&self) -> Grey {
        let (width, height) = self.sides();
        grey_of(width, height, &self.greys(width, height))
    }

    /// The film with two bytes a pixel, over the whole range of 16 bits.
    pub fn draw_u16(&self) -> Grey {
        let (width, height) = self.sides();
        let samples = self.greys(width, height).iter().map(|g| (g * 65_535.0 + 0.5) as u16).collect();
        Grey::new(width, height, Samples::U16(samples), linear_tone(1 << 16)).expect("one sample a pixel and a tone a level")
    }

    fn sides(&self) -> (usize, usize) {
        let hold = |side: usize| side.clamp(limits::SIDE_MIN_PX as usize, limits::SIDE_MAX_PX as usize);
        (hold(self.width), hold(self.height))
    }

    /// Greys in [0, 1], row by row.
    fn greys(&self, width: usize, height: usize) -> Vec<f32> {
        let mut dice = Dice::new(self.seed);
        let body = Anatomy::new(&mut dice);
        let vessels = vessels(width, height, &body, &mut dice);
        let mut noise = Dice::new(dice.bits());
        let columns: Vec<Column> = (0..width).map(|c| body.column(centre(c, width) * 2.0 - 1.0)).collect();
        let mut greys = Vec::with_capacity(width * height);
        for r in 0..height {
            let row = body.row(centre(r, height));
            for (column, vessel) in columns.iter().zip(&vessels[r * width..(r + 1) * width]) {
                let clean = 1.0 - exp_minus(body.exposure * body.thickness(column, &row, *vessel));
                let grain = noise.bits();
                let grain = ((grain >> 48) as f32 + (grain >> 32 & 0xFFFF) as f32) / 65_536.0 - 1.0;
                greys.push((0.02 + 0.95 * clean + body.grain * grain).clamp(0.0, 1.0));
            }
        }
        mark_side(&mut greys, width, height);
        greys
    }
}

/// What differs from body to body. Lengths in the film's coordinates, strengths in optical thickness.
struct Anatomy {
    lean: f32,
    neck: f32,
    wall: f32,
    lung_side: f32,
    lung_top: f32,
    dome: [f32; 2],
    heart: [f32; 4],
    knob: f32,
    air: f32,
    rib_gap: f32,
    rib_start: f32,
    clavicle: f32,
    bubble: f32,
    exposure: f32,
    grain: f32,
}

/// What a column of pixels shares.
struct Column {
    x: f32,
    off: f32,
    side: usize,
    dome: f32,
    rib_back: f32,
    rib_front: f32,
    clavicle: f32,
    spine: f32,
    trachea: f32,
}

/// What a row of pixels shares.
struct Row {
    y: f32,
    body: f32,
    lung: f32,
    disc: f32,
    throat: f32,
}

impl Anatomy {
    fn new(dice: &mut Dice) -> Self {
        let right_dome = dice.within(0.73, 0.79);
        Self {
            lean: dice.within(-0.03, 0.03),
            neck: dice.within(0.20, 0.27),
            wall: dice.within(0.86, 0.94),
            lung_side: dice.within(0.70, 0.78),
            lung_top: dice.within(0.09, 0.13),
            dome: [right_dome, right_dome + dice.within(0.01, 0.04)],
            heart: [dice.within(0.10, 0.16), dice.within(0.62, 0.67), dice.within(0.27, 0.36), dice.within(0.16, 0.20)],
            knob: dice.within(0.12, 0.16),
            air: dice.within(0.68, 0.78),
            rib_gap: dice.within(0.072, 0.085),
            rib_start: dice.unit(),
            clavicle: dice.within(0.15, 0.19),
            bubble: if dice.chance(0.5) { dice.within(0.2, 0.5) } else { 0.0 },
            exposure: dice.within(0.85, 1.15),
            grain: dice.within(0.008, 0.018),
        }
    }

    fn column(&self, x: f32) -> Column {
        let x = x - self.lean;
        let off = x.abs();
        let side = usize::from(x > 0.0);
        // The dome is highest a little medial of the middle of the lung and falls to the angle at the chest wall.
        let away = (off - 0.36) / 0.40;
        Column {
            x,
            off,
            side,
            dome: self.dome[side] + if away > 0.0 { 0.12 } else { 0.03 } * away * away,
            rib_back: 0.20 * off * off - 0.03 * off,
            rib_front: -0.30 * off,
            clavicle: self.clavicle - 0.11 * off + 0.05 * off * off,
            spine: 0.32 * (1.0 - ramp(0.055, 0.10, off)),
            trachea: 0.22 * (1.0 - ramp(0.015, 0.05, off)),
        }
    }

    fn row(&self, y: f32) -> Row {
        // Neck, slope of the shoulders, then in again below the arm pits.
        let shoulder = self.neck + (1.12 - self.neck) * ramp(0.01, 0.20, y);
        let body = shoulder + (self.wall - 1.12) * ramp(0.24, 0.46, y);
        // The lung widens from its apex like a parabola.
        let down = 1.0 - ((y - self.lung_top) / 0.44).clamp(0.0, 1.0);
        let part = (y / 0.052).fract();
        Row {
            y,
            body,
            lung: self.lung_side * (1.0 - down * down * down),
            disc: if part > 0.78 { 0.55 } else { 1.0 },
            throat: 1.0 - ramp(0.30, 0.36, y),
        }
    }

    /// Optical thickness at a pixel, 0 beside the body.
    fn thickness(&self, c: &Column, r: &Row, vessel: f32) -> f32 {
        let across = c.x / r.body;
        let depth = 1.0 - across * across;
        if depth <= 0.0 {
            return 0.0;
        }
        let flesh = 1.75 * depth.sqrt();
        let lung = self.lung(c, r);
        let mut thick = flesh * (1.0 - self.air * lung) + vessel * lung;
        thick += self.ribs(c, r);
        thick += bump((r.y - c.clavicle) / 0.016) * 0.22 * ramp(0.04, 0.08, c.off) * (1.0 - ramp(0.62, 0.74, c.off));
        thick += 0.25 * (1.0 - ramp(0.09, 0.12, distance(c.off - 0.98, (r.y - 0.21) * 1.2)));
        thick += c.spine * r.disc * (1.0 - 0.4 * ramp(0.7, 0.8, r.y));
        thick -= c.trachea * r.throat;
        let stomach = distance((c.x - 0.36) / 0.20, (r.y - self.dome[1] - 0.075) / 0.05);
        (thick - self.bubble * (1.0 - ramp(0.7, 1.1, stomach))).max(0.0)
    }

    /// How much of the ray passes through lung, 0 to 1.
    fn lung(&self, c: &Column, r: &Row) -> f32 {
        if r.lung <= 0.0 || c.off > r.lung + 0.04 || r.y > c.dome + 0.03 {
            return 0.0;
        }
        let medial = 0.12 + if c.side == 0 { 0.05 * bump((r.y - 0.64) / 0.18) } else { 0.0 };
        let field = ramp(-0.03, 0.04, c.off - medial) * ramp(-0.03, 0.05, r.lung - c.off) * ramp(-0.012, 0.02, c.dome - r.y);
        let [x, y, wide, high] = self.heart;
        // The long axis of the heart points down to the viewer's right.
        let (u, v) = (c.x - x, (r.y - y) * 1.4);
        let heart = distance((0.88 * u + 0.47 * v) / wide, (0.88 * v - 0.47 * u) / (high * 1.4));
        let knob = distance((c.x - 0.06) / self.knob, (r.y - 0.34) / 0.055);
        field * ramp(0.86, 1.08, heart) * ramp(0.8, 1.1, knob)
    }

    fn ribs(&self, c: &Column, r: &Row) -> f32 {
        if c.off > r.lung + 0.06 || c.off < 0.09 || r.y > 0.9 {
            return 0.0;
        }
        let seen = (1.0 - ramp(0.0, 0.06, c.off - r.lung)) * (1.0 - ramp(0.74, 0.9, r.y));
        let back = ((r.y - c.rib_back) / self.rib_gap + self.rib_start).rem_euclid(1.0);
        let front = ((r.y - c.rib_front) / (1.25 * self.rib_gap) + self.rib_start).rem_euclid(1.0);
        // A rib is a tube: brighter along its edges, and where it bends away at the side.
        let edge = 1.0 + 0.8 * ramp(0.45, 0.75, c.off);
        seen * edge * (0.11 * bump((back - 0.5) / 0.22) + 0.05 * bump((front - 0.5) / 0.2) * ramp(0.25, 0.4, c.off))
    }
}

/// Vessels fan out from both hila into the lungs and get thinner: optical thickness per pixel.
fn vessels(width: usize, height: usize, body: &Anatomy, dice: &mut Dice) -> Vec<f32> {
    let mut plane = vec![0.0_f32; width * height];
    let (across, down) = (width as f32 / 2.0, height as f32);
    for side in [-1.0_f32, 1.0] {
        for _ in 0..16 {
            let from = (side * dice.within(0.14, 0.22), dice.within(0.42, 0.52));
            let to = (side * dice.within(0.2, body.lung_side), dice.within(body.lung_top + 0.06, 0.76));
            let bend = (dice.within(-0.05, 0.05), dice.within(-0.03, 0.03));
            let steps = (height / 4).max(8);
            for step in 0..steps {
                let t = step as f32 / steps as f32;
                let arc = 4.0 * t * (1.0 - t);
                let x = (from.0 + (to.0 - from.0) * t + bend.0 * arc + body.lean + 1.0) * across;
                let y = (from.1 + (to.1 - from.1) * t + bend.1 * arc) * down;
                stamp(&mut plane, width, (x, y), (0.011 * (1.0 - 0.8 * t) * down).max(0.6), 0.20 * (1.0 - 0.7 * t));
            }
        }
    }
    plane
}

/// Raises the plane to a round hill of this radius (pixels) and height.
fn stamp(plane: &mut [f32], width: usize, (x, y): (f32, f32), radius: f32, height: f32) {
    let rows = plane.len() / width;
    let span = |middle: f32, sides: usize| {
        let (low, high) = ((middle - radius).max(0.0) as usize, (middle + radius).max(0.0) as usize);
        low.min(sides)..(high + 1).min(sides)
    };
    for r in span(y, rows) {
        for c in span(x, width) {
            let hill = height * bump(distance(c as f32 - x, r as f32 - y) / radius);
            let pixel = &mut plane[r * width + c];
            *pixel = pixel.max(hill);
        }
    }
}

/// The lead letter L at the top beside the patient's left shoulder.
fn mark_side(greys: &mut [f32], width: usize, height: usize) {
    let (left, top, stroke) = (width * 92 / 100, height * 3 / 100, (height / 120).max(1));
    for r in top..top + 6 * stroke {
        let end = if r >= top + 5 * stroke { 4 * stroke } else { stroke };
        for c in left..(left + end).min(width) {
            greys[r * width + c] = 0.98;
        }
    }
}

/// One byte a pixel from greys in [0, 1].
fn grey_of(width: usize, height: usize, greys: &[f32]) -> Grey {
    let samples = greys.iter().map(|g| (g * 255.0 + 0.5) as u8).collect();
    Grey::new(width, height, Samples::U8(samples), linear_tone(1 << 8)).expect("one sample a pixel and a tone a level")
}

/// Centre of pixel `i` of `n`, in (0, 1).
fn centre(i: usize, n: usize) -> f32 {
    (i as f32 + 0.5) / n as f32
}

/// 0 below `from`, 1 above `to`, smooth between (3t^2 - 2t^3).
fn ramp(from: f32, to: f32, v: f32) -> f32 {
    let t = ((v - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A hill of height 1 over [-1, 1].
fn bump(v: f32) -> f32 {
    let h = 1.0 - v * v;
    if h > 0.0 { h * h } else { 0.0 }
}

fn distance(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// exp(-v) for v >= 0 within 2 %, as (1 + v / 32)^-32: only operations that are the same everywhere.
fn exp_minus(v: f32) -> f32 {
    let mut power = 1.0 / (1.0 + v / 32.0);
    for _ in 0..5 {
        power *= power;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_film_and_another_seed_another() {
        let film = DrawnFilm { width: 96, height: 112, seed: 7 };
        assert!(film.draw() == film.draw());
        assert!(film.draw() != DrawnFilm { seed: 8, ..film }.draw());
    }

    #[test]
    fn a_film_is_as_large_as_asked_within_the_limits_of_a_film() {
        for (asked, drawn) in [((200, 300), (200, 300)), ((0, 48), (48, 48)), ((47, 49), (48, 49))] {
            let film = DrawnFilm { width: asked.0, height: asked.1, seed: 1 }.draw();
            assert_eq!((film.width(), film.height()), drawn);
        }
    }

    #[test]
    fn lungs_are_dark_the_middle_and_the_abdomen_bright_and_the_heart_lies_to_the_viewers_right() {
        for seed in 0..30 {
            let film = DrawnFilm { width: 200, height: 200, seed }.draw();
            let mean = |x: usize, y: usize| {
                let pixels = (0..100).map(|i| film.at(x + i % 10, y + i / 10).unwrap());
                pixels.sum::<f32>() / 100.0
            };
            let (right_lung, left_lung, middle, abdomen) = (mean(50, 80), mean(140, 80), mean(95, 110), mean(60, 185));
            assert!(right_lung.max(left_lung) + 0.15 < middle.min(abdomen), "seed {seed}");
            assert!(mean(60, 122) + 0.1 < mean(125, 122), "seed {seed}");
            assert!(mean(0, 0) < 0.1, "seed {seed}");
        }
    }

    #[test]
    fn sixteen_bits_show_the_same_film() {
        let film = DrawnFilm { width: 64, height: 64, seed: 3 };
        let (eight, sixteen) = (film.draw(), film.draw_u16());
        for i in 0..64 * 64 {
            let (a, b) = (eight.at(i % 64, i / 64).unwrap(), sixteen.at(i % 64, i / 64).unwrap());
            assert!((a - b).abs() <= 0.5 / 255.0 + 1e-4);
        }
    }

    #[test]
    fn beers_law_is_kept_within_two_percent() {
        for v in [0.0_f32, 0.1, 0.5, 1.0, 2.0, 3.0] {
            assert!((exp_minus(v) - (-v).exp()).abs() < 0.02, "{v}");
        }
    }
}
