//! Pictures that are no chest film. The gate learns to refuse such pictures and is tested on
//! others of the same kinds.

use super::{Dice, bump, centre, distance, grey_of, ramp};
use crate::radiograph::Grey;

/// A kind of picture that is no frontal chest film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAChest {
    /// One grey with a trace of noise.
    Blank,
    /// Random greys in random cells.
    Noise,
    /// From dark to bright in one direction.
    Gradient,
    /// A page of words.
    Text,
    /// A scene: ground, sky, things, texture of all sizes.
    Photograph,
    /// The radiograph of a hand.
    Hand,
    /// The radiograph of a limb: one or two long bones.
    Limb,
    /// A slice across a body as computed tomography shows it.
    Slice,
    /// A chequered board.
    Board,
}

impl NotAChest {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Blank,
        Self::Noise,
        Self::Gradient,
        Self::Text,
        Self::Photograph,
        Self::Hand,
        Self::Limb,
        Self::Slice,
        Self::Board,
    ];

    /// Draws one; sides of 0 are taken as 1. The same arguments give the same picture.
    pub fn draw(self, width: usize, height: usize, seed: u64) -> Grey {
        let (width, height) = (width.max(1), height.max(1));
        grey_of(width, height, &self.greys(width, height, seed))
    }

    /// Greys in [0, 1], row by row.
    fn greys(self, width: usize, height: usize, seed: u64) -> Vec<f32> {
        let dice = &mut Dice::new(seed ^ 0x6368_6573_7400 ^ self as u64);
        let point: Point = match self {
            Self::Blank => {
                let even = dice.unit();
                Box::new(move |_, _| even)
            }
            Self::Noise => noise(dice),
            Self::Gradient => {
                let (across, down) = (dice.within(-1.0, 1.0), dice.within(-1.0, 1.0));
                Box::new(move |x, y| 0.5 + 0.5 * (across * (x - 0.5) + down * (y - 0.5)))
            }
            Self::Text => text(dice),
            Self::Photograph => photograph(dice),
            Self::Hand => hand(dice),
            Self::Limb => limb(dice),
            Self::Slice => slice(dice),
            Self::Board => {
                let cells = 2 + dice.below(14);
                let (dark, bright) = (dice.within(0.0, 0.4), dice.within(0.6, 1.0));
                Box::new(move |x, y| {
                    let cell = |v: f32| (v * cells as f32) as usize;
                    if (cell(x) + cell(y)) % 2 == 0 { dark } else { bright }
                })
            }
        };
        let mut greys = Vec::with_capacity(width * height);
        for r in 0..height {
            for c in 0..width {
                let grain = 0.01 * (dice.unit() - 0.5);
                greys.push((point(centre(c, width), centre(r, height)) + grain).clamp(0.0, 1.0));
            }
        }
        greys
    }
}

/// Grey at a place, both coordinates in [0, 1].
type Point = Box<dyn Fn(f32, f32) -> f32>;

/// Random greys at the corners of n x n cells, linear between them.
fn lattice(n: usize, dice: &mut Dice) -> impl Fn(f32, f32) -> f32 + use<> {
    let corners: Vec<f32> = (0..(n + 1) * (n + 1)).map(|_| dice.unit()).collect();
    move |x, y| {
        let (x, y) = (x * n as f32, y * n as f32);
        let (left, top) = ((x as usize).min(n - 1), (y as usize).min(n - 1));
        let (u, v) = (x - left as f32, y - top as f32);
        let corner = |r: usize, c: usize| corners[r * (n + 1) + c];
        let upper = corner(top, left) * (1.0 - u) + corner(top, left + 1) * u;
        let lower = corner(top + 1, left) * (1.0 - u) + corner(top + 1, left + 1) * u;
        upper * (1.0 - v) + lower * v
    }
}

/// Lattices of 2, 4, ... 32 cells, each finer one weaker by `fade`; stretched so that it fills [0, 1] well.
fn clouds(fade: f32, dice: &mut Dice) -> impl Fn(f32, f32) -> f32 + use<> {
    let layers: Vec<_> = (1..6).map(|power| lattice(1 << power, dice)).collect();
    move |x, y| {
        let (mut sum, mut weight, mut all) = (0.0, 1.0, 0.0);
        for layer in &layers {
            sum += weight * layer(x, y);
            all += weight;
            weight *= fade;
        }
        0.5 + 1.6 * (sum / all - 0.5)
    }
}

fn noise(dice: &mut Dice) -> Point {
    let fade = dice.within(0.4, 1.6);
    let clouds = clouds(fade, dice);
    // A third of them is the same on both sides, as bodies are.
    let folded = dice.chance(0.35);
    Box::new(move |x, y| clouds(if folded { (x - 0.5).abs() * 2.0 } else { x }, y))
}

fn text(dice: &mut Dice) -> Point {
    let lines = 6 + dice.below(20);
    let (paper, ink) = if dice.chance(0.7) { (0.95, 0.1) } else { (0.05, 0.9) };
    let ends: Vec<f32> = (0..lines).map(|_| dice.within(0.3, 0.95)).collect();
    let letters: Vec<bool> = (0..lines * 64).map(|_| dice.chance(0.72)).collect();
    Box::new(move |x, y| {
        let down = y * lines as f32;
        let line = (down as usize).min(lines - 1);
        let on = down.fract() > 0.35 && x > 0.06 && x < ends[line] && letters[line * 64 + ((x * 64.0) as usize).min(63)];
        if on { ink } else { paper }
    })
}

fn photograph(dice: &mut Dice) -> Point {
    let fade = dice.within(0.4, 0.9);
    let texture = clouds(fade, dice);
    let strength = dice.within(0.1, 0.8);
    let (horizon, sky, ground) = (dice.within(0.1, 0.9), dice.unit(), dice.unit());
    let mut things: Vec<[f32; 7]> = Vec::new();
    for _ in 0..dice.below(8) {
        let round = f32::from(u8::from(dice.chance(0.5)));
        let thing = [
            dice.unit(),
            dice.unit(),
            dice.within(0.04, 0.5),
            dice.within(0.04, 0.5),
            dice.unit(),
            round,
            dice.within(-0.6, 0.6),
        ];
        things.push(thing);
        if dice.chance(0.4) {
            things.push([1.0 - thing[0], thing[1], thing[2], thing[3], thing[4], thing[5], -thing[6]]);
        }
    }
    let soft = dice.within(0.02, 0.3);
    Box::new(move |x, y| {
        let mut grey = sky + (ground - sky) * ramp(horizon - soft, horizon + soft, y);
        for [left, top, wide, high, shade, round, slant] in &things {
            let (u, v) = ((x - left + slant * (y - top)) / wide, (y - top) / high);
            let out = if *round > 0.5 { distance(u, v) } else { u.abs().max(v.abs()) };
            grey += (shade - grey) * (1.0 - ramp(1.0 - soft, 1.0 + soft, out));
        }
        grey * (1.0 - strength) + strength * texture(x, y)
    })
}

/// Brightness of a bone around the line from (x0, y0) to (x1, y1), half as thick as `half`; brighter rim, darker marrow.
fn bone(x: f32, y: f32, [x0, y0, x1, y1, half]: [f32; 5]) -> f32 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let t = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy).max(1e-6)).clamp(0.0, 1.0);
    let out = distance(x - x0 - t * dx, y - y0 - t * dy) / half;
    (1.0 - ramp(0.85, 1.1, out)) * (0.7 + 0.3 * bump((out - 0.8) / 0.4))
}

fn hand(dice: &mut Dice) -> Point {
    let (x, y, size) = (dice.within(0.42, 0.58), dice.within(0.6, 0.72), dice.within(0.75, 1.1));
    let mut bones = Vec::new();
    let mut flesh = vec![[x, y, x, 1.1, 0.13 * size]];
    for finger in 0..5_u8 {
        let spread = f32::from(finger) - 2.0;
        let (mut fx, mut fy) = (x + 0.055 * spread * size, y);
        let long = size * if finger == 0 { 0.13 } else { 0.17 - 0.02 * spread * spread * 0.5 };
        let tilt = 0.35 * spread * 0.4 + dice.within(-0.05, 0.05);
        flesh.push([fx, fy, fx + tilt * long * 3.0, fy - long * 3.0, 0.042 * size]);
        for part in [1.2_f32, 0.8, 0.6] {
            let (tx, ty) = (fx + tilt * long * part, fy - long * part);
            bones.push([fx, fy, tx - 0.1 * (tx - fx), ty - 0.1 * (ty - fy), 0.018 * size]);
            (fx, fy) = (tx, ty);
        }
    }
    bones.push([x - 0.05 * size, y + 0.14, x - 0.05 * size, 1.1, 0.035 * size]);
    bones.push([x + 0.05 * size, y + 0.14, x + 0.05 * size, 1.1, 0.030 * size]);
    Box::new(move |x, y| {
        let soft = flesh.iter().map(|b| bone(x, y, *b)).fold(0.0, f32::max);
        let hard = bones.iter().map(|b| bone(x, y, *b)).fold(0.0, f32::max);
        0.04 + 0.3 * soft + 0.5 * hard
    })
}

fn limb(dice: &mut Dice) -> Point {
    let (x, lean, half) = (dice.within(0.35, 0.65), dice.within(-0.25, 0.25), dice.within(0.12, 0.34));
    let line = move |dx: f32, half: f32, from: f32, to: f32| [x + dx - lean * 0.5, from, x + dx + lean * 0.5, to, half];
    let mut bones = Vec::new();
    for _ in 0..1 + dice.below(3) {
        let joint = dice.within(0.2, 1.2);
        let (dx, thick) = (dice.within(-0.5, 0.5) * half, dice.within(0.1, 0.35) * half);
        bones.push(line(dx, thick, -0.1, joint));
        bones.push(line(dx + dice.within(-0.1, 0.1) * half, thick * dice.within(0.8, 1.2), joint + 0.02, 1.1));
    }
    let air = if dice.chance(0.8) { 0.04 } else { 0.95 };
    Box::new(move |x, y| {
        let soft = bone(x, y, line(0.0, half, -0.1, 1.1));
        let hard = bones.iter().map(|b| bone(x, y, *b)).fold(0.0, f32::max);
        air + (0.35 - air) * soft.min(1.0) + 0.55 * hard * soft.min(1.0)
    })
}

fn slice(dice: &mut Dice) -> Point {
    let (x, y) = (dice.within(0.46, 0.54), dice.within(0.45, 0.55));
    let wide = dice.within(0.30, 0.49);
    let high = wide * dice.within(0.55, 1.0);
    let (flesh, soft) = (dice.within(0.3, 0.6), dice.within(0.03, 0.15));
    let mut organs: Vec<[f32; 5]> = Vec::new();
    if dice.chance(0.7) {
        let (aside, air) = (dice.within(0.38, 0.5), dice.within(0.0, 0.2));
        for side in [-1.0, 1.0] {
            organs.push([side * aside, dice.within(-0.1, 0.1), dice.within(0.25, 0.42), dice.within(0.45, 0.75), air]);
        }
        organs.push([
            dice.within(-0.05, 0.2),
            dice.within(-0.4, 0.1),
            dice.within(0.15, 0.3),
            dice.within(0.2, 0.4),
            flesh + 0.1,
        ]);
    } else {
        for _ in 0..dice.below(6) {
            let (ox, oy) = (dice.within(-0.6, 0.6), dice.within(-0.6, 0.6));
            organs.push([ox, oy, dice.within(0.08, 0.4), dice.within(0.08, 0.4), dice.within(0.1, 0.9)]);
        }
    }
    organs.push([0.0, dice.within(0.4, 0.7), 0.13, 0.17, dice.within(0.8, 1.0)]);
    let table = dice.chance(0.5);
    Box::new(move |px, py| {
        let (u, v) = ((px - x) / wide, (py - y) / high);
        let mut grey = 0.03 + flesh * (1.0 - ramp(0.97, 1.03, distance(u, v)));
        for [ox, oy, ow, oh, shade] in &organs {
            let out = distance((u - ox) / ow, (v - oy) / oh);
            grey += (shade - grey) * (1.0 - ramp(1.0 - soft, 1.0 + soft, out));
        }
        if table { grey + 0.3 * bump((v - 1.12) / 0.06) } else { grey }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_draws_at_any_size_and_the_same_each_time() {
        for kind in NotAChest::ALL {
            assert!(kind.draw(70, 50, 4) == kind.draw(70, 50, 4), "{kind:?}");
            let small = kind.draw(0, 1, 4);
            assert_eq!((small.width(), small.height()), (1, 1), "{kind:?}");
        }
    }

    #[test]
    fn every_kind_but_the_blank_one_shows_something() {
        for kind in NotAChest::ALL {
            let greys = kind.greys(64, 64, 11);
            let spread = greys.iter().copied().fold(f32::MIN, f32::max) - greys.iter().copied().fold(f32::MAX, f32::min);
            assert_eq!(spread > 0.05, kind != NotAChest::Blank, "{kind:?}: {spread}");
        }
    }
}
