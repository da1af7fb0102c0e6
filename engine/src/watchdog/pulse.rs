//! A thread's pulse: a number that changes as long as the thread goes on.

use std::sync::{
    Arc,
    atomic::{AtomicI32, AtomicU64, Ordering},
};

use super::{
    Sign, Vital,
    stack::{self, ThreadId},
};

// Numbers that no count reaches.
const ENDED: u64 = u64::MAX;
const GONE: u64 = u64::MAX - 1;
/// Set while the thread has nothing to do. Counts are even.
const AT_REST: u64 = 1;

/// The pulse of one thread, for whoever watches.
#[derive(Debug)]
pub struct Pulse {
    name: String,
    count: AtomicU64,
    thread: AtomicI32,
}

impl Pulse {
    /// Of a thread that has yet to begin.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), count: AtomicU64::new(AT_REST), thread: AtomicI32::new(0) })
    }

    /// Takes the pulse of the thread that calls.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Heart {
        self.thread.store(stack::this_thread(), Ordering::Relaxed);
        Heart(Arc::clone(self))
    }

    /// What the thread is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of it now.
    pub(super) fn sign(&self) -> Sign {
        match self.count.load(Ordering::Acquire) {
            ENDED => Sign::Ended,
            GONE => Sign::Gone,
            count if count & AT_REST != 0 => Sign::AtRest,
            count => Sign::Count(count),
        }
    }

    /// Only the thread itself writes.
    fn set(&self, count: u64) {
        self.count.store(count, Ordering::Release);
    }
}

/// The thread's own end of its [`Pulse`]. Dropping it says that the thread has ended, as a panic does.
#[derive(Debug)]
pub struct Heart(Arc<Pulse>);

impl Heart {
    /// The thread goes on, and has work.
    pub fn beat(&self) {
        let count = self.0.count.load(Ordering::Relaxed);
        self.0.set((count | AT_REST).wrapping_add(1));
    }

    /// The thread waits for work, however long.
    pub fn rest(&self) {
        let count = self.0.count.load(Ordering::Relaxed);
        self.0.set(count | AT_REST);
    }

    /// The thread ends, and is not missed.
    pub fn retire(self) {
        self.0.set(GONE);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        if self.0.count.load(Ordering::Relaxed) != GONE {
            self.0.set(ENDED);
        }
    }
}

impl Vital for Arc<Pulse> {
    fn name(&self) -> &str {
        &self.name
    }

    fn sign(&mut self) -> Sign {
        Pulse::sign(self)
    }

    fn thread(&self) -> Option<ThreadId> {
        Some(self.thread.load(Ordering::Relaxed)).filter(|thread| *thread != 0)
    }

    fn stack(&self) -> String {
        self.thread().map(stack::of).unwrap_or_default()
    }
}
