//! `data_ready`: members of the reference's newer versions tell each other that they take messages, and whether they want
//! those that are there (`spec/swarms` §7.2). Allium members compare instead.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{link::PeerLink, rebalance::Rebalancer, topology::Topology};
use crate::{
    bencode::Bt,
    store::{Handoff, Store},
    swarm::{Network, NodeInfo},
    types::Ed25519PublicKey,
};

/// The first version that shakes hands, and the first that reads what is said with it.
const FIRST: [u16; 3] = [2, 10, 0];
const WITH_PAYLOAD: [u16; 3] = [2, 12, 0];
const RETRY: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(15);
/// Format of the payload.
const FORMAT: i128 = 0;

/// A member that does not know yet.
struct Pending {
    next: Instant,
    /// Whether we want its messages.
    ask: bool,
}

/// Shakes hands. One for a node.
pub struct Handshake {
    store: Store,
    network: Arc<Network>,
    peers: Arc<dyn PeerLink>,
    own: Ed25519PublicKey,
    rebalancer: Arc<Rebalancer>,
    seen: Mutex<Option<Topology>>,
    pending: Mutex<HashMap<Ed25519PublicKey, Pending>>,
    wake: Notify,
}

impl Handshake {
    /// With the node's parts.
    #[must_use]
    pub fn new(
        store: Store,
        network: Arc<Network>,
        peers: Arc<dyn PeerLink>,
        own: Ed25519PublicKey,
        rebalancer: Arc<Rebalancer>,
    ) -> Self {
        let (seen, pending, wake) = (Mutex::default(), Mutex::default(), Notify::new());
        Self { store, network, peers, own, rebalancer, seen, pending, wake }
    }

    /// There is a new picture of the network.
    pub fn network_changed(&self) {
        let network = self.network.load();
        let now = Topology::of(&network, &self.own);
        let before = self.seen.lock().replace(now.clone());
        let Some(swarm) = now.own() else { return };
        let first = before.is_none();
        let before = before.filter(|before| before.own() == Some(swarm));
        // After a restart we have what we had.
        let ask = before.is_none() && (!first || self.store.stats().is_ok_and(|stats| stats.messages == 0));
        let mut pending = self.pending.lock();
        for replica in
            network.members(swarm).iter().filter(|replica| replica.ed25519 != self.own && replica.version >= FIRST)
        {
            if before.as_ref().is_none_or(|before| !before.has(&replica.ed25519)) {
                pending.insert(replica.ed25519, Pending { next: Instant::now(), ask });
            }
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// Another member says that it takes messages.
    ///
    /// # Errors
    /// The refusal.
    pub async fn answer(&self, from: &Ed25519PublicKey, payload: &[u8]) -> Result<(), String> {
        let network = self.network.load();
        let swarm_of =
            |key: &Ed25519PublicKey| network.by_ed25519(key).filter(|node| node.is_active()).map(|node| node.swarm);
        let swarm = swarm_of(&self.own).filter(|own| swarm_of(from) == Some(*own));
        let Some(swarm) = swarm else { return Err("Swarm mismatch".to_owned()) };
        if payload.is_empty() {
            return Ok(());
        }
        let malformed = || "Request payload malformed".to_owned();
        let Ok(Bt::Dict(fields)) = Bt::parse(payload) else { return Err(malformed()) };
        match fields.get(b"@".as_slice()) {
            Some(Bt::Int(FORMAT)) => {}
            Some(Bt::Int(other)) => return Err(format!("Unsupported data_ready request version {other}")),
            _ => return Err(malformed()),
        }
        match fields.get(b"t".as_slice()) {
            Some(Bt::Int(0)) => Ok(()),
            Some(Bt::Int(1)) => {
                let handoff = Handoff { node: *from, swarm };
                self.rebalancer.begin(handoff).await.map_err(|error| {
                    tracing::error!(%error, "a transfer that was asked for could not be noted");
                    error.public()
                })
            }
            _ => Err(malformed()),
        }
    }

    /// Works for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let now = Instant::now();
            let due: Vec<(Ed25519PublicKey, bool)> = {
                let pending = self.pending.lock();
                pending.iter().filter(|(_, one)| one.next <= now).map(|(key, one)| (*key, one.ask)).collect()
            };
            for (member, ask) in due {
                self.tell(member, ask).await;
            }
            let next = self.pending.lock().values().map(|pending| pending.next).min();
            let pause = next.map_or(Duration::from_secs(3600), |next| next.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn tell(&self, member: Ed25519PublicKey, ask: bool) {
        let network = self.network.load();
        let swarm = network.by_ed25519(&self.own).map(|own| own.swarm);
        let node = network.by_ed25519(&member).filter(|node| node.is_active() && Some(node.swarm) == swarm);
        let Some(node) = node.map(Arc::clone) else {
            self.pending.lock().remove(&member);
            return;
        };
        self.peers.acquaint(&node).await;
        let parts = if node.version >= WITH_PAYLOAD { vec![payload(ask)] } else { Vec::new() };
        let answer = self.ask(&node, parts).await;
        let mut pending = self.pending.lock();
        if answer {
            pending.remove(&member);
        } else if let Some(one) = pending.get_mut(&member) {
            one.next = Instant::now() + RETRY;
        }
    }

    async fn ask(&self, node: &Arc<NodeInfo>, parts: Vec<Bytes>) -> bool {
        let answer = self.peers.request(node, "sn.data_ready", parts, TIMEOUT).await;
        matches!(answer.as_deref(), Ok([ok]) if ok.as_ref() == b"OK")
    }
}

fn payload(ask: bool) -> Bytes {
    Bt::dict([("@", Bt::Int(FORMAT)), ("t", Bt::Int(ask.into()))]).encode().into()
}
