//! How much each account has of what is remembered of changes: deletions, and what members have missed. Both are bounded
//! over all accounts, and are to hold what any account needs whatever the others do.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicI64, Ordering},
};

/// Accounts that fall together count as one; which these are nobody outside can know.
const BUCKETS: usize = 1 << 16;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Book {
    Tombstones,
    Hints,
}

/// How many entries more, or less, a transaction leaves to accounts.
#[derive(Default)]
pub(super) struct Taken(HashMap<(Book, usize), i64>);

/// Entries by account.
pub(super) struct Shares {
    random: RandomState,
    counts: [Vec<AtomicI64>; 2],
}

impl Default for Shares {
    fn default() -> Self {
        let counts = || (0..BUCKETS).map(|_| AtomicI64::new(0)).collect();
        Self { random: RandomState::new(), counts: [counts(), counts()] }
    }
}

impl Shares {
    fn bucket(&self, account: &[u8]) -> usize {
        usize::try_from(self.random.hash_one(account) % BUCKETS as u64).unwrap_or(0)
    }

    /// Entries of `account`, with what a transaction is about to leave to it.
    pub(super) fn held(&self, book: Book, account: &[u8], taken: &Taken) -> u64 {
        let bucket = self.bucket(account);
        let more = taken.0.get(&(book, bucket)).copied().unwrap_or(0);
        u64::try_from(self.counts[book as usize][bucket].load(Ordering::Relaxed) + more).unwrap_or(0)
    }

    /// A transaction has `more` entries for `account`.
    pub(super) fn note(&self, book: Book, account: &[u8], more: i64, taken: &mut Taken) {
        *taken.0.entry((book, self.bucket(account))).or_default() += more;
    }

    /// The transaction is on disk.
    pub(super) fn add(&self, taken: Taken) {
        for ((book, bucket), more) in taken.0 {
            self.counts[book as usize][bucket].fetch_add(more, Ordering::Relaxed);
        }
    }
}
