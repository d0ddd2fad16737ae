//! The training loop.
//!
//! In: a [`Study`] and [`Options`]. Out: snapshots in the config's `snapshot_path` (`latest.pt`, where a run
//! started again goes on; `best.pt`, the averaged weights with the highest mean AUC on val at the
//! final size) and `log.csv`. The schedule (small films first, warm-up, cosine) runs on the share of the
//! budget that is spent, in epochs or in minutes, whichever is further.

use super::TrainError;
use super::batches::{Batch, make_batches, predict};
use super::data::Part;
use super::densenet::{DenseNet, Mode};
use super::log::{Epoch, Figures, append};
use super::optimiser::{AdamW, Step, loss};
use super::random::Random;
use super::schedule::Options;
use super::snapshot::{Progress, Snapshot, save};
use super::study::Study;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// Decoupled weight decay.
const WEIGHT_DECAY: f64 = 0.05;
/// Time between snapshots within an epoch.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(180);
/// Batches made ahead.
const AHEAD: usize = 4;
/// Gradients refused in a row after which the run stops.
const REFUSED_MAX: usize = 20;

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
    best_auc: Option<f64>,
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
        let best_auc = if best.exists() { Snapshot::load(&best, Device::Cpu)?.progress.val_auc } else { None };
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
            if batch.size != self.progress.size {
                self.adam.restart_average();
            }
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
        self.progress.val_auc = Some(figures.mean_auc()).filter(|a| a.is_finite());
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
            "epoch {}: train loss {train_loss:.4}, val loss {val_loss:.4}, mean val AUC {mean_auc:.4}, mean val F1 {:.4}, \
             {size} px, {:.0} s, {:.0} % of the budget",
            row.epoch,
            row.figures.mean_f1(),
            row.seconds,
            100.0 * spent
        ));
        self.progress.epoch += 1;
        self.progress.films_seen = 0;
        if size == self.options.size && self.progress.val_auc >= self.best_auc {
            self.best_auc = self.progress.val_auc;
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
    let mut net = DenseNet::random(options.architecture.clone(), options.device, options.seed);
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
    let start = Progress::begin(options.architecture.clone(), &study.set.name, options.seed, options.size_at(0.0));
    Ok((net, Progress { history, ..start }))
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
