//! `chexbox train`: trains a model; `chexbox train export` writes one as a bundle.

use chexbox::train::TrainError;
use chexbox::train::architecture::Architecture;
use chexbox::train::bundle::{Exported, Request, export};
use chexbox::train::densenet::Precision;
use chexbox::train::fit::{Watch, fit};
use chexbox::train::label_set::LabelSet;
use chexbox::train::schedule::Options;
use chexbox::train::smoke::smoke;
use chexbox::train::snapshot::Snapshot;
use chexbox::train::study::Study;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
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
    let study = read(&args.source)?;
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
    };
    let end = fit(&study, &options, &mut Bar::new())?;
    println!("{}", end.stage());
    Ok(())
}

fn read(source: &Source) -> Result<Study, TrainError> {
    let labels = source.labels.clone().unwrap_or_else(|| LabelSet::beside(&source.config));
    let bar = ProgressBar::new_spinner();
    let study = Study::read(&source.config, &labels, DETAIL, |n| bar.set_message(format!("{n} films read")))?;
    bar.finish_and_clear();
    let trained: Vec<&str> =
        study.set.findings.iter().zip(&study.trained).filter(|(_, t)| **t).map(|(f, _)| f.id.as_str()).collect();
    println!("{} films; {} smaller than {DETAIL} px left out", study.films.records.len(), study.films.too_small);
    println!("{} of {} findings have labels: {}", trained.len(), study.set.findings.len(), trained.join(", "));
    Ok(study)
}

fn run_export(args: &ExportArgs) -> Result<(), TrainError> {
    let study = read(&args.source)?;
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
    println!(
        "{}: {trained} of {} heads trained, mean AUC {:.4} on test; {} bytes",
        out.display(),
        exported.heads.len(),
        exported.test_auc,
        exported.bytes
    );
    let c = &exported.cost;
    println!(
        "int8 against f32 on {} films of val: mean AUC {:.4} and {:.4}, {:.2} % of calls agree, heat maps correlate {:.4} (5th percentile {:.4})",
        c.films,
        c.auc_int8,
        c.auc_f32,
        c.calls_agree * 100.0,
        c.heat_maps_correlate,
        c.heat_maps_correlate_p5
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
    fn step(&mut self, spent: f64, line: &str) {
        self.bar.set_position((spent.clamp(0.0, 1.0) * 1000.0) as u64);
        self.bar.set_message(line.to_owned());
        if self.bar.is_hidden() && self.said.elapsed().as_secs() >= LINE_EVERY_S {
            println!("{:.1} %: {line}", spent * 100.0);
            self.said = Instant::now();
        }
    }

    fn epoch(&mut self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }
}
