//! Readings: recorded once, found by their id, deleted whole.

use super::audit::{Actor, Event, Kind, append};
use super::chain::update_sized;
use super::connection::Store;
use super::reading::{Digest, FilmRef, ModelRef, NewReading, ReadingId, Recorded, Stored, cut};
use super::{StoreError, idempotency, outbox};
use crate::radiograph::{IdentityForm, PatientIdentity};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest as _, Sha256};

/// What a [`Stored`] is made of, out of `readings AS r`.
pub(super) const COLUMNS: &str = "r.id, r.created_ms, r.status, r.film_sha256, r.film_name, r.film_bytes, r.model_name,
    r.model_version, r.model_sha256, r.record_json, r.identified, r.patient_name, r.patient_id, r.patient_birth_date, r.accession,
    EXISTS (SELECT 1 FROM images WHERE images.reading = r.seq),
    (SELECT group_concat(finding, ',') FROM (SELECT finding FROM findings WHERE reading = r.seq AND positive = 1 ORDER BY finding)),
    r.seq";

/// What stands in `identified`: the film names nobody.
const NAMELESS: i64 = 0;
/// The identity is what the header says.
const STATED: i64 = 1;
/// It is a pseudonym.
const PSEUDONYM: i64 = 2;

/// The reading of a row of [`COLUMNS`], and its place in the order of recording.
pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<(Stored, i64)> {
    let identity = match row.get(10)? {
        NAMELESS => None,
        PSEUDONYM => Some(PatientIdentity::kept_pseudonym(row.get(12)?)),
        _ => Some(PatientIdentity::kept(row.get(11)?, row.get(12)?, row.get(13)?, row.get(14)?)),
    };
    let positives: Option<String> = row.get(16)?;
    let stored = Stored {
        id: parsed(row, 0)?,
        created_ms: row.get(1)?,
        film: FilmRef {
            sha256: parsed(row, 3)?,
            name: row.get(4)?,
            bytes: u64::try_from(row.get::<_, i64>(5)?).unwrap_or_default(),
        },
        model: ModelRef { name: row.get(6)?, version: row.get(7)?, sha256: parsed(row, 8)? },
        status: parsed(row, 2)?,
        record_json: row.get(9)?,
        positives: positives.map(|p| p.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        identity,
        has_image: row.get(15)?,
    };
    Ok((stored, row.get(17)?))
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e)))
}

/// What the audit record of a reading is bound to: everything but the identity, which is too short to hide behind a hash,
/// and what is only kept for searching.
pub(super) fn content(connection: &Connection, seq: i64) -> Result<Option<(String, Digest)>, StoreError> {
    let mut row = connection.prepare_cached(
        "SELECT id, created_ms, status, film_sha256, film_bytes, model_name, model_version, model_sha256, record_json, maps
         FROM readings WHERE seq = ?1",
    )?;
    let found = row.query_row([seq], |row| {
        let mut sum = Sha256::new();
        for column in [0, 2, 3, 5, 6, 7, 8] {
            update_sized(&mut sum, Some(row.get_ref(column)?.as_str()?.as_bytes()));
        }
        update_sized(&mut sum, Some(row.get_ref(9)?.as_blob()?));
        sum.update(row.get::<_, i64>(1)?.to_be_bytes());
        sum.update(row.get::<_, i64>(4)?.to_be_bytes());
        Ok((row.get(0)?, Digest(sum.finalize().into())))
    });
    Ok(found.optional()?)
}

impl Store {
    /// Records a reading with its audit record, its idempotency key and what must be sent on, in one transaction.
    /// A reading that is stored already stays as it is, and only the audit says that it came again.
    ///
    /// # Errors
    /// `Full`, `Fsync` and the like: nothing was recorded. `KeyOfAnother`: the key belongs to another request.
    pub fn record(&self, new: &NewReading, by: &Actor) -> Result<Recorded, StoreError> {
        let mut all = self.record_all(std::slice::from_ref(new), by)?;
        all.pop().ok_or_else(|| StoreError::Internal("a reading was recorded and is gone".to_owned()))
    }

    /// Records the readings of one request, all of them or none.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn record_all(&self, new: &[NewReading], by: &Actor) -> Result<Vec<Recorded>, StoreError> {
        new.iter().try_for_each(NewReading::check)?;
        self.write(|transaction| {
            let record = |new: &NewReading| match one(transaction, &new.id)? {
                Some((reading, seq)) => {
                    append(transaction, &Event::new(Kind::Repeated).about(new.id.as_str()), by)?;
                    idempotency::keep(transaction, seq, new)?;
                    Ok(Recorded { reading, fresh: false })
                }
                None => self.insert(transaction, new, by),
            };
            new.iter().map(record).collect()
        })
    }

    fn insert(&self, connection: &Connection, new: &NewReading, by: &Actor) -> Result<Recorded, StoreError> {
        let identity = new.identity.clone().unwrap_or_default();
        let mut row = connection.prepare_cached(
            "INSERT INTO readings (id, created_ms, status, film_sha256, film_name, film_bytes, model_name, model_version,
                 model_sha256, record_json, maps, identified, patient_name, patient_id, patient_birth_date, accession)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        row.execute(params![
            new.id.as_str(),
            new.created_ms,
            new.status.as_str(),
            new.film.sha256.to_string(),
            new.film_name(),
            i64::try_from(new.film.bytes).unwrap_or(i64::MAX),
            new.model.name,
            new.model.version,
            new.model.sha256.to_string(),
            new.record_json,
            new.maps,
            new.identity.as_ref().map_or(NAMELESS, |identity| match identity.form() {
                IdentityForm::Stated => STATED,
                IdentityForm::Pseudonym => PSEUDONYM,
            }),
            cut(identity.name()),
            cut(identity.id()),
            cut(identity.birth_date()),
            cut(identity.accession()),
        ])?;
        let seq = connection.last_insert_rowid();
        self.insert_parts(connection, seq, new)?;
        let (_, content) = content(connection, seq)?.ok_or_else(|| StoreError::Internal("a row is gone".to_owned()))?;
        let kind = match new.status {
            super::Status::Read => Kind::Reading,
            super::Status::Refused => Kind::Refusal,
        };
        let event = Event::new(kind).about(new.id.as_str()).with("content", content).with("model", &new.model.name);
        append(connection, &event, by)?;
        let (reading, _) = one(connection, &new.id)?.ok_or_else(|| StoreError::Internal("a row is gone".to_owned()))?;
        Ok(Recorded { reading, fresh: true })
    }

    /// What stands beside the row itself: findings, picture, idempotency key, what must be sent on.
    fn insert_parts(&self, connection: &Connection, seq: i64, new: &NewReading) -> Result<(), StoreError> {
        let mut rows = connection.prepare_cached(
            "INSERT OR REPLACE INTO findings (reading, finding, probability, positive) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (finding, probability) in &new.findings {
            rows.execute(params![seq, finding, probability.map(f64::from), new.positives.contains(finding)])?;
        }
        if let Some(image) = new.image.as_ref().filter(|_| self.settings().images == super::Images::Keep) {
            connection.prepare_cached("INSERT INTO images (reading, bytes) VALUES (?1, ?2)")?.execute(params![seq, image])?;
        }
        idempotency::keep(connection, seq, new)?;
        outbox::enqueue(connection, seq, &new.forwards)
    }

    /// The reading of this id.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn reading(&self, id: &ReadingId) -> Result<Option<Stored>, StoreError> {
        self.read(|connection| Ok(one(connection, id)?.map(|(reading, _)| reading)))
    }

    /// The grids of its heat maps, as they were recorded.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn maps(&self, id: &ReadingId) -> Result<Option<Vec<u8>>, StoreError> {
        self.blob("SELECT maps FROM readings WHERE id = ?1", id)
    }

    /// The film's picture, where it is kept.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn image(&self, id: &ReadingId) -> Result<Option<Vec<u8>>, StoreError> {
        self.blob("SELECT bytes FROM images JOIN readings ON images.reading = readings.seq WHERE id = ?1", id)
    }

    fn blob(&self, question: &str, id: &ReadingId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|c| Ok(c.prepare_cached(question)?.query_row([id.as_str()], |row| row.get(0)).optional()?))
    }

    /// Deletes a reading with all that belongs to it; its audit records stay. False where there is none.
    ///
    /// # Errors
    /// Where it is not durable; then nothing was deleted.
    pub fn delete(&self, id: &ReadingId, by: &Actor) -> Result<bool, StoreError> {
        self.make_room(|store| {
            store.write(|transaction| {
                outbox::give_up(transaction, id.as_str(), by)?;
                let gone = transaction.execute("DELETE FROM readings WHERE id = ?1", [id.as_str()])?;
                if gone > 0 {
                    append(transaction, &Event::new(Kind::Deleted).about(id.as_str()), by)?;
                }
                Ok(gone > 0)
            })
        })
    }

    /// How many readings hold something that may name a patient: an identity that is no pseudonym, a file's name, a picture.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn naming(&self) -> Result<u64, StoreError> {
        let question = "SELECT count(*) FROM readings AS r WHERE r.identified = ?1 OR r.film_name IS NOT NULL
             OR EXISTS (SELECT 1 FROM images WHERE images.reading = r.seq)";
        let count: i64 = self.read(|c| Ok(c.query_row(question, [STATED], |row| row.get(0))?))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// How many readings are stored.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn count(&self) -> Result<u64, StoreError> {
        let count: i64 = self.read(|c| Ok(c.query_row("SELECT count(*) FROM readings", [], |row| row.get(0))?))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

fn one(connection: &Connection, id: &ReadingId) -> Result<Option<(Stored, i64)>, StoreError> {
    let mut row = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM readings AS r WHERE r.id = ?1"))?;
    Ok(row.query_row([id.as_str()], stored).optional()?)
}
