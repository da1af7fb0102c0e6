//! The network at one height, built once and read without locks.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use arc_swap::ArcSwap;

use super::mapping::{SwarmId, position, swarm_of};
use crate::types::{AccountId, Ed25519PublicKey, LegacyPublicKey, X25519PublicKey};

/// One registered node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Registered key.
    pub legacy: LegacyPublicKey,
    /// Key of onion destinations and swarm answers.
    pub ed25519: Ed25519PublicKey,
    /// Key of onion layers and OMQ.
    pub x25519: X25519PublicKey,
    /// Public address; unspecified (0.0.0.0) while unknown.
    pub ip: Ipv4Addr,
    /// HTTPS port.
    pub https_port: u16,
    /// OMQ (TCP) and QUIC (UDP) port.
    pub omq_port: u16,
    /// The node's swarm, or [`SwarmId::UNASSIGNED`].
    pub swarm: SwarmId,
    /// Storage version the node advertises.
    pub version: [u16; 3],
    /// Height at which the stake unlocks, 0 when no unlock was asked for.
    pub requested_unlock_height: u64,
}

impl NodeInfo {
    /// Whether there is an address to reach the node at.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        !self.ip.is_unspecified() && self.https_port != 0 && self.omq_port != 0
    }

    /// Whether the node belongs to a swarm.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.swarm != SwarmId::UNASSIGNED
    }
}

/// A snapshot that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Two entries carry the same key.
    #[error("two nodes have the key {0}")]
    DuplicateKey(String),
}

/// One swarm of a [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swarm<'a> {
    /// Its name, and its place on the ring.
    pub id: SwarmId,
    /// The nodes that keep the same messages.
    pub members: &'a [Arc<NodeInfo>],
}

/// The network at one height. Immutable.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Height of the chain.
    pub height: u64,
    /// Hash of the block at that height, 64 hex digits (empty when there is no chain).
    pub block_hash: String,
    /// Hardfork and revision: the `hf` of every answer.
    pub hardfork: [u16; 2],
    nodes: Vec<Arc<NodeInfo>>,
    by_ed25519: HashMap<Ed25519PublicKey, usize>,
    by_x25519: HashMap<X25519PublicKey, usize>,
    /// Distinct swarm ids, ascending.
    swarms: Vec<SwarmId>,
    members: HashMap<SwarmId, Vec<Arc<NodeInfo>>>,
}

impl Snapshot {
    /// Indexes `nodes` (funded ones: active and decommissioned).
    ///
    /// # Errors
    /// When a key occurs twice.
    pub fn new(
        height: u64,
        block_hash: String,
        hardfork: [u16; 2],
        nodes: Vec<NodeInfo>,
    ) -> Result<Self, SnapshotError> {
        let nodes: Vec<Arc<NodeInfo>> = nodes.into_iter().map(Arc::new).collect();
        let mut by_ed25519 = HashMap::with_capacity(nodes.len());
        let mut by_x25519 = HashMap::with_capacity(nodes.len());
        let mut members: HashMap<SwarmId, Vec<Arc<NodeInfo>>> = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            if by_ed25519.insert(node.ed25519, index).is_some() {
                return Err(SnapshotError::DuplicateKey(node.ed25519.to_string()));
            }
            if by_x25519.insert(node.x25519, index).is_some() {
                return Err(SnapshotError::DuplicateKey(node.x25519.to_string()));
            }
            if node.is_active() {
                members.entry(node.swarm).or_default().push(Arc::clone(node));
            }
        }
        let mut swarms: Vec<SwarmId> = members.keys().copied().collect();
        swarms.sort_unstable();
        Ok(Self { height, block_hash, hardfork, nodes, by_ed25519, by_x25519, swarms, members })
    }

    /// Every node, in the order given.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<NodeInfo>] {
        &self.nodes
    }

    /// The node with this Ed25519 key.
    #[must_use]
    pub fn by_ed25519(&self, key: &Ed25519PublicKey) -> Option<&Arc<NodeInfo>> {
        self.by_ed25519.get(key).map(|&i| &self.nodes[i])
    }

    /// The node with this X25519 key.
    #[must_use]
    pub fn by_x25519(&self, key: &X25519PublicKey) -> Option<&Arc<NodeInfo>> {
        self.by_x25519.get(key).map(|&i| &self.nodes[i])
    }

    /// Distinct swarm ids, ascending.
    #[must_use]
    pub fn swarms(&self) -> &[SwarmId] {
        &self.swarms
    }

    /// The swarm that `account` maps to; `None` while there are no swarms.
    #[must_use]
    pub fn swarm_of(&self, account: &AccountId) -> Option<SwarmId> {
        swarm_of(position(account), &self.swarms)
    }

    /// The swarm that keeps the messages of `account`; `None` while there are no swarms.
    #[must_use]
    pub fn swarm(&self, account: &AccountId) -> Option<Swarm<'_>> {
        let id = self.swarm_of(account)?;
        Some(Swarm { id, members: self.members(id) })
    }

    /// The members of a swarm; empty for an unknown one.
    #[must_use]
    pub fn members(&self, swarm: SwarmId) -> &[Arc<NodeInfo>] {
        self.members.get(&swarm).map_or(&[], Vec::as_slice)
    }
}

/// The current [`Snapshot`]: replaced as a whole, read without locks.
#[derive(Debug, Default)]
pub struct Network {
    current: ArcSwap<Snapshot>,
}

impl Network {
    /// The snapshot in force.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts `snapshot` in force.
    pub fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}
