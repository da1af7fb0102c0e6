//! What every transport serves requests with.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{limiter::Limiter, quic::QuicPeers, readiness::Readiness, relay::OnionRelay, slots::Slots};
use crate::{
    crypto::Identity,
    rpc::{PROTOCOL_VERSION, Rpc},
    store::{Store, StoreError, StoreStats},
    swarm::Network,
    types::X25519PublicKey,
};

/// What a node is doing.
#[derive(Clone, Copy, Debug)]
pub struct NodeStats {
    /// Of its store.
    pub store: StoreStats,
    /// Clients' requests under way.
    pub requests: usize,
    /// Onion requests waiting for another node or a server.
    pub relaying: usize,
    /// Subscriptions to accounts.
    pub monitors: usize,
    /// QUIC connections to other nodes.
    pub quic_peers: usize,
    /// Nodes in the snapshot in force.
    pub nodes: usize,
    /// Height of the snapshot in force.
    pub height: u64,
}

/// One for a node, shared by its transports.
pub struct Services {
    /// The node's keys.
    pub identity: Arc<Identity>,
    /// The picture of the network.
    pub network: Arc<Network>,
    /// Executes requests.
    pub rpc: Arc<Rpc>,
    /// Peels onion requests and passes them on.
    pub onion: OnionRelay,
    /// Whether the node may serve.
    pub readiness: Arc<Readiness>,
    /// Its QUIC connections to other nodes.
    pub quic_peers: Arc<QuicPeers>,
    /// Its messages.
    pub store: Store,
    /// Clients' requests under way over HTTPS.
    pub clients: Slots,
    /// Bytes that the bodies of all requests under way over HTTPS may take.
    pub bodies: Semaphore,
    /// How fast one address may ask.
    pub limiter: Limiter,
    /// Connections that one address may have, on each transport.
    pub connections_per_address: usize,
    /// Who may ask for `service.get_stats`.
    pub admins: Vec<X25519PublicKey>,
}

impl Services {
    /// What the node is doing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<NodeStats, StoreError> {
        let network = self.network.load();
        Ok(NodeStats {
            store: self.store.stats()?,
            requests: self.clients.taken(),
            relaying: self.onion.waiting().taken(),
            monitors: self.rpc.monitors().len(),
            quic_peers: self.quic_peers.connected(),
            nodes: network.nodes().len(),
            height: network.height,
        })
    }

    /// The same, as `service.get_stats` answers it.
    #[must_use]
    pub fn stats_json(&self) -> String {
        let [major, minor, patch] = PROTOCOL_VERSION;
        let mut answer = serde_json::json!({"version": format!("{major}.{minor}.{patch}")});
        if let Ok(stats) = self.stats() {
            answer["height"] = stats.height.into();
            answer["nodes"] = stats.nodes.into();
            answer["requests"] = stats.requests.into();
            answer["relaying"] = stats.relaying.into();
            answer["monitors"] = stats.monitors.into();
            answer["quic_peers"] = stats.quic_peers.into();
            answer["messages"] = stats.store.messages.into();
            answer["store_bytes"] = stats.store.bytes.into();
            answer["store_max_bytes"] = stats.store.max_bytes.into();
        }
        answer.to_string()
    }
}
