//! `chexbox read`: films in; a table, records or CSV and heat maps out.
//!
//! Several films are read one a thread, and come out in the order of the command line; a single film has all
//! threads to itself, and is decoded while its model is loaded.

use super::files::{self, Films};
use super::in_order::in_order;
use super::memory::{Budget, Share};
use super::objects::{Filed, Made, ObjectArgs, ObjectFolders, Origin};
use super::output::{Format, NobodyReads, Outcome, Printer, Unread};
use super::pictures::{self, PictureNames};
use super::{Exit, Failure, WrongCommandLine, load};
use chexbox::evaluation::ThresholdFile;
use chexbox::findings::Thresholds;
use chexbox::lang::Lang;
use chexbox::limits::{DECODING_BYTES_MAX, FILE_BYTES};
use chexbox::model::kernels::Pool;
use chexbox::model::{Bundle, Manifest, Session};
use chexbox::radiograph::drawn::DrawnFilm;
use chexbox::radiograph::{self, Code, Radiograph, Refusal};
use chexbox::reading::{self, HeatMaps, Reader};
use chexbox::report::{ReadView, RefusedView, View};
use chexbox::threads;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

/// The model that films are read with unless another is asked for.
pub(super) const DEFAULT_MODEL: &str = "findings25";

/// The built-in film, as records name it.
const DRAWN: &str = "drawn-test-film";

/// Options of `read`.
#[derive(clap::Args)]
pub struct ReadArgs {
    /// Films, or folders with films at any depth; none reads the built-in drawn test film / 胸片或文件夹
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// findings25, findings10, all, or a folder with a bundle of your own / 模型
    #[arg(long, default_value = DEFAULT_MODEL)]
    model: String,
    /// Operating point of a finding instead of the model's, for example pneumothorax=0.3; repeatable / 阈值
    #[arg(long, value_name = "FINDING=VALUE")]
    threshold: Vec<String>,
    /// Operating points that chexbox evaluate --choose wrote for the model; repeatable with --model all / 阈值文件
    #[arg(long, value_name = "FILE")]
    thresholds: Vec<PathBuf>,
    /// Write one JSON record a line / 每行一条 JSON 记录
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Write CSV, one row a film and finding / 输出 CSV
    #[arg(long)]
    csv: bool,
    /// Write a heat map for each positive finding and a contact sheet for each film into this folder / 热图文件夹
    #[arg(long, value_name = "DIR")]
    heatmaps: Option<PathBuf>,
    #[command(flatten)]
    objects: ObjectArgs,
    /// Language of texts: en or zh; after LC_ALL, LC_MESSAGES, LANG unless given / 语言
    #[arg(long, value_parser = parse_lang)]
    lang: Option<Lang>,
    /// Threads: a single film is shared by all, of several each has one; all cores unless given / 线程数
    #[arg(long, visible_alias = "jobs", value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// An admitted film.
struct Film<'a> {
    radiograph: Radiograph,
    /// Whose film it is, where objects are made of it.
    origin: Option<Origin>,
    /// Its share of the memory for as long as it is held.
    _share: Share<'a>,
}

type Admitted<'a> = Result<Film<'a>, Refusal>;

/// Everything that reading a film needs, shared by the threads.
pub(super) struct Bench<'a> {
    readers: Vec<Reader>,
    lang: Lang,
    format: Format,
    pictures: Option<PictureNames>,
    objects: Option<ObjectFolders>,
    memory: &'a Budget,
    /// The threads of each film.
    pool: Arc<Pool>,
    /// The only film, where it was decoded before its turn.
    early: Mutex<Option<Admitted<'a>>>,
}

/// Whether a film is asked whose it is.
#[derive(Clone, Copy)]
enum OriginWanted {
    Yes,
    No,
}

/// Where the bytes of a film come from.
enum Source {
    File(PathBuf),
    Drawn,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if a model, a folder or an output fails. A film that cannot be read is not an error: it has a record.
pub fn run(args: &ReadArgs) -> Result<Exit, Failure> {
    let lang = args.lang.unwrap_or_else(locale);
    let (sources, hidden) = sources(&args.paths)?;
    let format = Format::of(args.json, args.csv, std::io::stdout().is_terminal());
    let pictures =
        args.heatmaps.as_deref().map(|folder| PictureNames::new(folder, sources.iter().map(Source::name))).transpose()?;
    let objects = args.objects.folders(sources.iter().map(Source::name))?;
    let origin = if objects.is_some() { OriginWanted::Yes } else { OriginWanted::No };
    let memory = Budget::new(DECODING_BYTES_MAX);
    let threads = args.threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let pool = Pool::new(if sources.len() == 1 { threads } else { 1 });
    let readers = || readers(&args.model, &args.threshold, &args.thresholds, threads, &pool);
    let (readers, early) = match sources.as_slice() {
        [film] if threads > 1 => beside(|| threads::with(threads, || film.admit(&memory, origin)), readers),
        _ => (readers(), None),
    };
    let bench = Bench { readers: readers?, lang, format, pictures, objects, memory: &memory, pool, early: Mutex::new(early) };

    let unread = if bench.pictures.is_some() || bench.objects.is_some() { Unread::GoOn } else { Unread::Stop };
    let mut printer = Printer::start(format, lang, sources.len(), unread)?;
    if args.paths.is_empty() {
        printer.note(lang.pick(
            "no film named: reading the built-in test film, which is drawn and shows no patient (chexbox read --help)",
            "未指定胸片：读取内置测试片（程序绘制，非患者影像）。用法见 chexbox read --help",
        ));
    }
    let read = in_order(sources.len(), threads, |i| bench.film_or_fault(i, &sources[i]), |outcome| printer.film(outcome?));
    match read {
        // Nobody waits for the other films; pictures that were asked for are still drawn.
        Err(e) if e.is::<NobodyReads>() => {}
        read => read?,
    }
    printer.finish(hidden)
}

fn sources(paths: &[PathBuf]) -> Result<(Vec<Source>, usize), Failure> {
    if paths.is_empty() {
        return Ok((vec![Source::Drawn], 0));
    }
    let Films { files, hidden } = files::list(paths)?;
    if files.is_empty() {
        return Err("the folders named hold no files".into());
    }
    Ok((files.into_iter().map(Source::File).collect(), hidden))
}

/// Does `other` on a thread of its own while `work` is done here. What panicked there is none: it is done again in its turn,
/// where a panic has its answer.
fn beside<A: Send, B>(other: impl FnOnce() -> A + Send, work: impl FnOnce() -> B) -> (B, Option<A>) {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        (work(), other.join().ok())
    })
}

/// The models asked for; several are loaded side by side.
pub(super) fn readers(
    model: &str,
    thresholds: &[String],
    files: &[PathBuf],
    threads: usize,
    pool: &Arc<Pool>,
) -> Result<Vec<Reader>, Failure> {
    readers_of(load::bundles(model)?, thresholds, files, threads, pool)
}

/// Readers of these bundles with the operating points that were set.
///
/// # Errors
/// A sentence that names the model, the operating point or the file.
pub(super) fn readers_of(
    bundles: Vec<Bundle>,
    thresholds: &[String],
    files: &[PathBuf],
    threads: usize,
    pool: &Arc<Pool>,
) -> Result<Vec<Reader>, Failure> {
    let manifests: Vec<&Manifest> = bundles.iter().map(|b| b.manifest()).collect();
    let thresholds = Thresholds::parse(thresholds, &manifests).map_err(|e| WrongCommandLine(e.to_string()))?;
    let files: Vec<_> = files.iter().map(|f| load::thresholds(f, &manifests)).collect::<Result<_, _>>()?;
    let thresholds = |model: &Manifest| {
        let chosen = files.iter().filter(|f| f.check(model).is_ok()).flat_map(ThresholdFile::points);
        thresholds.clone().or(chosen)
    };
    let mut readers = Vec::with_capacity(bundles.len());
    let load = |i: usize| pool.install(|| Session::load(&bundles[i]));
    in_order(bundles.len(), threads, load, |session| {
        let session = session?;
        let thresholds = thresholds(session.manifest());
        readers.push(Reader { session, thresholds });
        Ok::<_, Failure>(())
    })?;
    Ok(readers)
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Drawn => DRAWN.to_owned(),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::File(path) => load::read_bounded(path, FILE_BYTES).map_err(|e| match e.kind() {
                std::io::ErrorKind::FileTooLarge => Refusal::new(Code::TooLarge, e.to_string()),
                _ => Refusal::new(Code::UnreadableFile, e.to_string()),
            }),
            Self::Drawn => Ok(DrawnFilm { width: 1024, height: 1024, seed: 1 }.png()),
        }
    }

    fn admit<'a>(&self, memory: &'a Budget, origin: OriginWanted) -> Admitted<'a> {
        let bytes = self.bytes()?;
        let share = memory.take(radiograph::memory_estimate(&bytes));
        let radiograph = reading::admit(&bytes)?;
        let origin = match origin {
            OriginWanted::Yes => Some(Origin::of(&bytes)),
            OriginWanted::No => None,
        };
        Ok(Film { radiograph, origin, _share: share })
    }
}

impl<'a> Bench<'a> {
    /// For films that come one by one, whose number nobody knows; each is a line of JSON for every model.
    pub(super) fn one_by_one(
        readers: Vec<Reader>,
        lang: Lang,
        objects: Option<ObjectFolders>,
        memory: &'a Budget,
        pool: Arc<Pool>,
    ) -> Self {
        Self { readers, lang, format: Format::Json, pictures: None, objects, memory, pool, early: Mutex::new(None) }
    }
}

impl Bench<'_> {
    /// One film of those.
    ///
    /// # Errors
    /// A sentence, if an output fails; a film that cannot be read has its record.
    pub(super) fn file(&self, path: &Path) -> Result<Outcome, Failure> {
        self.film_or_fault(usize::MAX, &Source::File(path.to_owned()))
    }

    /// One film on every model; a panic anywhere on its way is a refusal of this film and of no other.
    fn film_or_fault(&self, index: usize, source: &Source) -> Result<Outcome, Failure> {
        catch_unwind(AssertUnwindSafe(|| self.threaded(|| self.film(index, source)))).unwrap_or_else(|_| {
            let refusal = Refusal::new(Code::InternalFault, "a panic; the log says where");
            let mut outcome = Outcome::default();
            for reader in &self.readers {
                self.refuse(&source.name(), &refusal, reader, &mut outcome)?;
            }
            Ok(outcome)
        })
    }

    /// Does `work` on the threads that one film may use.
    fn threaded<R>(&self, work: impl FnOnce() -> R) -> R {
        threads::with(self.pool.threads(), || self.pool.install(work))
    }

    /// What is printed for a film, its pictures written.
    fn film(&self, index: usize, source: &Source) -> Result<Outcome, Failure> {
        let name = source.name();
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).take();
        let admitted = early.unwrap_or_else(|| source.admit(self.memory, self.origin_wanted()));
        let mut outcome = Outcome::default();
        for reader in &self.readers {
            let film = admitted.as_ref().map_err(Clone::clone);
            match film.and_then(|film| Ok((film, reader.read(&film.radiograph, self.maps())?))) {
                Ok((film, reading)) => self.report(index, &name, film, reader, &reading, &mut outcome)?,
                Err(refusal) => self.refuse(&name, &refusal, reader, &mut outcome)?,
            }
        }
        Ok(outcome)
    }

    fn refuse(&self, name: &str, refusal: &Refusal, reader: &Reader, outcome: &mut Outcome) -> Result<(), Failure> {
        let view = View::Refused(RefusedView { file: name, refusal, manifest: Some(reader.session.manifest()) });
        outcome.add(&view, None, self.format, self.lang)
    }

    fn maps(&self) -> HeatMaps {
        let drawn = self.pictures.is_some() || self.objects.as_ref().is_some_and(ObjectFolders::draws);
        if drawn { HeatMaps::Draw } else { HeatMaps::Skip }
    }

    fn origin_wanted(&self) -> OriginWanted {
        if self.objects.is_some() { OriginWanted::Yes } else { OriginWanted::No }
    }

    fn report(
        &self,
        index: usize,
        name: &str,
        film: &Film,
        reader: &Reader,
        reading: &reading::Reading,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let Film { radiograph: film, origin, .. } = film;
        let steps: Vec<_> = film.steps.iter().chain(&reading.steps).cloned().collect();
        let view = ReadView {
            file: name,
            facts: &film.facts,
            steps: &steps,
            manifest: reader.session.manifest(),
            findings: &reading.findings,
            engine: reader.session.engine(),
        };
        let files = match &self.pictures {
            Some(names) => Some(pictures::write(names, index, film, &view, reading, self.lang)?),
            None => None,
        };
        if let (Some(folders), Some(origin)) = (&self.objects, origin) {
            let made = Made { view: &view, film, reading, origin, lang: self.lang };
            if let Filed::NotAll(why) = folders.write(index, &made)? {
                outcome.add_unfiled(format!("{name}: {why}"));
            }
        }
        outcome.add(&View::Read(view), files.as_ref(), self.format, self.lang)
    }
}

/// A language as `--lang` names it.
pub(super) fn parse_lang(text: &str) -> Result<Lang, String> {
    let language = text.to_ascii_lowercase();
    match language.split(['_', '-', '.']).next() {
        Some("en") => Ok(Lang::En),
        Some("zh") => Ok(Lang::Zh),
        _ => Err("allowed are en and zh".to_owned()),
    }
}

/// The language of the environment, by POSIX precedence.
pub(super) fn locale() -> Lang {
    let set = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    Lang::of_locale(&set("LC_ALL").or_else(|| set("LC_MESSAGES")).or_else(|| set("LANG")).unwrap_or_default())
}
