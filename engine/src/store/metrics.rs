//! What the store counts.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Store, StoreError, layout, tables::Tables};
use crate::{
    metrics::{Distribution, Histograms, Stripes},
    types::Millis,
};

/// Largest batch that has a bucket of its own; the writer takes as many by default.
const BATCH: usize = 1024;

/// Why a write was refused.
const REFUSED: [&str; 8] = ["full", "account_full", "busy", "closed", "map_full", "disk_full", "damaged", "other"];

const SUBMITTED: usize = 0;
const TAKEN: usize = 1;
const EXPIRED: usize = 2;
const REFUSALS: usize = 3;

/// The counters, which the writer and those who write share.
#[derive(Debug)]
pub(super) struct Counts {
    counters: Stripes,
    batches: Histograms,
    commits: Histograms,
    /// Since when nothing can be written, and why.
    failure: Mutex<Option<(Instant, StoreError)>>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            counters: Stripes::new(REFUSALS + REFUSED.len()),
            batches: Histograms::of_sizes(1, BATCH),
            commits: Histograms::of_times(1),
            failure: Mutex::default(),
        }
    }
}

impl Counts {
    pub(super) fn submitted(&self) {
        self.counters.add(SUBMITTED, 1);
    }

    pub(super) fn refused(&self, error: &StoreError) {
        let reason = match error {
            StoreError::Full => 0,
            StoreError::AccountFull => 1,
            StoreError::Busy => 2,
            StoreError::Closed => 3,
            StoreError::MapFull => 4,
            StoreError::DiskFull => 5,
            StoreError::Damaged(_) => 6,
            StoreError::Format { .. }
            | StoreError::InUse
            | StoreError::Interrupted
            | StoreError::Unusable(_)
            | StoreError::Database(_) => 7,
        };
        self.counters.add(REFUSALS + reason, 1);
    }

    /// A transaction with so many requests in it has come to its end.
    pub(super) fn committed(&self, requests: usize, took: Duration) {
        if requests > 0 {
            self.counters.add(TAKEN, requests as u64);
            self.batches.size(0, requests);
            self.commits.time(0, took);
        }
    }

    /// Something was written.
    pub(super) fn works(&self) {
        if self.failure.lock().take().is_some() {
            tracing::info!("the store can be written again");
        }
    }

    /// Nothing can be written.
    pub(super) fn failed(&self, error: &StoreError) {
        let mut failure = self.failure.lock();
        let since = failure.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *failure = Some((since, error.clone()));
    }

    pub(super) fn expired(&self, messages: usize) {
        self.counters.add(EXPIRED, messages as u64);
    }
}

/// What a store has counted since it was opened.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics {
    /// Writes that wait, or are being done.
    pub queued: u64,
    /// How many may.
    pub queue: usize,
    /// Writes in one transaction.
    pub batches: Distribution,
    /// How long a transaction took, until it was as durable as it was to be.
    pub commits: Distribution,
    /// Writes refused, by reason.
    pub refused: [(&'static str, u64); REFUSED.len()],
    /// Messages removed because their time was over.
    pub expired: u64,
    /// For how many milliseconds the message has been due that should have gone first.
    pub expiry_lag: u64,
    /// Bytes that are in the redo log and in memory only.
    pub unfolded: usize,
    /// For how long nothing can be written, and why.
    pub failure: Option<(Duration, StoreError)>,
}

impl Tables {
    /// When the first message expires.
    fn next_expiry(&self) -> Result<Option<Millis>, StoreError> {
        let view = self.view()?;
        let Some(entry) = self.expiries.iter(&view)?.next() else { return Ok(None) };
        let (at, _) = layout::expiring(entry?).ok_or_else(layout::damaged)?;
        Ok(Some(at))
    }
}

impl Store {
    /// What it has counted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn metrics(&self) -> Result<StoreMetrics, StoreError> {
        let counts = self.writer.counts();
        let sum = |counter| counts.counters.sum(counter);
        let expiring = self.clock.expiring();
        // The writer may be ahead of who counts what it was given.
        let taken = sum(TAKEN);
        let due = self.tables.next_expiry()?.unwrap_or(expiring);
        Ok(StoreMetrics {
            queued: sum(SUBMITTED).saturating_sub(taken),
            queue: self.writer.queue(),
            batches: counts.batches.read(0),
            commits: counts.commits.read(0),
            refused: std::array::from_fn(|reason| (REFUSED[reason], sum(REFUSALS + reason))),
            expired: sum(EXPIRED),
            expiry_lag: expiring.0.saturating_sub(due.0),
            unfolded: self.tables.recent.read().bytes(),
            failure: counts.failure.lock().as_ref().map(|(since, error)| (since.elapsed(), error.clone())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        store::{NewMessage, StoreConfig},
        types::{AccountId, MessageHash, Namespace},
    };

    #[tokio::test]
    async fn writes_refusals_and_what_is_overdue_are_counted() {
        let dir = tempfile::TempDir::new().unwrap();
        let clock = Clock::default();
        let config = StoreConfig { account_messages: 3, ..StoreConfig::new(dir.path()) };
        let store = Store::open(config, clock.clone()).unwrap();
        assert_eq!(store.metrics().unwrap().expiry_lag, 0);
        let start = clock.now();
        let message = |number: u8| NewMessage {
            account: AccountId([5; 33]),
            namespace: Namespace(0),
            hash: MessageHash([number; 32]),
            timestamp: start,
            expiry: start.plus(20_000),
            stored: start,
            changed: start,
            data: vec![number; 100],
        };
        for number in 0..3 {
            store.put(message(number)).await.unwrap();
        }
        assert_eq!(store.put(message(3)).await, Err(StoreError::AccountFull));
        let metrics = store.metrics().unwrap();
        assert_eq!((metrics.queued, metrics.batches.count(), metrics.batches.sum), (0, 4, 4));
        assert_eq!((metrics.commits.count(), metrics.refused[1]), (4, ("account_full", 1)));
        assert!(metrics.commits.sum > 0);
        clock.set_offset(60_000);
        let lag = store.metrics().unwrap().expiry_lag;
        // The writer's own tick may have come between.
        assert!(lag >= 40_000 || lag == 0, "{lag}");
        store.clean_expired().await.unwrap();
        let metrics = store.metrics().unwrap();
        assert_eq!((metrics.expiry_lag, metrics.expired), (0, 3));
        store.close();
        assert_eq!(store.put(message(5)).await, Err(StoreError::Closed));
        assert_eq!(store.metrics().unwrap().refused[3], ("closed", 1));
    }
}
