//! Old audit records leave the database for a file beside it, and the chain stays whole without them.
//!
//! A cut takes the oldest [`AUDIT_CUT_RECORDS`] records when all of them are older than the site keeps them. They are checked,
//! written to `audit-FIRST-LAST.jsonl` with their hashes and made durable; then one transaction removes them and adds to the
//! chain's end what stands for them: a record `audit_cut` with the hash of the last of them and the sum of the file, and for
//! each reading that is still stored a record `carried` with what its own record said of its content. What is not as it was
//! written is never cut: it stays where verification finds it. The file is the site's: it may lie elsewhere, or be deleted.

use super::audit::{Actor, AuditRecord, Event, Kind, append, digest, tip};
use super::connection::Store;
use super::head::own_file;
use super::reading::Digest;
use super::{StoreError, chain};
use crate::limits::{AUDIT_ARCHIVE_BYTES_MAX, AUDIT_CUT_RECORDS};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// What a cut took out of the chain, as the chain itself says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Number of the first record that was cut.
    pub first: i64,
    /// Number of the last one.
    pub last: i64,
    /// Hash of the last one, which the first that is left follows.
    pub hash: Digest,
    /// Sum of the file that they were written to.
    pub file: Digest,
}

/// A record as it stands in the file, a line each.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: i64,
    at_ms: i64,
    event: String,
    actor: String,
    peer: Option<String>,
    subject: Option<String>,
    detail: String,
    previous: String,
    hash: String,
}

impl Cut {
    /// The file's name in the state folder.
    pub fn file_name(&self) -> String {
        format!("audit-{:012}-{:012}.jsonl", self.first, self.last)
    }

    /// As a record of the chain says it; none for records of another kind.
    pub(super) fn of(record: &AuditRecord) -> Option<Self> {
        if record.event != Kind::AuditCut.as_str() {
            return None;
        }
        let detail: serde_json::Value = serde_json::from_str(&record.detail).ok()?;
        let text = |name: &str| detail.get(name)?.as_str();
        Some(Self {
            first: text("first")?.parse().ok()?,
            last: text("last")?.parse().ok()?,
            hash: text("hash")?.parse().ok()?,
            file: text("file")?.parse().ok()?,
        })
    }

    /// What is wrong with the file of this cut; nothing where it does not lie in the folder any more.
    pub(super) fn fault(&self, dir: &Path) -> Result<Option<String>, StoreError> {
        let Some(bytes) = read(&dir.join(self.file_name()))? else { return Ok(None) };
        let sound = Digest::of(&bytes) == self.file && is_chain(&bytes, self);
        Ok((!sound).then(|| format!("{} is not as it was written", self.file_name())))
    }

    /// Whether this record was among those that were cut, with this hash; none where the file does not lie in the folder.
    pub(super) fn held(&self, dir: &Path, seq: i64, hash: &Digest) -> Result<Option<bool>, StoreError> {
        if seq == self.last {
            return Ok(Some(*hash == self.hash));
        }
        let bytes = read(&dir.join(self.file_name()))?;
        let has = |bytes: &[u8]| lines(bytes).any(|line| line.is_some_and(|l| l.seq == seq && l.hash == hash.to_string()));
        Ok(bytes.map(|bytes| has(&bytes)))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mut bytes = Vec::new();
    file.take(AUDIT_ARCHIVE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = Option<Line>> + '_ {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).ok())
}

/// Whether these are the records of the cut, each following the one before it.
fn is_chain(bytes: &[u8], cut: &Cut) -> bool {
    let (mut next, mut before) = (cut.first, None);
    for line in lines(bytes) {
        let Some(line) = line else { return false };
        let (Ok(previous), Ok(hash)) = (line.previous.parse::<Digest>(), line.hash.parse::<Digest>()) else { return false };
        let link = chain::Link {
            seq: line.seq,
            at_ms: line.at_ms,
            event: &line.event,
            actor: &line.actor,
            peer: line.peer.as_deref(),
            subject: line.subject.as_deref(),
            detail: &line.detail,
        };
        if line.seq != next || before.is_some_and(|before| before != previous) || link.after(&previous) != hash {
            return false;
        }
        (next, before) = (next.saturating_add(1), Some(hash));
    }
    next == cut.last.saturating_add(1) && before == Some(cut.hash)
}

impl Store {
    /// Makes one cut, if one is due; whether it was.
    ///
    /// # Errors
    /// Where the file or the store cannot be written, or the oldest records are not as they were written; nothing is cut then.
    pub fn archive_audit(&self, now_ms: i64) -> Result<Option<Cut>, StoreError> {
        let Some(days) = self.settings().keep_audit_days else { return Ok(None) };
        let oldest_ms = now_ms.saturating_sub(i64::from(days) * DAY_MS);
        let old = self.read(|connection| {
            let mut rows = connection
                .prepare(&format!("SELECT {} FROM audit ORDER BY seq LIMIT {AUDIT_CUT_RECORDS}", AuditRecord::COLUMNS))?;
            let rows: Vec<AuditRecord> = rows.query_map([], AuditRecord::of)?.collect::<rusqlite::Result<_>>()?;
            Ok(rows)
        })?;
        // The chain's end is never cut: what stands for the cut records follows it.
        let due = old.len() == AUDIT_CUT_RECORDS && old.iter().all(|r| r.at_ms < oldest_ms);
        let (Some(first), Some(last)) = (old.first(), old.last()) else { return Ok(None) };
        let head = self.head()?;
        if !due || u64::try_from(last.seq).is_ok_and(|seq| seq >= head.count) {
            return Ok(None);
        }
        let bytes = text(&old)?;
        let hash = digest(&last.hash).ok_or_else(changed)?;
        let cut = Cut { first: first.seq, last: last.seq, hash, file: Digest::of(&bytes) };
        if !is_chain(&bytes, &cut) {
            return Err(changed());
        }
        self.write_archive(&cut, &bytes)?;
        let by = Actor::daemon(now_ms);
        self.write(|transaction| take(transaction, &cut, &old, &by))?;
        Ok(Some(cut))
    }

    fn write_archive(&self, cut: &Cut, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = own_file(self.dir(), &cut.file_name())?;
        // One that a death left behind holds the same.
        file.set_len(0)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(File::open(self.dir())?.sync_all()?)
    }
}

fn changed() -> StoreError {
    StoreError::Corrupt(
        "the oldest audit records are not as they were written and stay where they are; run chexbox audit verify".to_owned(),
    )
}

/// The records as they stand in the file.
fn text(records: &[AuditRecord]) -> Result<Vec<u8>, StoreError> {
    let hex = |bytes: &[u8]| digest(bytes).map(|d| d.to_string()).ok_or_else(changed);
    let mut bytes = Vec::new();
    for r in records {
        let line = Line {
            seq: r.seq,
            at_ms: r.at_ms,
            event: r.event.clone(),
            actor: r.actor.clone(),
            peer: r.peer.clone(),
            subject: r.subject.clone(),
            detail: r.detail.clone(),
            previous: hex(&r.previous)?,
            hash: hex(&r.hash)?,
        };
        serde_json::to_writer(&mut bytes, &line).map_err(|e| StoreError::Internal(e.to_string()))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Removes the records and adds what stands for them.
fn take(transaction: &Transaction<'_>, cut: &Cut, old: &[AuditRecord], by: &Actor) -> Result<(), StoreError> {
    let done = Event::new(Kind::AuditCut).with("first", cut.first).with("last", cut.last);
    append(transaction, &done.with("hash", cut.hash).with("file", cut.file), by)?;
    for record in old {
        if let Some(content) = binding(transaction, record)? {
            let event = Event::new(Kind::Carried).about(record.subject.as_deref().unwrap_or_default());
            append(transaction, &event.with("content", content).with("record", record.seq), by)?;
        }
    }
    transaction.execute("DELETE FROM audit WHERE seq BETWEEN ?1 AND ?2", [cut.first, cut.last])?;
    // A record cut in the middle would leave a chain of two pieces.
    let left: i64 = transaction.query_row("SELECT min(seq) FROM audit", [], |row| row.get(0))?;
    let whole = left == cut.last.saturating_add(1) && tip(transaction)?.count > cut.last.unsigned_abs();
    whole.then_some(()).ok_or_else(changed)
}

/// The content that this record binds a reading to which is still stored and which no later record binds.
fn binding(connection: &Connection, record: &AuditRecord) -> Result<Option<String>, StoreError> {
    if !BINDING.iter().any(|kind| record.event == kind.as_str()) {
        return Ok(None);
    }
    let Some(subject) = &record.subject else { return Ok(None) };
    let stored = connection.prepare_cached("SELECT 1 FROM readings WHERE id = ?1")?.exists([subject])?;
    let mut later = connection.prepare_cached("SELECT max(seq) FROM audit WHERE event = ?1 AND subject = ?2")?;
    let mut newest = record.seq;
    for kind in BINDING {
        let seq: Option<i64> = later.query_row(params![kind.as_str(), subject], |row| row.get(0)).optional()?.flatten();
        newest = newest.max(seq.unwrap_or(newest));
    }
    if !stored || newest > record.seq {
        return Ok(None);
    }
    let detail: serde_json::Value = serde_json::from_str(&record.detail).unwrap_or_default();
    Ok(detail.get("content").and_then(|c| c.as_str()).map(str::to_owned))
}

/// Kinds whose records say what a reading's content is.
pub(super) const BINDING: [Kind; 3] = [Kind::Reading, Kind::Refusal, Kind::Carried];
