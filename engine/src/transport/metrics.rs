//! What the transports count: requests that they turned away, and what became of onion requests.

use std::time::Duration;

use hyper::StatusCode;

use crate::{
    metrics::{Distribution, Histograms, Stripes},
    rpc::{Status, Via},
};

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

/// What was in an onion layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// Nothing that this node can open.
    Nothing,
    /// A request for this node.
    Request,
    /// A layer for another node.
    Layer,
    /// Something for a server.
    Server,
}

impl Inside {
    const ALL: [Self; 4] = [Self::Nothing, Self::Request, Self::Layer, Self::Server];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Request => "request",
            Self::Layer => "layer",
            Self::Server => "server",
        }
    }
}

/// Onion requests.
#[derive(Debug)]
pub struct OnionMetrics {
    codes: Stripes,
    times: Histograms,
}

impl Default for OnionMetrics {
    fn default() -> Self {
        let kinds = Inside::ALL.len();
        Self { codes: Stripes::new(kinds * Status::ALL.len()), times: Histograms::of_times(kinds) }
    }
}

impl OnionMetrics {
    pub(super) fn done(&self, inside: Inside, status: StatusCode, took: Duration) {
        // A server may answer anything.
        let status = if status.is_success() { Status::OK } else { Status::from_code(status.as_u16()) };
        self.codes.add(inside as usize * Status::ALL.len() + status.place(), 1);
        self.times.time(inside as usize, took);
    }

    /// What was inside, the outer status and the number of all that there were.
    #[must_use]
    pub fn requests(&self) -> Vec<(&'static str, Status, u64)> {
        let of = |inside: Inside, status: Status| {
            (inside.name(), status, self.codes.sum(inside as usize * Status::ALL.len() + status.place()))
        };
        let all = Inside::ALL.into_iter().flat_map(|inside| Status::ALL.map(|status| of(inside, status)));
        all.filter(|(.., count)| *count > 0).collect()
    }

    /// How long they took, by what was inside.
    #[must_use]
    pub fn times(&self) -> Vec<(&'static str, Distribution)> {
        Inside::ALL.map(|inside| (inside.name(), self.times.read(inside as usize))).into()
    }
}
