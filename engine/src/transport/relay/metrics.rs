//! What became of onion requests.

use std::time::Duration;

use hyper::StatusCode;

use crate::{
    metrics::{Distribution, Histograms, Stripes},
    rpc::Status,
};

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
