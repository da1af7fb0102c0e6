//! How other nodes have answered: the `peers` of `service.get_stats` (`spec/storage` §5).

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::{metrics::Stripes, swarm::Snapshot, types::Ed25519PublicKey};

/// What of a node was reached; `None` where it was not tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// Its HTTPS port.
    pub https: bool,
    /// Its OMQ port.
    pub omq: Option<bool>,
    /// Its QUIC port.
    pub quic: Option<bool>,
}

impl Reachable {
    /// Whether all that was tested was reached.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.https && self.omq != Some(false) && self.quic != Some(false)
    }
}

/// What is remembered of every node that was asked or tested.
#[derive(Debug)]
pub struct Liveness {
    peers: Mutex<HashMap<Ed25519PublicKey, Record>>,
    /// By transport, those that failed and those that passed.
    tests: Stripes,
}

/// The transports that are tested, in the order of [`Reachable`]'s fields.
const TESTED: [&str; 3] = ["https", "omq", "quic"];

impl Default for Liveness {
    fn default() -> Self {
        Self { peers: Mutex::default(), tests: Stripes::new(2 * TESTED.len()) }
    }
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
        let Reachable { https, omq, quic } = result;
        for (place, reached) in [Some(https), omq, quic].into_iter().enumerate() {
            if let Some(reached) = reached {
                self.tests.add(2 * place + usize::from(reached), 1);
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.peers.lock().entry(node).or_default().tested = Some((now.as_secs_f64(), result));
    }

    /// Tests that have ended: transport, whether the node was reached, number.
    #[must_use]
    pub fn tests(&self) -> Vec<(&'static str, bool, u64)> {
        let of = |place: usize, reached| (TESTED[place], reached, self.tests.sum(2 * place + usize::from(reached)));
        (0..TESTED.len()).flat_map(|place| [of(place, false), of(place, true)]).collect()
    }

    /// Nodes that were not reached when they were last tested.
    #[must_use]
    pub fn unreachable(&self) -> usize {
        let failed = |record: &&Record| record.tested.is_some_and(|(_, result)| !result.passed());
        self.peers.lock().values().filter(failed).count()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        swarm::{NodeInfo, SwarmId},
        types::{LegacyPublicKey, X25519PublicKey},
    };

    fn network(nodes: &[u8]) -> Snapshot {
        let info = |&n: &u8| NodeInfo {
            legacy: LegacyPublicKey([n + 100; 32]),
            ed25519: Ed25519PublicKey([n; 32]),
            x25519: X25519PublicKey([n; 32]),
            ip: std::net::Ipv4Addr::LOCALHOST,
            https_port: 1,
            omq_port: 2,
            swarm: SwarmId(3),
            version: [2, 8, 0],
            requested_unlock_height: 0,
        };
        Snapshot::new(1, String::new(), [19, 4], nodes.iter().map(info).collect())
    }

    #[test]
    fn peers_are_told_of_by_legacy_key_while_they_are_there() {
        let liveness = Liveness::default();
        let (one, two) = (Ed25519PublicKey([1; 32]), Ed25519PublicKey([2; 32]));
        liveness.failed(one);
        liveness.failed(one);
        liveness.tested(two, Reachable { https: true, omq: None, quic: Some(false) });
        let told = liveness.describe(&network(&[1, 2]));
        let named = |n: u8| &told[&LegacyPublicKey([n + 100; 32]).to_string()];
        assert_eq!(named(1), &json!({"requests_failed": 2, "pushes_failed": 2, "storage_tests": []}));
        assert_eq!(named(2)["requests_failed"], 0);
        let tested = &named(2)["reachability"];
        assert_eq!((&tested["passed"], &tested["omq"], &tested["https"]), (&json!(false), &Value::Null, &json!(true)));
        liveness.keep(&network(&[1]));
        let left = liveness.describe(&network(&[1, 2]));
        assert_eq!(left.len(), 1);
        assert_eq!(left.values().next().unwrap()["requests_failed"], 2);
    }
}
