//! Brings the parts of the service together: the queue reads, the shelf keeps, and the answers over HTTP are made from both.

use super::previews::Previews;
use super::queue::{FilmRead, Place, Queue};
use chexbox::http::desk::{Ask, Caller, Desk, Entry, Fault, Film, Found, Given, Made, Query, Right, Status};
use chexbox::model::Manifest;
use chexbox::report::Display;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The desk of the service.
pub struct FrontDesk {
    pub(super) queue: Queue,
    pub(super) previews: Previews,
    pub(super) shelf: Mutex<BTreeMap<String, (Entry, Vec<u8>)>>,
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis().try_into().unwrap_or(0))
}

impl FrontDesk {
    fn film_read(&self, film: &Film, sha256: &str, place: &Place<'_>, ask: &Ask) -> Vec<Result<Given, Fault>> {
        let read = self.queue.read(place, film.clone(), ask.models.clone()).recv().unwrap_or(Err(Fault::Internal));
        match read {
            Ok(FilmRead { readings, display, patient }) => {
                if let Some(display) = display {
                    self.previews.put(sha256, display);
                }
                let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
                readings
                    .into_iter()
                    .map(|read| {
                        let (kept, maps) = read?;
                        let id: String = format!("{:x}", Sha256::digest(format!("{sha256}{}", kept.sha256)))[..26].to_owned();
                        let made = if shelf.contains_key(&id) { Made::Before } else { Made::Now };
                        let (entry, _) = shelf.entry(id.clone()).or_insert_with(|| {
                            let entry = Entry {
                                id,
                                created_ms: now_ms(),
                                film_sha256: sha256.to_owned(),
                                film_name: film.name.clone(),
                                film_bytes: film.bytes().len() as u64,
                                film_kept: self.previews.has(sha256),
                                patient: patient.clone(),
                                kept,
                            };
                            (entry, maps)
                        });
                        Ok(Given { entry: entry.clone(), made })
                    })
                    .collect()
            }
            Err(fault) => vec![Err(fault)],
        }
    }
}

impl Desk for FrontDesk {
    fn admit(&self, _authorization: Option<&str>, peer: IpAddr, _right: Right) -> Result<Caller, Fault> {
        Ok(Caller { token: None, peer })
    }

    fn models(&self) -> Vec<&Manifest> {
        self.queue.readers().iter().map(|r| r.session.manifest()).collect()
    }

    fn read(&self, films: Vec<Film>, ask: &Ask, _by: &Caller) -> Result<Vec<Vec<Result<Given, Fault>>>, Fault> {
        let place = self.queue.enter()?;
        let one = |film: &Film| self.film_read(film, &format!("{:x}", Sha256::digest(film.bytes())), &place, ask);
        Ok(films.iter().map(one).collect())
    }

    fn reading(&self, id: &str, _by: &Caller) -> Result<Option<Entry>, Fault> {
        Ok(self.shelf.lock().unwrap_or_else(PoisonError::into_inner).get(id).map(|(entry, _)| entry.clone()))
    }

    fn maps(&self, entry: &Entry) -> Result<Vec<u8>, Fault> {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(shelf.get(&entry.id).map(|(_, maps)| maps.clone()).unwrap_or_default())
    }

    fn film(&self, entry: &Entry) -> Result<Option<Arc<Display>>, Fault> {
        Ok(self.previews.get(&entry.film_sha256))
    }

    fn find(&self, query: &Query, _by: &Caller) -> Result<Found, Fault> {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries: Vec<Entry> = shelf.values().map(|(entry, _)| entry.clone()).collect();
        entries.retain(|e| {
            let status = if e.kept.refusal.is_some() { Status::Refused } else { Status::Read };
            query.status.is_none_or(|s| s == status)
                && query.since_ms.is_none_or(|t| e.created_ms >= t)
                && query.until_ms.is_none_or(|t| e.created_ms < t)
                && query.finding.as_ref().is_none_or(|f| e.kept.positives().any(|p| p.id == *f))
        });
        entries.sort_by_key(|e| std::cmp::Reverse(e.created_ms));
        entries.truncate(query.limit);
        Ok(Found { entries, next: None })
    }

    fn delete(&self, id: &str, _by: &Caller) -> Result<bool, Fault> {
        Ok(self.shelf.lock().unwrap_or_else(PoisonError::into_inner).remove(id).is_some())
    }

    fn ready(&self) -> Result<(), Fault> {
        if self.queue.is_stopping() { Err(Fault::Stopping) } else { Ok(()) }
    }

    fn metrics(&self) -> String {
        self.queue.metrics()
    }
}
