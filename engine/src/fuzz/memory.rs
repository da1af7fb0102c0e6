//! How much memory a piece of work holds at once, and how often it takes some.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, which counts what each thread has taken and not given back.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// Bytes held, and the most of them since [`peak`] began. What another thread gives back stays counted.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
    /// How often memory was taken, or taken anew for more.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends may still allocate.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + bytes, most.max(now + bytes)));
    });
    if bytes > 0 {
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
    }
}

// SAFETY: all is done by the system's allocator, with the arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What `work` returns, and how many bytes this thread held meanwhile at most, beyond those that it held before.
pub(super) fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    HELD.set((0, 0));
    let done = work();
    let (_, most) = HELD.get();
    (done, most.unsigned_abs())
}

/// How often this thread has taken memory so far.
#[cfg(test)]
pub(crate) fn taken() -> usize {
    TAKEN.get()
}
