//! What a new picture of the network makes of stored messages: who has to be given them, and when they can go
//! (`spec/swarms` §3).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    link::PeerLink,
    member::PeerError,
    reconcile::Reconciler,
    topology::Topology,
    transfer::{self, Transferred},
};
use crate::{
    store::{Batch, Cursor, Handoff, NewMessage, Store, StoreError},
    swarm::{Network, NodeInfo, Snapshot, SwarmId},
    types::{AccountId, Ed25519PublicKey},
};

const BATCH: usize = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Between two attempts to reach a node: from this, doubling, to that.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// The transfers that a change from `before` to `network` asks of us.
#[must_use]
pub fn transfers(before: &Topology, network: &Snapshot, own: &Ed25519PublicKey) -> Vec<Handoff> {
    let now = Topology::of(network, own);
    let (Some(old), Some(new)) = (before.own, now.own) else { return Vec::new() };
    let everybody_in = |swarm: SwarmId| {
        let others = network.members(swarm).iter().filter(|node| node.ed25519 != *own);
        others.map(move |node| Handoff { node: node.ed25519, swarm })
    };
    if old != new {
        // What we hold belongs to others now: to our old swarm, or to all when that is no more.
        return if now.swarms.contains(&old.0) {
            everybody_in(old).collect()
        } else {
            network.swarms().iter().flat_map(|swarm| everybody_in(*swarm)).collect()
        };
    }
    let joined = now.members.difference(&before.members);
    let joined =
        joined.map(|key| Handoff { node: Ed25519PublicKey(*key), swarm: new }).filter(|handoff| handoff.node != *own);
    let appeared = now.swarms.difference(&before.swarms).flat_map(|swarm| everybody_in(SwarmId(*swarm)));
    joined.chain(appeared).collect()
}

/// Carries the transfers out. One for a node.
pub struct Rebalancer {
    store: Store,
    network: Arc<Network>,
    peers: Arc<dyn PeerLink>,
    own: Ed25519PublicKey,
    reconciler: Arc<Reconciler>,
    /// Transfers of this run that have come to their end.
    confirmed: Mutex<HashSet<Handoff>>,
    /// When to try again, for those that failed.
    pauses: Mutex<HashMap<Handoff, (Instant, Duration)>>,
    changed: Notify,
}

impl Rebalancer {
    /// Goes on where the last run of this store stopped.
    #[must_use]
    pub fn new(
        store: Store,
        network: Arc<Network>,
        peers: Arc<dyn PeerLink>,
        own: Ed25519PublicKey,
        reconciler: Arc<Reconciler>,
    ) -> Self {
        match store.swarms() {
            Ok(swarms) => network.recall(&swarms.unwrap_or_default()),
            Err(error) => tracing::error!(%error, "what swarms were like before could not be read"),
        }
        Self {
            store,
            network,
            peers,
            own,
            reconciler,
            confirmed: Mutex::default(),
            pauses: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// There is a new picture of the network.
    pub fn network_changed(&self) {
        self.changed.notify_one();
    }

    /// Begins a transfer, unless it is under way.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self, handoff: Handoff) -> Result<(), StoreError> {
        if self.store.handoffs()?.iter().all(|(known, _)| *known != handoff) {
            self.store.move_handoff(handoff, Some(self.start(handoff)?)).await?;
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Transfers that are not finished.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn unfinished(&self) -> Result<usize, StoreError> {
        Ok(self.store.handoffs()?.len())
    }

    /// Works for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            if let Err(error) = self.compare().await {
                tracing::error!(%error, "the change of the network could not be noted");
            }
            let now = Instant::now();
            let handoffs = self.store.handoffs().unwrap_or_default();
            let is_due = |handoff: &Handoff| self.pauses.lock().get(handoff).is_none_or(|(next, _)| *next <= now);
            let due = handoffs.into_iter().filter(|(handoff, _)| is_due(handoff));
            join_all(due.map(|(handoff, cursor)| self.transfer(handoff, cursor))).await;
            let next = self.pauses.lock().values().map(|(next, _)| *next).min();
            let pause = next.map_or(Duration::from_secs(3600), |next| next.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Notes what the network is like now, and what follows from what it was like before.
    async fn compare(&self) -> Result<(), StoreError> {
        let network = self.network.load();
        let now = Topology::of(&network, &self.own);
        if !network.swarms().is_empty() {
            let swarms = self.network.swarms_as_bytes();
            if self.store.swarms()?.as_ref() != Some(&swarms) {
                self.store.remember_swarms(swarms).await?;
            }
        }
        if network.nodes().is_empty() || now.own.is_none() {
            // Nothing is known yet, or we are out for a while: what we held before counts when we are back.
            return Ok(());
        }
        let before = self.store.topology()?.as_deref().and_then(Topology::decode);
        if before.as_ref() == Some(&now) {
            return Ok(());
        }
        let handoffs = before.map(|before| transfers(&before, &network, &self.own)).unwrap_or_default();
        if !handoffs.is_empty() {
            tracing::info!(transfers = handoffs.len(), "the swarms have changed");
        }
        let handoffs = handoffs
            .into_iter()
            .map(|handoff| Ok((handoff, self.start(handoff)?)))
            .collect::<Result<_, StoreError>>()?;
        self.store.remember_topology(now.encode(), handoffs).await
    }

    /// Where a transfer begins. A member of our own swarm is told of what is stored from now on as all others are, which says
    /// more than a transfer to an old version does: it loses namespaces.
    fn start(&self, handoff: Handoff) -> Result<Cursor, StoreError> {
        let ours = self.network.load().by_ed25519(&self.own).map(|own| own.swarm);
        if ours == Some(handoff.swarm) { self.store.up_to_now() } else { Ok(Cursor::default()) }
    }

    async fn transfer(&self, handoff: Handoff, mut cursor: Cursor) {
        loop {
            let network = self.network.load();
            let node = network.by_ed25519(&handoff.node).filter(|node| node.swarm == handoff.swarm).map(Arc::clone);
            let Some(node) = node else {
                self.note(self.store.move_handoff(handoff, None).await, handoff);
                return self.without(handoff).await;
            };
            self.peers.acquaint(&node).await;
            let ours = network.by_ed25519(&self.own).map(|own| own.swarm);
            if ours == Some(handoff.swarm) && self.peers.is_allium(&node) {
                // A new member of our own swarm, whom others give the same: only what it has not.
                return match self.reconciler.compare(&node).await {
                    Ok(_) => self.note(self.store.move_handoff(handoff, None).await, handoff),
                    Err(error) => self.later(handoff, &error),
                };
            }
            let belongs = |account: &AccountId| network.swarm_of(account) == Some(handoff.swarm);
            let batch =
                self.store.batch(&cursor, BATCH, belongs).map_err(|error| PeerError::Refused(error.to_string()));
            let Batch { messages, next } = match batch {
                Ok(batch) => batch,
                Err(error) => return self.later(handoff, &error),
            };
            if let Err(error) = self.send(&node, messages).await {
                return self.later(handoff, &error);
            }
            self.pauses.lock().remove(&handoff);
            let finished = next.is_none();
            if let Err(error) = self.store.move_handoff(handoff, next.clone()).await {
                return self.note(Err(error), handoff);
            }
            if finished {
                self.confirmed.lock().insert(handoff);
                return self.let_go(handoff.swarm).await;
            }
            cursor = next.unwrap_or_default();
        }
    }

    async fn send(&self, node: &Arc<NodeInfo>, messages: Vec<NewMessage>) -> Result<(), PeerError> {
        if messages.is_empty() {
            return Ok(());
        }
        let messages: Vec<Transferred> = messages.into_iter().map(Transferred::from).collect();
        let blobs = transfer::encode(&messages, transfer::MAX_BLOB, self.peers.is_allium(node))
            .into_iter()
            .map(Bytes::from)
            .collect();
        transfer::accepted(&self.peers.request(node, "sn.data", blobs, TIMEOUT).await?)
    }

    /// Goes on without a node that has left the swarm whose messages it was to have: others of that swarm have confirmed them,
    /// or are still asked to, or its present members are asked from now on.
    async fn without(&self, left: Handoff) {
        let network = self.network.load();
        let is_there =
            |handoff: &Handoff| network.by_ed25519(&handoff.node).is_some_and(|node| node.swarm == left.swarm);
        self.confirmed.lock().retain(is_there);
        if self.confirmed.lock().iter().any(|handoff| handoff.swarm == left.swarm) {
            return self.let_go(left.swarm).await;
        }
        let waiting = self
            .store
            .handoffs()
            .map_or(true, |handoffs| handoffs.iter().any(|(handoff, _)| handoff.swarm == left.swarm));
        if waiting || network.by_ed25519(&self.own).map(|node| node.swarm) == Some(left.swarm) {
            return;
        }
        for member in network.members(left.swarm) {
            if let Err(error) = self.begin(Handoff { node: member.ed25519, swarm: left.swarm }).await {
                tracing::error!(%error, "a transfer could not be noted");
            }
        }
    }

    /// Removes messages of a swarm that is not ours once every member of it has confirmed them.
    async fn let_go(&self, swarm: SwarmId) {
        let network = self.network.load();
        let ours = network.by_ed25519(&self.own).map(|node| node.swarm);
        let waiting =
            self.store.handoffs().map_or(true, |handoffs| handoffs.iter().any(|(handoff, _)| handoff.swarm == swarm));
        if ours == Some(swarm) || waiting || !network.swarms().contains(&swarm) {
            return;
        }
        let belongs = move |account: &AccountId| network.swarm_of(account) == Some(swarm);
        match self.store.purge(belongs).await {
            Ok(removed) => tracing::info!(removed, %swarm, "messages have gone to their new swarm"),
            Err(error) => tracing::error!(%error, "messages of another swarm could not be removed"),
        }
    }

    fn later(&self, handoff: Handoff, error: &PeerError) {
        tracing::debug!(%error, node = %handoff.node, "a transfer waits");
        let mut pauses = self.pauses.lock();
        let pause = pauses.get(&handoff).map_or(FIRST_PAUSE, |(_, pause)| (*pause * 2).min(LAST_PAUSE));
        pauses.insert(handoff, (Instant::now() + pause, pause));
    }

    fn note(&self, done: Result<(), StoreError>, handoff: Handoff) {
        self.pauses.lock().remove(&handoff);
        if let Err(error) = done {
            tracing::error!(%error, "a transfer could not be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LegacyPublicKey, X25519PublicKey};

    fn network(swarms: &[(u8, u64)]) -> Snapshot {
        let nodes = swarms.iter().map(|&(n, swarm)| NodeInfo {
            legacy: LegacyPublicKey([n; 32]),
            ed25519: Ed25519PublicKey([n; 32]),
            x25519: X25519PublicKey([n; 32]),
            ip: [127, 0, 0, 1].into(),
            https_port: 1,
            omq_port: 1,
            swarm: SwarmId(swarm),
            version: [2, 8, 0],
            requested_unlock_height: 0,
        });
        Snapshot::new(1, String::new(), [19, 4], nodes.collect())
    }

    #[test]
    fn changes_ask_for_transfers() {
        const NONE: u64 = u64::MAX;
        let own = Ed25519PublicKey([1; 32]);
        let before = Topology::of(&network(&[(1, 10), (2, 10), (3, 20)]), &own);
        assert_eq!(Topology::decode(&before.encode()), Some(before.clone()));
        let asked = |swarms: &[(u8, u64)]| -> Vec<(u8, u64)> {
            let handoffs = transfers(&before, &network(swarms), &own);
            handoffs.iter().map(|handoff| (handoff.node.0[0], handoff.swarm.0)).collect()
        };
        // Nothing new; somebody left; we are out.
        assert_eq!(asked(&[(1, 10), (2, 10), (3, 20)]), []);
        assert_eq!(asked(&[(1, 10), (3, 20)]), []);
        assert_eq!(asked(&[(1, NONE), (2, 10), (3, 20)]), []);
        // Joined; a new swarm; both.
        assert_eq!(asked(&[(1, 10), (2, 10), (3, 20), (4, 10)]), [(4, 10)]);
        assert_eq!(asked(&[(1, 10), (2, 10), (3, 20), (4, 30), (5, 30)]), [(4, 30), (5, 30)]);
        // Moved: the old swarm keeps what is its own. Dissolved: all get what is theirs.
        assert_eq!(asked(&[(1, 20), (2, 10), (3, 20)]), [(2, 10)]);
        assert_eq!(asked(&[(1, 20), (2, 20), (3, 20), (4, 30)]), [(2, 20), (3, 20), (4, 30)]);
        // We were in no swarm before.
        let outside = Topology::of(&network(&[(1, NONE), (2, 10)]), &own);
        assert!(transfers(&outside, &network(&[(1, 10), (2, 10)]), &own).is_empty());
    }
}
