//! What the servers of all transports have in common.

use std::{sync::Arc, time::Duration};

use super::{
    control::Control,
    limiter::{ConnectionLimits, Limiter},
    pinged::Pinged,
    refusals::Refusals,
};
use crate::{
    crypto::Identity,
    replicate::{Handshake, Rebalancer, Reconciler},
    rpc::Rpc,
    store::Store,
    swarm::Network,
    transport::{
        memory::Memory,
        peers::{Liveness, QuicPeers, Traffic},
        readiness::Readiness,
        relay::OnionRelay,
        slots::Slots,
    },
    types::X25519PublicKey,
};

/// How long an HTTPS client may take, each.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the head of a request; also between two requests.
    pub head: Duration,
    /// For the body after the head.
    pub body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), head: Duration::from_secs(60), body: Duration::from_secs(60) }
    }
}

/// What a node has that keeps messages.
pub struct StorageContext {
    /// Its messages.
    pub store: Store,
    /// Gives messages to the nodes that they belong to.
    pub rebalancer: Arc<Rebalancer>,
    /// Compares with other members of the swarm.
    pub reconciler: Arc<Reconciler>,
    /// Tells other nodes that it takes their messages.
    pub handshake: Arc<Handshake>,
}

impl StorageContext {
    /// There is a new picture of the network.
    pub fn network_changed(&self) {
        self.rebalancer.network_changed();
        self.reconciler.network_changed();
        self.handshake.network_changed();
    }
}

/// One for a node, shared by the servers of its transports.
pub struct ServerContext {
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
    /// What keeps messages, if the node does.
    pub storage: Option<StorageContext>,
    /// When somebody has last tested whether it can be reached.
    pub pinged: Pinged,
    /// How other nodes have answered.
    pub liveness: Arc<Liveness>,
    /// Anybody's questions for whoever runs the node.
    pub control: Arc<Control>,
    /// What other nodes tell whoever runs the node.
    pub gossip: Arc<Control>,
    /// Where the network's daemon listens for OMQ, if there is one.
    pub oxend_rpc: Option<String>,
    /// Its QUIC connections to other nodes.
    pub quic_peers: Arc<QuicPeers>,
    /// Clients' requests under way over HTTPS.
    pub clients: Slots,
    /// Memory that is held for others.
    pub memory: Memory,
    /// How fast one address may ask.
    pub limiter: Limiter,
    /// Requests that were turned away.
    pub refusals: Refusals,
    /// What nodes ask each other.
    pub traffic: Arc<Traffic>,
    /// How long an HTTPS client may take.
    pub patience: Patience,
    /// Connections, of all transports.
    pub connections: ConnectionLimits,
    /// Who may ask for `service.get_stats`.
    pub admins: Vec<X25519PublicKey>,
}
