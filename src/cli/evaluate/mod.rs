//! `chexbox evaluate`: how well a model reads films whose labels are known; and operating points chosen on such films.

mod archive;
mod films;
mod study;

use super::answer::{AnswerArgs, Forms};
use super::{Exit, Failure, WrongCommandLine, files, load, say};
use chexbox::evaluation::{
    BoxFigures, Evaluation, Head, ModelName, Named, Readings, ThresholdFile, box_figures, evaluate, match_films,
};
use chexbox::findings::Thresholds;
use chexbox::labels::{BoxColumn, Faults, Only};
use chexbox::lang::Lang;
use chexbox::limits::{MANIFEST_BYTES_MAX, READINGS_BYTES_MAX};
use chexbox::model::{Bundle, MANIFEST_FILE, Manifest, Session};
use chexbox::reading::Reader;
use chexbox::report;
use chexbox::stats::Rule;
use films::{FilmSource, Job, MapOfFinding};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use study::{Study, study};
pub(super) use study::{label_file, label_set, text};

const EXAMPLES: &str = "Examples / 示例:
  chexbox evaluate --labels labels.csv --images films/ --html page.html
  chexbox evaluate --labels labels.csv --images films/ --only split=val --choose youden --out thresholds.toml
  chexbox read films/ --json > readings.jsonl && chexbox evaluate --labels labels.csv --readings readings.jsonl
  chexbox evaluate --labels labels.csv --images films/ --boxes nih_boxes --boxes rsna_boxes=Pneumonia --model findings10

The label file has a column file, image or Path, and 1, 0, -1 (uncertain) or blank for each finding, in columns named
var_N, by the public names of the label set, or by the findings' ids, or the NIH's list in Finding Labels; patient, age, sex and view where they are known.
标签文件须有 file、image 或 Path 列，以及各征象列（1、0、-1 不确定、空白未知）。";

/// Stands for an operating point that nobody has chosen, so that films can be evaluated for choosing one.
const UNCHOSEN: f32 = 0.5;

/// Options of `evaluate`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["images", "readings"])))]
pub struct EvaluateArgs {
    /// Label file, CSV / 标签文件
    #[arg(long, value_name = "CSV")]
    labels: PathBuf,
    /// Folder of the films (or of NAME.tar for films NAME/...); they are read now / 胸片文件夹
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What chexbox read --json or --csv wrote earlier / 已有的阅片结果
    #[arg(long, value_name = "FILE")]
    readings: Option<PathBuf>,
    /// findings25 (default), findings10, or a folder with a bundle of your own / 模型
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// Label set that says which columns speak of which finding; the model's own unless given / 标签集
    #[arg(long, value_name = "TOML")]
    label_set: Option<PathBuf>,
    /// What -1 counts as: ignore (default), zeros, ones, or FINDING=ones; repeatable / 不确定标签的处理
    #[arg(long, value_name = "POLICY")]
    uncertain: Vec<String>,
    /// Only rows of the label file with this value, for example split=val; repeatable / 只评价这些行
    #[arg(long, value_name = "COLUMN=VALUE")]
    only: Vec<Only>,
    /// Evaluate heat maps against the boxes of this column; LABEL where the boxes do not name the finding; repeatable / 热图评价
    #[arg(long, value_name = "COLUMN[=LABEL]", conflicts_with = "readings")]
    boxes: Vec<BoxColumn>,
    /// Go on without the films of the label file that are not there, and list them / 跳过缺失的胸片
    #[arg(long)]
    skip_missing: bool,
    /// Operating point of a finding instead of the model's; repeatable / 阈值
    #[arg(long, value_name = "FINDING=VALUE")]
    threshold: Vec<String>,
    /// Operating points that --choose wrote / 阈值文件
    #[arg(long, value_name = "FILE")]
    thresholds: Option<PathBuf>,
    /// Choose operating points on these films: best-f1, youden, sensitivity=0.9 or specificity=0.9 / 选定阈值
    #[arg(long, value_name = "RULE")]
    choose: Option<Rule>,
    /// Where --choose writes its threshold file / 阈值文件的保存位置
    #[arg(long, value_name = "FILE", requires = "choose")]
    out: Option<PathBuf>,
    /// Bundle whose manifest --choose rewrites with the operating points / 将阈值写入模型清单
    #[arg(long, value_name = "DIR", requires = "choose")]
    into: Option<PathBuf>,
    #[command(flatten)]
    answer: AnswerArgs,
    /// Films read at once; all cores unless given / 线程数
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

/// Runs the verb.
///
/// # Errors
/// A sentence; for label files with faults all of them with their rows.
pub fn run(args: &EvaluateArgs) -> Result<Exit, Failure> {
    let lang = args.answer.lang();
    if args.choose.is_some() && args.out.is_none() && args.into.is_none() {
        return Err(WrongCommandLine("--choose needs --out FILE or --into DIR: where the operating points go".to_owned()).into());
    }
    let (readings, study, maps, bundle) = match &args.readings {
        Some(path) => from_records(args, path)?,
        None => from_films(args, lang)?,
    };
    let mut faults = Faults::default();
    let matched = match_films(&study.labels.films, &readings, &mut faults);
    faults.check(&study.name)?;
    let mut evaluation = evaluate(&readings, &study.labels, &study.set, &matched, &study.name);
    if evaluation.films.evaluated == 0 {
        return Err(nothing_evaluated(&evaluation).into());
    }
    evaluation.boxes = boxes(&readings.heads, &study, &maps);
    let forms = Forms {
        study: &evaluation,
        csv: report::evaluation::csv,
        table: report::evaluation::table,
        page: report::evaluation::page,
    };
    args.answer.give(&forms)?;
    if let Some(rule) = args.choose {
        let bundle = bundle.ok_or("operating points are bound to a model: name the bundle of these readings with --model")?;
        let chosen = ThresholdFile::choose(rule, &readings, &study.labels, &study.set, &matched, &study.name);
        keep(args, &chosen.bind(bundle.manifest())?, lang)?;
    }
    Ok(if evaluation.films.refused > 0 { Exit::SomeRefused } else { Exit::Done })
}

fn nothing_evaluated(e: &Evaluation) -> String {
    let f = &e.films;
    let refused: Vec<&str> = e.left_out.iter().map(|f| f.why.as_str()).take(3).collect();
    format!(
        "no film could be evaluated: {} labelled, {} refused, {} without a reading, {} laterals ({}); paths of the label file and of \
         the readings must end alike",
        f.labelled,
        f.refused,
        f.unread,
        f.laterals,
        refused.join(", ")
    )
}

type Gathered = (Readings, Study, Vec<MapOfFinding>, Option<Bundle>);

/// Readings made earlier.
fn from_records(args: &EvaluateArgs, path: &Path) -> Result<Gathered, Failure> {
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = text(path, READINGS_BYTES_MAX)?;
    // A folder names the model by its manifest.
    let named = args.model.as_deref().filter(|m| Path::new(m).is_dir()).map(one_bundle).transpose()?;
    let name = named.as_ref().map(|b| b.manifest().name.clone()).or_else(|| args.model.clone());
    let mut faults = Faults::default();
    let mut readings = Readings::parse(&text, name.as_deref(), &mut faults).map_err(|e| at(&e))?;
    faults.check(path.display())?;
    let embedded = || Bundle::embedded(&readings.model.name).and_then(Result::ok);
    let bundle = named.or_else(embedded).filter(|b| b.manifest().file.sha256 == readings.model.sha256);
    if (!args.threshold.is_empty() || args.thresholds.is_some()) && bundle.is_none() {
        return Err(format!(
            "thresholds belong to a model: name the bundle of {} {} with --model",
            readings.model.name, readings.model.version
        )
        .into());
    }
    if let Some(bundle) = &bundle {
        let thresholds = thresholds(args, bundle.manifest())?;
        for head in readings.heads.iter_mut().filter(|h| h.threshold.is_some()) {
            head.threshold = thresholds.of(&head.id).or(head.threshold);
        }
    }
    let study = study(args, bundle.as_ref().map(Bundle::manifest), &readings.model)?;
    readings.name(study.set.findings.iter().map(|l| (l.id.as_str(), l.en.as_str(), l.zh.as_str())));
    Ok((readings, study, Vec::new(), bundle))
}

/// Readings made now.
fn from_films(args: &EvaluateArgs, lang: Lang) -> Result<Gathered, Failure> {
    let bundle = one_bundle(args.model.as_deref().unwrap_or("findings25"))?;
    let manifest = bundle.manifest();
    let study = study(args, Some(manifest), &ModelName::of(manifest))?;
    let reader = Reader { session: Session::load(&bundle)?, thresholds: thresholds(args, manifest)? };
    let root = args.images.as_deref().unwrap_or_else(|| Path::new("."));
    let mut source = FilmSource::new(root);
    let (mut jobs, mut faults) = (Vec::new(), Faults::default());
    for (i, film) in study.labels.films.iter().enumerate().filter(|(_, f)| !f.lateral) {
        match source.find(&film.file) {
            Ok(place) => jobs.push(Job { name: film.file.clone(), place, boxes: head_boxes(manifest, &study, i) }),
            Err(what) => faults.add(film.row, what),
        }
    }
    if !args.skip_missing {
        faults.check(&study.name).map_err(|e| format!("{e}\n--skip-missing evaluates the other films and lists these"))?;
    }
    if jobs.is_empty() {
        return Err(format!("{}: none of the {} labelled films is there", root.display(), study.labels.films.len()).into());
    }
    let threads = args.jobs.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let (read, maps) = films::read(&reader, &source, &jobs, threads, lang)?;
    let mut heads = Head::all(manifest);
    for head in heads.iter_mut().filter(|h| h.threshold.is_some()) {
        head.threshold = reader.thresholds.of(&head.id).or(head.threshold);
    }
    let readings = Readings { model: ModelName::of(manifest), heads, films: read };
    Ok((readings, study, maps, Some(bundle)))
}

/// Positions in the manifest of the trained findings that boxes of film `i` show, with those boxes.
fn head_boxes(manifest: &Manifest, study: &Study, i: usize) -> Vec<(usize, Vec<chexbox::labels::FindingBox>)> {
    let film = &study.labels.films[i];
    let shows = |id: &str, label: &str| study.set.findings.iter().any(|l| l.id == id && l.shows(label));
    let trained = manifest.findings.iter().enumerate().filter(|(_, f)| f.trained);
    let of = |(h, f): (usize, &chexbox::model::FindingSpec)| {
        (h, film.boxes.iter().filter(|b| shows(&f.id, &b.label)).cloned().collect())
    };
    trained.map(of).filter(|(_, boxes): &(usize, Vec<_>)| !boxes.is_empty()).collect()
}

fn one_bundle(model: &str) -> Result<Bundle, Failure> {
    if model == "all" {
        return Err(WrongCommandLine("--model all: one model is evaluated at a time".to_owned()).into());
    }
    load::bundles(model)?.pop().ok_or_else(|| "there is no model".into())
}

fn thresholds(args: &EvaluateArgs, manifest: &Manifest) -> Result<Thresholds, Failure> {
    let own = Thresholds::parse(&args.threshold, &[manifest]).map_err(|e| WrongCommandLine(e.to_string()))?;
    let own = match &args.thresholds {
        Some(path) => own.or(load::thresholds(path, &[manifest])?.points()),
        None => own,
    };
    let open: Vec<String> = own.open(manifest).into_iter().map(str::to_owned).collect();
    if !open.is_empty() {
        say(&format!(
            "nobody has chosen an operating point for {}: figures at an operating point are at {UNCHOSEN} there until --choose",
            open.join(", ")
        ));
    }
    Ok(own.or(open.into_iter().map(|id| (id, UNCHOSEN))))
}

fn boxes(heads: &[Head], study: &Study, maps: &[MapOfFinding]) -> Vec<Named<BoxFigures>> {
    let named = |(h, head): (usize, &Head)| {
        let of: Vec<_> = maps.iter().filter(|m| m.head == h).map(|m| m.map).collect();
        let columns = study.set.findings.iter().find(|l| l.id == head.id).map(|l| l.columns.clone()).unwrap_or_default();
        Some(Named { id: head.id.clone(), en: head.en.clone(), zh: head.zh.clone(), columns, of: box_figures(&of)? })
    };
    heads.iter().enumerate().filter_map(named).collect()
}

/// Writes the chosen operating points where they were asked for.
fn keep(args: &EvaluateArgs, chosen: &ThresholdFile, lang: Lang) -> Result<(), Failure> {
    for point in &chosen.findings {
        say(&format!(
            "{}: {} {:.4}, {} {:.3}, {} {:.3}, F1 {:.3}",
            point.id,
            lang.pick("operating point", "阈值"),
            point.threshold,
            lang.pick("sensitivity", "灵敏度"),
            point.sensitivity,
            lang.pick("specificity", "特异度"),
            point.specificity,
            point.f1
        ));
    }
    if let Some(path) = &args.out {
        files::write_whole(path, chosen.to_text()?.as_bytes())?;
    }
    if let Some(folder) = &args.into {
        let path = folder.join(MANIFEST_FILE);
        let manifest = Manifest::parse(&text(&path, MANIFEST_BYTES_MAX)?).map_err(|e| format!("{}: {e}", path.display()))?;
        let manifest = chosen.write_into(manifest).map_err(|e| format!("{}: {e}", path.display()))?;
        files::write_whole(&path, toml::to_string(&manifest)?.as_bytes())?;
    }
    Ok(())
}
