//! The labelled films: found below a folder or in its tars, and read with all cores, one film a thread.

use super::super::Failure;
use super::super::in_order::in_order;
use super::super::load;
use super::super::memory::Budget;
use super::archive::Archive;
use chexbox::evaluation::{MapOnFilm, ReadFilm, Refused, judge};
use chexbox::findings::FindingState;
use chexbox::labels::FindingBox;
use chexbox::lang::Lang;
use chexbox::limits::{DECODING_BYTES_MAX, FILE_BYTES};
use chexbox::radiograph::{self, Code, Refusal};
use chexbox::reading::{self, HeatMaps, Reader};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Where the films of a label file are.
pub struct FilmSource {
    root: PathBuf,
    archives: BTreeMap<PathBuf, Archive>,
}

/// Where one film is.
pub enum Place {
    /// A file.
    File(PathBuf),
    /// An entry of a tar: its position and size.
    Entry(PathBuf, (u64, u64)),
}

/// One film to read.
pub struct Job {
    /// Its name there.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// Findings, by position in the manifest, and the boxes that show them.
    pub boxes: Vec<(usize, Vec<FindingBox>)>,
}

/// The heat map of one finding on a film that has boxes of it.
pub struct MapOfFinding {
    /// Position of the finding in the manifest.
    pub head: usize,
    /// How it lies to the boxes.
    pub map: MapOnFilm,
}

impl FilmSource {
    /// Films below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), archives: BTreeMap::new() }
    }

    /// Finds the film that the label file names: below the folder; below it without the folder's own name in front (as in
    /// CheXpert's paths); or, for `128/a.jpg`, in `128.tar`.
    ///
    /// # Errors
    /// A sentence that says where it was looked for.
    pub fn find(&mut self, name: &str) -> Result<Place, String> {
        let file = self.root.join(name);
        if file.is_file() {
            return Ok(Place::File(file));
        }
        let Some((first, rest)) = name.split_once('/') else {
            return Err(format!("{name} is not below {}", self.root.display()));
        };
        if self.root.file_name().is_some_and(|own| own == first) && self.root.join(rest).is_file() {
            return Ok(Place::File(self.root.join(rest)));
        }
        let tar = self.root.join(format!("{first}.tar"));
        if !tar.is_file() {
            return Err(format!("{name} is not below {}", self.root.display()));
        }
        if !self.archives.contains_key(&tar) {
            let archive = Archive::open(&tar).map_err(|e| format!("{}: {e}", tar.display()))?;
            self.archives.insert(tar.clone(), archive);
        }
        let entry = self.archives.get(&tar).and_then(|a| a.find(name));
        entry.map(|e| Place::Entry(tar.clone(), e)).ok_or_else(|| format!("{name} is not in {}", tar.display()))
    }

    fn bytes(&self, place: &Place) -> Result<Vec<u8>, Refusal> {
        let bytes = match place {
            Place::File(path) => load::read_bounded(path, FILE_BYTES),
            Place::Entry(tar, entry) => match self.archives.get(tar) {
                Some(archive) => archive.read(*entry, FILE_BYTES),
                None => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
            },
        };
        bytes.map_err(|e| match e.kind() {
            std::io::ErrorKind::FileTooLarge => Refusal::new(Code::TooLarge, e.to_string()),
            _ => Refusal::new(Code::UnreadableFile, e.to_string()),
        })
    }
}

/// Reads every film; one that is refused has its reason, and none is passed over.
///
/// # Errors
/// None of its own; what the progress bar's template says.
pub fn read(
    reader: &Reader,
    source: &FilmSource,
    jobs: &[Job],
    threads: usize,
    lang: Lang,
) -> Result<(Vec<ReadFilm>, Vec<MapOfFinding>), Failure> {
    let memory = Budget::new(DECODING_BYTES_MAX);
    let bar = ProgressBar::new(jobs.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta_precise}")?);
    let (mut films, mut maps) = (Vec::with_capacity(jobs.len()), Vec::new());
    let work = |i: usize| {
        let job: &Job = &jobs[i];
        let read = catch_unwind(AssertUnwindSafe(|| one(reader, source, job, &memory)));
        read.unwrap_or_else(|_| Err(Refusal::new(Code::InternalFault, "a panic; the log says where")))
    };
    let mut next = 0;
    in_order(jobs.len(), threads, work, |read: Result<Read, Refusal>| {
        let file = jobs[next].name.clone();
        next += 1;
        let outcome = match read {
            Ok((probabilities, of_film)) => {
                maps.extend(of_film);
                Ok(probabilities)
            }
            Err(refusal) => Err(Refused { code: refusal.code().as_str().to_owned(), message: refusal.message(lang) }),
        };
        films.push(ReadFilm { file, outcome });
        bar.inc(1);
        Ok::<(), Failure>(())
    })?;
    bar.finish_and_clear();
    Ok((films, maps))
}

type Read = (Vec<Option<f32>>, Vec<MapOfFinding>);

fn one(reader: &Reader, source: &FilmSource, job: &Job, memory: &Budget) -> Result<Read, Refusal> {
    let bytes = source.bytes(&job.place)?;
    let _share = memory.take(radiograph::memory_estimate(&bytes));
    let film = reading::admit(&bytes)?;
    let wanted = if job.boxes.is_empty() { HeatMaps::Skip } else { HeatMaps::Draw };
    let read = reader.read(&film, wanted)?;
    let probability = |f: &chexbox::findings::Finding| match f.state {
        FindingState::Assessed { probability, .. } => Some(probability.value()),
        FindingState::Untrained => None,
    };
    let maps = job.boxes.iter().filter_map(|(head, boxes)| {
        let (_, map) = read.heat_maps.iter().find(|(i, _)| i == head)?;
        Some(MapOfFinding { head: *head, map: judge(map, &boxes.iter().collect::<Vec<_>>()) })
    });
    Ok((read.findings.iter().map(probability).collect(), maps.collect()))
}
