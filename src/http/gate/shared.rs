//! What the gate's thread and its owner share: counters one way, the wish to end the other way.

use super::Counters;
use mio::Waker;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is shared.
pub struct Shared {
    counters: Mutex<Counters>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    drain: Mutex<Option<Duration>>,
    waker: Waker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Nothing counted yet.
    pub fn new(waker: Waker) -> Self {
        Self { counters: Mutex::default(), refused: Mutex::default(), drain: Mutex::default(), waker }
    }

    /// One more refusal or loss.
    pub fn count(&self, code: &'static str) {
        *lock(&self.refused).entry(code).or_default() += 1;
    }

    /// One more connection.
    pub fn accepted(&self) {
        lock(&self.counters).accepted += 1;
    }

    /// One more request for the router.
    pub fn handed_on(&self) {
        lock(&self.counters).requests += 1;
    }

    /// What is held now.
    pub fn holds(&self, open: usize, exchanges: usize, held_bytes: usize) {
        let mut counters = lock(&self.counters);
        (counters.open, counters.exchanges, counters.held_bytes) = (open as u64, exchanges as u64, held_bytes as u64);
    }

    /// A snapshot.
    pub fn counters(&self) -> Counters {
        let refused = lock(&self.refused).iter().map(|(code, count)| (*code, *count)).collect();
        Counters { refused, ..lock(&self.counters).clone() }
    }

    /// Wishes that the thread ends within `deadline`.
    pub fn ask_to_drain(&self, deadline: Duration) {
        *lock(&self.drain) = Some(deadline);
        if let Err(e) = self.waker.wake() {
            log::error!("the gate cannot be woken: {e}");
        }
    }

    /// That wish, if there is one.
    pub fn drain_asked(&self) -> Option<Duration> {
        *lock(&self.drain)
    }
}
