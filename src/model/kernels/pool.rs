//! Threads that share the layers of one film: a static split, workers that spin within a film and park between films.
//!
//! In: a job that every lane runs once, meeting the others at barriers. Out: all lanes are done. Never: a hang after a
//! panic (every waiting lane panics too, and the caller gets the panic), a result that depends on the number of lanes.

use std::any::Any;
use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Threads of a pool at most.
pub const THREADS_MAX: usize = 256;

/// Turns of a waiting lane before it lets others run: a barrier of busy lanes is met within a few microseconds.
const SPINS: u32 = 2_000;

/// Times a worker without a job gives way before it parks: the next part of a film comes within a millisecond.
const YIELDS: u32 = 50;

/// One lane of a job.
pub(super) struct Lane<'a> {
    index: usize,
    lanes: usize,
    barrier: Option<&'a Barrier>,
}

impl Lane<'_> {
    /// This lane's part of `total` things, contiguous, in order of the lanes, of nearly equal size.
    pub(super) fn share(&self, total: usize) -> Range<usize> {
        total * self.index / self.lanes..total * (self.index + 1) / self.lanes
    }

    /// Returns when all lanes have come here.
    pub(super) fn meet(&self) {
        if let Some(barrier) = self.barrier {
            barrier.meet(self.lanes);
        }
    }
}

#[derive(Default)]
struct Barrier {
    arrived: AtomicUsize,
    round: AtomicUsize,
    broken: AtomicBool,
}

impl Barrier {
    fn meet(&self, lanes: usize) {
        let round = self.round.load(Acquire);
        if self.arrived.fetch_add(1, AcqRel) + 1 == lanes {
            self.arrived.store(0, Relaxed);
            self.round.store(round.wrapping_add(1), Release);
            return;
        }
        let mut turns = 0;
        while self.round.load(Acquire) == round {
            assert!(!self.broken.load(Acquire), "another thread of this film's pool failed");
            pause(&mut turns);
        }
    }
}

fn pause(turns: &mut u32) {
    if *turns < SPINS {
        *turns += 1;
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

type Job<'a> = &'a (dyn Fn(&Lane<'_>) + Sync + 'a);

/// What the lanes of a pool share.
#[derive(Default)]
struct Shared {
    /// Counts the jobs; a worker whose own count is behind has one to do.
    epoch: AtomicUsize,
    job: AtomicPtr<Job<'static>>,
    lanes: AtomicUsize,
    unfinished: AtomicUsize,
    barrier: Barrier,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    parked: Vec<AtomicBool>,
}

/// Threads for the layers of one film.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    busy: Mutex<()>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Pool>>> = const { RefCell::new(None) };
}

impl Pool {
    /// A pool of so many lanes, the caller's thread being one of them. Fewer if the system gives no more threads.
    #[must_use]
    pub fn new(threads: usize) -> Arc<Self> {
        let wanted = threads.clamp(1, THREADS_MAX) - 1;
        let parked = (0..wanted).map(|_| AtomicBool::new(false)).collect();
        let shared = Arc::new(Shared { parked, ..Shared::default() });
        let mut workers = Vec::with_capacity(wanted);
        for index in 0..wanted {
            let its = Arc::clone(&shared);
            match thread::Builder::new().name(format!("lane {}", index + 1)).spawn(move || its.work(index)) {
                Ok(worker) => workers.push(worker),
                Err(_) => break,
            }
        }
        Arc::new(Self { shared, workers, busy: Mutex::new(()) })
    }

    /// Lanes, the caller's included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `work`; all kernels that it runs on this thread use this pool.
    pub fn install<R>(self: &Arc<Self>, work: impl FnOnce() -> R) -> R {
        struct Restore(Option<Arc<Pool>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(Arc::clone(self))));
        work()
    }

    fn each_lane(&self, job: Job<'_>) {
        let lanes = self.threads();
        if lanes == 1 {
            return job(&Lane { index: 0, lanes: 1, barrier: None });
        }
        let _busy = lock(&self.busy);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes; below, no lane runs the job any more when this function returns or unwinds.
        let mut job: Job<'static> = unsafe { std::mem::transmute(job) };
        shared.barrier.arrived.store(0, Relaxed);
        shared.barrier.broken.store(false, Relaxed);
        shared.lanes.store(lanes, Relaxed);
        shared.unfinished.store(self.workers.len(), Relaxed);
        shared.job.store(&raw mut job, Relaxed);
        // The epoch and the flags are both SeqCst: either the worker sees the new epoch before it parks, or it is woken.
        shared.epoch.fetch_add(1, SeqCst);
        for (worker, parked) in self.workers.iter().zip(&shared.parked) {
            if parked.load(SeqCst) {
                worker.thread().unpark();
            }
        }
        shared.attempt(&Lane { index: 0, lanes, barrier: Some(&shared.barrier) }, job);
        let mut turns = 0;
        while shared.unfinished.load(Acquire) != 0 {
            pause(&mut turns);
        }
        let panic = lock(&shared.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Shared {
    fn work(&self, index: usize) {
        let mut done = 0;
        while let Some(epoch) = self.next(index, done) {
            done = epoch;
            // SAFETY: the epoch was raised after the job was stored, and its owner waits for `unfinished` to reach zero.
            let job = unsafe { *self.job.load(Relaxed) };
            let lanes = self.lanes.load(Relaxed);
            self.attempt(&Lane { index: index + 1, lanes, barrier: Some(&self.barrier) }, job);
            self.unfinished.fetch_sub(1, Release);
        }
    }

    /// Waits for the epoch to leave `done`: spinning, then giving way, then parked. None at the end.
    fn next(&self, index: usize, done: usize) -> Option<usize> {
        let mut turns = 0;
        loop {
            if self.stop.load(SeqCst) {
                return None;
            }
            let epoch = self.epoch.load(SeqCst);
            if epoch != done {
                return Some(epoch);
            }
            if turns < SPINS + YIELDS {
                pause(&mut turns);
                turns += u32::from(turns >= SPINS);
                continue;
            }
            self.parked[index].store(true, SeqCst);
            if self.epoch.load(SeqCst) == done && !self.stop.load(SeqCst) {
                thread::park();
            }
            self.parked[index].store(false, SeqCst);
        }
    }

    /// Runs a lane; its panic is kept for the caller, and no other lane waits for it.
    fn attempt(&self, lane: &Lane<'_>, job: Job<'_>) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(lane))) {
            // In this order: the panics that the broken barrier causes come second.
            lock(&self.panic).get_or_insert(panic);
            self.barrier.broken.store(true, Release);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches the panics of its jobs; there is nothing to hear from it.
            let _ = worker.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many lanes a job of this thread gets.
pub(super) fn lanes() -> usize {
    CURRENT.with_borrow(|pool| pool.as_ref().map_or(1, |p| p.threads()))
}

/// Runs a job on every lane of the thread's pool, or on the thread alone.
pub(super) fn each_lane(job: impl Fn(&Lane<'_>) + Sync) {
    match CURRENT.with_borrow(Clone::clone) {
        Some(pool) => pool.each_lane(&job),
        None => job(&Lane { index: 0, lanes: 1, barrier: None }),
    }
}

/// A pointer that the lanes of a job share, each writing where no other lane reads or writes between two barriers.
#[derive(Clone, Copy)]
pub(super) struct SharedPtr<T>(*mut T);

// SAFETY: the users of `get` keep the lanes' accesses apart, as the type's purpose says.
unsafe impl<T> Send for SharedPtr<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SharedPtr<T> {}

impl<T> SharedPtr<T> {
    pub(super) fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }

    pub(super) fn get(self) -> *mut T {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each lane adds to at each of its steps.
    fn counted(lanes: usize, steps: usize) -> Vec<usize> {
        let counts: Vec<AtomicUsize> = (0..steps).map(|_| AtomicUsize::new(0)).collect();
        Pool::new(lanes).install(|| {
            each_lane(|lane| {
                for count in &counts {
                    count.fetch_add(1, Relaxed);
                    lane.meet();
                    // All lanes have added before any goes on.
                    assert_eq!(count.load(Relaxed), lanes);
                }
            });
        });
        counts.iter().map(|c| c.load(Relaxed)).collect()
    }

    #[test]
    fn lanes_meet_at_every_barrier() {
        for lanes in 1..=8 {
            assert_eq!(counted(lanes, 50), vec![lanes; 50]);
        }
    }

    #[test]
    fn shares_cover_everything_once() {
        for (lanes, total) in [(1, 0), (1, 7), (3, 7), (8, 3), (8, 64)] {
            let share = |index| Lane { index, lanes, barrier: None }.share(total);
            let all: Vec<usize> = (0..lanes).flat_map(share).collect();
            assert_eq!(all, (0..total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_in_any_lane_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(4);
        for failing in 0..4 {
            let job = |lane: &Lane<'_>| {
                assert!(lane.index != failing, "lane {failing} fails");
                lane.meet();
            };
            let caught = catch_unwind(AssertUnwindSafe(|| pool.install(|| each_lane(job))));
            let message = caught.expect_err("the panic is passed on");
            assert_eq!(message.downcast_ref::<String>().map(String::as_str), Some(format!("lane {failing} fails").as_str()));
        }
        let sum = AtomicUsize::new(0);
        pool.install(|| each_lane(|lane| _ = sum.fetch_add(lane.index, Relaxed)));
        assert_eq!(sum.load(Relaxed), 6);
    }

    #[test]
    fn idle_workers_park_and_wake() {
        let pool = Pool::new(3);
        for _ in 0..3 {
            while !pool.shared.parked.iter().all(|p| p.load(SeqCst)) {
                thread::yield_now();
            }
            let sum = AtomicUsize::new(0);
            pool.install(|| each_lane(|_| _ = sum.fetch_add(1, Relaxed)));
            assert_eq!(sum.load(Relaxed), 3);
        }
    }

    #[test]
    fn a_pool_serves_several_callers_in_turn() {
        let pool = Pool::new(2);
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| pool.install(|| (0..20).for_each(|_| each_lane(|_| _ = sum.fetch_add(1, Relaxed)))));
            }
        });
        assert_eq!(sum.load(Relaxed), 4 * 20 * 2);
    }

    #[test]
    fn an_installed_pool_ends_with_its_work() {
        let (outer, inner) = (Pool::new(3), Pool::new(2));
        assert_eq!(lanes(), 1);
        outer.install(|| {
            assert_eq!(inner.install(lanes), 2);
            assert_eq!(lanes(), 3);
        });
        assert_eq!(lanes(), 1);
    }
}
