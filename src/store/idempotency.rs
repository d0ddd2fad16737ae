//! Idempotency keys: a request that is sent again with its key gets the answer of the first one, and a key that comes with
//! another request is refused. Keys live for a day, as long as clients repeat.

use super::StoreError;
use super::connection::Store;
use super::reading::{Digest, NewReading, ReadingId};
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use rusqlite::{Connection, params};

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// It never came.
    New,
    /// It came with this request, which has these readings.
    Same(Vec<ReadingId>),
    /// It came with another request.
    Conflict,
}

impl Store {
    /// What is known of this key, which now comes with a request of this digest.
    ///
    /// # Errors
    /// Where the store cannot be read; `TooLarge` for a key that is too long.
    pub fn idempotent(&self, key: &str, digest: &Digest) -> Result<Idempotency, StoreError> {
        check(key)?;
        self.read(|connection| known(connection, key, digest))
    }
}

fn check(key: &str) -> Result<(), StoreError> {
    let (found, allowed) = (key.len(), IDEMPOTENCY_KEY_BYTES_MAX);
    if found > allowed { Err(StoreError::TooLarge { what: "the idempotency key", found, allowed }) } else { Ok(()) }
}

fn known(connection: &Connection, key: &str, digest: &Digest) -> Result<Idempotency, StoreError> {
    let mut rows = connection.prepare_cached(
        "SELECT i.digest, r.id FROM idempotency AS i JOIN readings AS r ON r.seq = i.reading WHERE i.key = ?1 ORDER BY r.seq",
    )?;
    let rows = rows.query_map([key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(String, String)> = rows.collect::<rusqlite::Result<_>>()?;
    if found.is_empty() {
        return Ok(Idempotency::New);
    }
    if found.iter().any(|(of, _)| *of != digest.to_string()) {
        return Ok(Idempotency::Conflict);
    }
    Ok(Idempotency::Same(found.iter().filter_map(|(_, id)| id.parse().ok()).collect()))
}

/// Keeps the key of a new reading.
pub(super) fn keep(connection: &Connection, seq: i64, new: &NewReading) -> Result<(), StoreError> {
    let Some((key, digest)) = &new.idempotency else { return Ok(()) };
    check(key)?;
    if known(connection, key, digest)? == Idempotency::Conflict {
        return Err(StoreError::KeyOfAnother);
    }
    connection
        .prepare_cached("INSERT OR IGNORE INTO idempotency (key, reading, digest, at_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![key, seq, digest.to_string(), new.created_ms])?;
    Ok(())
}
