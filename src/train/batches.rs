//! Films as the numbers a network takes: varied batches for training, made ahead on a thread of their
//! own, and plain ones for evaluation.

use super::TrainError;
use super::augment::vary;
use super::data::Truth;
use super::densenet::{DenseNet, Mode, Precision};
use super::random::Random;
use super::study::Study;
use crate::input::normalise;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use tch::{Device, Tensor};

/// Films of one batch of an evaluation.
const EVALUATION_BATCH: usize = 32;

/// A batch as numbers.
pub(super) struct Batch {
    /// Side of each film, pixels.
    pub size: usize,
    /// Films.
    pub films: usize,
    /// [films, side, side], normalised.
    pub images: Vec<f32>,
    /// [films, findings]: 1 where positive.
    pub targets: Vec<f32>,
    /// [films, findings]: 1 where the loss counts.
    pub known: Vec<f32>,
}

/// Makes the batches of an epoch until they are all made or nobody takes them. A last batch of one film is
/// left out: it has no statistics.
pub(super) fn make_batches(
    study: &Study,
    order: &[usize],
    batch: usize,
    name: [u64; 2],
    size: &AtomicUsize,
    to: SyncSender<Batch>,
) {
    for films in order.chunks(batch).filter(|c| c.len() > 1) {
        let size = size.load(Ordering::Relaxed);
        let spec = study.input(size);
        let mut made = Batch { size, films: films.len(), images: vec![], targets: vec![], known: vec![] };
        for &i in films {
            let mut random = Random::of(&[name[0], name[1], i as u64]);
            let plane = normalise(vary(&study.films.plane(i, size), &mut random), &spec);
            made.images.extend_from_slice(&plane.values);
            for (truth, trained) in study.films.records[i].truths.iter().zip(&study.trained) {
                made.targets.push(f32::from(u8::from(*truth == Truth::Positive)));
                made.known.push(f32::from(u8::from(*trained && *truth != Truth::Unknown)));
            }
        }
        if to.send(made).is_err() {
            return;
        }
    }
}

/// Logits of these films without variation, [films][findings].
///
/// # Errors
/// [`TrainError::Torch`] where libtorch fails.
pub fn predict(
    net: &DenseNet,
    study: &Study,
    films: &[usize],
    size: usize,
    device: Device,
    precision: Precision,
) -> Result<Vec<Vec<f32>>, TrainError> {
    let _guard = tch::no_grad_guard();
    let spec = study.input(size);
    let mut logits = Vec::with_capacity(films.len());
    for chunk in films.chunks(EVALUATION_BATCH) {
        let values: Vec<f32> = chunk.iter().flat_map(|&i| normalise(study.films.plane(i, size), &spec).values).collect();
        let side = size as i64;
        let images = Tensor::from_slice(&values).view([chunk.len() as i64, 1, side, side]).to_device(device);
        let out = net.forward(&images, Mode::Eval, precision)?.logits.to_device(Device::Cpu);
        logits.extend(Vec::<Vec<f32>>::try_from(out)?);
    }
    Ok(logits)
}
