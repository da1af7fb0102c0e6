//! What became of requests: how many there were, and how long they took.

use std::time::Duration;

use super::status::Status;
use crate::metrics::{Distribution, Histograms, Stripes};

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// By HTTPS.
    Https,
    /// In an onion layer.
    Onion,
    /// By OMQ.
    Omq,
    /// By QUIC.
    Quic,
    /// From another member of the swarm, which had it from a client.
    Swarm,
    /// As a part of another request: `batch`, `sequence`, `ifelse`.
    Batch,
    /// From the program that the engine is part of.
    Program,
}

impl Via {
    const ALL: [Self; 7] = [Self::Https, Self::Onion, Self::Omq, Self::Quic, Self::Swarm, Self::Batch, Self::Program];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Onion => "onion",
            Self::Omq => "omq",
            Self::Quic => "quic",
            Self::Swarm => "swarm",
            Self::Batch => "batch",
            Self::Program => "program",
        }
    }
}

const CODES: usize = Status::ALL.len();

/// The counters.
#[derive(Debug)]
pub struct RequestMetrics {
    /// Of the methods; behind their places is that of what asked for nothing that there is.
    names: &'static [&'static str],
    codes: Stripes,
    times: Histograms,
}

/// Those requests that came one way, asked for one thing and had one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// How they came.
    pub via: Via,
    /// What for.
    pub method: &'static str,
    /// Their end.
    pub status: Status,
    /// How many.
    pub count: u64,
}

/// How long those took that came one way and asked for one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTimes {
    /// How they came.
    pub via: Via,
    /// What for.
    pub method: &'static str,
    /// The durations.
    pub times: Distribution,
}

impl RequestMetrics {
    /// Of requests for the methods with these `names`.
    pub(super) fn new(names: &'static [&'static str]) -> Self {
        let series = Via::ALL.len() * (names.len() + 1);
        Self { names, codes: Stripes::new(series * CODES), times: Histograms::of_times(series) }
    }

    fn name(&self, place: usize) -> &'static str {
        self.names.get(place).copied().unwrap_or("unknown")
    }

    /// A request for the method at `place` of the names is answered.
    pub(super) fn done(&self, via: Via, place: usize, status: Status, took: Duration) {
        let series = via as usize * (self.names.len() + 1) + place;
        self.codes.add(series * CODES + status.place(), 1);
        self.times.time(series, took);
    }

    /// A request is answered that could not be read, or was handed over. `method` is what it says that it asks for.
    pub(super) fn named(&self, via: Via, method: &str, status: Status, took: Duration) {
        let place = self.names.iter().position(|name| *name == method).unwrap_or(self.names.len());
        self.done(via, place, status, took);
    }

    fn series(&self) -> impl Iterator<Item = (Via, usize)> {
        let places = 0..=self.names.len();
        Via::ALL.into_iter().flat_map(move |via| places.clone().map(move |place| (via, place)))
    }

    /// All that there were.
    #[must_use]
    pub fn requests(&self) -> Vec<Requests> {
        let ends = self.series().enumerate().flat_map(|(series, (via, kind))| {
            Status::ALL.into_iter().enumerate().map(move |(code, status)| {
                let count = self.codes.sum(series * CODES + code);
                Requests { via, method: self.name(kind), status, count }
            })
        });
        ends.filter(|requests| requests.count > 0).collect()
    }

    /// How long they took.
    #[must_use]
    pub fn times(&self) -> Vec<RequestTimes> {
        let read =
            |(series, (via, kind))| RequestTimes { via, method: self.name(kind), times: self.times.read(series) };
        self.series().enumerate().map(read).filter(|read| read.times.count() > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_how_they_came_what_for_and_how_they_ended() {
        const METHODS: &[&str] = &["store", "ifelse"];
        let metrics = RequestMetrics::new(METHODS);
        let took = Duration::from_micros(3);
        metrics.done(Via::Batch, METHODS.len() - 1, Status::GATEWAY_TIMEOUT, took);
        metrics.named(Via::Https, "store", Status::BAD_REQUEST, took);
        metrics.named(Via::Https, "stor", Status::BAD_REQUEST, took);
        metrics.done(Via::Https, 0, Status::OK, took);
        metrics.done(Via::Https, 0, Status::OK, took);
        let told: Vec<_> =
            metrics.requests().into_iter().map(|r| (r.via.name(), r.method, r.status.code(), r.count)).collect();
        let last = METHODS[METHODS.len() - 1];
        assert_eq!(
            told,
            [
                ("https", "store", 200, 2),
                ("https", "store", 400, 1),
                ("https", "unknown", 400, 1),
                ("batch", last, 504, 1)
            ]
        );
        let times: Vec<_> = metrics.times().into_iter().map(|t| (t.via, t.method, t.times.counts[2])).collect();
        assert_eq!(times, [(Via::Https, "store", 3), (Via::Https, "unknown", 1), (Via::Batch, last, 1)]);
    }
}
