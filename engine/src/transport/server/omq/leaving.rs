//! What a node knows of those that it sends to its successor.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::transport::omq::queue::Route;

/// For so long nobody is sent away yet: what was asked before is answered by then.
const GRACE: Duration = Duration::from_secs(1);
/// A node that sent all away has heard the last of them when it hears nothing for so long,
pub(super) const ON_THE_WAY: Duration = Duration::from_millis(100);
/// and of those that do not go when so much has passed.
const PATIENCE: Duration = Duration::from_secs(3);

/// From when the node said that it goes.
pub(super) struct Leaving {
    since: Instant,
    /// When the last request came.
    asked: Instant,
    /// Requests under way, by who asked since.
    under_way: HashMap<Route, usize>,
}

impl Leaving {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), asked: Instant::now(), under_way: HashMap::new() }
    }

    /// Whether all have gone, or will not.
    pub(super) fn is_over(&self) -> bool {
        self.asked.elapsed() >= ON_THE_WAY || self.since.elapsed() >= GRACE + PATIENCE
    }

    pub(super) fn take(&mut self, from: &Route) {
        self.asked = Instant::now();
        *self.under_way.entry(from.clone()).or_default() += 1;
    }

    /// Notes an answer; whether nothing else is under way for them, so that they can go.
    pub(super) fn answered(&mut self, to: &Route) -> bool {
        let more = self.under_way.get_mut(to).map_or(0, |under_way| {
            *under_way -= 1;
            *under_way
        });
        if more == 0 {
            self.under_way.remove(to);
        }
        more == 0 && self.since.elapsed() >= GRACE
    }
}
