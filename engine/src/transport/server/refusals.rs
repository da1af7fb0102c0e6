//! Requests that were turned away, by transport and by reason.

use crate::{metrics::Stripes, rpc::Via};

/// Why a request was turned away before anybody looked at what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The node does not serve yet, or no more.
    NotReady,
    /// Its address asks too fast.
    TooFast,
    /// As much is under way as may be.
    Busy,
    /// Its body is too large, or did not come.
    Unread,
    /// Whoever asks may not.
    Forbidden,
    /// Its address has too many connections: one was closed.
    Connections,
}

impl Refusal {
    const ALL: [Self; 6] =
        [Self::NotReady, Self::TooFast, Self::Busy, Self::Unread, Self::Forbidden, Self::Connections];

    const fn name(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::TooFast => "too_fast",
            Self::Busy => "busy",
            Self::Unread => "unread",
            Self::Forbidden => "forbidden",
            Self::Connections => "connections",
        }
    }
}

/// The transports that turn away.
const DOORS: [Via; 3] = [Via::Https, Via::Omq, Via::Quic];

/// How many were turned away.
#[derive(Debug)]
pub struct Refusals(Stripes);

impl Default for Refusals {
    fn default() -> Self {
        Self(Stripes::new(DOORS.len() * Refusal::ALL.len()))
    }
}

impl Refusals {
    fn place(door: usize, refusal: Refusal) -> usize {
        door * Refusal::ALL.len() + refusal as usize
    }

    /// One more, which came by `via`.
    pub(super) fn add(&self, via: Via, refusal: Refusal) {
        if let Some(door) = DOORS.iter().position(|door| *door == via) {
            self.0.add(Self::place(door, refusal), 1);
        }
    }

    /// Transport, reason and number of all of them.
    #[must_use]
    pub fn read(&self) -> Vec<(&'static str, &'static str, u64)> {
        let of = |door: usize, refusal: Refusal| {
            (DOORS[door].name(), refusal.name(), self.0.sum(Self::place(door, refusal)))
        };
        (0..DOORS.len()).flat_map(|door| Refusal::ALL.map(|refusal| of(door, refusal))).collect()
    }
}
