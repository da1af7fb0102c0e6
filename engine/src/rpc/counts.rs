//! How many requests of each kind came, in all and lately (`spec/storage` §5).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::metrics::Stripes;

/// How far back "recent" goes.
const WINDOW: Duration = Duration::from_secs(600);
const KINDS: usize = 4;

/// Kinds of requests that are counted.
#[derive(Clone, Copy, Debug)]
pub enum Counted {
    /// `store`, from clients.
    Store,
    /// `retrieve`.
    Retrieve,
    /// Onion layers peeled.
    Onion,
    /// Onion requests posted to servers.
    Proxy,
}

impl Counted {
    const ALL: [Self; KINDS] = [Self::Store, Self::Retrieve, Self::Onion, Self::Proxy];

    const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Retrieve => "retrieve",
            Self::Onion => "onion",
            Self::Proxy => "proxy",
        }
    }
}

type Totals = [u64; KINDS];

/// The counters. Counting is one addition; what is recent is found from samples of the sums.
#[derive(Debug)]
pub struct RequestCounts {
    totals: Stripes,
    samples: Mutex<VecDeque<(Instant, Totals)>>,
}

impl Default for RequestCounts {
    fn default() -> Self {
        Self { totals: Stripes::new(KINDS), samples: Mutex::new(VecDeque::from([(Instant::now(), [0; KINDS])])) }
    }
}

impl RequestCounts {
    /// One more.
    pub fn add(&self, kind: Counted) {
        self.totals.add(kind as usize, 1);
    }

    fn totals(&self) -> Totals {
        std::array::from_fn(|kind| self.totals.sum(kind))
    }

    /// To be called now and then: remembers the sums, forgets those that are too old.
    pub fn sample(&self) {
        self.sample_at(Instant::now());
    }

    fn sample_at(&self, now: Instant) {
        let mut samples = self.samples.lock();
        samples.push_back((now, self.totals()));
        // One sample stays at or beyond the window's edge.
        while samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            samples.pop_front();
        }
    }

    /// Adds the fields of `service.get_stats` to `answer`.
    pub fn describe(&self, answer: &mut serde_json::Map<String, serde_json::Value>) {
        let totals = self.totals();
        let now = Instant::now();
        let (since, before) = self.samples.lock().front().copied().unwrap_or((now, totals));
        answer.insert("recent_timespan".to_owned(), now.duration_since(since).as_secs_f64().into());
        for kind in Counted::ALL {
            let (total, recent) = (totals[kind as usize], totals[kind as usize].saturating_sub(before[kind as usize]));
            answer.insert(format!("total_{}_requests", kind.name()), total.into());
            answer.insert(format!("recent_{}_requests", kind.name()), recent.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recent_leaves_the_window() {
        let counts = RequestCounts::default();
        let start = Instant::now();
        let recent = |counts: &RequestCounts| {
            let mut answer = serde_json::Map::new();
            counts.describe(&mut answer);
            (answer["total_store_requests"].as_u64().unwrap(), answer["recent_store_requests"].as_u64().unwrap())
        };
        counts.add(Counted::Store);
        counts.sample_at(start + Duration::from_secs(10));
        counts.add(Counted::Store);
        assert_eq!(recent(&counts), (2, 2));
        counts.sample_at(start + WINDOW + Duration::from_secs(10));
        assert_eq!(recent(&counts), (2, 1));
    }
}
