//! How other nodes have answered: the `peers` of `service.get_stats` (`spec/storage` §5).

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::reachability::Reachable;
use crate::{swarm::Snapshot, types::Ed25519PublicKey};

/// What is remembered of every node that was asked or tested.
#[derive(Debug, Default)]
pub struct Liveness {
    peers: Mutex<HashMap<Ed25519PublicKey, Record>>,
}

#[derive(Debug, Default)]
struct Record {
    /// Requests without an answer.
    failed: u64,
    /// The last test, and its Unix time in seconds.
    tested: Option<(f64, Reachable)>,
}

impl Liveness {
    /// A request had no answer.
    pub fn failed(&self, node: Ed25519PublicKey) {
        self.peers.lock().entry(node).or_default().failed += 1;
    }

    /// A test has ended.
    pub fn tested(&self, node: Ed25519PublicKey, result: Reachable) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.peers.lock().entry(node).or_default().tested = Some((now.as_secs_f64(), result));
    }

    /// Forgets who is not in the network any more.
    pub fn keep(&self, network: &Snapshot) {
        self.peers.lock().retain(|node, _| network.by_ed25519(node).is_some());
    }

    /// By legacy key.
    #[must_use]
    pub fn describe(&self, network: &Snapshot) -> Map<String, Value> {
        let peers = self.peers.lock();
        let known = peers.iter().filter_map(|(node, record)| Some((network.by_ed25519(node)?, record)));
        known.map(|(node, record)| (node.legacy.to_string(), record.describe())).collect()
    }
}

impl Record {
    fn describe(&self) -> Value {
        let mut told = json!({"requests_failed": self.failed, "pushes_failed": self.failed, "storage_tests": []});
        if let Some((timestamp, result)) = self.tested {
            let Reachable { https, omq, quic } = result;
            told["reachability"] = json!({
                "timestamp": timestamp, "passed": result.passed(), "https": https, "omq": omq, "quic": quic,
            });
        }
        told
    }
}
