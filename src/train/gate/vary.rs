//! Films that could have been: the same chest exposed, processed, cropped and collimated otherwise,
//! and films spoilt so that they are no upright chest any more.
//!
//! All work on coarse planes (96 x 96) and draw their numbers from a [`Dice`], so that training is
//! repeatable.

use crate::input::Plane;
use crate::radiograph::drawn::Dice;
use crate::radiograph::gate::COARSE;

const MIDDLE: f32 = (COARSE as f32 - 1.0) / 2.0;

/// What lies beyond the film.
#[derive(Clone, Copy)]
enum Beyond {
    /// The film's own border, repeated.
    Edge,
    /// One grey.
    Grey(f32),
}

/// The same chest, taken otherwise.
pub(super) fn varied(film: &Plane, dice: &mut Dice) -> Plane {
    let mut values = film.values.clone();
    match dice.unit() {
        u if u < 0.25 => sharpen(&mut values, dice.within(0.3, 3.0), 3 + dice.below(20)),
        u if u < 0.35 => values = blurred(&values, 1 + dice.below(2)),
        _ => {}
    }
    if dice.chance(0.18) {
        whiten_one_side(&mut values, dice);
    }
    let zoom = (dice.within(0.72_f32.ln(), 1.2_f32.ln())).exp();
    // A child's chest is long and narrow, and lies between black borders.
    let narrow = if dice.chance(0.15) { dice.within(1.0, 1.25) } else { 1.0 };
    let aspect = (0.10 * dice.normal()).exp() * narrow;
    let shift = (dice.within(-11.0, 11.0), dice.within(-9.0, 9.0));
    let beyond = match dice.unit() {
        _ if narrow > 1.0 => Beyond::Grey(0.0),
        u if u < 0.5 => Beyond::Edge,
        u if u < 0.85 => Beyond::Grey(0.0),
        _ => Beyond::Grey(1.0),
    };
    values = moved(&values, 4.0 * dice.normal(), (zoom * aspect, zoom / aspect), shift, beyond);
    if dice.chance(0.5) {
        values.chunks_exact_mut(COARSE).for_each(<[f32]>::reverse);
    }
    if dice.chance(0.3) {
        let (across, down) = (0.15 * dice.normal(), 0.15 * dice.normal());
        each(&mut values, |x, y, v| v + across * (x / MIDDLE - 1.0) + down * (y / MIDDLE - 1.0));
    }
    if dice.chance(0.15) {
        let (low, high) = (dice.within(0.0, 0.3), dice.within(0.65, 1.0));
        each(&mut values, |_, _, v| (v - low) / (high - low));
    }
    each(&mut values, |_, _, v| v.clamp(0.0, 1.0));
    Plane { side: COARSE, values }
}

/// The film laid crookedly onto a larger dark or bright ground, as collimated and scanned films are.
pub(super) fn bordered(film: &Plane, dice: &mut Dice) -> Plane {
    let zoom = dice.within(1.1_f32.ln(), 1.7_f32.ln()).exp();
    let shift = (dice.within(-18.0, 18.0), dice.within(-18.0, 18.0));
    let ground = if dice.chance(0.7) { 0.0 } else { 1.0 };
    Plane { side: COARSE, values: moved(&film.values, 5.0 * dice.normal(), (zoom, zoom), shift, Beyond::Grey(ground)) }
}

/// A film made into something else: a small part of it, its parts in another order, shifted around, or several at once.
pub(super) fn spoilt(film: &Plane, dice: &mut Dice) -> Plane {
    let values = match dice.below(10) {
        0..=3 => part(&film.values, dice),
        4..=6 => shuffled(&film.values, dice),
        7..=8 => rolled(&film.values, dice),
        _ => tiled(&film.values, dice),
    };
    Plane { side: COARSE, values }
}

fn each(values: &mut [f32], change: impl Fn(f32, f32, f32) -> f32) {
    for (i, v) in values.iter_mut().enumerate() {
        *v = change((i % COARSE) as f32, (i / COARSE) as f32, *v);
    }
}

/// Grey between pixels, linear; `beyond` the border.
fn between(values: &[f32], x: f32, y: f32, beyond: Beyond) -> f32 {
    let last = COARSE as f32 - 1.0;
    if let Beyond::Grey(grey) = beyond
        && !((-0.5..=last + 0.5).contains(&x) && (-0.5..=last + 0.5).contains(&y))
    {
        return grey;
    }
    let (x, y) = (x.clamp(0.0, last), y.clamp(0.0, last));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(COARSE - 1), (top + 1).min(COARSE - 1));
    let (u, v) = (x - left as f32, y - top as f32);
    let upper = values[top * COARSE + left] * (1.0 - u) + values[top * COARSE + right] * u;
    let lower = values[bottom * COARSE + left] * (1.0 - u) + values[bottom * COARSE + right] * u;
    upper * (1.0 - v) + lower * v
}

/// Turned by `degrees`, made smaller by the zooms (across, down) and shifted, about the middle.
fn moved(values: &[f32], degrees: f32, (across, down): (f32, f32), shift: (f32, f32), beyond: Beyond) -> Vec<f32> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let pixel = |i: usize| {
        let (x, y) = (((i % COARSE) as f32 - MIDDLE) * across, ((i / COARSE) as f32 - MIDDLE) * down);
        between(values, cos * x - sin * y + MIDDLE + shift.0, sin * x + cos * y + MIDDLE + shift.1, beyond)
    };
    (0..COARSE * COARSE).map(pixel).collect()
}

/// Mean over (2 radius + 1) x (2 radius + 1) pixels, taken twice.
fn blurred(values: &[f32], radius: usize) -> Vec<f32> {
    let once = |values: &[f32]| {
        let mut out = vec![0.0; values.len()];
        for (line, target) in values.chunks_exact(COARSE).zip(0..) {
            for x in 0..COARSE {
                let (from, to) = (x.saturating_sub(radius), (x + radius + 1).min(COARSE));
                // Written transposed, so that two passes blur along both axes.
                out[x * COARSE + target] = line[from..to].iter().sum::<f32>() / (to - from) as f32;
            }
        }
        out
    };
    once(&once(&once(&once(values))))
}

/// Unsharp masking: what scanners and consoles do to make lines and vessels stand out.
fn sharpen(values: &mut [f32], strength: f32, radius: usize) {
    let smooth = blurred(values, radius);
    for (v, s) in values.iter_mut().zip(smooth) {
        *v = (*v + strength * (*v - s)).clamp(0.0, 1.0);
    }
}

/// One side of the chest white from some height downwards, as by fluid or collapse.
fn whiten_one_side(values: &mut [f32], dice: &mut Dice) {
    let side = if dice.chance(0.5) { 1.0 } else { -1.0 };
    let (soft_x, soft_y) = (dice.within(1.5, 6.0), dice.within(3.0, 12.0));
    let (from, strength, grey) = (dice.within(-30.0, 68.0), dice.within(0.5, 1.0), dice.within(0.6, 0.9));
    let step = |v: f32| 1.0 / (1.0 + (-v).exp());
    each(values, |x, y, v| {
        // Air beside the body stays black.
        let body = step((v - 0.15) * 40.0);
        let share = strength * body * step(side * (x - MIDDLE) / soft_x) * step((y - from) / soft_y);
        v * (1.0 - share) + grey * share
    });
}

fn part(values: &[f32], dice: &mut Dice) -> Vec<f32> {
    let side = 20 + dice.below(32);
    let (left, top) = (dice.below(COARSE - side) as f32, dice.below(COARSE - side) as f32);
    let scale = side as f32 / COARSE as f32;
    (0..COARSE * COARSE)
        .map(|i| between(values, left + (i % COARSE) as f32 * scale, top + (i / COARSE) as f32 * scale, Beyond::Edge))
        .collect()
}

fn shuffled(values: &[f32], dice: &mut Dice) -> Vec<f32> {
    let parts = [2, 3, 4, 8][dice.below(4)];
    let size = COARSE / parts;
    let mut order: Vec<usize> = (0..parts * parts).collect();
    // Halves that only change sides still make a chest: the upper left part must come from below.
    while order[0] / parts == 0 {
        dice.shuffle(&mut order);
    }
    (0..COARSE * COARSE)
        .map(|i| {
            let (x, y) = (i % COARSE, i / COARSE);
            let from = order[(y / size) * parts + x / size];
            values[(from / parts * size + y % size) * COARSE + from % parts * size + x % size]
        })
        .collect()
}

fn rolled(values: &[f32], dice: &mut Dice) -> Vec<f32> {
    let by = COARSE / 4 + dice.below(COARSE / 2);
    let (across, down) = if dice.chance(0.5) { (by, 0) } else { (0, by) };
    (0..COARSE * COARSE).map(|i| values[(i / COARSE + down) % COARSE * COARSE + (i % COARSE + across) % COARSE]).collect()
}

fn tiled(values: &[f32], dice: &mut Dice) -> Vec<f32> {
    let (across, down) = [(2, 1), (1, 2), (2, 2), (3, 3)][dice.below(4)];
    (0..COARSE * COARSE).map(|i| values[i / COARSE * down % COARSE * COARSE + i % COARSE * across % COARSE]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slope() -> Plane {
        Plane { side: COARSE, values: (0..COARSE * COARSE).map(|i| (i / COARSE) as f32 / COARSE as f32).collect() }
    }

    #[test]
    fn every_change_keeps_the_size_and_gives_finite_greys() {
        let mut dice = Dice::new(1);
        for change in [varied, bordered, spoilt] {
            for _ in 0..40 {
                let plane = change(&slope(), &mut dice);
                assert_eq!(plane.values.len(), COARSE * COARSE);
                assert!(plane.values.iter().all(|v| (0.0..=1.0).contains(v)));
            }
        }
    }

    #[test]
    fn moving_by_nothing_gives_the_film_back_and_blurring_keeps_an_even_film() {
        let film = slope();
        for (a, b) in moved(&film.values, 0.0, (1.0, 1.0), (0.0, 0.0), Beyond::Edge).iter().zip(&film.values) {
            assert!((a - b).abs() < 1e-6);
        }
        assert!(blurred(&vec![0.5; COARSE * COARSE], 9).iter().all(|v| (v - 0.5).abs() < 1e-4));
    }
}
