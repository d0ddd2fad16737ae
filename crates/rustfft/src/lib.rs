//! The part of rustfft's interface that tract names, computed from the definition of the transform.
//!
//! tract links rustfft for its Fourier operators, and with it 1.2 MB of transforms for every instruction
//! set. No network that the operators of this program can express contains one, but tract's types name
//! it and the linker cannot know. This crate stands in its place (`[patch.crates-io]`): right for every
//! length, in time that grows with its square, 60 lines.

pub use num_complex;
pub use num_traits;

use num_complex::Complex;
use num_traits::{FromPrimitive, Signed};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

/// A real number that can be transformed.
pub trait FftNum: Copy + FromPrimitive + Signed + Sync + Send + Debug + 'static {}

impl<T> FftNum for T where T: Copy + FromPrimitive + Signed + Sync + Send + Debug + 'static {}

/// The sign of the exponent: minus for [`FftDirection::Forward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FftDirection {
    /// From time to frequency.
    Forward,
    /// Back, without a factor: both after each other multiply by the length.
    Inverse,
}

/// A transform of one length and direction.
pub trait Fft<T: FftNum>: Sync + Send {
    /// Transforms each piece of the transform's length in place.
    fn process(&self, buffer: &mut [Complex<T>]);
}

/// Makes transforms.
#[derive(Default)]
pub struct FftPlanner<T>(PhantomData<T>);

impl<T: FftNum> FftPlanner<T> {
    /// There is nothing to prepare.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }

    /// A transform of `length` numbers.
    pub fn plan_fft(&mut self, length: usize, direction: FftDirection) -> Arc<dyn Fft<T>> {
        Arc::new(Definition { length, direction })
    }

    /// A transform of `length` numbers from time to frequency.
    pub fn plan_fft_forward(&mut self, length: usize) -> Arc<dyn Fft<T>> {
        self.plan_fft(length, FftDirection::Forward)
    }
}

struct Definition {
    length: usize,
    direction: FftDirection,
}

impl<T: FftNum> Fft<T> for Definition {
    /// X_k = sum over n of x_n e^(-2 pi i k n / N).
    fn process(&self, buffer: &mut [Complex<T>]) {
        if self.length == 0 {
            return;
        }
        let sign = if self.direction == FftDirection::Forward { -1.0 } else { 1.0 };
        let real = |x: f64| T::from_f64(x).unwrap_or_else(T::zero);
        // e^(2 pi i j / N) for every j: k n is taken modulo N, so that no angle grows.
        let turns: Vec<Complex<T>> = (0..self.length)
            .map(|j| sign * std::f64::consts::TAU * j as f64 / self.length as f64)
            .map(|angle| Complex::new(real(angle.cos()), real(angle.sin())))
            .collect();
        for piece in buffer.chunks_exact_mut(self.length) {
            let given = piece.to_vec();
            for (k, out) in piece.iter_mut().enumerate() {
                let mut at = 0;
                *out = Complex::new(T::zero(), T::zero());
                for x in &given {
                    *out = *out + *x * turns[at];
                    at = (at + k) % self.length;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_of_k_turns_stands_at_k_and_comes_back() {
        let length = 12;
        let wave: Vec<Complex<f64>> =
            (0..length).map(|n| Complex::from_polar(1.0, std::f64::consts::TAU * 5.0 * n as f64 / length as f64)).collect();
        let mut planner = FftPlanner::new();
        let mut both = [wave.clone(), wave.clone()].concat();
        planner.plan_fft_forward(length).process(&mut both);
        for (k, value) in both.iter().enumerate() {
            let want = if k % length == 5 { length as f64 } else { 0.0 };
            assert!((value - Complex::new(want, 0.0)).norm() < 1e-12, "{k}: {value}");
        }
        planner.plan_fft(length, FftDirection::Inverse).process(&mut both);
        for (found, want) in both.iter().zip(wave.iter().cycle()) {
            assert!((found - want * length as f64).norm() < 1e-12);
        }
    }
}
