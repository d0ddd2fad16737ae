//! `chexbox train`: trains a model; `chexbox train export` writes one as a bundle.

use chexbox::train::TrainError;
use chexbox::train::architecture::Architecture;
use chexbox::train::augment::Flip;
use chexbox::train::bundle::{Exported, Request, export};
use chexbox::train::densenet::Precision;
use chexbox::train::films::Smaller;
use chexbox::train::fit::{Watch, fit};
use chexbox::train::label_set::LabelSet;
use chexbox::train::schedule::Options;
use chexbox::train::smoke::smoke;
use chexbox::train::snapshot::Snapshot;
use chexbox::train::study::{Selection, Study};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::Device;

/// Side that films are reduced to before anything else, pixels: that of the public pool.
const DETAIL: usize = 128;
/// Budget where neither epochs nor minutes are given.
const EPOCHS: usize = 20;
/// Time between lines where there is no terminal for a bar.
const LINE_EVERY_S: u64 = 30;

/// Trains a model on the films that a config file names; started again, it goes on.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TrainArgs {
    #[command(subcommand)]
    step: Option<TrainStep>,
    #[command(flatten)]
    source: Source,
    /// Budget in epochs [default: 20 where --minutes is not given]
    #[arg(long)]
    epochs: Option<usize>,
    /// Budget in minutes of wall time, interruptions not counted; the schedule ends with it
    #[arg(long)]
    minutes: Option<f64>,
    /// Side of the network's input, pixels
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(32..=2048))]
    size: u16,
    /// Side in the first phase, pixels
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(32..=2048))]
    first_size: u16,
    /// Share of the budget that the first phase takes
    #[arg(long, default_value_t = 0.5)]
    first_share: f64,
    /// Films of a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(2..=4096))]
    batch: u16,
    /// Peak learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<i32>,
    /// Snapshot whose trunk the run starts from
    #[arg(long, value_name = "SNAPSHOT")]
    init: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = On::Cpu)]
    device: On,
    /// What convolutions compute in; f32 is faster on processors without matrix tiles
    #[arg(long, value_enum, default_value_t = In::F32)]
    precision: In,
    /// A teacher's probabilities: a CSV with the column file and one for each finding (id, variable or public label)
    #[arg(long, value_name = "CSV")]
    soft_labels: Option<PathBuf>,
    /// Share of the loss that the soft labels have, where a film has some; the rest is that of its own labels
    #[arg(long, default_value_t = 0.7, value_parser = share)]
    soft_share: f32,
    /// Factor on the loss of the auxiliary heads (sex, view, age, public labels that are no finding of the set); 0: no such heads
    #[arg(long, default_value_t = 0.3)]
    auxiliary_weight: f64,
    /// Leave out films of patients known to be younger, years; 0: none
    #[arg(long, default_value_t = 16.0)]
    minimum_age: f64,
    /// Films stored smaller than the side that all are reduced to
    #[arg(long, value_enum, default_value_t = Small::LeaveOut)]
    smaller_films: Small,
    /// Share of the sharp films that is blurred like the smaller ones, with --smaller-films blur
    #[arg(long, default_value_t = 0.3, value_parser = share)]
    blur_share: f32,
    /// Mirror every second film; only where no label depends on the side of the body
    #[arg(long)]
    flip: bool,
    /// Threads that make batches ahead
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    loaders: u8,
    /// Train a tiny network on drawn films, interrupt it, go on and export into DIR: checks the machinery in seconds
    #[arg(long, value_name = "DIR")]
    smoke: Option<PathBuf>,
}

/// What a run learns from.
#[derive(Debug, Args)]
struct Source {
    /// Config file with the five paths
    #[arg(long, default_value = "configs/path_configs_25.json")]
    config: PathBuf,
    /// Label set [default: labels_X.toml beside path_configs_X.json]
    #[arg(long)]
    labels: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum TrainStep {
    /// Evaluates a trained network on the test part, quantizes it and writes the bundle
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct ExportArgs {
    #[command(flatten)]
    source: Source,
    /// Snapshot [default: best.pt of the config's snapshot_path]
    #[arg(long)]
    snapshot: Option<PathBuf>,
    /// Version the manifest carries
    #[arg(long, default_value = "0.1.0")]
    model_version: String,
    /// Fewest positives in the test part with which a head counts as trained
    #[arg(long, default_value_t = 20)]
    positives_min: u16,
    /// Folder of the bundle
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum On {
    Cpu,
    Cuda,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Small {
    /// Not learnt from: enlarged, they would be less sharp, and sharpness would tell where a film came from
    LeaveOut,
    /// Learnt from; as many sharp films as --blur-share says are blurred the same way
    Blur,
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|v| (0.0..=1.0).contains(v)).ok_or_else(|| "allowed are 0 to 1".into())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum In {
    F32,
    Bf16,
}

/// Runs the verb.
///
/// # Errors
/// A sentence for people.
pub fn run(args: TrainArgs) -> Result<(), String> {
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads.max(1));
    }
    let done = match &args.step {
        Some(TrainStep::Export(export)) => run_export(export),
        None => args.smoke.as_deref().map_or_else(|| train(&args), run_smoke),
    };
    done.map_err(|e| e.to_string())
}

fn train(args: &TrainArgs) -> Result<(), TrainError> {
    let study = read(&args.source, &args.selection())?;
    let options = Options {
        architecture: Architecture::densenet121(study.set.findings.len()),
        epochs: args.epochs.or(args.minutes.is_none().then_some(EPOCHS)),
        minutes: args.minutes,
        size: args.size.into(),
        first_size: args.first_size.into(),
        first_share: args.first_share,
        batch: args.batch.into(),
        rate: args.rate,
        seed: args.seed,
        init: args.init.clone(),
        device: match args.device {
            On::Cpu => Device::Cpu,
            On::Cuda => Device::Cuda(0),
        },
        precision: match args.precision {
            In::F32 => Precision::F32,
            In::Bf16 => Precision::Bf16,
        },
        flip: if args.flip { Flip::Half } else { Flip::Never },
        auxiliary_weight: args.auxiliary_weight,
        loaders: args.loaders.into(),
    };
    let end = fit(&study, &options, &mut Bar::new())?;
    println!("{}", end.stage());
    Ok(())
}

impl TrainArgs {
    fn selection(&self) -> Selection {
        Selection {
            minimum_age: self.minimum_age,
            smaller: match self.smaller_films {
                Small::LeaveOut => Smaller::LeaveOut,
                Small::Blur => Smaller::Blur { share: self.blur_share },
            },
            auxiliary: self.auxiliary_weight > 0.0,
            soft: self.soft_labels.clone().map(|path| (path, self.soft_share)),
            ..Selection::plain(DETAIL)
        }
    }
}

fn read(source: &Source, selection: &Selection) -> Result<Study, TrainError> {
    let labels = source.labels.clone().unwrap_or_else(|| LabelSet::beside(&source.config));
    let bar = ProgressBar::new_spinner();
    let study = Study::read(&source.config, &labels, selection, |n| bar.set_message(format!("{n} films read")))?;
    bar.finish_and_clear();
    let trained: Vec<&str> =
        study.set.findings.iter().zip(&study.trained).filter(|(_, t)| **t).map(|(f, _)| f.id.as_str()).collect();
    println!(
        "{} films; left out: {} smaller than {DETAIL} px, {} of patients under {} years; {} smaller ones learnt from",
        study.films.records.len(),
        study.films.too_small,
        study.too_young,
        selection.minimum_age,
        study.films.small()
    );
    if selection.soft.is_some() {
        println!("{} films have soft labels", study.targets.softened);
    }
    if !study.targets.auxiliary.is_empty() {
        println!("auxiliary heads: {}", study.targets.auxiliary.join(", "));
    }
    println!("{} of {} findings have labels: {}", trained.len(), study.set.findings.len(), trained.join(", "));
    Ok(study)
}

fn run_export(args: &ExportArgs) -> Result<(), TrainError> {
    let study = read(&args.source, &Selection::plain(DETAIL))?;
    let folder = &study.config.snapshot_path;
    let path = args.snapshot.clone().unwrap_or_else(|| folder.join("best.pt"));
    let snapshot = Snapshot::load(&path, Device::Cpu)?;
    let check = folder.join("check");
    let request =
        Request { version: &args.model_version, positives_min: args.positives_min.into(), out: &args.out, check: &check };
    let exported = export(&study, &snapshot, &request)?;
    say(&exported, &args.out);
    Ok(())
}

fn run_smoke(folder: &Path) -> Result<(), TrainError> {
    let exported = smoke(folder, &mut Bar::new())?;
    say(&exported, &folder.join("bundle"));
    Ok(())
}

fn say(exported: &Exported, out: &Path) {
    let trained = exported.heads.iter().filter(|h| h.operating.is_some()).count();
    let (plain, packed) = exported.val_auc;
    println!(
        "{}: {trained} of {} heads trained, mean AUC {:.4} on test; on val {plain:.4} in f32, {packed:.4} in int8; {} bytes",
        out.display(),
        exported.heads.len(),
        exported.test_auc,
        exported.bytes
    );
}

/// A progress bar, or a line now and then where there is no terminal.
struct Bar {
    bar: ProgressBar,
    said: Instant,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(1000);
        let style = ProgressStyle::with_template("{wide_bar} {percent} % {msg}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, said: Instant::now() }
    }
}

impl Watch for Bar {
    fn step(&mut self, spent: f64, line: &str) -> ControlFlow<()> {
        self.bar.set_position((spent.clamp(0.0, 1.0) * 1000.0) as u64);
        self.bar.set_message(line.to_owned());
        if self.bar.is_hidden() && self.said.elapsed().as_secs() >= LINE_EVERY_S {
            println!("{:.1} %: {line}", spent * 100.0);
            self.said = Instant::now();
        }
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }
}
