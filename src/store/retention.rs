//! What is kept how long: by age and by the share of the disk. And how the store gets out of a full disk.
//!
//! Deleting needs room too, for the log. A reserve file holds that room: it is given up while something is being deleted and
//! taken again afterwards, so that a disk filled by others never keeps the store from making itself smaller.

use super::audit::{Actor, Event, Kind, append};
use super::connection::{DATABASE, Store};
use super::{StoreError, outbox};
use crate::limits::{IDEMPOTENCY_KEPT_MS, RETENTION_BATCH, RETENTION_BATCHES_MAX, STORE_RESERVE_BYTES};
use rusqlite::Transaction;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Name of the reserve in the state folder.
const RESERVE: &str = "reserve";

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Is the picture of a film kept with its reading?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Images {
    /// No: the least that a store of patients' data can do.
    #[default]
    Drop,
    /// The site says so.
    Keep,
}

/// What a site decides about its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Readings older than so many days are removed; none: they stay.
    pub keep_days: Option<u32>,
    /// Audit records older than so many days leave the database for a file; none: they stay.
    pub keep_audit_days: Option<u32>,
    /// The store may take so many hundredths of its file system; older readings make room.
    pub disk_percent: u8,
    /// Are pictures kept?
    pub images: Images,
}

impl Default for Settings {
    fn default() -> Self {
        Self { keep_days: None, keep_audit_days: None, disk_percent: 80, images: Images::Drop }
    }
}

/// What retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Readings removed for their age.
    pub by_age: usize,
    /// Readings removed for room.
    pub by_share: usize,
    /// More is to be removed: call again soon.
    pub more: bool,
    /// What the database takes now, bytes.
    pub bytes: u64,
}

impl Store {
    /// Removes what is too old or takes too much of the disk, oldest first, a bounded number at a time.
    ///
    /// # Errors
    /// Where it cannot be written; what was removed before stays removed.
    pub fn retain(&self, now_ms: i64) -> Result<Retained, StoreError> {
        let mut retained = Retained::default();
        let by = Actor::daemon(now_ms);
        self.make_room(|store| {
            store.write(|t| Ok(t.execute("DELETE FROM idempotency WHERE at_ms < ?1", [now_ms - IDEMPOTENCY_KEPT_MS])?))
        })?;
        let oldest_ms = self.settings().keep_days.map(|days| now_ms.saturating_sub(i64::from(days) * DAY_MS));
        for _ in 0..RETENTION_BATCHES_MAX {
            let aged = oldest_ms.map_or(Ok(0), |ms| self.make_room(|s| s.write(|t| retire(t, Some(ms), "age", &by))))?;
            retained.by_age += aged;
            let crowded =
                if self.used()? > self.allowed()? { self.make_room(|s| s.write(|t| retire(t, None, "disk", &by)))? } else { 0 };
            retained.by_share += crowded;
            retained.more = aged + crowded > 0;
            if !retained.more {
                break;
            }
        }
        if retained.by_age + retained.by_share > 0 {
            self.give_back()?;
        }
        self.take_reserve();
        retained.bytes = self.used()?;
        Ok(retained)
    }

    /// Bytes in use in the database: pages that are free in it are given back.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn used(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let pages = pragma("page_count")? - pragma("freelist_count")?;
            Ok(u64::try_from(pages * pragma("page_size")?).unwrap_or_default())
        })
    }

    /// Bytes that the database may take.
    fn allowed(&self) -> Result<u64, StoreError> {
        let disk = statvfs(self.dir())?;
        Ok(disk.f_blocks.saturating_mul(disk.f_frsize) / 100 * u64::from(self.settings().disk_percent.min(100)))
    }

    /// Does what makes the store smaller; where the disk is full, with the room of the reserve.
    pub(super) fn make_room<T>(&self, work: impl Fn(&Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match work(self) {
            Err(StoreError::Full) => {
                let reserve = self.dir().join(RESERVE);
                if !reserve.exists() {
                    return Err(StoreError::Full);
                }
                log::warn!("the disk is full; the store uses its reserve to delete");
                std::fs::remove_file(reserve)?;
                let done = work(self);
                let given = self.give_back();
                self.take_reserve();
                done.and_then(|value| given.map(|()| value))
            }
            done => done,
        }
    }

    /// Gives free pages back to the file system, and the log's room.
    fn give_back(&self) -> Result<(), StoreError> {
        self.maintain(|connection| {
            let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
            let mut pages = vacuum.query([])?;
            // Each step gives one page back.
            while pages.next()?.is_some() {}
            connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
            Ok(())
        })
    }

    /// Sets room aside again. On a disk that is full there is none, which the next retention tries to mend.
    pub(super) fn take_reserve(&self) {
        let path = self.dir().join(RESERVE);
        if path.metadata().is_ok_and(|m| m.len() == STORE_RESERVE_BYTES) {
            return;
        }
        let taken = super::head::own_file(self.dir(), RESERVE)
            .and_then(|file| Ok(fallocate(&file, FallocateFlags::empty(), 0, STORE_RESERVE_BYTES)?));
        if let Err(e) = taken {
            log::warn!("no reserve beside {DATABASE}: {e}");
            // Half a reserve would be taken for a whole one.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes the oldest readings, those before a time or any, and says so for each.
fn retire(transaction: &Transaction<'_>, before_ms: Option<i64>, why: &str, by: &Actor) -> Result<usize, StoreError> {
    // For room, first those that nobody waits for any more.
    let sent = "NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.reading = readings.seq) AND";
    let mut old = Vec::new();
    for which in [sent, ""].into_iter().skip(usize::from(before_ms.is_some())) {
        let mut rows = transaction.prepare_cached(&format!(
            "SELECT seq, id FROM readings WHERE {which} (?1 IS NULL OR created_ms < ?1) ORDER BY created_ms, seq LIMIT ?2"
        ))?;
        let rows = rows.query_map((before_ms, RETENTION_BATCH), |row| Ok((row.get(0)?, row.get(1)?)))?;
        old = rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        if !old.is_empty() {
            break;
        }
    }
    for (seq, id) in &old {
        outbox::give_up(transaction, id, by)?;
        transaction.prepare_cached("DELETE FROM readings WHERE seq = ?1")?.execute([seq])?;
        append(transaction, &Event::new(Kind::Retired).about(id).with("why", why), by)?;
    }
    Ok(old.len())
}
