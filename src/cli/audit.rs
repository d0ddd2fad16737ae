//! `chexbox audit verify` and `list`: what happened on this machine, and whether anybody changed the record of it.

use super::output::{Reader, print};
use super::{Exit, Failure, STATE, WrongCommandLine};
use chexbox::limits::AUDIT_PAGE_MAX;
use chexbox::store::{AuditRecord, Head, Kind, Store, verify_audit};
use jiff::Timestamp;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples / 示例:
  chexbox audit verify                          every record and every reading / 校验全部记录
  chexbox audit verify --expect 1200:9f86...    against a head that was noted elsewhere, for example in the journal
  chexbox audit list --limit 50 --event sign_in_failed
  chexbox audit list --json --limit 10000 > audit.jsonl

Records older than retain-audit-days lie in files audit-FIRST-LAST.jsonl of the state folder, which may be moved or deleted;
verify checks those that are there.
超过 retain-audit-days 的记录移至状态目录的 audit-FIRST-LAST.jsonl，可转存或删除；verify 会校验仍在目录中的文件。
verify ends with 1 where something is not as it was written. It can be run while chexbox serve is running.
verify 发现任何改动、删除或调换时退出码为 1；可在服务运行时执行。";

/// Options of `audit`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct AuditArgs {
    #[command(subcommand)]
    step: Step,
}

#[derive(clap::Subcommand)]
enum Step {
    /// Check that no record was changed, removed or swapped / 校验审计链
    Verify(VerifyArgs),
    /// List records, the newest first / 列出审计记录
    List(ListArgs),
}

/// Options of `audit verify`.
#[derive(clap::Args)]
struct VerifyArgs {
    /// State folder of the machine / 状态目录
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state: PathBuf,
    /// A head that was noted elsewhere, which the chain must hold / 另行保存的链头
    #[arg(long, value_name = "COUNT:HASH")]
    expect: Option<String>,
}

/// Options of `audit list`.
#[derive(clap::Args)]
struct ListArgs {
    /// State folder of the machine / 状态目录
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state: PathBuf,
    /// Only this event / 只列此类事件
    #[arg(long, value_name = "EVENT", value_parser = clap::builder::PossibleValuesParser::new(Kind::ALL.iter().map(|k| k.as_str())))]
    event: Option<String>,
    /// At most so many / 最多条数
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Only records before this number / 只列此编号之前的记录
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// One record a line as JSON / 每行一条 JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, where the store cannot be read.
pub fn run(args: &AuditArgs) -> Result<Exit, Failure> {
    match &args.step {
        Step::Verify(args) => verify(args),
        Step::List(args) => list(args),
    }
}

fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let expected: Option<Head> =
        args.expect.as_deref().map(str::parse).transpose().map_err(|e| WrongCommandLine(format!("--expect: {e}")))?;
    let mut verified = verify_audit(&args.state)?;
    if let Some(head) = &expected {
        verified = verified.expect(&args.state, head)?;
    }
    let mut text = format!(
        "{} records, {} readings / {} 条记录，{} 次读片\nhead / 链头  {}\n",
        verified.head.count, verified.readings, verified.head.count, verified.readings, verified.head
    );
    for (cut, there) in &verified.cuts {
        let place = if *there { "lie in / 已移至" } else { "were cut; not in this folder any more / 已移出" };
        text += &format!("records {} to {} {place} {}\n", cut.first, cut.last, cut.file_name());
    }
    for fault in &verified.faults {
        let place = fault.record.map_or_else(String::new, |seq| format!("record {seq}: "));
        text += &format!("WRONG / 错误  {place}{}\n", fault.what);
    }
    if verified.faults.is_empty() {
        text += "everything is as it was written / 未发现改动\n";
    }
    print(text.as_bytes())?;
    Ok(if verified.faults.is_empty() { Exit::Done } else { Exit::SomeRefused })
}

fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let store = Store::open_beside(&args.state)?;
    let limit = usize::from(args.limit).min(AUDIT_PAGE_MAX);
    let records = store.audit_records(args.event.as_deref(), args.before, limit)?;
    if args.json {
        for record in &records {
            if print((serde_json::to_string(record)? + "\n").as_bytes())? == Reader::Gone {
                break;
            }
        }
        return Ok(Exit::Done);
    }
    let mut rows = vec![["Number", "Time", "Event", "By", "From", "About", "Details"].map(str::to_owned).to_vec()];
    rows.extend(records.into_iter().map(row));
    print(chexbox::report::aligned(&rows).as_bytes())?;
    Ok(Exit::Done)
}

fn row(record: AuditRecord) -> Vec<String> {
    let time = Timestamp::from_millisecond(record.at_ms).map_or_else(|_| record.at_ms.to_string(), |t| t.to_string());
    let none = String::new;
    vec![
        record.seq.to_string(),
        time,
        record.event,
        record.actor,
        record.peer.unwrap_or_else(none),
        record.subject.unwrap_or_else(none),
        record.detail,
    ]
}
