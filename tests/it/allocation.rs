//! What a call allocates at its peak: every allocation of this test binary is counted, by thread, so
//! that tests beside each other do not disturb the measure. Threads that a call starts are not counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// Bytes allocated by this thread less those it freed; below zero where it frees what others allocated.
    static HELD: Cell<i64> = const { Cell::new(0) };
    /// The most that `HELD` was since the measure began.
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// Takes note of `bytes` more, or fewer. Cells that need no constructor and no destructor: nothing here allocates.
fn note(bytes: i64) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments; counting beside
// it neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(signed(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(signed(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-signed(layout.size()));
        // SAFETY: `pointer` came from `System` with this layout, as all here do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(signed(size) - signed(layout.size()));
        // SAFETY: `pointer` came from `System` with this layout, and the caller answers for `size`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What `call` returns, and the most bytes that this thread held during it beyond what it held before.
pub fn peak_of<T>(call: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    PEAK.set(before);
    let result = call();
    (result, u64::try_from(PEAK.get() - before).unwrap_or_default())
}

#[test]
fn the_measure_sees_what_is_claimed_grown_and_freed() {
    let zeroed = |bytes: usize| std::hint::black_box(vec![0_u8; bytes]).len();
    assert_eq!(peak_of(|| zeroed(3 << 20)), (3 << 20, 3 << 20));
    // One after the other, the second larger.
    assert_eq!(peak_of(|| zeroed(1 << 20) + zeroed(2 << 20)).1, 2 << 20);
    let grown = || {
        let mut bytes: Vec<u8> = Vec::with_capacity(1_000);
        bytes.reserve_exact(5_000_000);
        std::hint::black_box(bytes).capacity()
    };
    assert_eq!(peak_of(grown), (5_000_000, 5_000_000));
    assert_eq!(peak_of(|| ()).1, 0);
}
