//! Whether the node may serve (`spec/transports` §1.4).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use crate::{swarm::Network, types::Ed25519PublicKey};

/// First hardfork and revision under which a node serves.
const HARDFORK: [u16; 2] = [19, 3];

/// Why a node does not serve, if it does not.
pub struct Readiness {
    network: Arc<Network>,
    own: Ed25519PublicKey,
    keeps: bool,
    leaving: AtomicBool,
    closing: AtomicBool,
    open: watch::Sender<bool>,
}

impl Readiness {
    /// Of the node with the key `own`. One that `keeps` messages serves while it is in a swarm, another one while it is
    /// in the network. With `hold`, nobody is let in until [`Self::open`].
    #[must_use]
    pub fn new(network: Arc<Network>, own: Ed25519PublicKey, keeps: bool, hold: bool) -> Self {
        Self {
            network,
            own,
            keeps,
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
        let serves = network.by_ed25519(&self.own).is_some_and(|node| node.is_active() || !self.keeps);
        if serves && network.hardfork >= HARDFORK {
            return None;
        }
        let mut reasons = Vec::new();
        if network.hardfork < HARDFORK {
            reasons.push("not yet on hardfork 19.3");
        }
        if !serves {
            reasons.push(if self.keeps { "not in any swarm" } else { "not in the network" });
        }
        if network.nodes().is_empty() {
            reasons.push("not done syncing");
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
    use crate::swarm::Snapshot;

    #[test]
    fn reasons_in_order() {
        let network = Arc::new(Network::default());
        let readiness = Readiness::new(Arc::clone(&network), Ed25519PublicKey([1; 32]), true, false);
        let all = "not yet on hardfork 19.3; not in any swarm; not done syncing";
        assert_eq!(readiness.reason().as_deref(), Some(all));
        network.replace(Snapshot::new(1, String::new(), [19, 4], Vec::new()).unwrap());
        assert_eq!(readiness.reason().as_deref(), Some("not in any swarm; not done syncing"));
        readiness.close();
        assert_eq!(readiness.reason().as_deref(), Some("shutting down"));
    }
}
