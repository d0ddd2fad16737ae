//! The network alone: a prepared film in, logits and features out.

use super::{Arithmetic, BenchArgs, Times, line, machine, rounded, timed};
use crate::cli::{Failure, WrongCommandLine};
use chexbox::model::kernels::Pool;
use chexbox::model::{Bundle, Options, Precision, Session};
use chexbox::{input, reading};
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
    /// What the network answered: engines that are compared must agree.
    logits: Vec<f32>,
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
    let pool = Pool::new(threads);
    let (session, load_ms) = timed(|| pool.install(|| session(args, &bundle)));
    let session = session?;
    drop(bundle);
    let manifest = session.manifest();
    let prepared = input::prepare(&admitted.grey, session.input());
    drop(admitted);
    if let Some(path) = &args.save_input {
        let bytes: Vec<u8> = prepared.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    }

    let run = || session.run(&prepared);
    let (logits, times) = pool.install(|| {
        let mut logits = Vec::new();
        for _ in 0..WARM_UP_RUNS {
            logits = run()?.logits;
        }
        let times = (0..args.runs).map(|_| timed(run)).map(|(done, ms)| done.map(|_| ms));
        Ok::<_, Failure>((logits, times.collect::<Result<Vec<f64>, _>>()?))
    })?;
    let measured = Measured {
        model: &manifest.name,
        film: &film,
        size: session.input().size,
        threads,
        runs: args.runs,
        precision: args.precision,
        kernel: session.engine().to_owned(),
        times: Times::of(times),
        load_ms: rounded(load_ms),
        rss_mb: machine::rss_mb().map(rounded),
        processor: machine::processor(),
        logits,
    };
    if args.json { line(&measured) } else { Ok(measured.table()) }
}

/// The model as the options ask for it.
///
/// # Errors
/// A sentence, if it cannot be loaded so.
pub(super) fn session(args: &BenchArgs, bundle: &Bundle) -> Result<Session, Failure> {
    let precision = match args.precision {
        Arithmetic::Int8 => Precision::AsStored,
        Arithmetic::F32 => Precision::F32,
    };
    let session = Session::load_with(bundle, Options { precision, size: args.size.map(usize::from) })?;
    let quantized = session.fusions().is_ok_and(|fusions| fusions.arithmetic == chexbox::model::Arithmetic::Int8);
    if args.precision == Arithmetic::Int8 && !quantized {
        let what =
            format!("--precision int8: {} does not run in int8 here ({}); try --precision f32", args.model, session.engine());
        return Err(WrongCommandLine(what).into());
    }
    Ok(session)
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
