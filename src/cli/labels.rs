//! `chexbox labels merge`: labels corrected by a better source, with the source of each label kept.

use super::output::print;
use super::{Exit, Failure, WrongCommandLine, files, load};
use chexbox::labels::merge::{Merged, Source, merge};
use chexbox::labels::{Faults, Table};
use chexbox::limits::LABELS_BYTES_MAX;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Example / 示例:
  chexbox labels merge --base reports.csv --override ct.csv --out merged.csv

Every row and column of both files is kept. Where the override says 0 or 1 it goes before the base. Beside each label
column X stands X@source, which says where the label is from; merged.replaced.csv lists each label that was replaced
by a different one, with both values.
合并后保留两个文件的全部行列；X@source 列记录每个标签的来源；被替换的标签及其原值写入 merged.replaced.csv。";

/// Options of `labels`.
#[derive(clap::Args)]
pub struct LabelsArgs {
    #[command(subcommand)]
    step: LabelsStep,
}

#[derive(clap::Subcommand)]
enum LabelsStep {
    /// Lay a better source over a label file / 用更可靠的来源修正标签
    Merge(MergeArgs),
}

/// Options of `labels merge`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
struct MergeArgs {
    /// The labels that are corrected / 原标签
    #[arg(long, value_name = "CSV")]
    base: PathBuf,
    /// The labels that are better / 更可靠的标签
    #[arg(long = "override", value_name = "CSV")]
    above: PathBuf,
    /// The merged label file / 合并后的标签文件
    #[arg(long, value_name = "CSV")]
    out: PathBuf,
    /// Column that joins the files, for example patient or study; the film unless given / 用于对应两个文件的列
    #[arg(long, value_name = "COLUMN")]
    by: Option<String>,
    /// What the base is called as a source; its file name unless given / 原标签的来源名
    #[arg(long, value_name = "NAME")]
    base_name: Option<String>,
    /// What the override is called as a source; its file name unless given / 更可靠标签的来源名
    #[arg(long, value_name = "NAME")]
    override_name: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// A sentence; for files with faults all of them with their rows.
pub fn run(args: &LabelsArgs) -> Result<Exit, Failure> {
    let LabelsStep::Merge(args) = &args.step;
    let (base_name, above_name) =
        (source_name(args.base_name.as_deref(), &args.base), source_name(args.override_name.as_deref(), &args.above));
    if base_name == above_name {
        let what = format!("both sources would be called {base_name}: name them with --base-name and --override-name");
        return Err(WrongCommandLine(what).into());
    }
    let (mut base_faults, mut above_faults) = (Faults::default(), Faults::default());
    let base = table(&args.base, &mut base_faults)?;
    let above = table(&args.above, &mut above_faults)?;
    let merged = merge(
        Source { table: &base, name: &base_name },
        Source { table: &above, name: &above_name },
        args.by.as_deref(),
        [&mut base_faults, &mut above_faults],
    )?;
    let faults = [base_faults.check(args.base.display()), above_faults.check(args.above.display())];
    let said: Vec<String> = faults.into_iter().filter_map(|f| f.err().map(|e| e.to_string())).collect();
    if !said.is_empty() {
        return Err(said.join("\n").into());
    }
    let replaced_path = args.out.with_extension("replaced.csv");
    files::write_whole(&args.out, &merged.table.to_csv()?)?;
    files::write_whole(&replaced_path, &replaced(&merged).to_csv()?)?;
    print(summary(&merged, &base_name, &above_name, &args.out, &replaced_path).as_bytes())?;
    Ok(Exit::Done)
}

fn source_name(given: Option<&str>, path: &Path) -> String {
    given.map_or_else(|| path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default(), str::to_owned)
}

fn table(path: &Path, faults: &mut Faults) -> Result<Table, Failure> {
    let bytes = load::read_bounded(path, LABELS_BYTES_MAX).map_err(|e| format!("{}: {e}", path.display()))?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    Table::parse(bytes, faults).map_err(|e| format!("{} {e}", path.display()).into())
}

fn replaced(merged: &Merged) -> Table {
    let columns = ["key", "column", "base", "override"].map(str::to_owned).to_vec();
    let row = |r: &chexbox::labels::merge::Replaced| vec![r.key.clone(), r.column.clone(), r.base.clone(), r.by.clone()];
    Table { columns, rows: merged.replaced.iter().map(row).collect() }
}

fn summary(merged: &Merged, base: &str, above: &str, out: &Path, replaced: &Path) -> String {
    let mut text = format!(
        "{} rows of {above} matched, {} added / 匹配 {} 行，新增 {} 行\n\n",
        merged.matched, merged.added, merged.matched, merged.added
    );
    let heads = [
        "Column / 列",
        "both 1",
        &format!("{base} 1 only"),
        &format!("{above} 1 only"),
        "both 0",
        "agree",
        "kappa",
        "replaced",
        &format!("{base} alone"),
        &format!("{above} alone"),
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let digits = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    rows.extend(merged.agreement.iter().map(|a| {
        let k = &a.both_known;
        let counts = [k.both, k.first_only, k.second_only, k.neither].map(|n| n.to_string());
        let rest = [
            digits(k.observed()),
            digits(k.kappa()),
            a.replaced.to_string(),
            a.base_only.to_string(),
            a.override_only.to_string(),
        ];
        std::iter::once(a.column.clone()).chain(counts).chain(rest).collect()
    }));
    text += &chexbox::report::aligned(&rows);
    text + &format!("\n{}\n{} ({})\n", out.display(), replaced.display(), merged.replaced.len())
}
