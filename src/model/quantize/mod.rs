//! From a DenseNet in f32 and calibration films to a file of 8-bit integers.
//!
//! The steps, a file each: [`recognise`] the network ([`graph`] looks around in it), [`chain`]; run it over the films and
//! count what flows into each convolution ([`observe`], [`plan`], [`statistics`]); [`balance`] values against weights;
//! round the [`weights`]; [`write`] the QDQ file. [`summary`] says what a file holds, [`resize`] makes one for other images, [`tensors`]
//! goes back to what a training starts from, [`bars`] how much the rounding may cost. Everything that is quantized comes out of a ReLU, hence
//! unsigned integers with zero point 0. The stem and the head stay f32: together they are 4 % of the multiply-adds.
//!
//! The same films give the same bytes, in whatever order and on however many threads they are counted.

mod balance;
pub mod bars;
mod chain;
mod graph;
mod observe;
mod plan;
mod recognise;
mod resize;
mod statistics;
mod summary;
mod tensors;
mod weights;
mod write;

#[cfg(test)]
mod tests;

use crate::input::Plane;
use crate::model::unpack::{UnpackError, dequantize_weights};
use tract_onnx::pb::ModelProto;

pub use resize::resized;
pub use summary::{Convolution, Precision, Shape, Summary};
pub use tensors::tensors;
pub use weights::PAIR_MAX;

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

/// The model as 8-bit integers in QDQ form.
///
/// # Errors
/// [`QuantizeError`] where the model is no DenseNet in f32, or cannot be run.
pub fn quantize(model: &ModelProto, calibration: &Calibration) -> Result<ModelProto, QuantizeError> {
    let mut model = model.clone();
    dequantize_weights(&mut model)?;
    let mut chain = recognise::recognise(&model)?;
    let seen = observe::observe(&chain, calibration)?;
    let mut balances = Vec::with_capacity(seen.len());
    let mut sites = seen.iter();
    chain.each_site(|feed, conv| {
        if let Some(seen) = sites.next() {
            let balance = balance::balance(conv, seen);
            feed.divide(&balance.factors);
            conv.multiply_inputs(&balance.factors);
            balances.push(balance);
        }
    });
    // Only now: dividing a bottleneck's outputs changes its weights.
    let mut sites = seen.iter().zip(&balances);
    chain.each_site(|_, conv| {
        if let Some((seen, balance)) = sites.next() {
            let by = |(energy, factor): (&f64, &f32)| energy / f64::from(*factor).powi(2);
            let energies: Vec<f64> = seen.energies().iter().zip(&balance.factors).map(by).collect();
            conv.weights = weights::quantized(conv, balance.step, &energies);
        }
    });
    Ok(write::write(&chain, calibration.size).model)
}
