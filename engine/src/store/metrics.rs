//! What the store counts.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{error::StoreError, layout, tables::Tables};
use crate::{
    metrics::{Distribution, Histograms, Stripes},
    types::Millis,
};

/// Largest batch that has a bucket of its own; the writer takes as many by default.
const BATCH: usize = 1024;

/// Why a write was refused.
pub(super) const REFUSED: [&str; 8] =
    ["full", "account_full", "busy", "closed", "map_full", "disk_full", "damaged", "other"];

pub(super) const SUBMITTED: usize = 0;
pub(super) const TAKEN: usize = 1;
pub(super) const EXPIRED: usize = 2;
pub(super) const REFUSALS: usize = 3;

/// The counters, which the writer and those who write share.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) counters: Stripes,
    pub(super) batches: Histograms,
    pub(super) commits: Histograms,
    /// Since when nothing can be written, and why.
    pub(super) failure: Mutex<Option<(Instant, StoreError)>>,
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
    /// Bytes that are in the write-ahead log and in memory only.
    pub uncheckpointed: usize,
    /// For how long nothing can be written, and why.
    pub failure: Option<(Duration, StoreError)>,
}

impl Tables {
    /// When the first message expires.
    pub(super) fn next_expiry(&self) -> Result<Option<Millis>, StoreError> {
        let view = self.view()?;
        let Some(entry) = self.expiries.iter(&view)?.next() else { return Ok(None) };
        let (at, _) = layout::expiring(entry?).ok_or_else(layout::damaged)?;
        Ok(Some(at))
    }
}
