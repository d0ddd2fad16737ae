//! The whole of training in seconds: films drawn by code, a network of a few layers, a run that is
//! interrupted and goes on, another that starts from its trunk, an export. What it proves is that the
//! parts fit, not that anything is learnt.

use super::TrainError;
use super::architecture::Architecture;
use super::auxiliary::Auxiliary;
use super::bundle::{Bars, Exported, Request, export};
use super::data::{Part, Record, Truth};
use super::films::Films;
use super::fit::{Watch, fit};
use super::label_set::{LabelSet, PathConfig};
use super::origin::Origin;
use super::random::Random;
use super::schedule::Options;
use super::snapshot::Snapshot;
use super::study::{POSITIVES_MIN, Parts, Study};
use crate::input::Plane;
use crate::stats::Rule;
use std::path::Path;
use tch::Device;

/// Side of the drawn films and of the input, pixels: the smallest a manifest allows.
pub(super) const SIDE: usize = 32;
/// Drawn films.
const FILMS: usize = 480;

const LABELS: &str = r#"
name = "smoke"
title_en = "drawn films"
title_zh = "绘制的图像"
[[finding]]
id = "bright_spot"
variable = "var_0"
en = "bright spot"
zh = "亮点"
[[finding]]
id = "bright_base"
variable = "var_1"
en = "bright base"
zh = "底部亮区"
[[finding]]
id = "nothing_known"
variable = "var_2"
en = "nothing known"
zh = "未知"
"#;

/// A run of drawn films: trains an epoch, stops, goes on for another, exports to `folder`/bundle.
///
/// # Errors
/// [`TrainError`] of the first part that does not fit.
pub fn smoke(folder: &Path, watch: &mut dyn Watch) -> Result<Exported, TrainError> {
    // Films of a thousand pixels: a second thread would wait for the first more than it would do.
    tch::set_num_threads(1);
    let study = study(folder, "first", 3)?;
    let mut options = Options {
        epochs: Some(2),
        size: SIDE,
        first_size: SIDE,
        first_share: 0.0,
        batch: 16,
        rate: 1e-2,
        seed: 7,
        ..Options::of(Architecture::tiny(study.set.findings.len()))
    };
    let first = fit(&study, &options, watch)?;
    options.epochs = Some(6);
    let second = fit(&study, &options, watch)?;
    if second.epoch <= first.epoch || second.steps <= first.steps || second.films_total <= first.films_total {
        return Err(TrainError::Run(format!("the run did not go on: {} and then {}", first.stage(), second.stage())));
    }
    let snapshot = Snapshot::load(&study.config.snapshot_path.join("latest.pt"), Device::Cpu)?;
    let (out, check) = (folder.join("bundle"), folder.join("check"));
    let request = Request {
        version: "0.0.1",
        positives_min: POSITIVES_MIN,
        rule: Rule::BestF1,
        bars: Bars::Tell,
        boxes: &[],
        out: &out,
        check: &check,
    };
    let exported = export(&study, &snapshot, &request)?;

    let other = self::study(folder, "second", 2)?;
    options.architecture = Architecture::tiny(other.set.findings.len());
    options.init = Some(study.config.snapshot_path.join("best.pt"));
    options.epochs = Some(1);
    let third = fit(&other, &options, watch)?;
    if third.history.len() != 1 || third.epoch != 1 {
        return Err(TrainError::Run(format!("the run did not start from the trunk of another: {:?}", third.history)));
    }
    Ok(exported)
}

/// The drawn films with the first `findings` of the labels, snapshots in `folder`/`name`.
pub(super) fn study(folder: &Path, name: &str, findings: usize) -> Result<Study, TrainError> {
    let config = PathConfig {
        train_label_path: folder.join("labels.csv"),
        k_fold_path: folder.join("k_fold.csv"),
        train_img_path: folder.to_owned(),
        test_img_path: folder.to_owned(),
        snapshot_path: folder.join(name),
    };
    let mut set: LabelSet = toml::from_str(LABELS).map_err(|e| TrainError::Run(e.to_string()))?;
    set.findings.truncate(findings);
    let columns = [vec!["var_0".to_owned()], vec!["var_1".to_owned()], vec![]];
    let films = Films::drawn((0..FILMS).map(|i| record(i, findings)).collect(), SIDE, draw);
    let origin = Origin::own(&config);
    let answers = |r: &Record| vec![Some(f32::from(u8::from(r.sex == "F")))];
    let auxiliary = Auxiliary { heads: vec!["sex".into()], values: films.records.iter().map(answers).collect() };
    Study::of(Parts {
        config,
        set,
        films,
        columns: columns[..findings].to_vec(),
        origins: vec![origin],
        auxiliary,
        soft: None,
        normal_weight: 1.0,
        factors: vec![],
    })
}

fn record(i: usize, findings: usize) -> Record {
    let mut random = Random::of(&[11, i as u64]);
    let truth = |positive| if positive { Truth::Positive } else { Truth::Negative };
    let mut truths = vec![truth(random.unit() < 0.4), truth(random.unit() < 0.3), Truth::Unknown];
    truths.truncate(findings);
    let part = [Part::Train, Part::Val, Part::Test][i % 3];
    let sex = ["M", "F"][i % 2].to_owned();
    Record {
        row: i + 2,
        origin: 0,
        fold: None,
        file: format!("{i}.png"),
        patient: i.to_string(),
        age: Some((i % 80) as f64),
        sex,
        view: "PA".into(),
        part,
        normal: None,
        truths,
    }
}

fn draw(film: &Record) -> Plane {
    let mut random = Random::of(&[12, film.row as u64]);
    let has = |f: usize| film.truths.get(f) == Some(&Truth::Positive);
    let (spot, base) = (has(0), has(1));
    let at = |i: usize| (i % SIDE, i / SIDE);
    let grey = |i: usize| {
        let (x, y) = at(i);
        let mut grey = 0.3 + 0.1 * random.unit();
        if spot && (10..16).contains(&x) && (8..14).contains(&y) {
            grey += 0.4;
        }
        if base && y > 24 {
            grey += 0.3;
        }
        grey
    };
    Plane { side: SIDE, values: (0..SIDE * SIDE).map(grey).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Manifest;
    use std::ops::ControlFlow;

    struct Silent;
    impl Watch for Silent {
        fn step(&mut self, _: f64, _: &str) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
        fn epoch(&mut self, _: &str) {}
    }

    #[test]
    fn training_stops_goes_on_and_exports_a_bundle_whose_files_match_its_manifest() {
        let folder = std::env::temp_dir().join(format!("chexbox-smoke-{}", std::process::id()));
        let exported = smoke(&folder, &mut Silent).unwrap();
        assert!(exported.heads[2].operating.is_none(), "a head without labels is untrained");
        let text = std::fs::read_to_string(folder.join("bundle/manifest.toml")).unwrap();
        let manifest = Manifest::parse(&text).unwrap();
        for file in [&manifest.file, &manifest.probe] {
            Manifest::check_file(file, &std::fs::read(folder.join("bundle").join(&file.name)).unwrap()).unwrap();
        }
        let card = std::fs::read_to_string(folder.join("bundle/MODEL_CARD.md")).unwrap();
        for what in [
            "DenseNet-BC (growth 4, blocks of 2, 2 layers)",
            "| train | 160 | 160 | 32 | 0 | weights |",
            "the label set names no source",
            "| nothing_known | no label in the training data | - |",
        ] {
            assert!(card.contains(what), "{what} not in\n{card}");
        }
        let rows = std::fs::read_to_string(folder.join("first/log.csv")).unwrap().lines().count();
        assert_eq!(rows, 7, "a header and six epochs");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
