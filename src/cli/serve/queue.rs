//! The reading queue: a bounded number of requests wait, a fixed number of threads read one film each.
//!
//! In: films with the models to read them with. Out: what was read, or a fault. Never: more requests inside than there are
//! places, or a panic that costs more than its own film.

use super::admission::now_ms;
use super::objects::{Made, Objects, Read};
use crate::cli::memory::Budget;
use chexbox::http::desk::{Fault, Film};
use chexbox::limits::DECODING_BYTES_MAX;
use chexbox::model::kernels::Pool;
use chexbox::radiograph::{self, Code, PatientIdentity, Radiograph, Refusal, Step, drawn::DrawnFilm};
use chexbox::reading::{self, HeatMaps, Reader};
use chexbox::report::Display;
use chexbox::report::kept::{KeptReading, pack};
use chexbox::threads;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Upper bounds of the times of a reading that are counted, seconds.
const TIME_BOUNDS_S: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What came of one film.
pub struct FilmRead {
    /// For each model asked for.
    pub readings: Vec<Result<OneRead, Fault>>,
    /// The film as it is shown; none where it was refused.
    pub display: Option<Display>,
    /// Who it is of.
    pub patient: Option<PatientIdentity>,
}

/// What a model made of a film.
pub struct OneRead {
    /// Its record.
    pub kept: KeptReading,
    /// Its heat maps, as they are kept.
    pub maps: Vec<u8>,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
    /// What is sent on of it.
    pub objects: Made,
}

struct Job {
    film: Film,
    models: Vec<usize>,
    done: SyncSender<Result<FilmRead, Fault>>,
}

/// What the queue counts.
#[derive(Default)]
pub struct Counts {
    /// Films that were finished, whatever came of them.
    pub finished: AtomicU64,
    /// Requests that found no place.
    pub turned_away: AtomicU64,
    /// Films that ended in a panic.
    pub panics: AtomicU64,
    /// Films by the time they took: below each bound, and all.
    times: [AtomicU64; TIME_BOUNDS_S.len() + 1],
    time_us: AtomicU64,
}

struct Shared {
    readers: Vec<Reader>,
    objects: Objects,
    places: usize,
    inside: AtomicUsize,
    stopping: AtomicBool,
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
    memory: Budget,
    counts: Counts,
}

/// The queue and its threads.
pub struct Queue {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    width: usize,
}

/// The right of one request to have films read; given back when dropped.
pub struct Place<'a>(&'a Queue);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.shared.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Queue {
    /// Starts `workers` threads; `waiting` requests may wait beside those being read.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(readers: Vec<Reader>, objects: Objects, workers: usize, waiting: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            readers,
            objects,
            places: workers + waiting,
            inside: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            jobs: Mutex::new(VecDeque::new()),
            arrived: Condvar::new(),
            memory: Budget::new(DECODING_BYTES_MAX),
            counts: Counts::default(),
        });
        let spawn = |i| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("reads {i}")).spawn(move || shared.work())
        };
        let threads = (0..workers).map(spawn).collect::<Result<_, _>>()?;
        Ok(Self { shared, workers: Mutex::new(threads), width: workers })
    }

    /// The models.
    pub fn readers(&self) -> &[Reader] {
        &self.shared.readers
    }

    /// What makes the objects that are sent on.
    pub fn objects(&self) -> &Objects {
        &self.shared.objects
    }

    /// Films that are read at the same time.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A place for one request.
    ///
    /// # Errors
    /// [`Fault::Busy`] where all are taken, [`Fault::Stopping`].
    pub fn enter(&self) -> Result<Place<'_>, Fault> {
        if self.is_stopping() {
            return Err(Fault::Stopping);
        }
        let one_more = |inside| (inside < self.shared.places).then_some(inside + 1);
        match self.shared.inside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more) {
            Ok(_) => Ok(Place(self)),
            Err(_) => {
                self.shared.counts.turned_away.fetch_add(1, Ordering::Relaxed);
                Err(Fault::Busy)
            }
        }
    }

    /// Whether the queue takes no further request.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    /// Puts a film in line; the answer comes when it was read.
    pub fn read(&self, _place: &Place<'_>, film: Film, models: Vec<usize>) -> Receiver<Result<FilmRead, Fault>> {
        self.push(film, models)
    }

    fn push(&self, film: Film, models: Vec<usize>) -> Receiver<Result<FilmRead, Fault>> {
        let (done, answer) = sync_channel(1);
        self.shared.lock().push_back(Job { film, models, done });
        self.shared.arrived.notify_one();
        answer
    }

    /// Films finished so far.
    pub fn finished(&self) -> u64 {
        self.shared.counts.finished.load(Ordering::Relaxed)
    }

    /// Reads the drawn film through the line, as a film of anybody's, within `patience`; whether it was read.
    pub fn prove(&self, patience: Duration) -> bool {
        let film = Arc::new(DrawnFilm { width: 512, height: 512, seed: 1 }.png());
        let read = self.push(Film::whole(&film, None), vec![0]).recv_timeout(patience);
        let good = |read: &FilmRead| read.readings.iter().all(|r| r.as_ref().is_ok_and(|read| read.kept.refusal.is_none()));
        matches!(read, Ok(Ok(read)) if good(&read))
    }

    /// Takes no further request, and ends its threads when the line is empty.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.arrived.notify_all();
    }

    /// Waits for the threads to end, for at most `patience`; whether they did.
    pub fn ended(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        while workers.iter().any(|w| !w.is_finished()) {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        workers.drain(..).for_each(|w| drop(w.join()));
        true
    }

    /// In Prometheus' text format.
    pub fn metrics(&self) -> String {
        let counts = &self.shared.counts;
        let value = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let mut text = String::new();
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        let inside = self.shared.inside.load(Ordering::SeqCst) as u64;
        one("chexbox_requests_reading", "gauge", "Requests for readings that wait or are served.", inside);
        one("chexbox_places", "gauge", "Requests for readings that may be inside at once.", self.shared.places as u64);
        one("chexbox_turned_away_total", "counter", "Requests that found no place.", value(&counts.turned_away));
        one("chexbox_panics_total", "counter", "Films that ended in a panic.", value(&counts.panics));
        let name = "chexbox_reading_seconds";
        text += &format!("# HELP {name} Time from decoding to findings.\n# TYPE {name} histogram\n");
        let bounds = TIME_BOUNDS_S.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&counts.times) {
            text += &format!("{name}_bucket{{le=\"{bound}\"}} {}\n", value(count));
        }
        let seconds = value(&counts.time_us) as f64 / 1e6;
        text + &format!("{name}_sum {seconds}\n{name}_count {}\n", value(&counts.finished))
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until the queue ends.
    fn work(&self) {
        let pool = Pool::new(1);
        loop {
            let mut jobs = self.lock();
            let job = loop {
                match jobs.pop_front() {
                    Some(job) => break job,
                    None if self.stopping.load(Ordering::SeqCst) && self.inside.load(Ordering::SeqCst) == 0 => return,
                    // The time limit is for a request that leaves without a film while the queue stops.
                    None => {
                        let waited = self.arrived.wait_timeout(jobs, Duration::from_millis(200));
                        jobs = waited.unwrap_or_else(PoisonError::into_inner).0;
                    }
                }
            };
            drop(jobs);
            let start = Instant::now();
            let read = || threads::with(1, || pool.install(|| self.film(job.film.bytes(), &job.models)));
            let read = catch_unwind(AssertUnwindSafe(read)).map_err(|_| {
                self.counts.panics.fetch_add(1, Ordering::Relaxed);
                Fault::Internal
            });
            self.count(start.elapsed());
            // Whoever asked may have gone.
            let _ = job.done.send(read);
        }
    }

    fn count(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        for (bound, count) in TIME_BOUNDS_S.iter().copied().chain([f64::INFINITY]).zip(&self.counts.times) {
            if seconds <= bound {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.counts.time_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.counts.finished.fetch_add(1, Ordering::Relaxed);
    }

    fn film(&self, bytes: &[u8], models: &[usize]) -> FilmRead {
        #[cfg(debug_assertions)]
        trap(bytes);
        let patient = radiograph::identity(bytes).ok();
        let _share = self.memory.take(radiograph::memory_estimate(bytes));
        let film = reading::admit(bytes).map(|film| Admitted { display: Display::of(&film.grey), film });
        let readers = models.iter().filter_map(|m| self.readers.get(*m));
        let readings = readers.map(|reader| self.one(reader, bytes, film.as_ref())).collect();
        FilmRead { readings, display: film.ok().map(|film| film.display), patient }
    }

    /// One film on one model.
    fn one(&self, reader: &Reader, bytes: &[u8], film: Result<&Admitted, &Refusal>) -> Result<OneRead, Fault> {
        let (manifest, engine) = (reader.session.manifest(), reader.session.engine());
        let read = film.map_err(Clone::clone).and_then(|admitted| {
            let Admitted { film, display } = admitted;
            let reading = reader.read(film, HeatMaps::Draw)?;
            let steps: Vec<Step> = film.steps.iter().chain(&reading.steps).cloned().collect();
            let created_ms = now_ms();
            let kept = KeptReading::of(manifest, engine, &film.facts, &steps, &reading);
            let read = Read { bytes, film, display, manifest, engine, steps: &steps, reading: &reading, created_ms };
            Ok(OneRead { kept, maps: pack(&reading.heat_maps), created_ms, objects: self.objects.made(&read) })
        });
        match read {
            Ok(read) => Ok(read),
            // The film may be fine: what failed once is not kept as what there is to say about it.
            Err(refusal) if refusal.code() == Code::InternalFault => {
                log::error!("a film could not be read: {}", refusal.detail());
                Err(Fault::Internal)
            }
            Err(refusal) => Ok(OneRead {
                kept: KeptReading::refused(manifest, &refusal),
                maps: Vec::new(),
                created_ms: now_ms(),
                objects: Made::default(),
            }),
        }
    }
}

/// A film that may be read, and how it is shown.
struct Admitted {
    film: Radiograph,
    display: Display,
}

/// A film that panics where it is decoded, so that tests see what a panic costs; no release has it.
#[cfg(debug_assertions)]
fn trap(bytes: &[u8]) {
    assert!(!bytes.starts_with(b"chexbox trap: panic"), "the trap film");
}
