//! The objects that archives get of a reading: made where the film still lies in memory, queued with the reading.
//!
//! In: a film that was just read. Out: whole DICOM files, one of each kind for all destinations that want it, and what could not
//! be made with its reason. The time in them is that of the reading, so that a reading gives the same bytes whenever they are
//! made. A film that is no DICOM file has no study: nothing is made of it, and nothing is amiss. Never: a reading that is lost
//! because an object could not be made.

use crate::cli::objects::{moment, tiles};
use crate::cli::read::locale;
use chexbox::appliance::config::Settings;
use chexbox::appliance::destinations::{Destination, ObjectKind};
use chexbox::lang::Lang;
use chexbox::limits::FORWARD_BYTES_MAX;
use chexbox::model::Manifest;
use chexbox::radiograph::{Lineage, LineageError, Radiograph, Step};
use chexbox::reading::Reading;
use chexbox::report::dicom::{self, ObjectError, Source};
use chexbox::report::record::PROGRAM;
use chexbox::report::{Display, ReadView};
use chexbox::store::{Actor, Digest, Event, Kind, NewForward, ReadingId, Store};
use jiff::{Timestamp, tz::TimeZone};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes what the destinations want.
pub struct Objects {
    destinations: Vec<Destination>,
    lang: Lang,
    queued: [AtomicU64; ObjectKind::ALL.len()],
    unmade: [AtomicU64; ObjectKind::ALL.len()],
}

/// A film that was read, with all that its objects say.
pub struct Read<'a> {
    /// The film's file.
    pub bytes: &'a [u8],
    /// The film.
    pub film: &'a Radiograph,
    /// The film as it is shown.
    pub display: &'a Display,
    /// The model.
    pub manifest: &'a Manifest,
    /// What ran it.
    pub engine: &'a str,
    /// Every step of the pixels' way.
    pub steps: &'a [Step],
    /// Findings and heat maps.
    pub reading: &'a Reading,
    /// When it was read, milliseconds since 1970.
    pub created_ms: i64,
}

/// What was made of a reading.
#[derive(Default)]
pub struct Made {
    /// To be queued with it.
    pub forwards: Vec<NewForward>,
    /// What could not be made.
    pub unmade: Vec<Unmade>,
}

/// An object that could not be made.
pub struct Unmade {
    kind: ObjectKind,
    why: String,
}

impl Objects {
    /// Of the destinations of the configuration.
    pub fn of(settings: &Settings) -> Self {
        let lang = settings.forward_lang.unwrap_or_else(locale);
        Self { destinations: settings.forward.clone(), lang, queued: Default::default(), unmade: Default::default() }
    }

    /// The objects of a film that was read.
    pub fn made(&self, read: &Read) -> Made {
        let mut made = Made::default();
        let kinds = ObjectKind::ALL.into_iter().filter(|kind| self.wanting(*kind).next().is_some());
        let mut kinds = kinds.peekable();
        if kinds.peek().is_none() {
            return made;
        }
        let lineage = match Lineage::of(read.bytes) {
            Err(LineageError::NotDicom) => return made,
            lineage => lineage.map_err(|e| e.to_string()),
        };
        for kind in kinds {
            match lineage.as_ref().map_err(Clone::clone).and_then(|lineage| self.object(kind, read, lineage)) {
                Ok(file) => made.forwards.extend(self.wanting(kind).map(|destination| NewForward {
                    destination: destination.name.clone(),
                    kind: kind.as_str().to_owned(),
                    payload: file.clone(),
                })),
                Err(why) => made.unmade.push(Unmade { kind, why }),
            }
        }
        made
    }

    fn wanting(&self, kind: ObjectKind) -> impl Iterator<Item = &Destination> {
        self.destinations.iter().filter(move |destination| destination.objects.contains(&kind))
    }

    /// One object as a file, or why there is none.
    fn object(&self, kind: ObjectKind, read: &Read, lineage: &Lineage) -> Result<Vec<u8>, String> {
        let at = Timestamp::from_millisecond(read.created_ms).ok().map(|t| t.to_zoned(TimeZone::system()));
        let at = at.and_then(|at| moment(&at)).ok_or("the clock of this machine shows no date that DICOM can write")?;
        let view = ReadView {
            file: PROGRAM,
            facts: &read.film.facts,
            steps: read.steps,
            manifest: read.manifest,
            findings: &read.reading.findings,
            engine: read.engine,
        };
        let source = Source { view: &view, lineage, film_sha256: &Digest::of(read.bytes).0, at, lang: self.lang };
        // A panic costs this object alone.
        let object = catch_unwind(AssertUnwindSafe(|| match kind {
            ObjectKind::StructuredReport => dicom::structured_report(&source),
            ObjectKind::SecondaryCapture => dicom::secondary_capture(&source, read.display, &tiles(read.reading)),
            ObjectKind::PresentationState => dicom::presentation_state(&source, &read.film.grey, &tiles(read.reading)),
        }));
        let file = object.map_err(|_| "the program failed".to_owned())?.map_err(|e: ObjectError| e.to_string())?.file;
        match file.len() {
            0..=FORWARD_BYTES_MAX => Ok(file),
            bytes => Err(format!("it has {bytes} bytes, at most {FORWARD_BYTES_MAX} are queued")),
        }
    }

    /// Counts what was queued with a reading; logs, audits and counts what was not.
    pub fn note(&self, store: &Store, reading: &ReadingId, queued: &[NewForward], unmade: &[Unmade], by: &Actor) {
        for kind in ObjectKind::ALL {
            let count = queued.iter().filter(|forward| forward.kind == kind.as_str()).count();
            count_on(&self.queued, kind, u64::try_from(count).unwrap_or_default());
        }
        for Unmade { kind, why } in unmade {
            count_on(&self.unmade, *kind, 1);
            log::error!("reading {reading}: its {} could not be made and is not sent on: {why}", kind.as_str());
            let event = Event::new(Kind::ObjectNotMade).about(reading.as_str()).with("kind", kind.as_str()).with("why", why);
            if let Err(e) = store.audit(&event, by) {
                log::error!("the audit did not take a record: {e}");
            }
        }
    }

    /// In Prometheus' text format.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        for (name, help, counts) in [
            ("chexbox_objects_queued_total", "Objects that were queued for an archive with their reading.", &self.queued),
            ("chexbox_objects_unmade_total", "Objects that could not be made; the audit says why.", &self.unmade),
        ] {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
            for (kind, count) in ObjectKind::ALL.iter().zip(counts) {
                let _ = writeln!(text, "{name}{{kind=\"{}\"}} {}", kind.as_str(), count.load(Ordering::Relaxed));
            }
        }
        text
    }
}

fn count_on(counts: &[AtomicU64], kind: ObjectKind, more: u64) {
    if let Some(count) = ObjectKind::ALL.iter().position(|k| *k == kind).and_then(|at| counts.get(at)) {
        count.fetch_add(more, Ordering::Relaxed);
    }
}
