//! `chexbox watch DIR`: reads what a shared folder receives.
//!
//! A film is read once it is complete: its size and time have not changed for a while; what looks damaged waits longer, because it may be
//! half a file. Then its record and its objects are written, and last the film itself moves: to `done/`, or to `refused/` with the reason
//! beside it. So a watch that is killed anywhere begins again where it was: a film still in the folder is read once more and
//! gives the same files. Nothing is ever deleted, no link is followed.

mod arrivals;

use super::files::write_whole;
use super::objects::ObjectArgs;
use super::output::{Outcome, Reader, print};
use super::read::{Bench, locale, parse_lang, readers};
use super::{Exit, Failure, say};
use arrivals::{Arrivals, Rest, Seen, is_unfinished};
use chexbox::lang::Lang;
use chexbox::limits::{DECODING_BYTES_MAX, FILES_PER_RUN_MAX, FOLDER_DEPTH_MAX};
use chexbox::model::kernels::Pool;
use serde_json::Value;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

const DONE: &str = "done";
const REFUSED: &str = "refused";
/// Held while a folder is watched, so that no film is read by two.
const LOCK: &str = ".chexbox-watch.lock";
/// How often the end of the watch is looked for, milliseconds.
const BREATH_MS: u64 = 100;
/// Refusals that half a file would get as well.
const PERHAPS_HALF: [&str; 3] = ["unreadable_file", "unknown_format", "damaged_file"];

/// Options of `watch`.
#[derive(clap::Args)]
pub struct WatchArgs {
    /// Folder that receives films; done/ and refused/ are made in it / 监视的文件夹
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// findings25, findings10, all, or a folder with a bundle of your own / 模型
    #[arg(long, default_value = "findings25")]
    model: String,
    /// Operating point of a finding instead of the model's; repeatable / 阈值
    #[arg(long, value_name = "FINDING=VALUE")]
    threshold: Vec<String>,
    /// Operating points that chexbox evaluate --choose wrote for the model / 阈值文件
    #[arg(long, value_name = "FILE")]
    thresholds: Vec<PathBuf>,
    #[command(flatten)]
    objects: ObjectArgs,
    /// Seconds that a film must not change before it is read / 文件静止秒数
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    settle: u64,
    /// Seconds that a film which looks damaged must not change before it is refused / 疑似损坏文件的等待秒数
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// Read what is there, then end / 处理现有文件后退出
    #[arg(long)]
    once: bool,
    /// Language of texts: en or zh / 语言
    #[arg(long, value_parser = parse_lang)]
    lang: Option<Lang>,
    /// Threads; all cores unless given / 线程数
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Runs the verb until SIGTERM or SIGINT; the film in hand is finished.
///
/// # Errors
/// A sentence, if a model cannot be loaded, the folder cannot be listed, or a film cannot be moved.
pub fn run(args: &WatchArgs) -> Result<Exit, Failure> {
    let lang = args.lang.unwrap_or_else(locale);
    let _lock = prepare(&args.folder)?;
    let threads = args.threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let pool = Pool::new(threads);
    let memory = super::memory::Budget::new(DECODING_BYTES_MAX);
    let readers = readers(&args.model, &args.threshold, &args.thresholds, threads, &pool)?;
    let bench = Bench::one_by_one(readers, lang, args.objects.folders(std::iter::empty())?, &memory, pool);
    let rest = Rest { settle: Duration::from_secs(args.settle), patience: Duration::from_secs(args.patience) };
    let mut watch =
        Watch { folder: &args.folder, bench, lang, rest, arrivals: Arrivals::default(), begun: Instant::now(), refused: 0 };
    let end = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&end))?;
    }
    say(&match lang {
        Lang::En => format!("watching {}; films read go to {DONE}/, others to {REFUSED}/ with the reason", args.folder.display()),
        Lang::Zh => format!("正在监视 {}；已读取的移入 {DONE}/，未读取的连同原因移入 {REFUSED}/", args.folder.display()),
    });
    while !end.load(Ordering::Relaxed) {
        watch.round(&end)?;
        if args.once && watch.arrivals.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(BREATH_MS));
    }
    Ok(if args.once && watch.refused > 0 { Exit::SomeRefused } else { Exit::Done })
}

/// Makes the folders and takes the lock.
fn prepare(folder: &Path) -> Result<fs::File, Failure> {
    for name in [DONE, REFUSED] {
        let made = folder.join(name);
        fs::create_dir_all(&made).map_err(|e| format!("{}: {e}", made.display()))?;
    }
    let path = folder.join(LOCK);
    let lock = fs::File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|e| format!("{}: {e}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(format!("{} is watched already, by another chexbox", folder.display()).into()),
        Err(fs::TryLockError::Error(e)) => Err(format!("{}: {e}", path.display()).into()),
    }
}

struct Watch<'a> {
    folder: &'a Path,
    bench: Bench<'a>,
    lang: Lang,
    rest: Rest,
    arrivals: Arrivals,
    begun: Instant,
    refused: usize,
}

/// Where a film goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    /// It may be half a file.
    Wait,
}

impl Watch<'_> {
    /// Looks into the folder, and reads what has arrived.
    fn round(&mut self, end: &AtomicBool) -> Result<(), Failure> {
        let mut found = Vec::new();
        walk(self.folder, 0, &mut found).map_err(|e| format!("{}: {e}", self.folder.display()))?;
        self.arrivals.observe(&found, self.begun.elapsed());
        for path in self.arrivals.ready(self.rest, self.begun.elapsed()) {
            if end.load(Ordering::Relaxed) {
                break;
            }
            // It may have grown, or gone, while others were read.
            let now = seen(&path);
            if now.is_some() && found.iter().any(|(other, before)| *other == path && Some(*before) == now) {
                self.film(&path)?;
            }
        }
        Ok(())
    }

    fn film(&mut self, path: &Path) -> Result<(), Failure> {
        let outcome = self.bench.file(path)?;
        let records: Vec<Value> =
            outcome.text().split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let fate = match fate(&records) {
            Fate::Wait if !self.arrivals.is_final(path, self.rest, self.begun.elapsed()) => return Ok(()),
            Fate::Wait => Fate::Refused,
            fate => fate,
        };
        self.file_away(path, fate, &records, &outcome)?;
        // Whoever listens gets each record; the watch goes on without.
        let _: Reader = print(outcome.text())?;
        Ok(())
    }

    fn file_away(&mut self, path: &Path, fate: Fate, records: &[Value], outcome: &Outcome) -> Result<(), Failure> {
        let room = if fate == Fate::Done { DONE } else { REFUSED };
        let inside = path.strip_prefix(self.folder).unwrap_or(path);
        let target = free(&self.folder.join(room).join(inside));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        write_whole(&beside(&target, "json"), outcome.text())?;
        let mut sentences: Vec<String> = records.iter().filter_map(|record| reason(record, self.lang)).collect();
        sentences.extend_from_slice(outcome.unfiled());
        sentences.dedup();
        if !sentences.is_empty() {
            write_whole(&beside(&target, "txt"), format!("{}\n", sentences.join("\n")).as_bytes())?;
        }
        fs::rename(path, &target).map_err(|e| format!("{} cannot be moved to {}: {e}", path.display(), target.display()))?;
        if fate == Fate::Refused {
            self.refused += 1;
        }
        let arrow = format!("{} -> {}", path.display(), target.display());
        say(&if sentences.is_empty() { arrow } else { format!("{arrow}: {}", sentences.join(" ")) });
        Ok(())
    }
}

/// Read by one model is read; refused by all is refused, or may be half a file.
fn fate(records: &[Value]) -> Fate {
    if records.iter().any(|record| record["status"] == "read") {
        return Fate::Done;
    }
    let half = |record: &Value| PERHAPS_HALF.iter().any(|code| record["refusal"]["code"] == *code);
    if records.iter().any(half) { Fate::Wait } else { Fate::Refused }
}

/// Why a film was refused and what to do, as its record says.
fn reason(record: &Value, lang: Lang) -> Option<String> {
    let refusal = &record["refusal"];
    let (message, remedy) = (refusal["message"].as_str()?, refusal["remedy"].as_str()?);
    Some(format!("{message}{}{remedy}", lang.pick(". ", "。")))
}

/// The regular files below a folder, but those in `done` and `refused`, hidden and unfinished ones.
fn walk(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, Seen)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let Ok(entry) = entry else { continue };
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if is_unfinished(&name) || (depth == 0 && [DONE, REFUSED].contains(&name.as_str())) || found.len() >= FILES_PER_RUN_MAX {
            continue;
        }
        // Of a link itself, not of what it leads to.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth < FOLDER_DEPTH_MAX {
            // A folder that cannot be listed now may be so in the next round.
            let _ = walk(&path, depth + 1, found);
        } else if kind.is_file() {
            found.extend(seen(&path).map(|seen| (path, seen)));
        }
    }
    Ok(())
}

fn seen(path: &Path) -> Option<Seen> {
    let about = fs::symlink_metadata(path).ok()?;
    Some(Seen { bytes: about.len(), modified: about.modified().ok()? })
}

/// The path, or the same with a number where a file of that name lies there already.
fn free(path: &Path) -> PathBuf {
    let taken = |path: &Path| fs::symlink_metadata(path).is_ok();
    if !taken(path) {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ending = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    let numbered = (2..=FILES_PER_RUN_MAX).map(|n| path.with_file_name(format!("{stem}-{n}{ending}")));
    numbered.into_iter().find(|path| !taken(path)).unwrap_or_else(|| path.to_owned())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.{ending}"))
}
