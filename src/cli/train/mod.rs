//! `chexbox train`: trains a model; `chexbox train export` writes one as a bundle; `chexbox folds` splits films into folds.

mod bar;
mod device;
mod folds;
mod recipe;

pub use folds::{FoldsArgs, run as run_folds};

use bar::Bar;
use chexbox::labels::BoxColumn;
use chexbox::stats::Rule;
use chexbox::train::TrainError;
use chexbox::train::bundle::{Bars, Exported, Request, export};
use chexbox::train::ensemble::{self, Mean};
use chexbox::train::fit::fit;
use chexbox::train::label_set::LabelSet;
use chexbox::train::schedule::Options;
use chexbox::train::selection::Selection;
use chexbox::train::smoke::smoke;
use chexbox::train::snapshot::Snapshot;
use chexbox::train::study::Study;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use recipe::Recipe;
use std::path::{Path, PathBuf};
use tch::Device;

/// Trains a model on the films that a config file names; started again, it goes on.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TrainArgs {
    #[command(subcommand)]
    step: Option<TrainStep>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    recipe: Recipe,
    /// Where k_fold_path holds folds: the fold that thresholds are chosen on, or all, one run a fold and their ensemble
    #[arg(long, value_name = "N|all")]
    fold: Option<Fold>,
    /// What the networks of all folds are averaged as
    #[arg(long, value_enum, default_value_t = Averaged::Probability)]
    ensemble: Averaged,
    /// Weights to start from, whose trunk is taken: a snapshot, the folder of a bundle or an .onnx file that this program wrote,
    /// or a torchvision DenseNet of this shape as .safetensors or .pth
    #[arg(long, value_name = "PATH")]
    init: Option<PathBuf>,
    /// Where to compute: cpu, cuda:0, or several with commas between, which share every batch
    #[arg(long, default_value = "cpu", value_name = "DEVICES")]
    device: String,
    /// Threads of the processor [default: all cores]
    #[arg(long)]
    threads: Option<i32>,
    /// Train a tiny network on drawn films, interrupt it, go on and export into DIR: checks the machinery in seconds
    #[arg(long, value_name = "DIR")]
    smoke: Option<PathBuf>,
}

/// What a run learns from.
#[derive(Debug, Args)]
pub struct Source {
    /// Config file with the five paths
    #[arg(long, default_value = "configs/path_configs_25.json")]
    config: PathBuf,
    /// Label set [default: labels_X.toml beside path_configs_X.json]
    #[arg(long)]
    labels: Option<PathBuf>,
    /// How it learns [default: recipe_X.toml beside path_configs_X.json, where there is one]; a flag goes before it
    #[arg(long, value_name = "TOML")]
    recipe_file: Option<PathBuf>,
}

impl Source {
    fn labels(&self) -> PathBuf {
        self.labels.clone().unwrap_or_else(|| LabelSet::beside(&self.config))
    }
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
    /// Fold, where k_fold_path holds folds
    #[arg(long)]
    fold: Option<usize>,
    /// Snapshot [default: best.pt of the config's snapshot_path]
    #[arg(long)]
    snapshot: Option<PathBuf>,
    /// Version the manifest carries
    #[arg(long, default_value = "0.1.0")]
    model_version: String,
    /// Fewest positives in the test part with which a head counts as trained; the interval of its AUC must be above 0.55 too, and
    /// above 0.5 among films with a finding
    #[arg(long, default_value_t = 10)]
    positives_min: u16,
    /// How operating points are chosen on val: best-f1, youden, sensitivity=0.9 or specificity=0.9
    #[arg(long, value_name = "RULE", default_value = "best-f1")]
    choose: Rule,
    /// Judge heat maps for the card by the boxes of this column; LABEL where they do not name the finding; repeatable
    #[arg(long, value_name = "COLUMN[=LABEL]")]
    boxes: Vec<BoxColumn>,
    /// Folder of the bundle
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Which fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    One(usize),
    All,
}

impl std::str::FromStr for Fold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            number => number.parse().map(Self::One).map_err(|_| "allowed are a fold's number and all".into()),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Averaged {
    Probability,
    Logit,
}

/// Runs the verb.
///
/// # Errors
/// A sentence for people.
pub fn run(args: &TrainArgs) -> Result<(), String> {
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads.max(1));
    }
    match &args.step {
        Some(TrainStep::Export(export)) => run_export(export),
        None => args.smoke.as_deref().map_or_else(|| train(args), |folder| run_smoke(folder).map_err(|e| e.to_string())),
    }
}

/// The recipe of the flags, and where they say nothing of the file.
fn with_recipe(source: &Source, flags: Recipe) -> Result<Recipe, String> {
    let beside = Recipe::beside(&source.config);
    match &source.recipe_file {
        Some(path) => Ok(flags.or(Recipe::read(path)?)),
        None if beside.is_file() => Ok(flags.or(Recipe::read(&beside)?)),
        None => Ok(flags),
    }
}

fn train(args: &TrainArgs) -> Result<(), String> {
    let devices = device::devices(&args.device)?;
    let recipe = with_recipe(&args.source, args.recipe.clone())?;
    let first = match args.fold {
        Some(Fold::One(fold)) => Some(fold),
        Some(Fold::All) => Some(0),
        None => None,
    };
    let selection = recipe.selection(first)?;
    let mut study = read(&args.source, &selection).map_err(|e| e.to_string())?;
    let options = recipe.options(study.set.findings.len(), devices, args.init.clone())?;
    let done = match args.fold {
        Some(Fold::All) => train_all(&mut study, &options, args.ensemble),
        _ => fit(&study, &options, &mut Bar::new()).map(|end| println!("{}", end.stage())),
    };
    done.map_err(|e| e.to_string())
}

fn train_all(study: &mut Study, options: &Options, averaged: Averaged) -> Result<(), TrainError> {
    for fold in 0..study.folds {
        study.take_fold(fold)?;
        let end = fit(study, options, &mut Bar::new())?;
        println!("fold {fold} of {}: {}", study.folds, end.stage());
    }
    let mean = match averaged {
        Averaged::Probability => Mean::OfProbabilities,
        Averaged::Logit => Mean::OfLogits,
    };
    for line in ensemble::evaluate(study, mean, options)? {
        println!("{line}");
    }
    Ok(())
}

fn read(source: &Source, selection: &Selection) -> Result<Study, TrainError> {
    let bar = ProgressBar::new_spinner();
    let study = Study::read(&source.config, &source.labels(), selection, |n| bar.set_message(format!("{n} films read")))?;
    bar.finish_and_clear();
    let trained: Vec<&str> =
        study.set.findings.iter().zip(&study.trained).filter(|(_, t)| **t).map(|(f, _)| f.id.as_str()).collect();
    println!(
        "{} films; left out: {} smaller than {} px, {} of patients under {} years, {} laterals; {} smaller ones learnt from",
        study.films.records.len(),
        study.films.too_small,
        selection.detail,
        study.too_young,
        selection.minimum_age,
        study.laterals,
        study.films.small()
    );
    for (i, origin) in study.origins.iter().enumerate().skip(1) {
        println!("{}: {} films", origin.name, study.films.records.iter().filter(|f| f.origin == i).count());
    }
    if selection.soft.is_some() {
        println!("{} films have soft labels", study.targets.softened);
    }
    if !study.targets.auxiliary.is_empty() {
        println!("auxiliary heads: {}", study.targets.auxiliary.join(", "));
    }
    println!("{} of {} findings have labels: {}", trained.len(), study.set.findings.len(), trained.join(", "));
    Ok(study)
}

fn run_export(args: &ExportArgs) -> Result<(), String> {
    let recipe = Recipe { auxiliary_weight: Some(0.0), ..Recipe::default() };
    let recipe = Recipe { soft_labels: None, smaller_films: None, ..with_recipe(&args.source, recipe)? };
    let selection = recipe.selection(args.fold)?;
    write_bundle(args, &selection).map_err(|e| e.to_string())
}

fn write_bundle(args: &ExportArgs, selection: &Selection) -> Result<(), TrainError> {
    let study = read(&args.source, selection)?;
    let folder = &study.config.snapshot_path;
    let path = args.snapshot.clone().unwrap_or_else(|| folder.join("best.pt"));
    let snapshot = Snapshot::load(&path, Device::Cpu)?;
    let check = folder.join("check");
    let request = Request {
        version: &args.model_version,
        bars: Bars::Keep,
        boxes: &args.boxes,
        positives_min: args.positives_min.into(),
        rule: args.choose,
        out: &args.out,
        check: &check,
    };
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
