//! Where a run begins: at random weights, at the trunk of `--init`, or at a snapshot of the same run; and what its card says.

use super::TrainError;
use super::augment::Flip;
use super::batches::plain;
use super::data::Part;
use super::densenet::{DenseNet, Precision};
use super::films::Smaller;
use super::init;
use super::objective::Imbalance;
use super::schedule::Options;
use super::snapshot::Progress;
use super::study::Study;
use std::path::Path;
use tch::Tensor;

/// A network of its own, or one with the trunk of `--init`.
///
/// # Errors
/// [`TrainError`] where the weights to start from cannot be used.
pub(super) fn fresh(study: &Study, options: &Options) -> Result<(DenseNet, Progress), TrainError> {
    let start = Progress::begin(options.architecture.clone(), &study.set.name, options.seed, options.size_at(0.0));
    let mut start = Progress { auxiliary: study.targets.auxiliary.clone(), how: how(study, options), ..start };
    let net = DenseNet::random(start.network(), options.device(), options.seed);
    if let Some(path) = &options.init {
        let size = options.size_at(0.0);
        let films = || {
            let train = study.films.of(Part::Train);
            let some = train.iter().step_by((train.len() / init::settled_on(size)).max(1)).take(init::settled_on(size));
            plain(study, &some.copied().collect::<Vec<_>>(), size, options.device())
        };
        start.history = init::start_from(&net, path, &films)?;
    }
    let biases = Tensor::from_slice(&study.start_biases(options.imbalance)).to_device(options.device());
    tch::no_grad(|| net.get("classifier.bias").map(|b| b.shallow_clone().copy_(&biases)))?;
    Ok((net, start))
}

/// What a reader of the model card cannot guess.
fn how(study: &Study, options: &Options) -> String {
    let mut said = vec![match options.imbalance {
        Imbalance::Plain => "rare findings weigh like others".to_owned(),
        Imbalance::Weighted { most } => format!("positives of rare findings weigh up to {most} times as much"),
        Imbalance::Focal { gamma } => format!("focal loss with a gamma of {gamma}"),
        Imbalance::Sampled { most } => format!("films with rare findings seen up to {most} times as often"),
    }];
    if options.flip == Flip::Half {
        said.push("every second film mirrored".to_owned());
    }
    if options.precision == Precision::Bf16 {
        said.push("convolutions computed in bfloat16".to_owned());
    }
    if let Smaller::Blur { share } = study.films.smaller {
        let (small, detail) = (study.films.small(), study.films.detail);
        said.push(format!(
            "{small} films stored smaller than {detail} px learnt from too, and {share} of the others blurred as they are"
        ));
    }
    if let Some(share) = study.soft_share() {
        said.push(format!("{} films with soft labels of a teacher, which are {share} of their loss", study.targets.softened));
    }
    said.join(", ")
}

/// Refuses to go on with a snapshot of another run.
///
/// # Errors
/// [`TrainError::Content`] that says what the snapshot is of and what this run is.
pub(super) fn check_same_run(progress: &Progress, study: &Study, options: &Options, path: &Path) -> Result<(), TrainError> {
    if progress.label_set != study.set.name || progress.architecture != options.architecture || progress.seed != options.seed {
        let what = format!(
            "the snapshot is of {} with seed {}, this run is {} with seed {}: name another snapshot_path or move it away",
            progress.label_set, progress.seed, study.set.name, options.seed
        );
        return Err(TrainError::content(path, what));
    }
    if progress.auxiliary != study.targets.auxiliary {
        let what = format!(
            "the snapshot has the auxiliary heads {:?}, this run {:?}: give the options it was begun with, or another snapshot_path",
            progress.auxiliary, study.targets.auxiliary
        );
        return Err(TrainError::content(path, what));
    }
    Ok(())
}
