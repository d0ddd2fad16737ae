//! Readings on their way between the queue, the store and the answers: what one calls a film, a model, a reading, in the
//! words of the other.

use super::admission::now_ms;
use super::identities::Identities;
use super::previews::Previews;
use super::queue::OneRead;
use chexbox::findings::Thresholds;
use chexbox::http::desk::{self, Entry, Fault, Film, Found};
use chexbox::model::Manifest;
use chexbox::radiograph::PatientIdentity;
use chexbox::reading::Reader;
use chexbox::report::kept::KeptReading;
use chexbox::report::{Display, film_png};
use chexbox::store::{
    Actor, Digest, FilmRef, Idempotency, Images, ModelRef, NewReading, Query, ReadingId, Status, Store, StoreError, Stored,
};
use std::fmt::Write;
use std::sync::Arc;

/// Longest cursor, as the document says: more readings than any disk holds.
const CURSOR_CHARS_MAX: usize = 18;

/// The store, and what names a reading.
pub struct Shelf {
    /// The store.
    pub store: Arc<Store>,
    /// Whether pictures of films are kept.
    pub images: Images,
    identities: Identities,
    models: Vec<Named>,
}

/// A model as readings name it.
struct Named {
    model: ModelRef,
    points: Vec<u8>,
}

/// What a fault of the store is to a client; the log says more.
pub fn fault(error: StoreError) -> Fault {
    match error {
        StoreError::Full => {
            log::error!("{error}");
            Fault::StoreFull
        }
        StoreError::KeyOfAnother => Fault::KeyUsed,
        error => {
            log::error!("{error}");
            Fault::StoreFailed
        }
    }
}

impl Shelf {
    /// A shelf for readings with these models.
    ///
    /// # Errors
    /// A model whose manifest has no digest.
    pub fn new(store: Arc<Store>, images: Images, identities: Identities, readers: &[Reader]) -> Result<Self, String> {
        let named = |reader: &Reader| {
            let manifest = reader.session.manifest();
            let sha256 = manifest.file.sha256.parse().map_err(|e| format!("model {}: {e}", manifest.name))?;
            let model = ModelRef { name: manifest.name.clone(), version: manifest.version.clone(), sha256 };
            Ok::<_, String>(Named { model, points: operating_points(manifest, &reader.thresholds) })
        };
        Ok(Self { store, images, identities, models: readers.iter().map(named).collect::<Result<_, _>>()? })
    }

    /// The name of this film's reading on a model.
    pub fn id(&self, film: &Digest, model: usize) -> Option<ReadingId> {
        let named = self.models.get(model)?;
        Some(ReadingId::of(film, &named.model.sha256, &named.points))
    }

    /// The reading, if it is stored.
    pub fn stored(&self, id: &ReadingId) -> Result<Option<Stored>, Fault> {
        self.store.reading(id).map_err(fault)
    }

    /// Refuses a key that came with another request.
    pub fn check_key(&self, key: &str, digest: &Digest) -> Result<(), Fault> {
        match self.store.idempotent(key, digest).map_err(fault)? {
            Idempotency::Conflict => Err(Fault::KeyUsed),
            Idempotency::New | Idempotency::Same(_) => Ok(()),
        }
    }

    /// A reading to be recorded.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the record")]
    pub fn new_reading(
        &self,
        model: usize,
        id: ReadingId,
        film: &Film,
        sha256: &Digest,
        read: OneRead,
        identity: Option<PatientIdentity>,
        key: Option<&(String, Digest)>,
    ) -> NewReading {
        let OneRead { kept, maps, created_ms, objects } = read;
        let none = || ModelRef { name: kept.model.clone(), version: kept.version.clone(), sha256: Digest([0; 32]) };
        NewReading {
            id,
            created_ms,
            film: self.film_ref(film, sha256),
            model: self.models.get(model).map_or_else(none, |m| m.model.clone()),
            status: if kept.refusal.is_some() { Status::Refused } else { Status::Read },
            record_json: serde_json::to_string(&kept).unwrap_or_default(),
            positives: kept.positives().map(|f| f.id.clone()).collect(),
            findings: kept.findings.iter().flatten().map(|f| (f.id.clone(), f.assessed.map(|n| n.probability))).collect(),
            maps,
            identity: identity.map(|identity| self.identities.kept(identity)),
            image: None,
            idempotency: key.cloned(),
            forwards: objects.forwards,
        }
    }

    /// The same with the picture of its film, where pictures are kept.
    pub fn with_picture(&self, new: NewReading, film: Option<&Display>) -> NewReading {
        let wanted = self.images == Images::Keep && new.status == Status::Read;
        let image = film.filter(|_| wanted).and_then(|film| film_png(film).ok());
        NewReading { image, ..new }
    }

    /// A stored reading that is asked for again with its film: recorded once more, it leaves a line in the audit alone.
    pub fn again(&self, stored: Stored, film: &Film, key: Option<&(String, Digest)>) -> NewReading {
        NewReading {
            film: self.film_ref(film, &stored.film.sha256),
            id: stored.id,
            created_ms: stored.created_ms,
            model: stored.model,
            status: stored.status,
            record_json: stored.record_json,
            positives: stored.positives,
            findings: Vec::new(),
            maps: Vec::new(),
            identity: stored.identity,
            image: None,
            idempotency: key.cloned(),
            forwards: Vec::new(),
        }
    }

    fn film_ref(&self, film: &Film, sha256: &Digest) -> FilmRef {
        let name = self.identities.film_name(film.name.as_ref());
        FilmRef { sha256: *sha256, name, bytes: u64::try_from(film.bytes().len()).unwrap_or(u64::MAX) }
    }

    /// Makes a reading durable; whether it is new.
    pub fn record(&self, new: &NewReading, by: &Actor) -> Result<(Stored, bool), Fault> {
        let recorded = self.store.record(new, by).map_err(fault)?;
        Ok((recorded.reading, recorded.fresh))
    }

    /// A stored reading as answers have it.
    pub fn entry(&self, stored: Stored, previews: &Previews) -> Result<Entry, Fault> {
        let kept: KeptReading = serde_json::from_str(&stored.record_json).map_err(|e| {
            log::error!("the record of reading {} cannot be read: {e}", stored.id);
            Fault::StoreFailed
        })?;
        let film_sha256 = stored.film.sha256.to_string();
        Ok(Entry {
            id: stored.id.to_string(),
            created_ms: stored.created_ms,
            film_kept: kept.refusal.is_none() && (stored.has_image || previews.has(&film_sha256)),
            film_sha256,
            film_name: stored.film.name,
            film_bytes: stored.film.bytes,
            patient: stored.identity,
            kept,
        })
    }

    /// Readings that match.
    pub fn find(&self, query: &desk::Query, previews: &Previews) -> Result<Found, Fault> {
        let short = query.cursor.as_deref().is_none_or(|c| c.len() <= CURSOR_CHARS_MAX);
        let before = query.cursor.as_deref().map(str::parse).transpose().ok().filter(|_| short).ok_or(Fault::WrongCursor)?;
        let status = query.status.map(|s| match s {
            desk::Status::Read => Status::Read,
            desk::Status::Refused => Status::Refused,
        });
        let asked = Query {
            since_ms: query.since_ms,
            until_ms: query.until_ms,
            patient: query.patient.clone(),
            or_patient: query.patient.as_ref().and_then(|id| self.identities.pseudonym(id)),
            finding: query.finding.clone(),
            status,
            text: query.text.clone(),
            before,
            limit: query.limit,
        };
        let page = self.store.find(&asked).map_err(fault)?;
        let entries = page.readings.into_iter().map(|stored| self.entry(stored, previews)).collect::<Result<_, _>>()?;
        Ok(Found { entries, next: page.next.map(|c| c.to_string()) })
    }

    /// In Prometheus' text format.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        let mut gauge = |name: &str, help: &str, value: Result<u64, StoreError>| {
            if let Ok(value) = value {
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
            }
        };
        gauge("chexbox_stored_readings", "Readings in the store.", self.store.count());
        gauge("chexbox_store_bytes", "Bytes in use in the store.", self.store.used());
        gauge("chexbox_outbox_waiting", "Objects that wait to be sent to archives.", self.store.outbox_waiting());
        text + &self.store.outbox_lines().map_or_else(|_| String::new(), |lines| super::measures::outbox(&lines, now_ms()))
    }
}

/// Everything behind the weights that decides a call, as text: each trained head's calibration and operating point.
fn operating_points(manifest: &Manifest, thresholds: &Thresholds) -> Vec<u8> {
    let mut text = String::new();
    for finding in &manifest.findings {
        if let Some(o) = finding.operating {
            let threshold = thresholds.of(&finding.id).unwrap_or(o.threshold);
            let _ = write!(text, "{}={threshold},{},{};", finding.id, o.slope, o.intercept);
        }
    }
    text.into_bytes()
}
