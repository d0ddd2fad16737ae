//! The files of the store: opened, locked, written to by one connection and read by a few.
//!
//! `chexbox.lock` is held by the daemon, `forward.lock` by the process that sends, `audit.head` by whoever writes at the moment. After an fsync that failed nothing more
//! is written: the system may have dropped what it could not write, and only a new start knows what is on the disk.

use super::audit::{self, Actor, Event, Kind, tip};
use super::head::{Head, HeadFile, Noted, noted, own_file};
use super::retention::Settings;
use super::{StoreError, schema};
use crate::limits::{STORE_BUSY_MS, STORE_LOCK_PAUSE_MS, STORE_LOCK_TRIES, STORE_READERS_KEPT};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Name of the database in the state folder.
pub(super) const DATABASE: &str = "chexbox.db";

/// Held while a daemon has the store; not empty from its start to its end in order.
const LOCK: &str = "chexbox.lock";

/// How the store was left by whoever had it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// There was nothing.
    First,
    /// Closed in order.
    Clean,
    /// Killed, or the power failed; what was acknowledged has been recovered.
    Crash,
}

/// Whether the chain ends where its head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadCheck {
    /// It does, or has records that came after.
    Agrees,
    /// It does not, with the reason. The audit says so from now on.
    Broken(String),
}

/// What was found when the store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// From which schema to which it was migrated; none for a new store or one of the newest schema.
    pub migrated: Option<(u32, u32)>,
    /// How it had been left.
    pub shutdown: Shutdown,
    /// Whether the audit chain agrees with its head.
    pub head: HeadCheck,
}

impl Opened {
    /// The event to record at start, with what was found.
    pub fn started(&self, version: &str) -> Event {
        let mut event = Event::new(Kind::Started).with("version", version).with("schema", schema::NEWEST);
        if let Some((from, _)) = self.migrated {
            event = event.with("migrated_from", from);
        }
        if self.shutdown == Shutdown::Crash {
            event = event.with("recovered", "the last run was not ended in order");
        }
        event
    }
}

/// The store.
pub struct Store {
    dir: PathBuf,
    settings: Settings,
    writer: Mutex<Writer>,
    readers: Mutex<Vec<Connection>>,
    // The daemon's; let go when the store is dropped.
    alone: Option<File>,
}

struct Writer {
    connection: Connection,
    head: HeadFile,
    trust: Trust,
}

/// Whether the disk has confirmed everything so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Whole,
    Lost,
}

impl Store {
    /// Opens the store in this folder for the daemon, alone; creates, recovers and migrates it as needed.
    ///
    /// # Errors
    /// `Busy` where another daemon has it, `TooNew`, `Corrupt`, or as the disk says.
    pub fn open(dir: &Path, settings: &Settings) -> Result<(Self, Opened), StoreError> {
        let alone = alone(dir, LOCK)?;
        let shutdown = left(dir, &alone);
        mark(&alone);
        let noted = noted(dir)?;
        let head = HeadFile::open(dir)?;
        let mut connection = connect(dir, OpenFlags::SQLITE_OPEN_CREATE)?;
        let from = schema::version(&connection)?;
        if from == 0 {
            if !removed(noted) {
                // Before the first record can exist, so that a missing head always means a removed one.
                head.note(&tip_of_nothing())?;
                head.settle()?;
            }
            // Only a new file can be told to give pages back.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        durable(&connection)?;
        schema::migrate(&mut connection, from)?;
        let check = match from {
            0 if !removed(noted) => HeadCheck::Agrees,
            _ => check_head(&connection, noted)?,
        };
        let migrated = (from > 0 && from < schema::NEWEST).then_some((from, schema::NEWEST));
        let store = Self::with(dir, settings, connection, head, Some(alone));
        store.after_opening(&check)?;
        Ok((store, Opened { migrated, shutdown, head: check }))
    }

    /// Opens the store beside a daemon that may be running: for verbs of the command line. Creates and migrates nothing.
    ///
    /// # Errors
    /// `Absent`, `TooNew`, `TooOld` (the daemon migrates it), `Corrupt`, or as the disk says.
    pub fn open_beside(dir: &Path) -> Result<Self, StoreError> {
        if !dir.join(DATABASE).exists() {
            return Err(StoreError::Absent(dir.display().to_string()));
        }
        let connection = connect(dir, OpenFlags::empty())?;
        let found = schema::version(&connection)?;
        if found != schema::NEWEST {
            return Err(StoreError::TooOld { found, known: schema::NEWEST });
        }
        durable(&connection)?;
        Ok(Self::with(dir, &Settings::default(), connection, HeadFile::open(dir)?, None))
    }

    fn with(dir: &Path, settings: &Settings, connection: Connection, head: HeadFile, alone: Option<File>) -> Self {
        let writer = Mutex::new(Writer { connection, head, trust: Trust::Whole });
        Self { dir: dir.to_owned(), settings: settings.clone(), writer, readers: Mutex::default(), alone }
    }

    /// What an opening leaves behind: a broken chain is said in the chain.
    fn after_opening(&self, check: &HeadCheck) -> Result<(), StoreError> {
        self.take_reserve();
        let HeadCheck::Broken(how) = check else { return Ok(()) };
        self.write(|transaction| {
            let last: Option<i64> =
                transaction.query_row("SELECT at_ms FROM audit ORDER BY seq DESC LIMIT 1", [], |r| r.get(0)).optional()?;
            let by = Actor::daemon(last.unwrap_or_default());
            audit::append(transaction, &Event::new(Kind::ChainBroken).with("how", how), &by)
        })
    }

    /// True after an fsync that failed: end the process, and the next one opens what is on the disk.
    pub fn must_be_opened_anew(&self) -> bool {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).trust == Trust::Lost
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One transaction: all of it is durable when this returns `Ok`, none of it happened otherwise.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).write(work)
    }

    /// Work on the writing connection outside a transaction.
    pub(super) fn maintain<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _turn = writer.head.turn()?;
        work(&writer.connection)
    }

    /// A question, which does not wait for writers.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let kept = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = kept().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.dir, OpenFlags::empty())?,
        };
        let answer = work(&connection)?;
        let mut kept = kept();
        if kept.len() < STORE_READERS_KEPT {
            kept.push(connection);
        }
        Ok(answer)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The last connection to close writes the log back; readers must be gone before the writer.
        self.readers.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = writer.head.settle() {
            log::error!("the audit's head is not confirmed by the disk: {e}");
        }
        if let Some(Err(e)) = self.alone.as_ref().map(|lock| lock.set_len(0)) {
            log::warn!("{LOCK} keeps its mark: {e}");
        }
    }
}

impl Writer {
    fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.trust == Trust::Lost {
            return Err(StoreError::Reopen);
        }
        let _turn = self.head.turn()?;
        let done = transact(&mut self.connection, work);
        match &done {
            Ok((_, head)) => {
                // The records are durable; a head that lags behind hides nothing that came before it.
                if let Err(e) = self.head.note(head) {
                    log::error!("the audit's head cannot be written: {e}");
                }
            }
            Err(StoreError::Fsync) => {
                log::error!("{}", StoreError::Fsync);
                self.trust = Trust::Lost;
            }
            Err(_) => {}
        }
        done.map(|(value, _)| value)
    }
}

fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<(T, Head), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // A daemon of a newer version may have migrated it since this process opened it.
    if schema::version(&transaction)? != schema::NEWEST {
        return Err(StoreError::Reopen);
    }
    let value = work(&transaction)?;
    let head = tip(&transaction)?;
    transaction.commit()?;
    Ok((value, head))
}

fn connect(dir: &Path, create: OpenFlags) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    let path = dir.join(DATABASE);
    if create.contains(OpenFlags::SQLITE_OPEN_CREATE) && !path.exists() {
        // SQLite would give it to whoever runs, with the mode of the umask. Never on a database that is in use: closing a
        // file lets go of all of a process's locks on it.
        own_file(dir, DATABASE)?;
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(STORE_BUSY_MS))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A schema that somebody planted must not run functions.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Takes a lock. Waits a moment for a process that is ending, or for one that was forked from it and has not begun its own program.
pub(super) fn alone(dir: &Path, name: &str) -> Result<File, StoreError> {
    let lock = own_file(dir, name)?;
    for _ in 0..STORE_LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(STORE_LOCK_PAUSE_MS)),
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
    }
    Err(StoreError::Busy)
}

/// A commit is on the disk before it returns, and what is deleted is overwritten.
fn durable(connection: &Connection) -> Result<(), StoreError> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Io(format!("this file system cannot keep a write-ahead log (journal mode {mode})")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(())
}

/// A daemon that was not ended in order leaves its mark, and the last process to die so a log with content.
fn left(dir: &Path, lock: &File) -> Shutdown {
    let size = |name: &str| dir.join(name).metadata().map_or(0, |m| m.len());
    let log = size(&format!("{DATABASE}-wal")) > 0;
    if size(DATABASE) == 0 && !log {
        return Shutdown::First;
    }
    let marked = lock.metadata().is_ok_and(|m| m.len() > 0);
    if marked || (log && !super::outbox::sends(dir)) { Shutdown::Crash } else { Shutdown::Clean }
}

/// From here on, whoever finds the mark knows that the daemon was not ended in order. A disk without room for it has other worries.
fn mark(lock: &File) {
    if let Err(e) = lock.write_all_at(b"open\n", 0).and_then(|()| lock.sync_data()) {
        log::warn!("{LOCK} cannot be marked: {e}");
    }
}

fn tip_of_nothing() -> Head {
    Head { count: 0, hash: super::chain::origin() }
}

/// Does the head know of records, where there is no database?
fn removed(noted: Noted) -> bool {
    matches!(noted, Noted::Head(head) if head.count > 0)
}

/// Does the chain in the database still hold what the head says?
fn check_head(connection: &Connection, noted: Noted) -> Result<HeadCheck, StoreError> {
    Ok(match broken(connection, noted)? {
        None => HeadCheck::Agrees,
        Some(how) => HeadCheck::Broken(how),
    })
}

/// In which way the chain and the noted head differ.
pub(super) fn broken(connection: &Connection, noted: Noted) -> Result<Option<String>, StoreError> {
    let head = match noted {
        Noted::Absent => return Ok(Some("the file audit.head is missing".to_owned())),
        Noted::Unreadable => return Ok(Some("the file audit.head is damaged".to_owned())),
        Noted::Head(head) => head,
    };
    let count = i64::try_from(head.count).unwrap_or(i64::MAX);
    let found: Option<Vec<u8>> =
        connection.query_row("SELECT hash FROM audit WHERE seq = ?1", [count], |row| row.get(0)).optional()?;
    Ok(match found {
        None if head == tip_of_nothing() => None,
        Some(hash) if hash == head.hash.0 => None,
        None => Some(format!("records are missing at the end: there were {} of them", head.count)),
        Some(_) => Some(format!("record {} is not the one that was written", head.count)),
    })
}
