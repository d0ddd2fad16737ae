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
    let mut start = Progress { auxiliary: study.targets.auxiliary.clone(), how: how(study, options).0, ..start };
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

/// What a reader of the model card or of the training page cannot guess, in English and in Chinese.
pub(super) fn how(study: &Study, options: &Options) -> (String, String) {
    let mut said = vec![match options.imbalance {
        Imbalance::Plain => ("rare findings weigh like others".to_owned(), "罕见征象不加权".to_owned()),
        Imbalance::Weighted { most } => (
            format!("positives of rare findings weigh up to {most} times as much"),
            format!("罕见征象的阳性样本最多加权 {most} 倍"),
        ),
        Imbalance::Focal { gamma } => (format!("focal loss with a gamma of {gamma}"), format!("focal loss，γ = {gamma}")),
        Imbalance::Sampled { most } => (
            format!("films with rare findings seen up to {most} times as often"),
            format!("含罕见征象的胸片最多重复采样 {most} 倍"),
        ),
    }];
    if options.habits.trunk_rate < 1.0 {
        let share = options.habits.trunk_rate;
        said.push((format!("the trunk moved by {share} of the learning rate"), format!("主干以学习率的 {share} 更新")));
    }
    if study.normal_weight() < 1.0 {
        let share = study.normal_weight();
        said.push((format!("films without a finding count {share} of the others"), format!("无征象胸片按 {share} 计权")));
    }
    if options.flip == Flip::Half {
        said.push(("every second film mirrored".to_owned(), "半数胸片左右镜像".to_owned()));
    }
    if options.precision == Precision::Bf16 {
        said.push(("convolutions computed in bfloat16".to_owned(), "卷积以 bfloat16 计算".to_owned()));
    }
    if let Smaller::Blur { share } = study.films.smaller {
        let (small, detail) = (study.films.small(), study.films.detail);
        said.push((
            format!(
                "{small} films stored smaller than {detail} px learnt from too, and {share} of the others blurred as they are"
            ),
            format!("另学习 {small} 张小于 {detail} 像素的胸片，其余胸片按 {share} 的比例同样模糊"),
        ));
    }
    if let Some(share) = study.soft_share() {
        let softened = study.targets.softened;
        said.push((
            format!("{softened} films with soft labels of a teacher, which are {share} of their loss"),
            format!("{softened} 张胸片带教师软标签，占其损失的 {share}"),
        ));
    }
    let (en, zh): (Vec<String>, Vec<String>) = said.into_iter().unzip();
    (en.join(", "), zh.join("，"))
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
