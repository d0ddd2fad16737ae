//! `chexbox bench`: how long this machine takes, for the network alone or for a whole reading.
//!
//! Timings stand apart from reading: no other verb measures anything, and nothing here decides about
//! a film. Each measurement warms up first, so that what the first run allocates is not counted.

mod machine;
mod network;
mod peak;
mod whole;

use super::{Exit, Failure, WrongCommandLine, load, print};
use chexbox::limits::{BENCH_RUNS_MAX, FILE_BYTES, INPUT_SIDE_MAX, INPUT_SIDE_MIN, THREADS_MAX};
use chexbox::model::Bundle;
use chexbox::radiograph::drawn::DrawnFilm;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;
use unicode_width::UnicodeWidthStr;

/// Side of the drawn film, pixels.
const DRAWN_SIDE: usize = 1_024;

const EXAMPLES: &str = "Examples / 示例:
  chexbox bench                                  the network alone, on the drawn film / 仅网络，内置测试片
  chexbox bench --size 224 --threads 1 --json    another input side, one thread, for a script / 供脚本使用
  chexbox bench --whole film.dcm                 every stage of a reading with heat maps / 整个读片过程各阶段

Load, other programs and the clock of the processor change timings: compare only what was measured in one
session, in turns. 时间受负载与主频影响：只比较同一次交替测得的结果。";

/// Options of `bench`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// findings25, findings10, or a folder with a bundle of your own / 模型
    #[arg(long, default_value = "findings25")]
    model: String,
    /// Side of the network's input, pixels; the model's own unless given / 网络输入边长
    #[arg(long, value_parser = side())]
    size: Option<u16>,
    /// Threads that one film may use; all cores unless given / 线程数
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(THREADS_MAX)))]
    threads: Option<u16>,
    /// Runs that are timed / 计时次数
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=i64::from(BENCH_RUNS_MAX)))]
    runs: u32,
    /// Arithmetic of the convolutions / 运算精度
    #[arg(long, value_enum, default_value_t = Arithmetic::Int8)]
    precision: Arithmetic,
    /// A film to run on instead of the drawn one / 胸片文件
    #[arg(long, value_name = "FILE", conflicts_with = "whole")]
    film: Option<PathBuf>,
    /// Write what the network sees of the film, [1, 1, S, S] in f32, little-endian: the same input for another engine / 保存网络输入
    #[arg(long, value_name = "FILE", conflicts_with_all = ["whole", "peak"])]
    save_input: Option<PathBuf>,
    /// Time every stage of reading this film, heat maps of all trained findings included / 计时整个读片过程
    #[arg(long, value_name = "FILE")]
    whole: Option<PathBuf>,
    /// Time nothing but multiply-adds in registers: the most that one core can do / 单核峰值
    #[arg(long, conflicts_with_all = ["whole", "film"])]
    peak: bool,
    /// Print one JSON object instead of a table / 输出 JSON
    #[arg(long)]
    json: bool,
}

/// The sides that a network's input may have.
fn side() -> clap::builder::RangedI64ValueParser<u16> {
    let bound = |side: usize| i64::try_from(side).unwrap_or(i64::MAX);
    clap::value_parser!(u16).range(bound(INPUT_SIDE_MIN)..=bound(INPUT_SIDE_MAX))
}

/// `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Arithmetic {
    /// As the model's file has it: weights and activations in eight bits
    Int8,
    /// Weights unpacked, everything in f32
    F32,
}

/// The times of many runs of one thing, milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Times {
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
}

impl Times {
    /// Of the times of at least one run.
    fn of(mut ms: Vec<f64>) -> Self {
        ms.sort_by(f64::total_cmp);
        let at = |i: usize| ms.get(i).copied().unwrap_or(f64::NAN);
        let middle = ms.len() / 2;
        let median = if ms.len().is_multiple_of(2) { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 } else { at(middle) };
        Self { median_ms: rounded(median), min_ms: rounded(at(0)), max_ms: rounded(at(ms.len().wrapping_sub(1))) }
    }
}

/// To microseconds: what lies below is noise.
fn rounded(ms: f64) -> f64 {
    (ms * 1_000.0).round() / 1_000.0
}

/// What `work` gave and how long it took, milliseconds.
fn timed<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let begun = Instant::now();
    let result = work();
    (result, begun.elapsed().as_secs_f64() * 1_000.0)
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if the model or the film cannot be used.
pub fn run(args: &BenchArgs) -> Result<Exit, Failure> {
    let text = match &args.whole {
        Some(film) => whole::report(args, film)?,
        None if args.peak => peak::report(args)?,
        None => network::report(args)?,
    };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

impl BenchArgs {
    fn bundle(&self) -> Result<Bundle, Failure> {
        let mut bundles = load::bundles(&self.model)?;
        match (bundles.pop(), bundles.is_empty()) {
            (Some(bundle), true) => Ok(bundle),
            _ => Err(WrongCommandLine(format!("--model {}: a bench times one model; name one of them", self.model)).into()),
        }
    }

    fn threads(&self) -> usize {
        self.threads.map_or_else(machine::cores, usize::from)
    }

    /// The bytes of the film that the network runs on, and its name.
    fn film(&self) -> Result<(Vec<u8>, String), Failure> {
        let Some(path) = &self.film else {
            return Ok((DrawnFilm { width: DRAWN_SIDE, height: DRAWN_SIDE, seed: 1 }.png(), "drawn-test-film".to_owned()));
        };
        let bytes = load::read_bounded(path, FILE_BYTES).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok((bytes, path.display().to_string()))
    }
}

/// Names and values below each other.
fn rows(rows: &[(&str, String)]) -> String {
    let widest = rows.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name}{}  {value}\n", " ".repeat(widest - name.width()))).collect()
}

/// One object on one line.
fn line(object: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string(object)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        for (ms, want) in [(vec![3.0], 3.0), (vec![4.0, 1.0], 2.5), (vec![9.0, 1.0, 2.0], 2.0), (vec![8.0, 2.0, 4.0, 1.0], 3.0)] {
            let times = Times::of(ms.clone());
            assert_eq!(times.median_ms, want, "{ms:?}");
            assert!(times.min_ms <= times.median_ms && times.median_ms <= times.max_ms);
        }
    }
}
