//! Memory of the kernels: aligned to cache lines, kept by the thread that needs it, never grown inside a layer.

use std::cell::RefCell;
use std::marker::PhantomData;

/// One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Types for which every pattern of bits is a value, and which are no larger than a line.
///
/// # Safety
/// Only for integers and floats of at most 64 bytes without padding.
pub(super) unsafe trait Plain: Copy + Default + Send + Sync + 'static {}
// SAFETY: every byte is a u8.
unsafe impl Plain for u8 {}
// SAFETY: every byte is an i8.
unsafe impl Plain for i8 {}
// SAFETY: every four bytes are an f32.
unsafe impl Plain for f32 {}

/// A slice that starts on a cache line and is followed by at least one more.
#[derive(Debug)]
pub(super) struct Aligned<T> {
    lines: Vec<Line>,
    len: usize,
    kind: PhantomData<T>,
}

impl<T: Plain> Aligned<T> {
    pub(super) fn zeroed(len: usize) -> Self {
        Self { lines: vec![Line([0; 64]); lines::<T>(len)], len, kind: PhantomData }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: `lines` holds at least `len` elements, initialized, aligned beyond T's need; T takes any bits.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }

    pub(super) fn as_slice(&self) -> &[T] {
        // SAFETY: as in `as_mut_slice`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

fn lines<T>(len: usize) -> usize {
    (len * size_of::<T>()).div_ceil(64) + 1
}

thread_local! {
    /// What one lane of a pool works in: a few pixels at a time.
    static LANE: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    /// What all lanes share while the calling thread waits: whole maps.
    static MAPS: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// `len` elements of the running lane's own memory, with what the last use left in them.
pub(super) fn with_lane<T: Plain, R>(len: usize, work: impl FnOnce(*mut T) -> R) -> R {
    LANE.with_borrow_mut(|memory| work(grown::<T>(memory, len)))
}

/// `len` elements of the calling thread's memory for whole maps, with what the last use left in them.
pub(super) fn with_maps<T: Plain, R>(len: usize, work: impl FnOnce(*mut T) -> R) -> R {
    MAPS.with_borrow_mut(|memory| work(grown::<T>(memory, len)))
}

fn grown<T: Plain>(memory: &mut Vec<Line>, len: usize) -> *mut T {
    let needed = lines::<T>(len);
    if memory.len() < needed {
        *memory = Vec::new();
        *memory = vec![Line([0; 64]); needed];
    }
    memory.as_mut_ptr().cast()
}
