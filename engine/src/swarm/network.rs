//! The network as it is now: the snapshot in force, what was in force before it, and who waits for the next.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{past::Past, snapshot::Snapshot};
use crate::types::{AccountId, Ed25519PublicKey};

/// The current [`Snapshot`]: replaced as a whole, read without locks. What swarms were like before is remembered.
#[derive(Debug, Default)]
pub struct Network {
    current: ArcSwap<Snapshot>,
    past: Mutex<Past>,
    replaced: watch::Sender<()>,
}

impl Network {
    /// The snapshot in force.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts `snapshot` in force.
    pub fn replace(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        let before = self.current.swap(Arc::clone(&snapshot));
        if snapshot.left_out != before.left_out {
            let (count, first) = (snapshot.left_out.len(), snapshot.left_out.first().map(ToString::to_string));
            tracing::warn!(count, first, "nodes have the same key as others, and are not taken into the network");
        }
        if !before.has_the_swarms_of(&snapshot) {
            self.past.lock().add(before);
        }
        self.replaced.send_replace(());
    }

    /// Changes whenever there is another snapshot from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// Who is and was in which swarm, for [`Self::recall`] at the next start.
    #[must_use]
    #[doc(hidden)]
    pub fn swarms_as_bytes(&self) -> Vec<u8> {
        self.past.lock().encode(&self.load())
    }

    /// Takes what the last run has seen for the past.
    #[doc(hidden)]
    pub fn recall(&self, bytes: &[u8]) {
        self.past.lock().recall(bytes);
    }

    /// Whether `node` is in the swarm of `account`, or was in the one that the account had at some time before.
    #[must_use]
    pub fn has_kept(&self, node: &Ed25519PublicKey, account: &AccountId) -> bool {
        self.load().keeps(node, account) || self.past.lock().any(|before| before.keeps(node, account))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::snapshot::tests::{node, of},
        *,
    };
    use crate::swarm::SwarmId;

    #[test]
    fn who_has_been_in_a_swarm_is_remembered() {
        let account = AccountId([5; 33]);
        let swarm = |network: &Network| network.load().swarm_of(&account).unwrap();
        let network = Network::default();
        network.replace(of(vec![node(1, 0), node(2, 1 << 63), node(3, u64::MAX)]));
        let (of_account, other) = if swarm(&network) == SwarmId(0) { (1, 2) } else { (2, 1) };
        let kept =
            |network: &Network| [of_account, other, 3].map(|n| network.has_kept(&Ed25519PublicKey([n; 32]), &account));
        assert_eq!(kept(&network), [true, false, false]);
        // It moves, and the other takes its place; then nothing of that changes for a while.
        let places = [1 << 63, 0];
        network.replace(of(vec![node(1, places[0]), node(2, places[1]), node(3, u64::MAX)]));
        for _ in 0..100 {
            network.replace(of(vec![node(1, places[0]), node(2, places[1]), node(3, u64::MAX)]));
        }
        assert_eq!(kept(&network), [true, true, false]);
        // Also over a restart, and another.
        let again = Network::default();
        again.recall(&network.swarms_as_bytes());
        again.recall(&[0, 0, 0, 9, 1]);
        assert_eq!(kept(&again), [true, true, false]);
        again.replace(of(vec![node(3, 0)]));
        let third = Network::default();
        third.recall(&again.swarms_as_bytes());
        assert_eq!(third.swarms_as_bytes().len(), 4 * 4 + 3 * 40);
        assert!(third.has_kept(&Ed25519PublicKey([3; 32]), &account));
    }
}
