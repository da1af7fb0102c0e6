//! Memory that is held for others: each byte is counted until it is written or gone, by who it is for and in all, so that
//! memory grows with configuration and never with attackers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{holder::Holder, rpc::SUBSCRIPTION};

/// The least that a node can be given, in bytes.
pub const LEAST_MEMORY: usize = 256 << 20;
/// What the default never exceeds: more is for who asks for it.
const MOST_BY_DEFAULT: usize = 4 << 30;
/// What one address, or one node, may hold of a budget, at most.
const MOST_OF_A_HOLDER: usize = 24 << 20;

/// A quarter of the memory that this machine, or the control group that the process is in, has; within bounds.
#[must_use]
pub fn default_memory_limit() -> usize {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        total.split_whitespace().next()?.parse::<usize>().ok()?.checked_mul(1024)
    });
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        std::fs::read_to_string(format!("/sys/fs/cgroup{path}/memory.max")).ok()?.trim().parse::<usize>().ok()
    });
    let there = machine.into_iter().chain(group).min().unwrap_or(LEAST_MEMORY);
    (there / 4).clamp(LEAST_MEMORY, MOST_BY_DEFAULT)
}

/// So many bytes at once, of one kind. Clones share it.
#[derive(Clone)]
pub struct MemoryBudget(Arc<Budget>);

struct Budget {
    limit: usize,
    of_a_holder: usize,
    used: AtomicUsize,
    by_holder: Mutex<HashMap<Holder, usize>>,
    refused: AtomicU64,
}

impl MemoryBudget {
    /// Of `limit` bytes, of which no holder has more than `of_a_holder`.
    #[must_use]
    pub fn new(limit: usize, of_a_holder: usize) -> Self {
        let (used, by_holder, refused) = (AtomicUsize::new(0), Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Budget { limit, of_a_holder, used, by_holder, refused }))
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Bytes that there are.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How often there was no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// `bytes` for `holder`; `None` when there is no room.
    pub(crate) fn take(&self, holder: Holder, bytes: usize) -> Option<MemoryShare> {
        let mut share = MemoryShare { budget: self.clone(), holder, bytes: 0 };
        share.grow(bytes).then_some(share)
    }

    /// `bytes`, counted until nobody holds them any more; `None` when there is no room.
    pub(crate) fn hold(&self, holder: Holder, bytes: Bytes) -> Option<Bytes> {
        self.hold_copies(holder, bytes, 1)
    }

    /// As [`Self::hold`], where as many `copies` exist until all are sent.
    pub(crate) fn hold_copies(&self, holder: Holder, bytes: Bytes, copies: usize) -> Option<Bytes> {
        let share = self.take(holder, bytes.len() * copies)?;
        Some(Bytes::from_owner(Held { bytes, _share: share }))
    }
}

struct Held {
    bytes: Bytes,
    _share: MemoryShare,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A part of a budget, until it is dropped.
pub(crate) struct MemoryShare {
    budget: MemoryBudget,
    holder: Holder,
    bytes: usize,
}

impl MemoryShare {
    /// Takes `more` bytes; whether there was room.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let budget = &self.budget.0;
        let mut by_holder = budget.by_holder.lock();
        let used = by_holder.get(&self.holder).copied().unwrap_or(0);
        if used + more > budget.of_a_holder || budget.used.load(Ordering::Relaxed) + more > budget.limit {
            budget.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if more > 0 {
            by_holder.insert(self.holder, used + more);
            budget.used.fetch_add(more, Ordering::Relaxed);
            self.bytes += more;
        }
        true
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let budget = &self.budget.0;
        let mut by_holder = budget.by_holder.lock();
        budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some(used) = by_holder.get_mut(&self.holder) {
            *used -= self.bytes;
            if *used == 0 {
                by_holder.remove(&self.holder);
            }
        }
    }
}

/// What all of a node's transports count by.
pub struct Memory {
    /// Requests that are read or carried out.
    pub requests: MemoryBudget,
    /// Answers and notifications until they are written.
    pub answers: MemoryBudget,
    /// How many subscriptions there may be.
    pub subscriptions: usize,
}

impl Memory {
    /// From what the whole node may use.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.max(LEAST_MEMORY);
        let budget = |limit| MemoryBudget::new(limit, MOST_OF_A_HOLDER);
        Self { requests: budget(limit / 2), answers: budget(limit / 4), subscriptions: limit / 8 / SUBSCRIPTION }
    }

    /// Each budget by name.
    #[must_use]
    pub fn read(&self) -> [(&'static str, &MemoryBudget); 2] {
        [("requests", &self.requests), ("answers", &self.answers)]
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn holder(last: u8) -> Holder {
        Holder::at(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn shares_are_bounded_by_holder_and_in_all_and_given_back() {
        let budget = MemoryBudget::new(400, 100);
        let mut first = budget.take(holder(1), 60).unwrap();
        assert!(first.grow(40) && !first.grow(1));
        assert!(budget.take(holder(1), 1).is_none());
        let others: Vec<MemoryShare> = (2..5).map(|last| budget.take(holder(last), 100).unwrap()).collect();
        assert!(budget.take(holder(9), 1).is_none());
        assert_eq!((budget.used(), budget.refused()), (400, 3));
        drop((first, others));
        assert_eq!(budget.used(), 0);
        assert!(budget.0.by_holder.lock().is_empty());
    }

    #[test]
    fn what_is_held_counts_until_the_last_part_of_it_is_gone() {
        let budget = MemoryBudget::new(400, 100);
        let held = budget.hold(holder(1), Bytes::from(vec![7; 90])).unwrap();
        let part = held.slice(10..20);
        drop(held);
        assert_eq!((budget.used(), part.as_ref()), (90, [7; 10].as_slice()));
        assert!(budget.hold(holder(1), Bytes::from(vec![7; 11])).is_none());
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_default_fits_the_machine() {
        assert!((LEAST_MEMORY..=MOST_BY_DEFAULT).contains(&default_memory_limit()));
    }
}
