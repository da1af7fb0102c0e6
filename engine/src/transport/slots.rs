//! How many requests may be under way at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// A bounded number of places. Cheap to clone: the clones share the places.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    taken: AtomicUsize,
    limit: usize,
    emptied: Notify,
}

impl Slots {
    /// With `limit` places.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { taken: AtomicUsize::new(0), limit, emptied: Notify::new() }))
    }

    /// A place, until it is dropped; `None` when all are taken.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        // Counted first and given back by the drop, so that no path misses it.
        let before = self.0.taken.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(Arc::clone(&self.0));
        (before < self.0.limit).then_some(slot)
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Acquire)
    }

    /// How many there are.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Waits until none is taken.
    pub async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.taken() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// One place taken.
#[derive(Debug)]
pub struct Slot(Arc<Inner>);

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let slots = Slots::new(2);
        let (a, b) = (slots.take().unwrap(), slots.take().unwrap());
        assert!(slots.take().is_none());
        assert_eq!(slots.taken(), 2);
        drop(a);
        assert!(slots.take().is_some());
        let waiting = tokio::spawn({
            let slots = slots.clone();
            async move { slots.empty().await }
        });
        drop(b);
        waiting.await.unwrap();
        assert_eq!(slots.taken(), 0);
    }
}
