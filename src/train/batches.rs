//! Films as the numbers a network takes: varied batches for training, made ahead on threads of their
//! own, and plain ones for evaluation.

use super::TrainError;
use super::augment::{Flip, vary};
use super::densenet::{DenseNet, Mode, Precision};
use super::random::Random;
use super::study::Study;
use crate::input::normalise;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// Films of one batch of an evaluation.
const EVALUATION_BATCH: usize = 32;
/// Batches that each thread makes ahead.
const AHEAD: usize = 3;

/// A batch as numbers.
pub(super) struct Batch {
    /// Side of each film, pixels.
    pub size: usize,
    /// Films.
    pub films: usize,
    /// [films, side, side], normalised.
    pub images: Vec<f32>,
    /// [films, heads]: what each head shall say.
    pub targets: Vec<f32>,
    /// [films, heads]: how much of the loss counts.
    pub weights: Vec<f32>,
}

/// The batches of an epoch, or of what is left of one.
pub(super) struct Making<'a> {
    pub study: &'a Study,
    /// Films still to be seen, in order.
    pub order: Vec<usize>,
    /// Films of the epoch that were seen before.
    pub seen: usize,
    /// Films of a batch.
    pub batch: usize,
    /// Seed and epoch.
    pub name: [u64; 2],
    pub flip: Flip,
    /// Side of the films of the batch before which so many films of the epoch are seen.
    pub size: &'a (dyn Fn(usize) -> usize + Sync),
}

impl Making<'_> {
    /// The batch `n` of those left. The streams of random numbers are named by place in the epoch, so a batch is the same
    /// whichever thread makes it and whenever the run was started.
    fn batch(&self, n: usize, films: &[usize]) -> Batch {
        let first = self.seen + n * self.batch;
        let size = (self.size)(first);
        let spec = self.study.input(size);
        let mut made = Batch { size, films: films.len(), images: vec![], targets: vec![], weights: vec![] };
        for (k, &i) in films.iter().enumerate() {
            let mut random = Random::of(&[self.name[0], self.name[1], (first + k) as u64]);
            let plane = self.study.films.plane_to_learn(i, size, &mut random);
            made.images.extend_from_slice(&normalise(vary(&plane, self.flip, &mut random), &spec).values);
            made.targets.extend_from_slice(&self.study.targets.films[i].targets);
            made.weights.extend_from_slice(&self.study.targets.films[i].weights);
        }
        made
    }

    /// Makes every `of`-th batch from `thread` on until they are all made or nobody takes them. A last batch of one film
    /// is left out: it has no statistics.
    fn run(&self, thread: usize, of: usize, to: &SyncSender<Batch>) {
        for (n, films) in self.order.chunks(self.batch).enumerate().skip(thread).step_by(of) {
            if films.len() < 2 || to.send(self.batch(n, films)).is_err() {
                return;
            }
        }
    }
}

/// Batches in order, made by several threads, and the time that was spent waiting for them.
pub(super) struct Loader {
    from: Vec<Receiver<Batch>>,
    next: usize,
    begun: Instant,
    waited: Duration,
}

impl Loader {
    /// Starts `threads` threads in `scope`.
    pub fn start<'scope, 'env>(scope: &'scope Scope<'scope, 'env>, making: &'env Making<'env>, threads: usize) -> Self {
        let threads = threads.max(1);
        let start = |thread| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || making.run(thread, threads, &sender));
            receiver
        };
        Self { from: (0..threads).map(start).collect(), next: 0, begun: Instant::now(), waited: Duration::ZERO }
    }

    /// The next batch; `None` after the last.
    pub fn next(&mut self) -> Option<Batch> {
        let asked = Instant::now();
        let batch = self.from[self.next % self.from.len()].recv().ok();
        // The first batch has nothing to be made beside.
        if self.next > 0 {
            self.waited += asked.elapsed();
        }
        self.next += 1;
        batch
    }

    /// Share of the time that was spent waiting for data, 0 to 1.
    pub fn waiting(&self) -> f64 {
        self.waited.as_secs_f64() / self.begun.elapsed().as_secs_f64().max(1e-9)
    }
}

/// Logits of these films without variation, [films][heads].
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
    let mut logits = Vec::with_capacity(films.len());
    for chunk in films.chunks(EVALUATION_BATCH) {
        let images = plain(study, chunk, size, device)?;
        let out = net.forward(&images, Mode::Eval, precision)?.logits.to_device(Device::Cpu);
        logits.extend(Vec::<Vec<f32>>::try_from(out)?);
    }
    Ok(logits)
}

/// These films without variation, [films, 1, size, size].
///
/// # Errors
/// [`TrainError::Torch`] where libtorch fails.
pub fn plain(study: &Study, films: &[usize], size: usize, device: Device) -> Result<Tensor, TrainError> {
    let spec = study.input(size);
    let values: Vec<f32> = films.iter().flat_map(|&i| normalise(study.films.plane(i, size), &spec).values).collect();
    let side = size as i64;
    Ok(Tensor::from_slice(&values).f_view([films.len() as i64, 1, side, side])?.to_device(device))
}
