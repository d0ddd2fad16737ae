//! Light variation of a training film, as positioning and exposure vary between rooms: shift, scale,
//! a small rotation, contrast and gamma. A flip only where it is asked for: the heart is on one side, and a network
//! that learnt from flipped films cannot tell dextrocardia or a side marker.

use super::random::Random;
use crate::input::Plane;

/// Largest shift, as a share of the side.
const SHIFT: f32 = 0.08;
/// Largest change of scale.
const SCALE: f32 = 0.12;
/// Largest change of the aspect ratio.
const ASPECT: f32 = 0.06;
/// Largest rotation, radians (8 degrees).
const ROTATION: f32 = 0.14;
/// Largest change of contrast, natural logarithm.
const CONTRAST: f32 = 0.25;
/// Largest change of gamma, natural logarithm.
const GAMMA: f32 = 0.25;

/// Whether films may be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// Never.
    Never,
    /// Every second one, left to right.
    Half,
}

/// The film as another exposure of the same patient might show it; [side, side], greys near [0, 1].
pub fn vary(plane: &Plane, flip: Flip, random: &mut Random) -> Plane {
    let side = plane.side as f32;
    let middle = (side - 1.0) / 2.0;
    let (scale, aspect) = (random.between(-SCALE, SCALE).exp(), random.between(-ASPECT, ASPECT).exp());
    let (sin, cos) = random.between(-ROTATION, ROTATION).sin_cos();
    let (dx, dy) = (random.between(-SHIFT, SHIFT) * side, random.between(-SHIFT, SHIFT) * side);
    let gamma = random.between(-GAMMA, GAMMA).exp();
    let contrast = random.between(-CONTRAST, CONTRAST).exp();
    let mirror = if flip == Flip::Half && random.unit() < 0.5 { -1.0 } else { 1.0 };
    let (sx, sy) = (scale * aspect * mirror, scale / aspect);
    let mut values = Vec::with_capacity(plane.values.len());
    for y in 0..plane.side {
        let v = y as f32 - middle;
        for x in 0..plane.side {
            let u = x as f32 - middle;
            let grey = sample(plane, middle + dx + (u * cos - v * sin) * sx, middle + dy + (u * sin + v * cos) * sy);
            values.push(grey);
        }
    }
    for grey in &mut values {
        *grey = (grey.powf(gamma) - 0.5) * contrast + 0.5;
    }
    Plane { side: plane.side, values }
}

/// Bilinear, the border repeated.
fn sample(plane: &Plane, x: f32, y: f32) -> f32 {
    let top = (plane.side - 1) as f32;
    let (x, y) = (x.clamp(0.0, top), y.clamp(0.0, top));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(plane.side - 1), (y0 + 1).min(plane.side - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let at = |x: usize, y: usize| plane.values[y * plane.side + x];
    let above = at(x0, y0) + (at(x1, y0) - at(x0, y0)) * fx;
    let below = at(x0, y1) + (at(x1, y1) - at(x0, y1)) * fx;
    above + (below - above) * fy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_stream_varies_a_film_the_same_way_and_keeps_it_near_zero_to_one() {
        let plane = Plane { side: 32, values: (0..1024).map(|i| (i % 32) as f32 / 31.0).collect() };
        let a = vary(&plane, Flip::Never, &mut Random::of(&[1, 2]));
        assert_eq!(a, vary(&plane, Flip::Never, &mut Random::of(&[1, 2])));
        assert_ne!(a, vary(&plane, Flip::Never, &mut Random::of(&[1, 3])));
        assert!(a.values.iter().all(|v| (-0.2..=1.2).contains(v)));
    }

    #[test]
    fn half_of_the_films_are_mirrored_where_that_is_asked_for_and_none_otherwise() {
        let plane = Plane { side: 32, values: (0..1024).map(|i| (i % 32) as f32 / 31.0).collect() };
        let mirrored = |flip| {
            let left_brighter = |i| {
                let row = &vary(&plane, flip, &mut Random::of(&[i])).values[512..544];
                row[4] > row[27]
            };
            (0..200).filter(|i| left_brighter(*i)).count()
        };
        assert_eq!(mirrored(Flip::Never), 0);
        assert!((70..130).contains(&mirrored(Flip::Half)));
    }
}
