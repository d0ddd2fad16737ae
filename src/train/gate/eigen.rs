//! The eigen-chests: mean view and the directions along which chest films differ most, by
//! orthogonal iteration on the covariance of the training views (Golub and Van Loan, Matrix
//! Computations, section 8.2.4). Each view counts once as it is and once mirrored, because left and
//! right are not told apart.

use crate::radiograph::drawn::Dice;
use crate::radiograph::gate::score::{EigenChests, dot};
use crate::radiograph::gate::{PIXELS, SIDE, View};

/// Directions iterated beyond those kept, so that the last ones kept converge too.
const SPARE: usize = 16;
/// Iterations; the gap between the 64th and the 80th eigenvalue shrinks the rest to under a percent.
const ITERATIONS: usize = 40;

/// Mean view, `components` directions and the spread along each. `views` must not be empty.
pub(super) fn learn(views: &[&View], components: usize) -> EigenChests {
    let mut mean = vec![0.0_f32; PIXELS];
    for view in views {
        mean.iter_mut().zip(view.ranks()).for_each(|(m, x)| *m += x / views.len() as f32);
    }
    let mean: Vec<f32> = (0..PIXELS).map(|i| (mean[i] + mean[mirrored(i)]) / 2.0).collect();
    let covariance = covariance(views, &mean);
    let mut rows = iterate(&covariance, components + SPARE);
    let variance = |row: &Vec<f32>| dot(row, &times(&covariance, row));
    rows.sort_by(|a, b| variance(b).total_cmp(&variance(a)));
    rows.truncate(components);
    let spread = rows.iter().map(|row| variance(row).max(1e-6).sqrt()).collect();
    EigenChests { mean, basis: rows.concat(), spread }
}

fn mirrored(i: usize) -> usize {
    i / SIDE * SIDE + (SIDE - 1 - i % SIDE)
}

/// [1024, 1024], row by row.
fn covariance(views: &[&View], mean: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0_f32; PIXELS * PIXELS];
    // Eight views at a time: a row of the matrix is loaded once for all of them.
    for few in views.chunks(8) {
        let centred: Vec<Vec<f32>> = few.iter().map(|v| v.ranks().iter().zip(mean).map(|(x, m)| x - m).collect()).collect();
        for (i, row) in sums.chunks_exact_mut(PIXELS).enumerate() {
            for view in &centred {
                let weight = view[i];
                row.iter_mut().zip(view).for_each(|(sum, x)| *sum += weight * x);
            }
        }
    }
    let share = 0.5 / views.len() as f32;
    (0..PIXELS * PIXELS)
        .map(|at| {
            let (i, j) = (at / PIXELS, at % PIXELS);
            share * (sums[at] + sums[mirrored(i) * PIXELS + mirrored(j)])
        })
        .collect()
}

fn times(matrix: &[f32], vector: &[f32]) -> Vec<f32> {
    matrix.chunks_exact(PIXELS).map(|row| dot(row, vector)).collect()
}

/// Orthonormal rows that span the space of the largest eigenvalues.
fn iterate(matrix: &[f32], count: usize) -> Vec<Vec<f32>> {
    let mut dice = Dice::new(0);
    let mut rows: Vec<Vec<f32>> = (0..count).map(|_| (0..PIXELS).map(|_| dice.normal()).collect()).collect();
    for _ in 0..ITERATIONS {
        for row in &mut rows {
            *row = times(matrix, row);
        }
        orthonormalise(&mut rows);
    }
    rows
}

/// Gram-Schmidt, modified, first rows first.
fn orthonormalise(rows: &mut [Vec<f32>]) {
    for i in 0..rows.len() {
        let (done, rest) = rows.split_at_mut(i);
        let row = &mut rest[0];
        for other in done.iter() {
            let along = dot(row, other);
            row.iter_mut().zip(other).for_each(|(r, o)| *r -= along * o);
        }
        let length = dot(row, row).sqrt().max(1e-12);
        row.iter_mut().for_each(|r| *r /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radiograph::drawn::DrawnFilm;

    #[test]
    fn directions_are_orthonormal_ordered_and_explain_the_views_they_come_from() {
        let films = (0..24).map(|seed| View::of(&DrawnFilm { width: 96, height: 96, seed }.draw()).unwrap());
        let views: Vec<View> = films.collect();
        let chests = learn(&views.iter().collect::<Vec<_>>(), 20);
        for (i, a) in chests.basis.chunks_exact(PIXELS).enumerate() {
            for (j, b) in chests.basis.chunks_exact(PIXELS).enumerate() {
                assert!((dot(a, b) - f32::from(u8::from(i == j))).abs() < 1e-3, "{i} {j}");
            }
        }
        assert!(chests.spread.windows(2).all(|s| s[0] >= s[1]));
        let outside = |view: &View| (chests.describe(view)[20] / 2.0).exp() - 0.01;
        assert!(outside(&views[3]) < 0.05, "{}", outside(&views[3]));
    }
}
