//! The network alone: a prepared film in, logits and features out.

use super::{Arithmetic, BenchArgs, Times, line, machine, rounded, timed};
use crate::cli::{Failure, WrongCommandLine};
use chexbox::model::Session;
use chexbox::{input, reading, threads};
use serde::Serialize;

/// Runs before those that are timed: caches and scratch memory fill, the clock of the processor rises.
const WARM_UP_RUNS: usize = 3;

/// What was measured.
#[derive(Serialize)]
struct Measured<'a> {
    model: &'a str,
    film: &'a str,
    size: usize,
    threads: usize,
    runs: u32,
    precision: Arithmetic,
    kernel: String,
    #[serde(flatten)]
    times: Times,
    load_ms: f64,
    rss_mb: Option<f64>,
    processor: Option<String>,
}

/// Measures, and says what was found.
///
/// # Errors
/// A sentence, if the model or the film cannot be used.
pub(super) fn report(args: &BenchArgs) -> Result<String, Failure> {
    let (bytes, film) = args.film()?;
    let admitted = reading::admit(&bytes).map_err(|refusal| format!("{film}: {refusal}"))?;
    drop(bytes);
    let bundle = args.bundle()?;
    let threads = args.threads();
    let (session, load_ms) = timed(|| session(args, &bundle));
    let session = session?;
    drop(bundle);
    let manifest = session.manifest();
    let prepared = input::prepare(&admitted.grey, &manifest.input);
    drop(admitted);

    let run = || session.run(&prepared).map(drop);
    let times = threads::with(threads, || {
        for _ in 0..WARM_UP_RUNS {
            run()?;
        }
        let times = (0..args.runs).map(|_| timed(run)).map(|(done, ms)| done.map(|()| ms));
        times.collect::<Result<Vec<f64>, _>>()
    })?;
    let measured = Measured {
        model: &manifest.name,
        film: &film,
        size: manifest.input.size,
        threads,
        runs: args.runs,
        precision: args.precision,
        kernel: session.engine().to_owned(),
        times: Times::of(times),
        load_ms: rounded(load_ms),
        rss_mb: machine::rss_mb().map(rounded),
        processor: machine::processor(),
    };
    if args.json { line(&measured) } else { Ok(measured.table()) }
}

/// The model as the options ask for it.
///
/// # Errors
/// A sentence, if it cannot be loaded so.
pub(super) fn session(args: &BenchArgs, bundle: &chexbox::model::Bundle) -> Result<Session, Failure> {
    let own = bundle.manifest().input.size;
    if args.size.is_some_and(|size| usize::from(size) != own) || args.precision == Arithmetic::F32 {
        return Err(WrongCommandLine("not yet".into()).into());
    }
    Ok(Session::load(bundle)?)
}

impl Measured<'_> {
    /// For people.
    fn table(&self) -> String {
        let Times { median_ms, min_ms, max_ms } = self.times;
        let rows = [
            ("model / 模型", format!("{}, input {} x {} px", self.model, self.size, self.size)),
            ("film / 胸片", self.film.to_owned()),
            ("engine / 引擎", self.kernel.clone()),
            ("processor / 处理器", self.processor.clone().unwrap_or_default()),
            ("threads / 线程", self.threads.to_string()),
            ("runs / 次数", format!("{} after {WARM_UP_RUNS} that are not counted", self.runs)),
            ("median / 中位数", format!("{median_ms:.2} ms   (min {min_ms:.2}, max {max_ms:.2})")),
            ("load / 加载", format!("{:.0} ms", self.load_ms)),
            ("memory / 内存", self.rss_mb.map_or_else(String::new, |mb| format!("{mb:.0} MB resident at most"))),
        ];
        super::rows(&rows)
    }
}
