//! The node's wall clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use crate::types::Millis;

/// The system's clock, moved by an offset that tests and devnets may set.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Millis {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let system = u64::try_from(system).unwrap_or(u64::MAX);
        Millis(system.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed)))
    }

    /// Runs `ms` ahead of the system's clock from now on (behind it, when negative).
    pub fn set_offset(&self, ms: i64) {
        self.offset_ms.store(ms, Ordering::Relaxed);
    }
}
