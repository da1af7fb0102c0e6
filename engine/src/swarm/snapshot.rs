//! The network at one height, built once and read without locks.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{
    listings::Listings,
    mapping::{SwarmId, position, swarm_of},
};
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
    /// Nodes of the list that have a key of one before them, and are not in the network.
    pub(super) left_out: Vec<Ed25519PublicKey>,
    by_ed25519: HashMap<Ed25519PublicKey, usize>,
    by_x25519: HashMap<X25519PublicKey, usize>,
    /// Distinct swarm ids, ascending.
    swarms: Vec<SwarmId>,
    members: HashMap<SwarmId, Vec<Arc<NodeInfo>>>,
    active: OnceLock<Bytes>,
    listings: Listings,
}

impl Snapshot {
    /// Indexes `nodes` (funded ones: active and decommissioned). Of several with the same key the first counts: two Ed25519
    /// keys, a point and its negative, have one X25519 key, and whoever registers both is not to stop the network.
    #[must_use]
    pub fn new(height: u64, block_hash: String, hardfork: [u16; 2], nodes: Vec<NodeInfo>) -> Self {
        let mut snapshot = Self { height, block_hash, hardfork, ..Self::default() };
        for node in nodes {
            snapshot.add(node);
        }
        snapshot.swarms = snapshot.members.keys().copied().collect();
        snapshot.swarms.sort_unstable();
        snapshot
    }

    fn add(&mut self, node: NodeInfo) {
        if self.by_ed25519.contains_key(&node.ed25519) || self.by_x25519.contains_key(&node.x25519) {
            self.left_out.push(node.ed25519);
            return;
        }
        let (node, index) = (Arc::new(node), self.nodes.len());
        self.by_ed25519.insert(node.ed25519, index);
        self.by_x25519.insert(node.x25519, index);
        if node.is_active() {
            self.members.entry(node.swarm).or_default().push(Arc::clone(&node));
        }
        self.nodes.push(node);
    }

    /// How many nodes of the list are not in the network, as they have a key of one before them.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out.len()
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

    /// Every active node that can be reached, in records of 51 bytes (`spec/node-rpc` §4.16).
    #[must_use]
    #[doc(hidden)]
    pub fn active_nodes(&self) -> Bytes {
        let records = || {
            let mut records = Vec::new();
            for node in self.nodes.iter().filter(|node| node.is_active() && node.is_reachable()) {
                records.extend_from_slice(&node.ed25519.0);
                records.extend_from_slice(&node.swarm.0.to_be_bytes());
                records.extend_from_slice(&node.ip.octets());
                records.extend_from_slice(&node.https_port.to_be_bytes());
                records.extend_from_slice(&node.omq_port.to_be_bytes());
                records.extend(node.version.map(|part| u8::try_from(part).unwrap_or(u8::MAX)));
            }
            records.into()
        };
        self.active.get_or_init(records).clone()
    }

    /// Lists of its nodes that clients were given.
    #[must_use]
    #[doc(hidden)]
    pub const fn listings(&self) -> &Listings {
        &self.listings
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

    /// Whether `node` is in the swarm of `account`.
    pub(super) fn keeps(&self, node: &Ed25519PublicKey, account: &AccountId) -> bool {
        let swarm = self.by_ed25519(node).filter(|node| node.is_active()).map(|node| node.swarm);
        swarm.is_some() && swarm == self.swarm_of(account)
    }

    /// Whether every swarm has the same members in `other`.
    pub(super) fn has_the_swarms_of(&self, other: &Self) -> bool {
        let same = |(swarm, members): (&SwarmId, &Vec<Arc<NodeInfo>>)| {
            let others = other.members(*swarm);
            members.len() == others.len() && members.iter().zip(others).all(|(one, other)| one.ed25519 == other.ed25519)
        };
        self.swarms == other.swarms && self.members.iter().all(same)
    }

    /// The members of a swarm; empty for an unknown one.
    #[must_use]
    pub fn members(&self, swarm: SwarmId) -> &[Arc<NodeInfo>] {
        self.members.get(&swarm).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::swarm) fn node(n: u8, swarm: u64) -> NodeInfo {
        NodeInfo {
            legacy: LegacyPublicKey([n; 32]),
            ed25519: Ed25519PublicKey([n; 32]),
            x25519: X25519PublicKey([n; 32]),
            ip: [127, 0, 0, 1].into(),
            https_port: 1,
            omq_port: 1,
            swarm: SwarmId(swarm),
            version: [2, 8, 0],
            requested_unlock_height: 0,
        }
    }

    pub(in crate::swarm) fn of(nodes: Vec<NodeInfo>) -> Snapshot {
        Snapshot::new(1, String::new(), [19, 4], nodes)
    }

    #[test]
    fn of_nodes_with_the_same_key_the_first_counts() {
        let negative = NodeInfo { ed25519: Ed25519PublicKey([9; 32]), ..node(1, 20) };
        let snapshot = of(vec![node(1, 10), negative, node(1, 30), node(2, 20)]);
        assert_eq!(snapshot.nodes().iter().map(|node| node.ed25519.0[0]).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((snapshot.left_out(), snapshot.swarms()), (2, [SwarmId(10), SwarmId(20)].as_slice()));
        assert_eq!(snapshot.by_x25519(&X25519PublicKey([1; 32])).unwrap().swarm, SwarmId(10));
        assert!(snapshot.by_ed25519(&Ed25519PublicKey([9; 32])).is_none());
    }
}
