//! From a DenseNet in f32 and calibration films to a file of 8-bit integers.
//!
//! The steps, a file each: [`recognise`] the network ([`graph`] looks around in it), [`chain`]; run it over the films and
//! count what flows into each convolution ([`plan`], [`statistics`]); [`balance`] values against weights;
//! round the [`weights`]; [`write`] the QDQ file. Everything that is quantized comes out of a ReLU, hence
//! unsigned integers with zero point 0. The stem and the head stay f32: together they are 4 % of the multiply-adds.
//!
//! The same films give the same bytes, in whatever order and on however many threads they are counted.

mod balance;
mod chain;
mod graph;
mod plan;
mod recognise;
mod statistics;
mod weights;
mod write;

use crate::input::Plane;
use crate::model::unpack::{UnpackError, dequantize_weights};
use chain::{Chain, Conv, Weights};
use plan::Plan;
use statistics::{Statistics, Tops};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tract_onnx::pb::ModelProto;

/// Why a model cannot be quantized.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// The file has no graph.
    #[error("the model file has no graph")]
    NoGraph,
    /// The graph goes on otherwise than a DenseNet does.
    #[error("this is not a DenseNet that can be quantized: at {at} there is {found}, expected is {expected}")]
    NotADenseNet {
        /// Value in the graph.
        at: String,
        /// What is there.
        found: String,
        /// What a DenseNet has there.
        expected: String,
    },
    /// A node is not as a DenseNet has it.
    #[error("{op} node {node}: {what}")]
    Node {
        /// Operator.
        op: String,
        /// Node name.
        node: String,
        /// What is there and what was needed.
        what: String,
    },
    /// Packed weights that cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// There is nothing to calibrate with.
    #[error("no calibration films: name at least one, better a few hundred that the model was trained on")]
    NoFilms,
    /// The engine failed.
    #[error("the model cannot be run: {0}")]
    Engine(String),
}

/// Films to calibrate with, as the network sees them.
pub struct Calibration<'a> {
    /// Side of the network's input, pixels.
    pub size: usize,
    /// How many films there are.
    pub films: usize,
    /// Film `i` prepared; called twice for each, from several threads.
    pub film: &'a (dyn Fn(usize) -> Plane + Sync),
    /// Threads to use.
    pub threads: usize,
    /// Told after each run of the network how many of how many are done.
    pub seen: &'a (dyn Fn(usize, usize) + Sync),
}

/// Experiments.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub exponents: Vec<f32>,
    pub bias: bool,
}
impl Default for Recipe {
    fn default() -> Self {
        Self { exponents: balance::exponents().to_vec(), bias: true }
    }
}

/// The model as 8-bit integers in QDQ form.
///
/// # Errors
/// [`QuantizeError`] where the model is no DenseNet in f32, or cannot be run.
pub fn quantize(model: &ModelProto, calibration: &Calibration, recipe: &Recipe) -> Result<ModelProto, QuantizeError> {
    let mut model = model.clone();
    dequantize_weights(&mut model)?;
    let mut chain = recognise::recognise(&model)?;
    let seen = observe(&chain, calibration)?;
    let mut steps = Vec::with_capacity(seen.len());
    let mut sites = seen.iter();
    chain.each_site(|feed, conv| {
        let Some(seen) = sites.next() else { return };
        let found = balance::balance(conv, seen, &recipe.exponents);
        feed.divide(&found.factors);
        conv.multiply_inputs(&found.factors);
        steps.push(found);
    });
    let mut sites = seen.iter().zip(&steps);
    chain.each_site(|_, conv| {
        let Some((seen, balance)) = sites.next() else { return };
        round(conv, seen, balance, recipe);
    });
    Ok(write::write(&chain, calibration.size).model)
}

/// Rounds the weights of one convolution and moves the mean error of its outputs into their summands.
fn round(conv: &mut Conv, seen: &Statistics, balance: &balance::Balance, recipe: &Recipe) {
    let energies: Vec<f64> =
        seen.energies().iter().zip(&balance.factors).map(|(e, by)| e / f64::from(*by).powi(2)).collect();
    let rounded = weights::quantized(conv, balance.step, &energies);
    if recipe.bias {
    if let (Weights::F32(before), Weights::Int8 { values, scales, .. }) = (&conv.weights, &rounded) {
        let (taps, means) = (conv.taps(), seen.means());
        // A tap beside the centre looks over the border at one row or column of the map, where there are zeros.
        let inside = (seen.side().saturating_sub(1)) as f64 / seen.side().max(1) as f64;
        let share = |tap: usize| if conv.side == 1 { 1.0 } else { [tap / 3, tap % 3].iter().map(|p| if *p == 1 { 1.0 } else { inside }).product() };
        for o in 0..conv.outputs {
            let mut lost = 0.0;
            for c in 0..conv.inputs {
                let by = f64::from(balance.factors[c]);
                let (mean, after) = (means[c] / by, seen.mean_rounded(c, f64::from(balance.step) * by) / by);
                for t in 0..taps {
                    let at = (o * conv.inputs + c) * taps + t;
                    lost += share(t) * (f64::from(before[at]) * mean - f64::from(values[at]) * f64::from(scales[o]) * after);
                }
            }
            conv.bias[o] += lost as f32;
        }
    }
    }
    conv.weights = rounded;
}

/// Runs the network over the films, once for the largest values and once for the histograms.
fn observe(chain: &Chain, calibration: &Calibration) -> Result<Vec<Statistics>, QuantizeError> {
    if calibration.films == 0 {
        return Err(QuantizeError::NoFilms);
    }
    let written = write::write(chain, calibration.size);
    let plan = Plan::new(&written.model, &written.sites, chain.image_channels(), calibration.size)?;
    let first = inputs_of(&plan, &(calibration.film)(0))?;
    let tops: Vec<Mutex<Tops>> = first.iter().map(|(dims, _)| Mutex::new(Tops::new(dims[0]))).collect();
    let run = |pass: usize, see: &(dyn Fn(usize, &[f32]) + Sync)| -> Result<(), QuantizeError> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || -> Result<(), QuantizeError> {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= calibration.films {
                    return Ok(());
                }
                for (site, (_, map)) in inputs_of(&plan, &(calibration.film)(i))?.iter().enumerate() {
                    see(site, map);
                }
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                (calibration.seen)(pass * calibration.films + done, 2 * calibration.films);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..calibration.threads.max(1)).map(|_| scope.spawn(work)).collect();
            let ended = workers.into_iter().map(|w| w.join().unwrap_or_else(|_| Err(QuantizeError::Engine("a thread ended".into()))));
            ended.collect::<Result<Vec<()>, _>>().map(drop)
        })
    };
    run(0, &|site, map| with(&tops[site], |tops| tops.see(map)))?;
    let seen: Vec<Mutex<Statistics>> =
        tops.into_iter().zip(&first).map(|(t, (dims, _))| Mutex::new(Statistics::new(open(t), dims[1]))).collect();
    run(1, &|site, map| with(&seen[site], |seen| seen.see(map)))?;
    let mut seen: Vec<Statistics> = seen.into_iter().map(open).collect();
    seen.iter_mut().for_each(Statistics::close);
    Ok(seen)
}

/// What flows into the convolutions: the outputs behind logits and features.
fn inputs_of(plan: &Plan, film: &Plane) -> Result<Vec<plan::Output>, QuantizeError> {
    Ok(plan.run(film)?.split_off(2))
}

fn with<T>(mutex: &Mutex<T>, f: impl FnOnce(&mut T)) {
    f(&mut mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}

fn open<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
