//! What is sent to one archive, one object after the other.

use crate::cli::Failure;
use crate::cli::serve::now_ms;
use chexbox::dicom_net::send::{Archive, Fate};
use chexbox::limits::{FORWARD_LOOK_MS, FORWARD_WAIT_MAX_MS, FORWARD_WAIT_MIN_MS};
use chexbox::store::{Actor, Forward, Setback, Store, StoreError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a worker may take beyond the times of its archive: looking up a name, waiting for the store.
const SLACK: Duration = Duration::from_secs(120);
/// How long a store that cannot be written is left alone, milliseconds.
const STORE_WAIT_MS: u64 = 5_000;
/// How often a waiting worker looks whether it is to end.
const BREATH: Duration = Duration::from_millis(50);

/// Whether a worker ends when nothing is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// It waits for more.
    Forever,
    /// It ends, also where the archive cannot be reached.
    Once,
}

/// What all workers share.
pub struct Shared {
    /// The outbox.
    pub store: Store,
    /// Set where the store is of a newer version by now.
    pub outdated: AtomicBool,
    stop: Arc<AtomicBool>,
    begun: Instant,
}

impl Shared {
    /// `stop` is set to end the workers.
    pub fn new(store: Store, stop: Arc<AtomicBool>) -> Self {
        Self { store, outdated: AtomicBool::new(false), stop, begun: Instant::now() }
    }

    /// Whether the process is to end.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn since_begun_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The thread that sends to one archive.
pub struct Worker {
    /// Name of the destination.
    pub name: String,
    shared: Arc<Shared>,
    patience: Duration,
    moved_ms: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts one; `patience` is the longest that one object may take.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(
        name: String,
        archive: Archive,
        patience: Duration,
        rounds: Rounds,
        shared: Arc<Shared>,
    ) -> Result<Self, Failure> {
        let moved_ms = Arc::new(AtomicU64::new(shared.since_begun_ms()));
        let lease = patience + SLACK;
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let line =
            Line { name: name.clone(), archive, rounds, shared: Arc::clone(&shared), moved_ms: Arc::clone(&moved_ms), lease_ms };
        let thread = std::thread::Builder::new().name(format!("to {name}")).spawn(move || line.work())?;
        Ok(Self { name, shared, patience, moved_ms, thread })
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Whether it has moved within the time that one object may take.
    pub fn is_alive(&self) -> bool {
        let still = self.shared.since_begun_ms().saturating_sub(self.moved_ms.load(Ordering::SeqCst));
        self.has_ended() || Duration::from_millis(still) < self.patience + SLACK
    }
}

/// The line of one archive.
struct Line {
    name: String,
    archive: Archive,
    rounds: Rounds,
    shared: Arc<Shared>,
    moved_ms: Arc<AtomicU64>,
    lease_ms: i64,
}

/// What came of looking for something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// Nothing is due.
    Nothing,
    /// The archive has spoken about an object: it is there.
    Answer,
    /// The archive did not take an object, for a reason that may be its own.
    Trouble,
}

impl Line {
    fn work(&self) {
        let mut pace = Pace::default();
        while !self.shared.stopping() && !self.shared.outdated.load(Ordering::SeqCst) {
            self.moved();
            let wait_ms = match self.step() {
                Ok(Came::Nothing) if self.rounds == Rounds::Once => return,
                Ok(Came::Trouble) if self.rounds == Rounds::Once => return,
                Ok(Came::Nothing) => FORWARD_LOOK_MS,
                Ok(Came::Answer) => {
                    pace.well();
                    0
                }
                Ok(Came::Trouble) => pace.trouble(),
                Err(e) => {
                    self.store_failed(&e);
                    STORE_WAIT_MS
                }
            };
            self.wait(Duration::from_millis(wait_ms));
        }
    }

    /// Sends one object, if one is due.
    fn step(&self) -> Result<Came, StoreError> {
        let store = &self.shared.store;
        if !store.outbox_due(&self.name, now_ms())? {
            return Ok(Came::Nothing);
        }
        let Some(forward) = store.outbox_take(&self.name, now_ms(), self.lease_ms)? else { return Ok(Came::Nothing) };
        let sent = catch_unwind(AssertUnwindSafe(|| self.archive.send(&forward.payload)));
        let (fate, why) = match sent {
            Ok(Ok(_)) => {
                let (name, kind, reading) = (&self.name, &forward.kind, &forward.reading);
                if self.settle(|| store.outbox_done(&forward, &Actor::daemon(now_ms())))? {
                    log::info!("{name}: {kind} of reading {reading} is there");
                } else {
                    log::warn!("{name}: {kind} of reading {reading} is there, and the reading was deleted meanwhile");
                }
                return Ok(Came::Answer);
            }
            Ok(Err(fault)) => (fault.fate(), fault.to_string()),
            Err(_) => (Fate::Failed, "fault: a panic".to_owned()),
        };
        self.put_back(&forward, fate, &why)?;
        Ok(if fate == Fate::Refused { Came::Answer } else { Came::Trouble })
    }

    fn put_back(&self, forward: &Forward, fate: Fate, why: &str) -> Result<(), StoreError> {
        let setback = match fate {
            Fate::Away => Setback::Away,
            Fate::Failed => Setback::Failed,
            Fate::Refused => Setback::Refused,
        };
        log::warn!("{}: {} of reading {}, attempt {}: {why}", self.name, forward.kind, forward.reading, forward.attempt);
        self.settle(|| self.shared.store.outbox_retry(forward, setback, why, &Actor::daemon(now_ms())).map(|_| ()))
    }

    /// Writes what came of an object; a disk that is full or a store that is busy is waited for, since it would be sent again.
    fn settle<T>(&self, write: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            match write() {
                Err(e @ (StoreError::Full | StoreError::Busy)) if !self.shared.stopping() => {
                    self.store_failed(&e);
                    self.moved();
                    self.wait(Duration::from_millis(STORE_WAIT_MS));
                }
                other => return other,
            }
        }
    }

    fn store_failed(&self, error: &StoreError) {
        log::error!("{}: {error}", self.name);
        if matches!(error, StoreError::Reopen | StoreError::TooNew { .. } | StoreError::TooOld { .. }) {
            self.shared.outdated.store(true, Ordering::SeqCst);
        }
    }

    fn moved(&self) {
        self.moved_ms.store(self.shared.since_begun_ms(), Ordering::SeqCst);
    }

    fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.shared.stopping() {
            self.moved();
            std::thread::sleep(BREATH.min(time));
        }
    }
}

/// How long an archive in trouble is left alone: twice as long after each time that it did not answer.
#[derive(Debug, Default)]
struct Pace {
    troubles: u32,
}

impl Pace {
    fn well(&mut self) {
        self.troubles = 0;
    }

    fn trouble(&mut self) -> u64 {
        let wait =
            FORWARD_WAIT_MIN_MS.checked_shl(self.troubles.min(32)).map_or(FORWARD_WAIT_MAX_MS, |w| w.min(FORWARD_WAIT_MAX_MS));
        self.troubles = self.troubles.saturating_add(1);
        u64::try_from(wait).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_in_trouble_is_left_alone_ever_longer_until_it_answers() {
        let mut pace = Pace::default();
        let waits: Vec<u64> = (0..100).map(|_| pace.trouble()).collect();
        assert_eq!(waits[..7], [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000]);
        assert!(waits[7..].iter().all(|w| *w == 300_000));
        pace.well();
        assert_eq!(pace.trouble(), 5_000);
    }
}
