//! What the swarms are like, and which of them is ours, in a form that outlives a run.

use std::collections::BTreeSet;

use crate::{
    bencode::Bt,
    swarm::{Snapshot, SwarmId},
    types::Ed25519PublicKey,
};

/// What of a network decides who gets which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Our swarm; `None` while we are in none.
    pub(super) own: Option<SwarmId>,
    pub(super) swarms: BTreeSet<u64>,
    /// The members of our swarm, ourselves included.
    pub(super) members: BTreeSet<[u8; 32]>,
}

impl Topology {
    /// As the node with key `own` sees it.
    #[must_use]
    pub fn of(network: &Snapshot, own: &Ed25519PublicKey) -> Self {
        let swarm = network.by_ed25519(own).filter(|node| node.is_active()).map(|node| node.swarm);
        let members = swarm.map_or(&[][..], |swarm| network.members(swarm));
        Self {
            own: swarm,
            swarms: network.swarms().iter().map(|swarm| swarm.0).collect(),
            members: members.iter().map(|node| node.ed25519.0).collect(),
        }
    }

    /// Our swarm.
    #[must_use]
    pub const fn own(&self) -> Option<SwarmId> {
        self.own
    }

    /// Whether a node is a member of our swarm.
    #[must_use]
    pub fn has(&self, node: &Ed25519PublicKey) -> bool {
        self.members.contains(&node.0)
    }

    /// Whether the members of our swarm are those of `other`.
    pub(super) fn has_same_members(&self, other: &Self) -> bool {
        self.members == other.members
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let own = self.own.map_or(SwarmId::UNASSIGNED, |swarm| swarm);
        let swarms = self.swarms.iter().map(|swarm| Bt::Int((*swarm).into())).collect();
        let members = self.members.iter().map(|key| key.as_slice().into()).collect();
        Bt::List(vec![Bt::Int(own.0.into()), Bt::List(swarms), Bt::List(members)]).encode()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let Ok(Bt::List(items)) = Bt::parse(bytes) else { return None };
        let [Bt::Int(own), Bt::List(swarms), Bt::List(members)] = items.as_slice() else { return None };
        let own = SwarmId(u64::try_from(*own).ok()?);
        let number = |item: &Bt| match item {
            Bt::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let key = |item: &Bt| match item {
            Bt::Bytes(bytes) => bytes.as_slice().try_into().ok(),
            _ => None,
        };
        Some(Self {
            own: (own != SwarmId::UNASSIGNED).then_some(own),
            swarms: swarms.iter().map(number).collect::<Option<_>>()?,
            members: members.iter().map(key).collect::<Option<_>>()?,
        })
    }
}
