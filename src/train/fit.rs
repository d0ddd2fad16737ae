//! The training loop.
//!
//! In: a [`Study`] and [`Options`]. Out: snapshots in the config's `snapshot_path` (`latest.pt`, where a run
//! started again goes on; `best.pt`, the averaged weights with the highest mean AUC on val at the
//! final size) and `log.csv`. The schedule (small films first, warm-up, cosine) runs on the share of the
//! budget that is spent, in epochs or in minutes, whichever is further.

use super::TrainError;
use super::augment::vary;
use super::data::{Part, Truth};
use super::densenet::{Architecture, DenseNet, Mode, Precision};
use super::log::{Epoch, Figures, append};
use super::optimiser::{AdamW, Step, loss};
use super::random::Random;
use super::snapshot::{Progress, Snapshot, save};
use super::study::Study;
use crate::input::normalise;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// Share of the budget in which the learning rate rises.
const WARM_UP: f64 = 0.03;
/// Learning rate at the end, as a share of its peak.
const RATE_END: f64 = 0.01;
/// Decoupled weight decay.
const WEIGHT_DECAY: f64 = 0.05;
/// Time between snapshots within an epoch.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(180);
/// Batches made ahead.
const AHEAD: usize = 4;
/// Gradients refused in a row after which the run stops.
const REFUSED_MAX: usize = 20;
/// Films of one batch of an evaluation.
pub const EVALUATION_BATCH: usize = 32;

/// What a run may be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shape of the network.
    pub architecture: Architecture,
    /// Budget in epochs.
    pub epochs: Option<usize>,
    /// Budget in minutes.
    pub minutes: Option<f64>,
    /// Side of the network's input, pixels.
    pub size: usize,
    /// Side in the first phase, pixels.
    pub first_size: usize,
    /// Share of the budget that the first phase takes.
    pub first_share: f64,
    /// Films of a batch.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Snapshot whose trunk the run starts from.
    pub init: Option<PathBuf>,
    /// Where to compute.
    pub device: Device,
    /// What convolutions compute in.
    pub precision: Precision,
}

impl Options {
    /// Share of the budget that is spent, 0 to 1.
    fn spent(&self, progress: &Progress, films: usize, seconds: f64) -> f64 {
        let epochs = progress.epoch as f64 + progress.films_seen as f64 / films.max(1) as f64;
        let by_epochs = self.epochs.map_or(0.0, |e| epochs / e.max(1) as f64);
        let by_minutes = self.minutes.map_or(0.0, |m| seconds / 60.0 / m.max(1e-9));
        by_epochs.max(by_minutes).min(1.0)
    }

    fn rate_at(&self, spent: f64) -> f64 {
        if spent < WARM_UP {
            return self.rate * (spent / WARM_UP).max(0.01);
        }
        let turn = (spent - WARM_UP) / (1.0 - WARM_UP) * std::f64::consts::PI;
        self.rate * (RATE_END + (1.0 - RATE_END) * (1.0 + turn.cos()) / 2.0)
    }

    fn size_at(&self, spent: f64) -> usize {
        if spent < self.first_share { self.first_size } else { self.size }
    }
}

/// A batch as numbers.
struct Batch {
    size: usize,
    films: usize,
    images: Vec<f32>,
    targets: Vec<f32>,
    known: Vec<f32>,
}

/// What a run says about itself while it runs.
pub trait Watch {
    /// After each step: share of the budget spent and a line for people.
    fn step(&mut self, spent: f64, line: &str);
    /// After each epoch.
    fn epoch(&mut self, line: &str);
}

/// Trains until the budget is spent, or goes on with a run that was interrupted. Returns where it ended.
///
/// # Errors
/// [`TrainError`] where a snapshot is of another run, a file cannot be written or the loss is no longer a number.
pub fn fit(study: &Study, options: &Options, watch: &mut dyn Watch) -> Result<Progress, TrainError> {
    std::fs::create_dir_all(&study.config.snapshot_path).map_err(|e| TrainError::file(&study.config.snapshot_path, e))?;
    let mut run = Run::begin(study, options)?;
    while run.spent() < 1.0 {
        run.epoch(watch)?;
    }
    Ok(run.progress)
}

struct Run<'a> {
    study: &'a Study,
    options: &'a Options,
    net: DenseNet,
    adam: AdamW,
    progress: Progress,
    train: Vec<usize>,
    val: Vec<usize>,
    weights: Tensor,
    best_auc: f64,
    started: Instant,
    seconds_before: f64,
}

impl<'a> Run<'a> {
    fn begin(study: &'a Study, options: &'a Options) -> Result<Self, TrainError> {
        let folder = &study.config.snapshot_path;
        let latest = folder.join("latest.pt");
        let (net, progress, snapshot) = if latest.exists() {
            let snapshot = Snapshot::load(&latest, options.device)?;
            check_same_run(&snapshot.progress, study, options, &latest)?;
            (snapshot.net(), snapshot.progress.clone(), Some(snapshot))
        } else {
            let (net, progress) = fresh(study, options)?;
            (net, progress, None)
        };
        let mut adam = AdamW::new(&net.params, &net.buffers, net.decays(), WEIGHT_DECAY);
        if let Some(snapshot) = &snapshot {
            snapshot.restore(&mut adam);
        }
        let best = folder.join("best.pt");
        let best_auc = if best.exists() { Snapshot::load(&best, Device::Cpu)?.progress.val_auc } else { f64::NEG_INFINITY };
        Ok(Self {
            weights: Tensor::from_slice(&study.positive_weights()).to_device(options.device),
            train: study.films.of(Part::Train),
            val: study.films.of(Part::Val),
            seconds_before: progress.seconds,
            started: Instant::now(),
            study,
            options,
            net,
            adam,
            progress,
            best_auc,
        })
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn spent(&self) -> f64 {
        self.options.spent(&self.progress, self.train.len(), self.seconds())
    }

    /// One pass over the train films, or what the budget leaves of it; then val, log and snapshot.
    fn epoch(&mut self, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let begun = Instant::now();
        let size = AtomicUsize::new(self.options.size_at(self.spent()));
        let order = Random::of(&[self.progress.seed, self.progress.epoch as u64]).permutation(self.train.len());
        let order: Vec<usize> = order.into_iter().skip(self.progress.films_seen).map(|i| self.train[i]).collect();
        let (sender, receiver) = sync_channel(AHEAD);
        let (study, batch, name) = (self.study, self.options.batch, [self.progress.seed, self.progress.epoch as u64]);
        let train_loss = std::thread::scope(|scope| {
            scope.spawn(|| make_batches(study, &order, batch, name, &size, sender));
            self.steps(receiver, &size, watch)
        })?;
        self.finish_epoch(begun, train_loss, watch)
    }

    fn steps(&mut self, batches: Receiver<Batch>, size: &AtomicUsize, watch: &mut dyn Watch) -> Result<f64, TrainError> {
        let (mut sum, mut count, mut refused, mut saved) = (0.0, 0.0, 0, Instant::now());
        let mut pace = (Instant::now(), 0_usize, 0.0_f64);
        while let Ok(batch) = batches.recv() {
            let spent = self.spent();
            if spent >= 1.0 {
                break;
            }
            size.store(self.options.size_at(spent), Ordering::Relaxed);
            let (step, value) = self.step(&batch, self.options.rate_at(spent))?;
            match step {
                Step::Taken => (sum, count, refused) = (sum + value, count + 1.0, 0),
                Step::Refused if refused >= REFUSED_MAX => {
                    return Err(TrainError::Run(format!("{REFUSED_MAX} gradients in a row were not finite: lower --rate")));
                }
                Step::Refused => refused += 1,
            }
            self.progress.films_seen += batch.films;
            self.progress.films_total += batch.films as u64;
            self.progress.size = batch.size;
            pace.1 += batch.films;
            if pace.0.elapsed().as_secs_f64() > 2.0 {
                pace = (Instant::now(), 0, pace.1 as f64 / pace.0.elapsed().as_secs_f64());
            }
            let (epoch, mean, side) = (self.progress.epoch, sum / f64::max(count, 1.0), batch.size);
            watch.step(spent, &format!("epoch {epoch}, loss {mean:.4}, {side} px, {:.0} films/s", pace.2));
            if saved.elapsed() > SNAPSHOT_EVERY {
                self.save("latest.pt")?;
                saved = Instant::now();
            }
        }
        Ok(sum / f64::max(count, 1.0))
    }

    fn step(&mut self, batch: &Batch, rate: f64) -> Result<(Step, f64), TrainError> {
        let (n, side, device) = (batch.films as i64, batch.size as i64, self.options.device);
        let findings = self.net.architecture.findings;
        let images = Tensor::from_slice(&batch.images).view([n, 1, side, side]).to_device(device);
        let targets = Tensor::from_slice(&batch.targets).view([n, findings]).to_device(device);
        let known = Tensor::from_slice(&batch.known).view([n, findings]).to_device(device);
        let logits = self.net.forward(&images, Mode::Train, self.options.precision)?.logits;
        let cost = loss(&logits, &targets, &known, &self.weights);
        cost.f_backward()?;
        let mut gradient = self.net.take_gradient();
        let mut params = self.net.params.shallow_clone();
        let step = tch::no_grad(|| self.adam.step(&mut params, &self.net.buffers, &mut gradient, rate));
        Ok((step, cost.double_value(&[])))
    }

    fn finish_epoch(&mut self, begun: Instant, train_loss: f64, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let spent = self.spent();
        let size = self.progress.size;
        let net = DenseNet::of(self.net.architecture.clone(), self.adam.average.copy(), self.adam.average_buffers.copy());
        let logits = predict(&net, self.study, &self.val, size, self.options.device, self.options.precision)?;
        let known = self.study.known(&self.val, &logits);
        let figures = Figures::of(&self.probabilities(&known));
        self.progress.val_auc = figures.mean_auc();
        let (val_loss, mean_auc) = (self.val_loss(&known), figures.mean_auc());
        let row = Epoch {
            epoch: self.progress.epoch,
            rate: self.options.rate_at(spent),
            train_loss,
            val_loss,
            seconds: begun.elapsed().as_secs_f64(),
            figures,
        };
        append(&self.study.config.snapshot_path.join("log.csv"), &row)?;
        watch.epoch(&format!(
            "epoch {}: train loss {train_loss:.4}, val loss {val_loss:.4}, mean val AUC {mean_auc:.4}, mean val F1 {:.4}, {size} px, {:.0} s, {:.0} % of the budget",
            row.epoch,
            row.figures.mean_f1(),
            row.seconds,
            100.0 * spent
        ));
        self.progress.epoch += 1;
        self.progress.films_seen = 0;
        if size == self.options.size && mean_auc >= self.best_auc {
            self.best_auc = mean_auc;
            self.save("best.pt")?;
        }
        self.save("latest.pt")
    }

    /// Plain sigmoid of each logit; nothing for a finding that is not trained.
    fn probabilities(&self, known: &[(Vec<f32>, Vec<bool>)]) -> Vec<(Vec<f32>, Vec<bool>)> {
        let sigmoid = |scores: &[f32]| scores.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
        let trained = known.iter().zip(&self.study.trained);
        trained.map(|((s, t), trained)| if *trained { (sigmoid(s), t.clone()) } else { (vec![], vec![]) }).collect()
    }

    /// Mean unweighted cross-entropy of the trained findings.
    fn val_loss(&self, known: &[(Vec<f32>, Vec<bool>)]) -> f64 {
        let trained = known.iter().zip(&self.study.trained).filter(|(_, t)| **t).map(|(k, _)| k);
        let (sum, count) = trained.flat_map(|(s, t)| s.iter().zip(t)).fold((0.0, 0.0), |(sum, count), (z, t)| {
            let z = f64::from(if *t { *z } else { -*z });
            (sum + (-z).max(0.0) + (-z.abs()).exp().ln_1p(), count + 1.0)
        });
        sum / count
    }

    fn save(&mut self, name: &str) -> Result<(), TrainError> {
        self.progress.seconds = self.seconds();
        self.progress.steps = self.adam.steps;
        save(&self.study.config.snapshot_path.join(name), &self.progress, &self.net, &self.adam)
    }
}

/// A network of its own, or one with the trunk of `--init`.
fn fresh(study: &Study, options: &Options) -> Result<(DenseNet, Progress), TrainError> {
    let mut net = DenseNet::random(options.architecture.clone(), options.device, options.seed as i64);
    let mut history = vec![];
    if let Some(path) = &options.init {
        let snapshot = Snapshot::load(path, options.device)?;
        let trunk = snapshot.averaged();
        let head = options.architecture.findings * (options.architecture.feature_channels() + 1);
        let other = trunk.architecture.findings * (trunk.architecture.feature_channels() + 1);
        let (own, theirs) = (net.params.size1()? - head, trunk.params.size1()? - other);
        if own != theirs || net.buffers.size() != trunk.buffers.size() {
            return Err(TrainError::content(path, "the snapshot's network has another trunk"));
        }
        tch::no_grad(|| {
            net.params.narrow(0, 0, own).copy_(&trunk.params.narrow(0, 0, own));
            net.buffers.copy_(&trunk.buffers);
        });
        history = snapshot.progress.history.clone();
        history.push(snapshot.progress.stage());
    }
    let biases = Tensor::from_slice(&study.start_biases()).to_device(options.device);
    tch::no_grad(|| net.get("classifier.bias").map(|b| b.shallow_clone().copy_(&biases)))?;
    let progress = Progress {
        architecture: options.architecture.clone(),
        label_set: study.set.name.clone(),
        epoch: 0,
        films_seen: 0,
        seed: options.seed,
        steps: 0,
        seconds: 0.0,
        films_total: 0,
        size: options.size_at(0.0),
        val_auc: f64::NAN,
        history,
    };
    Ok((net, progress))
}

fn check_same_run(progress: &Progress, study: &Study, options: &Options, path: &std::path::Path) -> Result<(), TrainError> {
    if progress.label_set != study.set.name || progress.architecture != options.architecture || progress.seed != options.seed {
        let what = format!(
            "the snapshot is of {} with seed {}, this run is {} with seed {}: name another snapshot_path or move it away",
            progress.label_set, progress.seed, study.set.name, options.seed
        );
        return Err(TrainError::content(path, what));
    }
    Ok(())
}

/// Makes the batches of an epoch until they are all made or nobody takes them. A last batch of one film is
/// left out: it has no statistics.
fn make_batches(study: &Study, order: &[usize], batch: usize, name: [u64; 2], size: &AtomicUsize, to: SyncSender<Batch>) {
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
