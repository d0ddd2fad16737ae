//! The training loop.
//!
//! In: a [`Study`] and [`Options`]. Out: snapshots in the config's `snapshot_path` (`latest.pt`, where a run
//! started again goes on; `best.pt`, the averaged weights with the highest mean AUC on val at the
//! final size), `log.csv` and at the end `page.html`. The schedule (small films first, warm-up, cosine) runs on the share of the
//! budget that is spent, in epochs or in minutes, whichever is further.

use super::TrainError;
use super::batches::{Batch, Loader, Making, predict};
use super::beginning::{check_same_run, fresh, how};
use super::data::Part;
use super::densenet::DenseNet;
use super::log::{Epoch, Figures, append};
use super::optimiser::{Optimiser, Step};
use super::order::order;
use super::page;
use super::replicas::Replicas;
use super::schedule::Options;
use super::snapshot::{Progress, Snapshot, save};
use super::study::Study;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// Time between snapshots within an epoch.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(180);
/// Gradients refused in a row after which the run stops.
const REFUSED_MAX: usize = 20;

/// What a run says about itself while it runs.
pub trait Watch {
    /// After each step: share of the budget spent and a line for people. A run that is told to break keeps a snapshot.
    fn step(&mut self, spent: f64, line: &str) -> ControlFlow<()>;
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
    while run.spent() < 1.0 && !run.patience_is_over() {
        if run.epoch(watch)?.is_break() {
            break;
        }
    }
    if !run.on_val.is_empty() {
        page::write(study, (&run.progress.stage(), &run.progress.stage_zh(&how(study, options).1)), &run.on_val)?;
    }
    Ok(run.progress)
}

struct Run<'a> {
    study: &'a Study,
    options: &'a Options,
    replicas: Replicas,
    adam: Optimiser,
    progress: Progress,
    train: Vec<usize>,
    val: Vec<usize>,
    positives: Tensor,
    repeats: Vec<f32>,
    order: Vec<usize>,
    best_auc: Option<f64>,
    /// Probabilities and truths on val of the last epoch; empty before it.
    on_val: Vec<(Vec<f32>, Vec<bool>)>,
    started: Instant,
    seconds_before: f64,
}

impl<'a> Run<'a> {
    fn begin(study: &'a Study, options: &'a Options) -> Result<Self, TrainError> {
        let folder = &study.config.snapshot_path;
        let latest = folder.join("latest.pt");
        let (net, progress, snapshot) = if latest.exists() {
            let snapshot = Snapshot::load(&latest, options.device())?;
            check_same_run(&snapshot.progress, study, options, &latest)?;
            (snapshot.net(), snapshot.progress.clone(), Some(snapshot))
        } else {
            let (net, progress) = fresh(study, options)?;
            (net, progress, None)
        };
        let mut adam = Optimiser::new(&net.params, &net.buffers, net.kinds(), options.habits);
        if let Some(snapshot) = &snapshot {
            snapshot.restore(&mut adam);
        }
        let best = folder.join("best.pt");
        let best_auc = if best.exists() { Snapshot::load(&best, Device::Cpu)?.progress.val_auc } else { None };
        let mut run = Self {
            positives: Tensor::from_slice(&study.positive_weights(options.imbalance)).to_device(options.device()),
            repeats: study.repeats(options.imbalance),
            order: vec![],
            train: study.films.of(Part::Train),
            val: study.films.of(Part::Val),
            seconds_before: progress.seconds,
            started: Instant::now(),
            study,
            options,
            replicas: Replicas::new(net, &options.devices),
            adam,
            progress,
            best_auc,
            on_val: vec![],
        };
        run.order = run.order_of_epoch();
        Ok(run)
    }

    /// The films of the epoch under way; they follow from the seed and its number.
    fn order_of_epoch(&self) -> Vec<usize> {
        order(&self.train, &self.repeats, [self.progress.seed, self.progress.epoch as u64])
    }

    fn patience_is_over(&self) -> bool {
        self.options.patience > 0 && self.progress.since_best >= self.options.patience
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn spent(&self) -> f64 {
        self.options.spent(&self.progress, self.order.len(), self.seconds())
    }

    /// One pass over the train films, or what the budget leaves of it; then val, log and snapshot.
    fn epoch(&mut self, watch: &mut dyn Watch) -> Result<ControlFlow<()>, TrainError> {
        let begun = Instant::now();
        let (options, name) = (self.options, [self.progress.seed, self.progress.epoch as u64]);
        let (epoch, seen, films) = (self.progress.epoch, self.progress.films_seen, self.order.len());
        let (started, seconds_before) = (self.started, self.seconds_before);
        let size = |seen: usize| {
            let seconds = seconds_before + started.elapsed().as_secs_f64();
            options.size_at(options.spent_at(epoch, seen as f64 / films.max(1) as f64, seconds))
        };
        let order = self.order.iter().skip(seen).copied().collect();
        let making = Making { study: self.study, order, seen, batch: options.batch, name, flip: options.flip, size: &size };
        let (end, waiting) = std::thread::scope(|scope| {
            let mut loader = Loader::start(scope, &making, options.loaders);
            let end = self.steps(&mut loader, watch)?;
            Ok::<_, TrainError>((end, loader.waiting()))
        })?;
        if end.is_break() {
            self.save("latest.pt")?;
            return Ok(end);
        }
        self.finish_epoch(begun, waiting, watch)?;
        Ok(end)
    }

    fn steps(&mut self, loader: &mut Loader, watch: &mut dyn Watch) -> Result<ControlFlow<()>, TrainError> {
        let (mut refused, mut saved) = (0, Instant::now());
        let mut pace = (Instant::now(), 0_usize, 0.0_f64);
        while let Some(batch) = loader.next() {
            let spent = self.spent();
            if spent >= 1.0 {
                break;
            }
            if batch.size != self.progress.size {
                self.adam.restart_average();
            }
            let (step, value) = self.step(&batch, self.options.rate_at(spent))?;
            match step {
                Step::Taken => {
                    refused = 0;
                    self.progress.losses.0 += value;
                    self.progress.losses.1 += 1.0;
                }
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
            let (epoch, mean, side) = (self.progress.epoch, self.train_loss(), batch.size);
            let waiting = 100.0 * loader.waiting();
            let line =
                format!("epoch {epoch}, loss {mean:.4}, {side} px, {:.1} films/s, {waiting:.0} % waiting for data", pace.2);
            if watch.step(spent, &line).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if saved.elapsed() > SNAPSHOT_EVERY {
                self.save("latest.pt")?;
                saved = Instant::now();
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Mean loss of the findings in this epoch so far.
    fn train_loss(&self) -> f64 {
        self.progress.losses.0 / self.progress.losses.1.max(1.0)
    }

    /// One step; the loss of the findings, without that of the auxiliary heads.
    fn step(&mut self, batch: &Batch, rate: f64) -> Result<(Step, f64), TrainError> {
        let (mut gradient, loss) = self.replicas.gradient(batch, &self.positives, self.options)?;
        let net = self.replicas.first();
        let mut params = net.params.shallow_clone();
        let step = tch::no_grad(|| self.adam.step(&mut params, &net.buffers, &mut gradient, rate));
        self.replicas.agree();
        Ok((step, loss))
    }

    fn finish_epoch(&mut self, begun: Instant, waiting: f64, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let (spent, train_loss) = (self.spent(), self.train_loss());
        let size = self.progress.size;
        let net =
            DenseNet::of(self.replicas.first().architecture.clone(), self.adam.average.copy(), self.adam.average_buffers.copy());
        let logits = predict(&net, self.study, &self.val, size, self.options.device(), self.options.precision)?;
        let known = self.study.known(&self.val, &logits);
        self.on_val = self.study.probabilities(&known);
        let figures = Figures::of(&self.on_val);
        self.progress.val_auc = Some(figures.mean_auc()).filter(|a| a.is_finite());
        let (val_loss, mean_auc) = (self.study.loss(&known), figures.mean_auc());
        let row = Epoch {
            name: self.progress.epoch.to_string(),
            rate: self.options.rate_at(spent),
            train_loss,
            val_loss,
            seconds: begun.elapsed().as_secs_f64(),
            figures,
        };
        append(&self.study.config.snapshot_path.join("log.csv"), &row)?;
        watch.epoch(&format!(
            "epoch {}: train loss {train_loss:.4}, val loss {val_loss:.4}, mean val AUC {mean_auc:.4}, mean val F1 {:.4}, \
             {size} px, {:.0} s, {:.0} % of them waiting for data, {:.0} % of the budget",
            row.name,
            row.figures.mean_f1(),
            row.seconds,
            100.0 * waiting,
            100.0 * spent
        ));
        self.progress.epoch += 1;
        self.progress.films_seen = 0;
        self.progress.losses = (0.0, 0.0);
        self.order = self.order_of_epoch();
        if size == self.options.size {
            self.progress.since_best = if self.progress.val_auc > self.best_auc { 0 } else { self.progress.since_best + 1 };
            if self.progress.val_auc >= self.best_auc {
                self.best_auc = self.progress.val_auc;
                self.save("best.pt")?;
            }
        }
        self.save("latest.pt")
    }

    fn save(&mut self, name: &str) -> Result<(), TrainError> {
        self.progress.seconds = self.seconds();
        self.progress.steps = self.adam.steps;
        self.progress.average_age = self.adam.age;
        save(&self.study.config.snapshot_path.join(name), &self.progress, self.replicas.first(), &self.adam)
    }
}

#[cfg(test)]
mod tests {
    use super::super::architecture::Architecture;
    use super::super::augment::Flip;
    use super::super::objective::Imbalance;
    use super::super::optimiser::{Habits, Rule};
    use super::super::smoke;
    use super::*;
    use std::path::Path;

    /// Breaks off after so many steps.
    struct Until(usize);

    impl Watch for Until {
        fn step(&mut self, _: f64, _: &str) -> ControlFlow<()> {
            self.0 -= 1;
            if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn epoch(&mut self, _: &str) {}
    }

    fn options() -> Options {
        Options {
            epochs: Some(3),
            size: smoke::SIDE,
            first_size: smoke::SIDE / 2,
            batch: 16,
            rate: 1e-2,
            flip: Flip::Half,
            loaders: 2,
            ..Options::of(Architecture::tiny(2))
        }
    }

    /// The log without its clock.
    fn log(folder: &Path) -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_path(folder.join("log.csv")).unwrap();
        let fields = |r: csv::StringRecord| r.iter().enumerate().filter(|(i, _)| *i != 4).map(|(_, f)| f.to_owned()).collect();
        reader.records().map(|r| fields(r.unwrap())).collect()
    }

    /// Runs that differ in what is done about rare findings, the rule of the optimiser and the number of replicas.
    fn all_options() -> [Options; 3] {
        let sgd = Habits { rule: Rule::Sgd { momentum: 0.9, nesterov: true }, ..Habits::default() };
        [
            options(),
            Options { habits: sgd, imbalance: Imbalance::Focal { gamma: 2.0 }, accumulate: 2, patience: 9, ..options() },
            Options { devices: vec![Device::Cpu; 2], imbalance: Imbalance::Sampled { most: 3.0 }, ..options() },
        ]
    }

    #[test]
    fn a_run_without_improvement_ends_when_its_patience_is_over() {
        tch::set_num_threads(1);
        let folder = std::env::temp_dir().join(format!("chexbox-patience-{}", std::process::id()));
        let study = smoke::study(&folder, "patience", 2).unwrap();
        let slow = Options { rate: 0.0, first_share: 0.0, epochs: Some(9), patience: 2, ..options() };
        let end = fit(&study, &slow, &mut Until(usize::MAX)).unwrap();
        assert!(end.epoch < 9 && end.since_best == 2, "{end:?}");
        assert_eq!(fit(&study, &slow, &mut Until(usize::MAX)).unwrap().epoch, end.epoch, "started again, it stays ended");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_run_that_was_broken_off_twice_gives_the_numbers_of_an_unbroken_one() {
        tch::set_num_threads(1);
        for (i, options) in all_options().iter().enumerate() {
            let folder = std::env::temp_dir().join(format!("chexbox-resume-{i}-{}", std::process::id()));
            let whole = smoke::study(&folder, "whole", 2).unwrap();
            fit(&whole, options, &mut Until(usize::MAX)).unwrap();
            let broken = smoke::study(&folder, "broken", 2).unwrap();
            for (steps, epoch) in [(4, 0), (10, 1), (usize::MAX, 3)] {
                let end = fit(&broken, options, &mut Until(steps)).unwrap();
                assert_eq!(end.epoch, epoch);
            }
            let [a, b] =
                [&whole, &broken].map(|s| Snapshot::load(&s.config.snapshot_path.join("latest.pt"), Device::Cpu).unwrap());
            assert_eq!((a.progress.steps, a.progress.films_total), (b.progress.steps, b.progress.films_total));
            assert_eq!(a.net().params, b.net().params);
            assert_eq!(a.net().buffers, b.net().buffers);
            assert_eq!(a.averaged().params, b.averaged().params);
            assert_eq!(log(&whole.config.snapshot_path), log(&broken.config.snapshot_path));
            assert_eq!(log(&whole.config.snapshot_path).len(), 3);
            let page = std::fs::read_to_string(whole.config.snapshot_path.join("page.html")).unwrap();
            assert!(
                page.contains("ROC, AUC") && !page.contains("http://") && !page.contains("https://") && !page.contains("<script")
            );
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}
