//! What must still be sent to other machines. Queued in the transaction of its reading, taken with a lease, gone when it is
//! done: a daemon that dies between sending and saying so sends again, under the same UIDs, and nothing is ever lost.

use super::StoreError;
use super::audit::{Actor, Event, Kind, append};
use super::connection::Store;
use super::reading::ReadingId;
use crate::limits::{FORWARD_BYTES_MAX, FORWARD_WAIT_MAX_MS, FORWARD_WAIT_MIN_MS};
use rusqlite::{Connection, OptionalExtension, params};

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
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The payload may name the patient.
        write!(f, "Forward({} of {} to {}, attempt {})", self.kind, self.reading, self.destination, self.attempt)
    }
}

/// How long to wait after so many attempts: twice as long after each.
fn wait_ms(attempts: u32) -> i64 {
    let doubled = FORWARD_WAIT_MIN_MS.checked_shl(attempts.saturating_sub(1)).unwrap_or(FORWARD_WAIT_MAX_MS);
    if doubled <= 0 || attempts > 32 { FORWARD_WAIT_MAX_MS } else { doubled.min(FORWARD_WAIT_MAX_MS) }
}

/// Queues what belongs to a reading; what is queued already stays once.
pub(super) fn enqueue(connection: &Connection, seq: i64, forwards: &[NewForward]) -> Result<(), StoreError> {
    let mut row = connection
        .prepare_cached("INSERT OR IGNORE INTO outbox (reading, destination, kind, payload) VALUES (?1, ?2, ?3, ?4)")?;
    for forward in forwards {
        let (found, allowed) = (forward.payload.len(), FORWARD_BYTES_MAX);
        if found > allowed {
            return Err(StoreError::TooLarge { what: "what is to be sent on", found, allowed });
        }
        row.execute(params![seq, forward.destination, forward.kind, forward.payload])?;
    }
    Ok(())
}

impl Store {
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

    /// Takes what has waited longest and is due; nobody else gets it while the lease lasts.
    ///
    /// # Errors
    /// Where it is not durable.
    pub fn outbox_take(&self, now_ms: i64, lease_ms: i64) -> Result<Option<Forward>, StoreError> {
        self.write(|transaction| {
            // A clock that was set back must not hold anything for longer than the longest wait.
            let ready = "(due_ms <= ?1 OR due_ms > ?1 + ?2) AND (leased_until_ms <= ?1 OR leased_until_ms > ?1 + ?2)";
            let question = format!(
                "SELECT o.seq, r.id, o.destination, o.kind, o.payload, o.attempts + 1 FROM outbox AS o
                 JOIN readings AS r ON r.seq = o.reading WHERE {ready} ORDER BY o.due_ms, o.seq LIMIT 1"
            );
            let longest = FORWARD_WAIT_MAX_MS.max(lease_ms);
            let taken = transaction
                .prepare_cached(&question)?
                .query_row([now_ms, longest], |row| {
                    let (seq, id): (i64, String) = (row.get(0)?, row.get(1)?);
                    Ok((seq, id, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
                })
                .optional()?;
            let Some((seq, id, destination, kind, payload, attempt)) = taken else { return Ok(None) };
            transaction
                .prepare_cached("UPDATE outbox SET attempts = ?2, leased_until_ms = ?3 WHERE seq = ?1")?
                .execute(params![seq, attempt, now_ms.saturating_add(lease_ms)])?;
            let reading = id.parse().map_err(|_| StoreError::Corrupt("a reading has no id".to_owned()))?;
            Ok(Some(Forward { seq, reading, destination, kind, payload, attempt }))
        })
    }

    /// It was sent. False where somebody else has it by now, because the lease ran out.
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

    /// It could not be sent: it waits, longer each time. Gives how long, none where somebody else has it by now.
    ///
    /// # Errors
    /// Where it is not durable; then the lease runs out.
    pub fn outbox_retry(&self, forward: &Forward, why: &str, by: &Actor) -> Result<Option<i64>, StoreError> {
        self.write(|transaction| {
            let wait = wait_ms(forward.attempt);
            let kept = transaction
                .prepare_cached("UPDATE outbox SET due_ms = ?3, leased_until_ms = 0 WHERE seq = ?1 AND attempts = ?2")?
                .execute(params![forward.seq, forward.attempt, by.at_ms.saturating_add(wait)])?;
            if kept > 0 {
                append(transaction, &forward.event(Kind::ForwardFailed).with("why", why), by)?;
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
    fn waits_double_up_to_an_hour() {
        assert_eq!(wait_ms(0), FORWARD_WAIT_MIN_MS);
        assert_eq!(wait_ms(1), FORWARD_WAIT_MIN_MS);
        assert_eq!(wait_ms(2), 2 * FORWARD_WAIT_MIN_MS);
        for attempts in [12, 31, 32, 33, 63, 64, 65, u32::MAX] {
            assert_eq!(wait_ms(attempts), FORWARD_WAIT_MAX_MS, "{attempts}");
        }
    }
}
