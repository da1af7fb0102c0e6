//! What the store has counted.

use super::super::{
    error::StoreError,
    handle::Store,
    metrics::{EXPIRED, REFUSALS, REFUSED, SUBMITTED, StoreMetrics, TAKEN},
};

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
            uncheckpointed: self.tables.memtable.read().bytes(),
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
