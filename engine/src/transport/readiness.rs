//! Whether the node may serve (`spec/transports` §1.4).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use crate::{rpc::Version, swarm::Network, types::Ed25519PublicKey};

/// Why a node does not serve, if it does not.
pub struct Readiness {
    network: Arc<Network>,
    own: Ed25519PublicKey,
    keeps: bool,
    version: Version,
    leaving: AtomicBool,
    closing: AtomicBool,
    open: watch::Sender<bool>,
}

impl Readiness {
    /// Of the node with the key `own`. One that `keeps` messages serves while it is in a swarm, another one while it is
    /// in the network. With `hold`, nobody is let in until [`Self::open`].
    #[must_use]
    pub fn new(network: Arc<Network>, own: Ed25519PublicKey, keeps: bool, hold: bool, version: Version) -> Self {
        Self {
            network,
            own,
            keeps,
            version,
            leaving: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            open: watch::Sender::new(!hold),
        }
    }

    /// From now on whoever comes is let in, and served or told why not.
    pub fn open(&self) {
        self.open.send_if_modified(|open| !std::mem::replace(open, true));
    }

    /// Whether [`Self::open`] was called, or need not be.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits for [`Self::open`].
    pub async fn opened(&self) {
        // The sender is here, so it does not fail.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    /// The reasons, in the protocol's words and order; `None` when the node serves.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        if self.is_closing() {
            return Some("shutting down".to_owned());
        }
        let network = self.network.load();
        let first = self.version.first_hardfork();
        let anywhere = !self.keeps || self.version.serves_outside_swarms();
        let serves = network.by_ed25519(&self.own).is_some_and(|node| node.is_active() || anywhere);
        if serves && network.hardfork >= first {
            return None;
        }
        let mut reasons = Vec::new();
        if network.hardfork < first {
            reasons.push(format!("not yet on hardfork {}.{}", first[0], first[1]));
        }
        if !serves {
            reasons.push(if anywhere { "not in the network" } else { "not in any swarm" }.to_owned());
        }
        if network.nodes().is_empty() {
            reasons.push("not done syncing".to_owned());
        }
        Some(reasons.join("; "))
    }

    /// From now on those who are served are told to come again, to a successor.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether [`Self::leave`] was called.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// From now on nothing new is served.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Whether [`Self::close`] was called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        swarm::{NodeInfo, Snapshot, SwarmId},
        types::{LegacyPublicKey, X25519PublicKey},
    };

    #[test]
    fn reasons_in_order() {
        let network = Arc::new(Network::default());
        let readiness =
            Readiness::new(Arc::clone(&network), Ed25519PublicKey([1; 32]), true, false, Version([2, 8, 0]));
        let all = "not yet on hardfork 19.3; not in any swarm; not done syncing";
        assert_eq!(readiness.reason().as_deref(), Some(all));
        network.replace(Snapshot::new(1, String::new(), [19, 4], Vec::new()));
        assert_eq!(readiness.reason().as_deref(), Some("not in any swarm; not done syncing"));
        readiness.close();
        assert_eq!(readiness.reason().as_deref(), Some("shutting down"));
    }

    #[test]
    fn a_newer_node_serves_outside_swarms_and_under_later_hardforks() {
        let network = Arc::new(Network::default());
        let own = NodeInfo {
            legacy: LegacyPublicKey([1; 32]),
            ed25519: Ed25519PublicKey([1; 32]),
            x25519: X25519PublicKey([1; 32]),
            ip: [127, 0, 0, 1].into(),
            https_port: 1,
            omq_port: 1,
            swarm: SwarmId::UNASSIGNED,
            version: [2, 12, 0],
            requested_unlock_height: 0,
        };
        for (version, hardfork, reason) in [
            ([2, 8, 0], [19, 3], Some("not in any swarm")),
            ([2, 12, 0], [19, 5], Some("not yet on hardfork 19.6")),
            ([2, 12, 0], [19, 6], None),
        ] {
            network.replace(Snapshot::new(1, String::new(), hardfork, vec![own.clone()]));
            let readiness = Readiness::new(Arc::clone(&network), own.ed25519, true, false, Version(version));
            assert_eq!(readiness.reason().as_deref(), reason);
        }
    }
}
