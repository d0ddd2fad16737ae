//! Work on many items with several threads, and hand the results on in the items' own order.
//!
//! A thread that is ahead waits, so that a slow film never lets finished ones pile up in memory.
//! A panic of the work surfaces on the calling thread; it never leaves it waiting.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex};
use std::thread;

/// How many results may wait for an earlier one, per thread.
const AHEAD_PER_THREAD: usize = 4;

struct State<R> {
    next: usize,
    handed_on: usize,
    done: BTreeMap<usize, thread::Result<R>>,
    stopped: bool,
}

/// Calls `work` on each index below `count` from `threads` threads, and `sink` on each result, in order, from this thread.
///
/// # Errors
/// The first error of `sink`; work that has not begun by then is not begun.
pub fn in_order<R: Send, E>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> R + Sync,
    mut sink: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.clamp(1, count.max(1));
    let state = Mutex::new(State { next: 0, handed_on: 0, done: BTreeMap::new(), stopped: false });
    let changed = Condvar::new();
    let lock = || state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let mut s = lock();
                    while !s.stopped && s.next < count && s.next >= s.handed_on + threads * AHEAD_PER_THREAD {
                        s = changed.wait(s).unwrap_or_else(std::sync::PoisonError::into_inner);
                    }
                    if s.stopped || s.next >= count {
                        return;
                    }
                    let index = s.next;
                    s.next += 1;
                    drop(s);
                    let result = catch_unwind(AssertUnwindSafe(|| work(index)));
                    lock().done.insert(index, result);
                    changed.notify_all();
                }
            });
        }
        for index in 0..count {
            let mut s = lock();
            let result = loop {
                if let Some(result) = s.done.remove(&index) {
                    break result;
                }
                s = changed.wait(s).unwrap_or_else(std::sync::PoisonError::into_inner);
            };
            s.handed_on = index + 1;
            drop(s);
            changed.notify_all();
            let stop = || {
                lock().stopped = true;
                changed.notify_all();
            };
            let result = result.unwrap_or_else(|panic| {
                stop();
                resume_unwind(panic)
            });
            if let Err(error) = sink(result) {
                stop();
                return Err(error);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 7, 100] {
            for count in [0, 1, 2, 50] {
                let mut seen = Vec::new();
                let slow_first = |i: usize| {
                    thread::sleep(std::time::Duration::from_millis(if i == 0 { 5 } else { 0 }));
                    i * i
                };
                let collect = |r| {
                    seen.push(r);
                    Ok::<_, ()>(())
                };
                in_order(count, threads, slow_first, collect).unwrap();
                assert_eq!(seen, (0..count).map(|i| i * i).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_panic_of_the_work_surfaces_and_nobody_waits_for_ever() {
        let work = |i: usize| assert!(i != 3, "work fails");
        let end = catch_unwind(AssertUnwindSafe(|| in_order(100, 2, work, |()| Ok::<_, ()>(()))));
        assert!(end.is_err());
    }

    #[test]
    fn an_error_of_the_sink_stops_the_work() {
        let begun = std::sync::atomic::AtomicUsize::new(0);
        let work = |i: usize| {
            begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            i
        };
        let result = in_order(1000, 2, work, |i| if i == 3 { Err("full") } else { Ok(()) });
        assert_eq!(result, Err("full"));
        assert!(begun.into_inner() <= 3 + 1 + 2 * AHEAD_PER_THREAD + 2);
    }
}
