//! How many threads one film may use, and work split over them.
//!
//! In: a number of pieces and a function of one piece. Out: the results in the order of the pieces,
//! the same whatever the number of threads. The caller of a reading says how many threads it may
//! use ([`with`]); a folder is read one film a thread, each of them alone. Never: a thread that
//! outlives the call, threads inside threads.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

thread_local! {
    static ALLOWED: Cell<usize> = const { Cell::new(1) };
}

/// Runs `work`, allowing what it calls `threads` threads.
pub fn with<R>(threads: usize, work: impl FnOnce() -> R) -> R {
    /// Gives the former number back, also where the work panics.
    struct Former(usize);
    impl Drop for Former {
        fn drop(&mut self) {
            ALLOWED.set(self.0);
        }
    }
    let _former = Former(ALLOWED.replace(threads.max(1)));
    work()
}

/// Threads that the current film may use.
pub fn allowed() -> usize {
    ALLOWED.get()
}

/// The results of `work` on 0 to `count` - 1, in that order. A panic of the work is the caller's.
pub fn map<R: Send>(count: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let threads = allowed().min(count);
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    // Whoever is free takes the next piece: pieces may differ in length.
    let next = AtomicUsize::new(0);
    let taken = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            done.push((index, work(index)));
        }
    };
    let mut all: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(taken)).collect();
        // What runs on this thread must not split again either.
        let mut all = with(1, taken);
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    });
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [0, 1, 2, 3, 16] {
            for count in [0, 1, 2, 7, 100] {
                let found = with(threads, || map(count, |i| i * i));
                assert_eq!(found, (0..count).map(|i| i * i).collect::<Vec<_>>(), "{threads} threads");
            }
        }
    }

    #[test]
    fn work_inside_work_uses_no_further_threads_and_the_number_is_given_back() {
        let inner = with(4, || map(8, |_| allowed()));
        assert_eq!(inner, [1; 8]);
        assert_eq!(with(3, || with(2, allowed) * 10 + allowed()), 23);
        assert!(catch_unwind(|| with(5, || panic!("work fails"))).is_err());
        assert_eq!(allowed(), 1);
    }

    #[test]
    fn a_panic_of_the_work_is_the_caller_s() {
        let end = catch_unwind(|| with(2, || map(10, |i| assert!(i != 7, "work fails"))));
        assert!(end.is_err());
    }
}
