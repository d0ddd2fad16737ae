//! Brings the parts of the service together: the queue reads, the store keeps, tokens say who may ask, and the answers over
//! HTTP are made of what they give.

use super::admission::{Admission, actor, now_ms};
use super::previews::Previews;
use super::queue::{Place, Queue};
use super::shelf::{Shelf, fault};
use chexbox::dicom_net::scp::Scp;
use chexbox::http::desk::{Ask, Caller, Desk, Entry, Fault, Film, FilmRead, Found, Given, Made, Query, Right};
use chexbox::http::gate::Gate;
use chexbox::model::Manifest;
use chexbox::report::{Display, film_of_png};
use chexbox::store::{Actor, Digest, Event, Kind, ReadingId};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The desk of the service.
pub struct FrontDesk {
    /// Reads.
    pub queue: Queue,
    /// Keeps.
    pub shelf: Shelf,
    /// Films shown after their reading.
    pub previews: Previews,
    /// Says who may ask.
    pub admission: Admission,
    /// The gate, once it is open, for what it counts.
    pub gate: Mutex<Option<Gate>>,
    /// The DICOM provider, once it listens, for what it counts.
    pub scp: Mutex<Option<Scp>>,
    /// Requests without a place that the audit does not know of yet.
    pub turned_away: AtomicU64,
}

impl FrontDesk {
    /// One film on the models asked for: those that have read it are not asked again.
    fn film_read(&self, film: &Film, request: &Request<'_>) -> FilmRead {
        let sha256 = Digest::of(film.bytes());
        let wanted: Vec<(usize, ReadingId)> =
            request.ask.models.iter().filter_map(|at| Some((*at, self.shelf.id(&sha256, *at)?))).collect();
        let known = wanted.iter().map(|(_, id)| self.shelf.stored(id)).collect::<Result<Vec<_>, _>>();
        let known = match known {
            Ok(known) => known,
            Err(e) => return wanted.iter().map(|_| Err(e)).collect(),
        };
        let missing: Vec<usize> = wanted.iter().zip(&known).filter(|(_, k)| k.is_none()).map(|((at, _), _)| *at).collect();
        let name = sha256.to_string();
        let shown = known.iter().flatten().any(|k| k.has_image) || self.previews.has(&name);
        let refused = known.iter().flatten().any(|k| k.status == chexbox::store::Status::Refused);
        // A film that was read before and cannot be shown any more is decoded once more, to be shown.
        let read = match missing.is_empty() && (shown || refused) {
            true => None,
            false => Some(self.queue.read(request.place, film.clone(), missing).recv().unwrap_or(Err(Fault::Internal))),
        };
        let (mut readings, patient) = match read {
            None => (Vec::new(), None),
            Some(Err(fault)) => {
                let noted = self.failed(request.by, fault);
                return wanted.iter().map(|_| Err(noted)).collect();
            }
            Some(Ok(read)) => {
                if let Some(display) = read.display {
                    self.previews.put(&name, display);
                }
                (read.readings, read.patient)
            }
        };
        readings.reverse();
        let picture = self.previews.get(&name);
        let keep = |((at, id), known): ((usize, ReadingId), Option<_>)| {
            let mut unmade = Vec::new();
            let new = match known {
                Some(stored) => self.shelf.again(stored, film, request.key),
                None => match readings.pop().unwrap_or(Err(Fault::Internal)) {
                    Ok(mut read) => {
                        unmade = std::mem::take(&mut read.objects.unmade);
                        let new = self.shelf.new_reading(at, id, film, &sha256, read, patient.clone(), request.key);
                        self.shelf.with_picture(new, picture.as_deref())
                    }
                    Err(fault) => return Err(self.failed(request.by, fault)),
                },
            };
            let (stored, fresh) = self.shelf.record(&new, request.by)?;
            if fresh {
                self.queue.objects().note(&self.shelf.store, &stored.id, &new.forwards, &unmade, request.by);
            }
            let entry = self.shelf.entry(stored, &self.previews)?;
            Ok(Given { entry, made: if fresh { Made::Now } else { Made::Before } })
        };
        wanted.into_iter().zip(known).map(keep).collect()
    }

    /// Notes in the audit that the program failed on a film; what the client is told.
    fn failed(&self, by: &Actor, why: Fault) -> Fault {
        let event = Event::new(Kind::ReadingFailed).with("code", "internal_fault");
        self.shelf.store.audit(&event, by).map_err(fault).err().unwrap_or(why)
    }
}

/// What the films of one request share.
struct Request<'a> {
    ask: &'a Ask,
    by: &'a Actor,
    place: &'a Place<'a>,
    key: Option<&'a (String, Digest)>,
}

impl Desk for FrontDesk {
    fn admit(&self, authorization: Option<&str>, peer: IpAddr, right: Right, what: &str) -> Result<Caller, Fault> {
        self.admission.admit(&self.shelf.store, authorization, peer, right, what)
    }

    fn models(&self) -> Vec<&Manifest> {
        self.queue.readers().iter().map(|r| r.session.manifest()).collect()
    }

    fn read(&self, films: Vec<Film>, ask: &Ask, by: &Caller) -> Result<Vec<FilmRead>, Fault> {
        let place = self.queue.enter().inspect_err(|_| {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
        })?;
        let key = ask.idempotency_key.as_ref().map(|key| (key.clone(), request_digest(&films, ask)));
        if let Some((key, digest)) = &key {
            self.shelf.check_key(key, digest)?;
        }
        let by = actor(by);
        let request = Request { ask, by: &by, place: &place, key: key.as_ref() };
        // As many films of one request are under way as are read at the same time.
        let mut read = Vec::with_capacity(films.len());
        for films in films.chunks(self.queue.width().max(1)) {
            std::thread::scope(|scope| {
                let others: Vec<_> = films.iter().skip(1).map(|f| scope.spawn(|| self.film_read(f, &request))).collect();
                read.extend(films.first().map(|f| self.film_read(f, &request)));
                read.extend(others.into_iter().map(|o| o.join().unwrap_or_else(|_| vec![Err(Fault::Internal)])));
            });
        }
        Ok(read)
    }

    fn reading(&self, id: &str, _by: &Caller) -> Result<Option<Entry>, Fault> {
        let Ok(id) = id.parse() else { return Ok(None) };
        self.shelf.stored(&id)?.map(|stored| self.shelf.entry(stored, &self.previews)).transpose()
    }

    fn maps(&self, entry: &Entry) -> Result<Vec<u8>, Fault> {
        let Ok(id) = entry.id.parse() else { return Ok(Vec::new()) };
        Ok(self.shelf.store.maps(&id).map_err(fault)?.unwrap_or_default())
    }

    fn film(&self, entry: &Entry) -> Result<Option<Arc<Display>>, Fault> {
        if let Some(film) = self.previews.get(&entry.film_sha256) {
            return Ok(Some(film));
        }
        let Ok(id) = entry.id.parse() else { return Ok(None) };
        Ok(self.shelf.store.image(&id).map_err(fault)?.and_then(|png| film_of_png(&png)).map(Arc::new))
    }

    fn find(&self, query: &Query, _by: &Caller) -> Result<Found, Fault> {
        self.shelf.find(query, &self.previews)
    }

    fn delete(&self, id: &str, by: &Caller) -> Result<bool, Fault> {
        let Ok(id) = id.parse() else { return Ok(false) };
        if let Some(stored) = self.shelf.stored(&id)? {
            self.previews.drop_film(&stored.film.sha256.to_string());
        }
        self.shelf.store.delete(&id, &actor(by)).map_err(fault)
    }

    fn ready(&self) -> Result<(), Fault> {
        match (self.queue.is_stopping(), self.shelf.store.must_be_opened_anew()) {
            (true, _) => Err(Fault::Stopping),
            (_, true) => Err(Fault::StoreFailed),
            _ => self.shelf.store.count().map(|_| ()).map_err(fault),
        }
    }

    fn metrics(&self) -> String {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Gate::counters);
        let scp = self.scp.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Scp::counts);
        let parts = [gate.map(|g| super::measures::gate(&g)), scp.map(|s| super::measures::dicom(&s))];
        self.queue.metrics()
            + &self.queue.objects().metrics()
            + &self.shelf.metrics()
            + &parts.into_iter().flatten().collect::<String>()
    }
}

/// What an idempotency key stands for: the films and the models.
fn request_digest(films: &[Film], ask: &Ask) -> Digest {
    let mut all = format!("{:?}", ask.models).into_bytes();
    all.extend(films.iter().flat_map(|f| Digest::of(f.bytes()).0));
    Digest::of(&all)
}

/// Notes, once in a while, how many requests found no place: one record for many, or a flood would fill the audit.
pub fn note_turned_away(desk: &FrontDesk) {
    let count = desk.turned_away.swap(0, Ordering::Relaxed);
    if count > 0 {
        let event = Event::new(Kind::TurnedAway).with("requests", count);
        if let Err(e) = desk.shelf.store.audit(&event, &Actor::daemon(now_ms())) {
            log::error!("the audit did not take a record: {e}");
        }
    }
}
