//! Lists of nodes as clients get them, written once for all who ask for the same.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

/// Lists that are remembered, some 2 MB each on a large network.
const MOST: usize = 4;

/// The lists of one snapshot, by what was asked for.
#[derive(Debug, Default)]
pub struct Listings(Mutex<VecDeque<(String, Arc<str>)>>);

impl Listings {
    /// The JSON that was made for these params.
    #[must_use]
    pub fn get(&self, params: &str) -> Option<Arc<str>> {
        self.0.lock().iter().find(|(known, _)| known == params).map(|(_, list)| Arc::clone(list))
    }

    /// Remembers JSON for these params; the oldest gives way.
    pub fn put(&self, params: String, list: Arc<str>) {
        let mut lists = self.0.lock();
        lists.truncate(MOST - 1);
        lists.push_front((params, list));
    }
}
