//! What must still be sent to other machines. Queued in the transaction of its reading, taken with a lease, gone when it is
//! done: a sender that dies between sending and saying so sends again, under the same UIDs, and nothing is ever lost.
//!
//! Each destination has a line of its own. What a destination refuses stays in it and is tried again, ever more slowly; what
//! goes unsent because its reading is removed is said in the audit. One process sends at a time ([`Store::outbox_alone`]); it
//! need not be the daemon.

use super::StoreError;
use super::audit::{Actor, Event, Kind, append};
use super::connection::Store;
use super::reading::ReadingId;
use crate::limits::{FORWARD_BYTES_MAX, FORWARD_REFUSED_WAIT_MAX_MS, FORWARD_WAIT_MAX_MS, FORWARD_WAIT_MIN_MS};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{File, TryLockError};
use std::path::Path;

/// Held by the process that sends.
const LOCK: &str = "forward.lock";

/// What is not waiting for its time, nor in somebody's hands. A clock that was set back must not hold anything for longer than
/// the longest wait.
const READY: &str = "o.destination = ?1 AND (o.due_ms <= ?2 OR o.due_ms > ?2 + ?3)
    AND (o.leased_until_ms <= ?2 OR o.leased_until_ms > ?2 + ?3)";

/// Something to send on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewForward {
    /// Whom to; the name of a destination in the configuration.
    pub destination: String,
    /// What it is, for example `sr` or `sc`; one of each kind a reading and destination.
    pub kind: String,
    /// Whatever the sender needs, opaque here.
    pub payload: Vec<u8>,
}

/// Something that was taken to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Forward {
    seq: i64,
    /// The reading it belongs to.
    pub reading: ReadingId,
    /// Whom to.
    pub destination: String,
    /// What it is.
    pub kind: String,
    /// Whatever the sender needs.
    pub payload: Vec<u8>,
    /// Which attempt this is; the first is 1.
    pub attempt: u32,
    failures: u32,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The payload may name the patient.
        write!(f, "Forward({} of {} to {}, attempt {})", self.kind, self.reading, self.destination, self.attempt)
    }
}

/// Why something was not sent, by what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setback {
    /// The destination was not reached: it is due as before, and when to try again is the sender's matter.
    Away,
    /// It failed on the way: others go first for a while.
    Failed,
    /// The destination does not want it: it is tried ever more slowly, and shown as refused.
    Refused,
}

/// The line of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub destination: String,
    /// How many wait, those that were refused included.
    pub waiting: u64,
    /// How many of them were refused the last time.
    pub refused: u64,
    /// When the oldest of their readings was made, milliseconds since 1970.
    pub oldest_ms: i64,
    /// The last failure of those that wait: when, and why.
    pub failure: Option<(i64, String)>,
}

/// Something that its destination refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedForward {
    /// Whose.
    pub destination: String,
    /// The reading it belongs to.
    pub reading: String,
    /// What it is.
    pub kind: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was refused the last time.
    pub why: String,
    /// When it is tried again, milliseconds since 1970.
    pub due_ms: i64,
}

/// How long to wait after so many failures: twice as long after each.
fn wait_ms(failures: u32, most_ms: i64) -> i64 {
    let doubled = FORWARD_WAIT_MIN_MS.checked_shl(failures.saturating_sub(1)).unwrap_or(most_ms);
    if doubled <= 0 || failures > 32 { most_ms } else { doubled.min(most_ms) }
}

/// Queues what belongs to a reading; what is queued already stays once, as it is.
pub(super) fn enqueue(connection: &Connection, seq: i64, forwards: &[NewForward]) -> Result<(), StoreError> {
    let mut row = connection.prepare_cached("INSERT OR IGNORE INTO outbox (reading, destination, kind) VALUES (?1, ?2, ?3)")?;
    let mut bytes = connection.prepare_cached("INSERT INTO outbox_objects (entry, payload) VALUES (?1, ?2)")?;
    for forward in forwards {
        let (found, allowed) = (forward.payload.len(), FORWARD_BYTES_MAX);
        if found > allowed {
            return Err(StoreError::TooLarge { what: "what is to be sent on", found, allowed });
        }
        if row.execute(params![seq, forward.destination, forward.kind])? > 0 {
            bytes.execute(params![connection.last_insert_rowid(), forward.payload])?;
        }
    }
    Ok(())
}

/// Says in the audit what goes unsent, because its reading is about to be removed.
pub(super) fn give_up(connection: &Connection, reading: &str, by: &Actor) -> Result<(), StoreError> {
    let mut rows = connection.prepare_cached(
        "SELECT o.destination, o.kind, o.attempts FROM outbox AS o JOIN readings AS r ON r.seq = o.reading WHERE r.id = ?1",
    )?;
    let unsent: Vec<(String, String, u32)> =
        rows.query_map([reading], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<rusqlite::Result<_>>()?;
    for (destination, kind, attempts) in unsent {
        log::warn!("the {kind} of reading {reading} was not sent to {destination}: its reading is removed");
        let event = Event::new(Kind::ForwardGivenUp).about(reading).with("destination", destination);
        append(connection, &event.with("kind", kind).with("attempts", attempts), by)?;
    }
    Ok(())
}

/// Whether a process sends at the moment.
pub(super) fn sends(dir: &Path) -> bool {
    let lock = File::open(dir.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// This process sends, and no other, while this lives.
#[derive(Debug)]
pub struct SendsAlone(#[expect(dead_code, reason = "let go when it is dropped")] File);

impl Store {
    /// Makes this process the one that sends, and ends the leases of one that is gone.
    ///
    /// # Errors
    /// `Busy` where another one sends, or as the disk says.
    pub fn outbox_alone(&self) -> Result<SendsAlone, StoreError> {
        let lock = super::connection::alone(self.dir(), LOCK)?;
        let leased: bool = self.read(|c| Ok(c.prepare("SELECT 1 FROM outbox WHERE leased_until_ms > 0")?.exists([])?))?;
        if leased {
            self.write(|transaction| Ok(transaction.execute("UPDATE outbox SET leased_until_ms = 0", [])?))?;
        }
        Ok(SendsAlone(lock))
    }

    /// Queues something for a reading that is stored. False where it is not.
    ///
    /// # Errors
    /// Where it is not durable.
    pub fn outbox_add(&self, reading: &ReadingId, forwards: &[NewForward]) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let seq = transaction
                .prepare_cached("SELECT seq FROM readings WHERE id = ?1")?
                .query_row([reading.as_str()], |row| row.get(0))
                .optional()?;
            seq.map_or(Ok(false), |seq| enqueue(transaction, seq, forwards).map(|()| true))
        })
    }

    /// Whether something is due for this destination. Asking hinders no writer.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn outbox_due(&self, destination: &str, now_ms: i64) -> Result<bool, StoreError> {
        let question = format!("SELECT 1 FROM outbox AS o WHERE {READY}");
        self.read(|c| Ok(c.prepare_cached(&question)?.exists(params![destination, now_ms, FORWARD_REFUSED_WAIT_MAX_MS])?))
    }

    /// Takes what has waited longest for this destination and is due; nobody else gets it while the lease lasts.
    ///
    /// # Errors
    /// Where it is not durable.
    pub fn outbox_take(&self, destination: &str, now_ms: i64, lease_ms: i64) -> Result<Option<Forward>, StoreError> {
        self.write(|transaction| {
            let question = format!(
                "SELECT o.seq, r.id, o.kind, o.attempts + 1, o.failures FROM outbox AS o
                 JOIN readings AS r ON r.seq = o.reading WHERE {READY} ORDER BY o.due_ms, o.seq LIMIT 1"
            );
            let longest = FORWARD_REFUSED_WAIT_MAX_MS.max(lease_ms);
            let taken = transaction
                .prepare_cached(&question)?
                .query_row(params![destination, now_ms, longest], |row| {
                    let (seq, id): (i64, String) = (row.get(0)?, row.get(1)?);
                    Ok((seq, id, row.get(2)?, row.get(3)?, row.get(4)?))
                })
                .optional()?;
            let Some((seq, id, kind, attempt, failures)) = taken else { return Ok(None) };
            transaction
                .prepare_cached("UPDATE outbox SET attempts = ?2, leased_until_ms = ?3 WHERE seq = ?1")?
                .execute(params![seq, attempt, now_ms.saturating_add(lease_ms)])?;
            let payload = transaction
                .prepare_cached("SELECT payload FROM outbox_objects WHERE entry = ?1")?
                .query_row([seq], |row| row.get(0))?;
            let reading = id.parse().map_err(|_| StoreError::Corrupt("a reading has no id".to_owned()))?;
            Ok(Some(Forward { seq, reading, destination: destination.to_owned(), kind, payload, attempt, failures }))
        })
    }

    /// It was sent. False where somebody else has it by now, because the lease ran out, or where its reading is gone.
    ///
    /// # Errors
    /// Where it is not durable; then it will be sent again.
    pub fn outbox_done(&self, forward: &Forward, by: &Actor) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let gone = transaction
                .prepare_cached("DELETE FROM outbox WHERE seq = ?1 AND attempts = ?2")?
                .execute(params![forward.seq, forward.attempt])?;
            if gone > 0 {
                append(transaction, &forward.event(Kind::Forwarded), by)?;
            }
            Ok(gone > 0)
        })
    }

    /// It was not sent, and waits. Gives how long, none where somebody else has it by now. `why` names no patient.
    ///
    /// # Errors
    /// Where it is not durable; then the lease runs out.
    pub fn outbox_retry(&self, forward: &Forward, setback: Setback, why: &str, by: &Actor) -> Result<Option<i64>, StoreError> {
        let failures = forward.failures.saturating_add(u32::from(setback != Setback::Away));
        let wait = match setback {
            Setback::Away => 0,
            Setback::Failed => wait_ms(failures, FORWARD_WAIT_MAX_MS),
            Setback::Refused => wait_ms(failures, FORWARD_REFUSED_WAIT_MAX_MS),
        };
        self.write(|transaction| {
            let due = (setback != Setback::Away).then(|| by.at_ms.saturating_add(wait));
            let kept = transaction
                .prepare_cached(
                    "UPDATE outbox SET due_ms = coalesce(?3, due_ms), leased_until_ms = 0, failures = ?4, failed_ms = ?5,
                         failure = ?6, refused = CASE ?7 WHEN 'away' THEN refused WHEN 'refused' THEN 1 ELSE 0 END
                     WHERE seq = ?1 AND attempts = ?2",
                )?
                .execute(params![forward.seq, forward.attempt, due, failures, by.at_ms, why, setback.as_str()])?;
            if kept > 0 {
                let event = forward.event(Kind::ForwardFailed).with("why", why).with("setback", setback.as_str());
                append(transaction, &event, by)?;
            }
            Ok((kept > 0).then_some(wait))
        })
    }

    /// How many wait.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn outbox_waiting(&self) -> Result<u64, StoreError> {
        let count: i64 = self.read(|c| Ok(c.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The line of each destination that has one, by name.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn outbox_lines(&self) -> Result<Vec<Line>, StoreError> {
        let count = |n: i64| u64::try_from(n).unwrap_or_default();
        self.read(|connection| {
            // With max(), SQLite takes the bare column `failure` from the row that has the maximum.
            let mut rows = connection.prepare_cached(
                "SELECT destination, count(*), sum(refused),
                     (SELECT min(r.created_ms) FROM outbox AS o JOIN readings AS r ON r.seq = o.reading
                      WHERE o.destination = outbox.destination),
                     max(failed_ms), failure
                 FROM outbox GROUP BY destination ORDER BY destination",
            )?;
            let lines = rows.query_map([], |row| {
                let failed_ms: Option<i64> = row.get(4)?;
                let why: Option<String> = row.get(5)?;
                Ok(Line {
                    destination: row.get(0)?,
                    waiting: count(row.get(1)?),
                    refused: count(row.get(2)?),
                    oldest_ms: row.get(3)?,
                    failure: failed_ms.zip(why),
                })
            })?;
            Ok(lines.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What was refused, the oldest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn outbox_refused(&self, limit: usize) -> Result<Vec<RefusedForward>, StoreError> {
        self.read(|connection| {
            let mut rows = connection.prepare_cached(
                "SELECT o.destination, r.id, o.kind, o.attempts, coalesce(o.failure, ''), o.due_ms FROM outbox AS o
                 JOIN readings AS r ON r.seq = o.reading WHERE o.refused = 1 ORDER BY o.seq LIMIT ?1",
            )?;
            let refused = rows.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                Ok(RefusedForward {
                    destination: row.get(0)?,
                    reading: row.get(1)?,
                    kind: row.get(2)?,
                    attempts: row.get(3)?,
                    why: row.get(4)?,
                    due_ms: row.get(5)?,
                })
            })?;
            Ok(refused.collect::<rusqlite::Result<_>>()?)
        })
    }
}

impl Setback {
    /// As it stands in the audit.
    fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl Forward {
    fn event(&self, kind: Kind) -> Event {
        let event = Event::new(kind).about(self.reading.as_str()).with("destination", &self.destination);
        event.with("kind", &self.kind).with("attempt", self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        for most in [FORWARD_WAIT_MAX_MS, FORWARD_REFUSED_WAIT_MAX_MS] {
            assert_eq!(wait_ms(0, most), FORWARD_WAIT_MIN_MS);
            assert_eq!(wait_ms(1, most), FORWARD_WAIT_MIN_MS);
            assert_eq!(wait_ms(2, most), 2 * FORWARD_WAIT_MIN_MS);
            for failures in [12, 31, 32, 33, 63, 64, 65, u32::MAX] {
                assert_eq!(wait_ms(failures, most), most, "{failures}");
            }
        }
    }
}
