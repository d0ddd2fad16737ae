//! Memory for decoding, shared by the threads that read films: whoever needs more than is left waits.
//!
//! However many cores there are, films of ordinary size are read side by side and a few huge ones one by one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What may be taken in all.
pub struct Budget {
    total: u64,
    free: Mutex<u64>,
    returned: Condvar,
}

/// What one film took; given back when dropped.
pub struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self { total, free: Mutex::new(total), returned: Condvar::new() }
    }

    /// Takes `bytes`, and waits until they are free. Whoever asks for more than the total gets all of it, alone.
    pub fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = bytes.min(self.total);
        let mut free = self.lock();
        while *free < bytes {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        Share { budget: self, bytes }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.lock() += self.bytes;
        self.budget.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    #[test]
    fn no_more_than_the_total_is_ever_out_and_a_larger_wish_is_granted_alone() {
        let (budget, out, most) = (Budget::new(100), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for bytes in [30, 60, 100, 1000, 50, 40, 10, 0] {
                let (budget, out, most) = (&budget, &out, &most);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let share = budget.take(bytes);
                        let now = out.fetch_add(share.bytes, Ordering::SeqCst) + share.bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::yield_now();
                        out.fetch_sub(share.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 100);
        assert_eq!(*budget.lock(), 100);
    }
}
