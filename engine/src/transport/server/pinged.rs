//! When others have last tested whether this node can be reached (`spec/swarms` §5.1).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// When something last happened.
#[derive(Debug, Default)]
pub struct LastTime(AtomicU64);

impl LastTime {
    /// It happens now.
    pub fn now(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0.store(now.as_secs(), Ordering::Relaxed);
    }

    /// Unix time in seconds; 0 for never.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// When somebody has last tested whether we can be reached, by transport.
#[derive(Debug, Default)]
pub struct Pinged {
    /// `POST /ping_test/v1`.
    pub https: LastTime,
    /// `sn.ping`.
    pub omq: LastTime,
    /// `snode_ping`.
    pub quic: LastTime,
}
