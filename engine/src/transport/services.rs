//! What every transport serves requests with.

use std::sync::Arc;

use super::{readiness::Readiness, relay::OnionRelay, slots::Slots};
use crate::{crypto::Identity, rpc::Rpc, swarm::Network};

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
    /// Clients' requests under way over HTTPS.
    pub clients: Slots,
}
