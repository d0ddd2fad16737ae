//! `chexbox folds`: splits the films of a config into k folds.

use super::recipe::Recipe;
use super::{Source, with_recipe};
use chexbox::train::TrainError;
use chexbox::train::data::{Part, Truth};
use chexbox::train::folds::write_folds;
use chexbox::train::label_set::{LabelSet, PathConfig};
use chexbox::train::stratify::split;
use chexbox::train::study::{check, labels_and_parts};
use clap::Args;

/// Writes k folds to the config's k_fold_path: no patient in two, every finding spread over all. The test part stays apart.
#[derive(Debug, Args)]
pub struct FoldsArgs {
    #[command(flatten)]
    source: Source,
    /// Number of folds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=chexbox::limits::FOLDS_MAX as i64))]
    folds: u8,
    /// Seed of the lots
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Replace the file at k_fold_path; runs that began with the old one will be refused
    #[arg(long)]
    replace: bool,
}

/// Runs the verb.
///
/// # Errors
/// A sentence for people.
pub fn run(args: &FoldsArgs) -> Result<(), String> {
    let recipe = with_recipe(&args.source, Recipe::default())?;
    let selection = recipe.selection(None)?;
    write(args, &selection).map_err(|e| e.to_string())
}

fn write(args: &FoldsArgs, selection: &chexbox::train::selection::Selection) -> Result<(), TrainError> {
    let config = PathConfig::read(&args.source.config)?;
    let path = &config.k_fold_path;
    if path.exists() && !args.replace {
        return Err(TrainError::content(path, "is there already: --replace writes another, or move it away"));
    }
    let set = LabelSet::read(&args.source.labels())?;
    let (origins, records, faults) = labels_and_parts(&config, &set, selection)?;
    check(&origins, faults)?;
    let folds = split(&records.films, set.findings.len(), args.folds.into(), args.seed);
    write_folds(&records.films, &folds, path)?;
    let count = |belongs: &dyn Fn(usize) -> bool| (0..folds.len()).filter(|&i| belongs(i)).count();
    println!("{}: {} films, {} of the test part", path.display(), folds.len(), count(&|i| records.films[i].part == Part::Test));
    for k in 0..usize::from(args.folds) {
        let positives = |f: usize| count(&|i| folds[i] == Some(k) && records.films[i].truths[f] == Truth::Positive);
        let with = (0..set.findings.len()).filter(|&f| !records.columns[f].is_empty());
        let list: Vec<String> = with.map(|f| format!("{} {}", set.findings[f].id, positives(f))).collect();
        println!("fold {k}: {} films; {}", count(&|i| folds[i] == Some(k)), list.join(", "));
    }
    Ok(())
}
