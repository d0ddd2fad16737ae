//! `chexbox compare`: the model against readers on the films that all of them read.

use super::answer::{AnswerArgs, Forms};
use super::evaluate::{label_file, label_set, text};
use super::{Exit, Failure, WrongCommandLine, load};
use chexbox::evaluation::{Readers, Readings, compare};
use chexbox::labels::{Faults, LabelSet, Only, Request, UncertainPolicies};
use chexbox::limits::{LABELS_BYTES_MAX, READERS_MAX, READINGS_BYTES_MAX};
use chexbox::model::Bundle;
use chexbox::report::comparison;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Column of the readers' file that names the reader.
const READER: &str = "reader";

/// What the only reader of a file without that column is called.
const ONE_READER: &str = "Radiologists";

const EXAMPLES: &str = "Examples / 示例:
  chexbox read films/ --json > readings.jsonl
  chexbox compare --labels truth.csv --model-readings readings.jsonl --readers readers.csv --html page.html

readers.csv has the form of a label file: file, the findings as 0 and 1, and a column reader where there are several.
The majority of several readers is compared too; a tie counts as a call.
readers.csv 与标签文件格式相同；有多位医生时加 reader 列。";

/// Options of `compare`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// What is true, a label file / 标签文件
    #[arg(long, value_name = "CSV")]
    labels: PathBuf,
    /// What chexbox read --json or --csv wrote / 模型阅片结果
    #[arg(long, value_name = "FILE")]
    model_readings: PathBuf,
    /// The readers' calls / 医生阅片结果
    #[arg(long, value_name = "CSV")]
    readers: PathBuf,
    /// Which model, where the readings are of several; or the folder of its bundle / 模型
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// Label set; the model's own unless given / 标签集
    #[arg(long, value_name = "TOML")]
    label_set: Option<PathBuf>,
    /// What -1 counts as in both files: ignore (default), zeros, ones, or FINDING=ones; repeatable / 不确定标签的处理
    #[arg(long, value_name = "POLICY")]
    uncertain: Vec<String>,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Runs the verb.
///
/// # Errors
/// A sentence; for files with faults all of them with their rows.
pub fn run(args: &CompareArgs) -> Result<Exit, Failure> {
    let uncertain = UncertainPolicies::parse(&args.uncertain).map_err(|e| WrongCommandLine(e.to_string()))?;
    let folder = args.model.as_deref().filter(|m| Path::new(m).is_dir());
    let named = folder.map(load::bundles).transpose()?.and_then(|mut b| b.pop());
    let name = named.as_ref().map(|b| b.manifest().name.clone()).or_else(|| args.model.clone());
    let mut faults = Faults::default();
    let path = &args.model_readings;
    let readings = Readings::parse(&text(path, READINGS_BYTES_MAX)?, name.as_deref(), &mut faults);
    let mut readings = readings.map_err(|e| format!("{}: {e}", path.display()))?;
    faults.check(path.display())?;
    let bundle = named.or_else(|| Bundle::embedded(&readings.model.name).and_then(Result::ok));
    let set = label_set(args.label_set.as_deref(), bundle.as_ref().map(Bundle::manifest), &readings.model)?;
    readings.name(set.findings.iter().map(|l| (l.id.as_str(), l.en.as_str(), l.zh.as_str())));
    let wanted = Request { uncertain, ..Request::default() };
    let labels = label_file(&args.labels, &set, &wanted)?;
    let readers = readers(&args.readers, &set, &wanted)?;
    let compared = compare(&labels, &readings, &readers, &set);
    if compared.rows.is_empty() {
        let why = compared.left_out.first().map(|(file, why)| format!("; {file}: {why}")).unwrap_or_default();
        return Err(format!(
            "nothing can be compared: {} films are common to all, {} are not{why}",
            compared.films,
            compared.left_out.len()
        )
        .into());
    }
    let forms = Forms { study: &compared, csv: comparison::csv, table: comparison::table, page: comparison::page };
    args.answer.give(&forms)?;
    Ok(Exit::Done)
}

/// The readers of a file, in the order of their names.
fn readers(path: &Path, set: &LabelSet, wanted: &Request) -> Result<Vec<Readers>, Failure> {
    let text = text(path, LABELS_BYTES_MAX)?;
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let Some(column) = table.headers()?.iter().position(|n| n.trim() == READER) else {
        return Ok(vec![Readers { name: ONE_READER.to_owned(), calls: label_file(path, set, wanted)? }]);
    };
    // Rows that cannot be read are faults of the label file, which is read next.
    let names: BTreeSet<String> = table.records().flatten().filter_map(|r| Some(r.get(column)?.trim().to_owned())).collect();
    if names.contains("") || names.is_empty() || names.len() > READERS_MAX {
        let what = format!("column {READER} has {} readers, allowed are 1 to {READERS_MAX} and no blank", names.len());
        return Err(format!("{}: {what}", path.display()).into());
    }
    let of = |name: String| {
        let only = vec![Only { column: READER.to_owned(), value: name.clone() }];
        let calls = label_file(path, set, &Request { only, ..wanted.clone() })?;
        Ok(Readers { name, calls })
    };
    names.into_iter().map(of).collect()
}
