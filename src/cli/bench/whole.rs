//! A whole reading, stage by stage: a file in; findings, the overlay of every trained finding and the
//! record out. The stages are those of `reading` and of `read --heatmaps`, called one by one.

use super::{Arithmetic, BenchArgs, Times, line, machine, network, rounded, timed};
use crate::cli::{Failure, load};
use chexbox::findings::{self, Finding, Thresholds};
use chexbox::grad_cam::{self, HeatMap};
use chexbox::lang::Lang;
use chexbox::limits::FILE_BYTES;
use chexbox::model::Session;
use chexbox::model::kernels::Pool;
use chexbox::radiograph::Refusal;
use chexbox::report::record::Record;
use chexbox::report::{Display, ReadView, View, overlay};
use chexbox::{input, radiograph, threads};
use serde::Serialize;
use std::path::Path;

/// Readings before those that are timed.
const WARM_UP_RUNS: usize = 1;

/// The stages, in order.
const STAGES: [&str; 8] = ["open", "decode", "gate", "prepare", "network", "heat_maps", "pictures", "record"];

/// What was measured.
#[derive(Serialize)]
struct Measured<'a> {
    model: &'a str,
    film: String,
    columns: usize,
    rows: usize,
    size: usize,
    threads: usize,
    runs: u32,
    precision: Arithmetic,
    kernel: String,
    overlays: usize,
    picture_bytes: usize,
    stages: Vec<Stage>,
    /// From the file's name to the last byte of output, measured beside the stages.
    total: Times,
    load_ms: f64,
    rss_mb: Option<f64>,
    processor: Option<String>,
}

#[derive(Serialize)]
struct Stage {
    stage: &'static str,
    #[serde(flatten)]
    times: Times,
}

/// One reading: what came out, and the milliseconds of each of [`STAGES`].
struct Reading {
    columns: usize,
    rows: usize,
    overlays: Vec<Vec<u8>>,
    stages_ms: [f64; STAGES.len()],
}

/// Measures, and says what was found.
///
/// # Errors
/// A sentence, if the model or the film cannot be used.
pub(super) fn report(args: &BenchArgs, film: &Path) -> Result<String, Failure> {
    let bundle = args.bundle()?;
    let threads = args.threads();
    let pool = Pool::new(threads);
    let (session, load_ms) = timed(|| pool.install(|| network::session(args, &bundle)));
    let session = session?;
    drop(bundle);
    let (mut totals, mut stages, mut last) = (Vec::new(), vec![Vec::new(); STAGES.len()], None);
    for run in 0..WARM_UP_RUNS + args.runs as usize {
        let (reading, total_ms) = timed(|| threads::with(threads, || pool.install(|| read(film, &session))));
        let reading = reading?;
        if run >= WARM_UP_RUNS {
            totals.push(total_ms);
            stages.iter_mut().zip(reading.stages_ms).for_each(|(times, ms)| times.push(ms));
        }
        last = Some(reading);
    }
    let last = last.ok_or("no run was asked for")?;
    let manifest = session.manifest();
    let measured = Measured {
        model: &manifest.name,
        film: film.display().to_string(),
        columns: last.columns,
        rows: last.rows,
        size: session.input().size,
        threads,
        runs: args.runs,
        precision: args.precision,
        kernel: session.engine().to_owned(),
        overlays: last.overlays.len(),
        picture_bytes: last.overlays.iter().map(Vec::len).sum(),
        stages: STAGES.into_iter().zip(stages).map(|(stage, ms)| Stage { stage, times: Times::of(ms) }).collect(),
        total: Times::of(totals),
        load_ms: rounded(load_ms),
        rss_mb: machine::rss_mb().map(rounded),
        processor: machine::processor(),
    };
    if args.json { line(&measured) } else { Ok(measured.table()) }
}

/// Reads the film once.
fn read(path: &Path, session: &Session) -> Result<Reading, Failure> {
    let name = path.display().to_string();
    let refused = |refusal: Refusal| format!("{name}: {refusal}");
    let manifest = session.manifest();
    let (bytes, open) = timed(|| load::read_bounded(path, FILE_BYTES));
    let bytes = bytes.map_err(|e| format!("{name}: {e}"))?;
    let (film, decode) = timed(|| radiograph::decode(&bytes));
    let film = film.map_err(refused)?;
    let (film, gate) = timed(|| radiograph::gate(film));
    let film = film.map_err(refused)?;
    let (prepared, prepare) = timed(|| input::prepare(&film.grey, session.input()));
    let (activations, network) = timed(|| session.run(&prepared));
    let activations = activations?;
    let (assessed, heat_maps) = timed(|| assess(&activations.logits, &activations.features, session));
    let (found, maps) = assessed?;
    let (overlays, pictures) = timed(|| draw(&film.grey, &found, &maps, session));
    let steps: Vec<_> = film.steps.iter().cloned().chain(input::steps(&film.grey, session.input())).collect();
    let view = ReadView { file: &name, facts: &film.facts, steps: &steps, manifest, findings: &found, engine: session.engine() };
    let (record, written) = timed(|| Record::of(&View::Read(view), None, Lang::En).to_line());
    drop(record?);
    let stages_ms = [open, decode, gate, prepare, network, heat_maps, pictures, written];
    Ok(Reading { columns: film.grey.width(), rows: film.grey.height(), overlays: overlays?, stages_ms })
}

/// Findings, and the heat maps of the trained ones by their position.
type Assessed = (Vec<Finding>, Vec<(usize, HeatMap)>);

/// Findings, and the heat map of each trained one.
fn assess(logits: &[f32], features: &[f32], session: &Session) -> Result<Assessed, Failure> {
    let manifest = session.manifest();
    let found = findings::assess(logits, manifest, &Thresholds::none())?;
    let trained = found.iter().enumerate().filter(|(_, finding)| finding.is_trained());
    let fit = session.input().fit;
    let map = |at: usize| grad_cam::heat_map(features, session.feature_side(), session.head_weights(at)).map(|map| map.on(fit));
    let maps = trained.map(|(at, _)| Ok((at, map(at)?))).collect::<Result<Vec<_>, grad_cam::HeatMapError>>()?;
    Ok((found, maps))
}

/// The overlay of every trained finding, as PNG files in memory.
fn draw(
    film: &radiograph::Grey,
    found: &[Finding],
    maps: &[(usize, HeatMap)],
    session: &Session,
) -> Result<Vec<Vec<u8>>, Failure> {
    let display = Display::of(film);
    let drawn = threads::map(maps.len(), |i| {
        let (at, map) = &maps[i];
        overlay(&display, map, &found[*at], session.manifest(), Lang::En)
    });
    Ok(drawn.into_iter().collect::<Result<_, _>>()?)
}

impl Measured<'_> {
    /// For people.
    fn table(&self) -> String {
        let ms = |t: &Times| format!("{:>8.2} ms   (min {:.2}, max {:.2})", t.median_ms, t.min_ms, t.max_ms);
        let mut rows = vec![
            ("film / 胸片", format!("{}, {} x {} px", self.film, self.columns, self.rows)),
            ("model / 模型", format!("{}, input {} x {} px", self.model, self.size, self.size)),
            ("engine / 引擎", self.kernel.clone()),
            ("threads / 线程", self.threads.to_string()),
            ("overlays / 热图", format!("{}, {} bytes", self.overlays, self.picture_bytes)),
        ];
        rows.extend(self.stages.iter().map(|s| (s.stage, ms(&s.times))));
        rows.push(("total / 合计", ms(&self.total)));
        rows.push(("load / 加载", format!("{:.0} ms, once", self.load_ms)));
        rows.push(("memory / 内存", self.rss_mb.map_or_else(String::new, |mb| format!("{mb:.0} MB resident at most"))));
        super::rows(&rows)
    }
}
