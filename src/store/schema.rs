//! The shape of the database, and the way from every older shape to it.
//!
//! A version is a step that is never changed once a store has it; the newest shape is all steps in order, so that a new store
//! and a migrated one are the same. All steps of one opening are one transaction.

use super::StoreError;
use rusqlite::{Connection, TransactionBehavior};

/// Marks a file as ours: `cxbx`.
pub(super) const APPLICATION_ID: i32 = 0x6378_6278;

/// The newest schema.
pub const NEWEST: u32 = 3;

/// Step `n` leads from schema `n` to `n + 1`.
const STEPS: [&str; NEWEST as usize] = [
    // Readings with identity columns of their own; the audit chain; revoked tokens; the highest time seen.
    "
    CREATE TABLE readings (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        created_ms INTEGER NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('read', 'refused')),
        film_sha256 TEXT NOT NULL,
        film_name TEXT,
        film_bytes INTEGER NOT NULL,
        model_name TEXT NOT NULL,
        model_version TEXT NOT NULL,
        model_sha256 TEXT NOT NULL,
        record_json TEXT NOT NULL,
        positives TEXT NOT NULL,
        maps BLOB NOT NULL,
        identified INTEGER NOT NULL,
        patient_id TEXT,
        patient_name TEXT,
        patient_birth_date TEXT,
        accession TEXT
    ) STRICT;
    CREATE INDEX readings_by_time ON readings (created_ms);
    CREATE INDEX readings_by_patient ON readings (patient_id) WHERE patient_id IS NOT NULL;
    CREATE INDEX readings_by_accession ON readings (accession) WHERE accession IS NOT NULL;
    CREATE TABLE images (
        reading INTEGER PRIMARY KEY REFERENCES readings (seq) ON DELETE CASCADE,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        event TEXT NOT NULL,
        actor TEXT NOT NULL,
        peer TEXT,
        subject TEXT,
        detail TEXT NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_subject ON audit (event, subject) WHERE subject IS NOT NULL;
    CREATE TABLE revoked (
        token TEXT PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        reason TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    ",
    // Findings become rows that can be searched, with their probabilities out of the record; the outbox; idempotency keys.
    "
    CREATE TABLE findings (
        reading INTEGER NOT NULL REFERENCES readings (seq) ON DELETE CASCADE,
        finding TEXT NOT NULL,
        probability REAL,
        positive INTEGER NOT NULL,
        PRIMARY KEY (reading, finding)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO findings (reading, finding, probability, positive)
        SELECT r.seq, json_extract(f.value, '$.id'), json_extract(f.value, '$.probability'),
               instr(',' || r.positives || ',', ',' || json_extract(f.value, '$.id') || ',') > 0
        FROM readings AS r, json_each(CASE WHEN json_valid(r.record_json) THEN r.record_json ELSE '{}' END, '$.findings') AS f
        WHERE json_type(f.value, '$.id') = 'text';
    CREATE INDEX positive_findings ON findings (finding, reading) WHERE positive = 1;
    ALTER TABLE readings DROP COLUMN positives;
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        reading INTEGER NOT NULL REFERENCES readings (seq) ON DELETE CASCADE,
        destination TEXT NOT NULL,
        kind TEXT NOT NULL,
        payload BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_ms INTEGER NOT NULL DEFAULT 0,
        leased_until_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (reading, destination, kind)
    ) STRICT;
    CREATE INDEX outbox_by_due ON outbox (due_ms);
    CREATE TABLE idempotency (
        key TEXT NOT NULL,
        reading INTEGER NOT NULL REFERENCES readings (seq) ON DELETE CASCADE,
        digest TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (key, reading)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotency_by_reading ON idempotency (reading);
    ",
    // What is sent on has its bytes in a table of their own, so that looking for what is due and noting a failure move no
    // megabytes; each destination has its own line; how often it failed there, and why the last time.
    "
    CREATE TABLE outbox_objects (
        entry INTEGER PRIMARY KEY REFERENCES outbox (seq) ON DELETE CASCADE,
        payload BLOB NOT NULL
    ) STRICT;
    INSERT INTO outbox_objects (entry, payload) SELECT seq, payload FROM outbox;
    DROP INDEX outbox_by_due;
    ALTER TABLE outbox DROP COLUMN payload;
    ALTER TABLE outbox ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN failed_ms INTEGER;
    ALTER TABLE outbox ADD COLUMN failure TEXT;
    ALTER TABLE outbox ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX outbox_by_destination ON outbox (destination, due_ms, seq);
    ",
];

/// The schema of this file; 0 for a new one.
///
/// # Errors
/// `Corrupt` for a database that is not ours, `TooNew` for one of a newer chexbox.
pub(super) fn version(connection: &Connection) -> Result<u32, StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, found, tables) {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, found, _) if found > NEWEST => Err(StoreError::TooNew { found, known: NEWEST }),
        (APPLICATION_ID, found, _) if found > 0 => Ok(found),
        _ => Err(StoreError::Corrupt("it is a database of another program".to_owned())),
    }
}

/// Brings the database from schema `from` to the newest, or leaves it as it was.
///
/// # Errors
/// Where a step fails.
pub(super) fn migrate(connection: &mut Connection, from: u32) -> Result<(), StoreError> {
    let steps = usize::try_from(from).ok().and_then(|from| STEPS.get(from..)).unwrap_or_default();
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", NEWEST)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(connection: &Connection) -> Vec<String> {
        let mut rows = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_new_store_and_a_migrated_one_have_the_same_schema() {
        let mut new = Connection::open_in_memory().unwrap();
        assert_eq!(version(&new).unwrap(), 0);
        migrate(&mut new, 0).unwrap();
        for from in 1..STEPS.len() {
            let mut old = Connection::open_in_memory().unwrap();
            old.execute_batch(&STEPS[..from].concat()).unwrap();
            migrate(&mut old, u32::try_from(from).unwrap()).unwrap();
            assert_eq!(version(&old).unwrap(), NEWEST);
            assert_eq!(schema(&new), schema(&old), "{from}");
        }
    }

    #[test]
    fn what_waited_to_be_sent_on_waits_on_with_its_bytes() {
        let mut old = Connection::open_in_memory().unwrap();
        old.pragma_update(None, "foreign_keys", true).unwrap();
        old.execute_batch(&STEPS[..2].concat()).unwrap();
        old.execute_batch(
            "INSERT INTO readings VALUES (7, 'a', 1, 'read', 'f', NULL, 1, 'm', '1', 's', '{}', x'', 0, NULL, NULL, NULL, NULL);
             INSERT INTO outbox (reading, destination, kind, payload, attempts) VALUES (7, 'pacs', 'sr', x'0102', 5)",
        )
        .unwrap();
        migrate(&mut old, 2).unwrap();
        let question = "SELECT attempts, failures, payload FROM outbox JOIN outbox_objects ON entry = seq";
        let row = |c: &Connection| c.query_row(question, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)));
        assert_eq!(row(&old).unwrap(), (5, 0, vec![1_u8, 2]));
        old.execute("DELETE FROM readings", []).unwrap();
        let left: i64 = old.query_row("SELECT count(*) FROM outbox_objects", [], |r| r.get(0)).unwrap();
        assert_eq!(left, 0, "bytes outlive their reading");
    }

    #[test]
    fn a_newer_schema_and_a_stranger_are_refused() {
        let mut newer = Connection::open_in_memory().unwrap();
        migrate(&mut newer, 0).unwrap();
        newer.pragma_update(None, "user_version", NEWEST + 1).unwrap();
        let refused = version(&newer).unwrap_err();
        assert!(matches!(refused, StoreError::TooNew { found, known: NEWEST } if found == NEWEST + 1), "{refused}");
        let stranger = Connection::open_in_memory().unwrap();
        stranger.execute_batch("CREATE TABLE notes (text)").unwrap();
        assert!(matches!(version(&stranger), Err(StoreError::Corrupt(_))));
    }
}
