//! The network in 8-bit integers against itself in f32, film by film: logits of both, and how alike
//! their heat maps are. Both run as they do in the appliance.

use super::TrainError;
use super::evaluate::{Head, Predictions, mean_auc};
use super::study::Study;
use crate::grad_cam::{HeatMap, alike, heat_map};
use crate::input::{Plane, normalise};
use crate::model::quantize::{Calibration, quantize};
use crate::model::{Network, Quantization};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use tract_onnx::pb::ModelProto;

/// Films of the training part that the integers are calibrated on. On the default models 64 already give the same figures.
const CALIBRATION_FILMS: usize = 256;

/// One network in two arithmetics.
pub struct Pair {
    /// f32.
    pub plain: Network,
    /// 8-bit integers.
    pub rounded: Network,
    size: usize,
}

/// What two arithmetics say about the films of a part.
pub struct Compared {
    /// In f32.
    pub plain: Predictions,
    /// In 8-bit integers.
    pub rounded: Predictions,
    /// For each film and finding the correlation of the two heat maps; none where both are empty.
    alike: Vec<Vec<Option<f64>>>,
}

/// What one film gives.
struct Both {
    plain: Vec<f32>,
    rounded: Vec<f32>,
    alike: Vec<Option<f64>>,
}

/// `plain` as 8-bit integers, calibrated on films of the training part, and how many films those were.
///
/// # Errors
/// [`TrainError::Run`] with the quantizer's reason.
pub fn round(study: &Study, plain: &ModelProto, size: usize, films: &[usize]) -> Result<(ModelProto, usize), TrainError> {
    let count = films.len().min(CALIBRATION_FILMS);
    let film = |i: usize| prepared(study, films[i * films.len() / count], size);
    let calibration = Calibration { size, films: count, film: &film, threads: threads(), seen: &|_, _| () };
    let rounded = quantize(plain, &calibration).map_err(|e| TrainError::Run(e.to_string()))?;
    Ok((rounded, count))
}

impl Pair {
    /// Plans both.
    ///
    /// # Errors
    /// [`TrainError::Run`] with the engine's reason.
    pub fn of(plain: &ModelProto, rounded: &ModelProto, size: usize) -> Result<Self, TrainError> {
        let network = |model: &ModelProto| Network::of(model.clone(), size).map_err(|e| TrainError::Run(e.to_string()));
        Ok(Self { plain: network(plain)?, rounded: network(rounded)?, size })
    }

    /// Runs both over `films`; `head` holds the classifier's weights, [findings, channels].
    ///
    /// # Errors
    /// [`TrainError::Run`] with the engine's reason.
    pub fn over(&self, study: &Study, films: Vec<usize>, head: &[f32]) -> Result<Compared, TrainError> {
        let both = each(films.len(), |i| self.one(&prepared(study, films[i], self.size), head))?;
        let (mut plain, mut rounded, mut alike) = (Vec::new(), Vec::new(), Vec::new());
        for film in both {
            plain.push(film.plain);
            rounded.push(film.rounded);
            alike.push(film.alike);
        }
        let of = |logits| Predictions { films: films.clone(), logits };
        Ok(Compared { plain: of(plain), rounded: of(rounded), alike })
    }

    /// The heat maps of one film in 8-bit integers, one a finding.
    ///
    /// # Errors
    /// [`TrainError::Run`] with the engine's reason.
    pub fn heat_maps(&self, study: &Study, film: usize, head: &[f32]) -> Result<Vec<HeatMap>, TrainError> {
        self.maps(&self.rounded.run(&prepared(study, film, self.size)).map_err(TrainError::Run)?.features, head)
    }

    fn one(&self, film: &Plane, head: &[f32]) -> Result<Both, TrainError> {
        let (a, b) = (self.plain.run(film).map_err(TrainError::Run)?, self.rounded.run(film).map_err(TrainError::Run)?);
        let (of_a, of_b) = (self.maps(&a.features, head)?, self.maps(&b.features, head)?);
        let alike = of_a.iter().zip(&of_b).map(|(a, b)| alike(a.values(), b.values())).collect();
        Ok(Both { alike, plain: a.logits, rounded: b.logits })
    }

    fn maps(&self, features: &[f32], head: &[f32]) -> Result<Vec<HeatMap>, TrainError> {
        let [channels, side, _] = self.rounded.feature_shape();
        let map = |row| heat_map(features, side, row).map_err(|e| TrainError::Run(e.to_string()));
        head.chunks_exact(channels).map(map).collect()
    }
}

impl Compared {
    /// The figures of the trained heads; `None` where none is trained.
    pub fn figures(&self, study: &Study, heads: &[Head], calibration_films: usize) -> Option<Quantization> {
        let trained = |f: usize| heads[f].operating.is_some();
        let (mut calls, mut same) = (0_usize, 0_usize);
        for (a, b) in self.plain.logits.iter().zip(&self.rounded.logits) {
            for (operating, (a, b)) in heads.iter().map(|h| h.operating).zip(a.iter().zip(b)) {
                if let Some(o) = operating {
                    calls += 1;
                    same += usize::from(o.call(*a) == o.call(*b));
                }
            }
        }
        let of_trained = self.alike.iter().flat_map(|film| film.iter().enumerate().filter(|(f, _)| trained(*f)));
        let mut alike: Vec<f64> = of_trained.filter_map(|(_, r)| *r).collect();
        alike.sort_by(f64::total_cmp);
        Some(Quantization {
            calibration_films,
            films: self.plain.films.len(),
            auc_f32: mean_auc(study, &self.plain, trained)?,
            auc_int8: mean_auc(study, &self.rounded, trained)?,
            calls_agree: same as f64 / calls.max(1) as f64,
            heat_maps_correlate: alike.iter().sum::<f64>() / alike.len().max(1) as f64,
            heat_maps_correlate_p5: alike.get(alike.len() / 20).copied().unwrap_or(0.0),
        })
    }
}

fn prepared(study: &Study, film: usize, size: usize) -> Plane {
    normalise(study.films.plane(film, size), &study.input(size))
}

fn threads() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// `work` on each of `count` films, one film a thread, in the films' order.
pub(super) fn each<T: Send>(count: usize, work: impl Fn(usize) -> Result<T, TrainError> + Sync) -> Result<Vec<T>, TrainError> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        return;
                    }
                    let result = work(i);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}
