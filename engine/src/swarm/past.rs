//! What swarms were like before: whoever was in one may still bring its messages.
//!
//! As bytes, for the next start: of each snapshot, the newest first, how many nodes are in a swarm 4, and of each its
//! Ed25519 key 32, its swarm 8.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    mapping::SwarmId,
    snapshot::{NodeInfo, Snapshot},
};
use crate::types::{Ed25519PublicKey, LegacyPublicKey, X25519PublicKey};

/// Snapshots that are remembered, some 300 bytes for each node.
const MOST: usize = 16;
/// Of them those that the next start is told of.
const TOLD: usize = 4;
/// For how long: what is handed over has gone by then, or has expired.
const LONGEST: Duration = Duration::from_secs(14 * 86_400);

/// Snapshots that were in force before, each with other swarms, and until when they were; the newest last.
#[derive(Debug, Default)]
pub(super) struct Past(VecDeque<(Instant, Arc<Snapshot>)>);

impl Past {
    pub(super) fn add(&mut self, before: Arc<Snapshot>) {
        self.0.retain(|(until, _)| until.elapsed() < LONGEST);
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((Instant::now(), before));
    }

    pub(super) fn any(&self, holds: impl Fn(&Snapshot) -> bool) -> bool {
        self.0.iter().any(|(_, before)| holds(before))
    }

    /// Together with what is in force.
    pub(super) fn encode(&self, now: &Snapshot) -> Vec<u8> {
        let mut bytes = Vec::new();
        let past = self.0.iter().rev().map(|(_, before)| &**before);
        for snapshot in [now].into_iter().chain(past).take(TOLD) {
            let members: Vec<_> = snapshot.nodes().iter().filter(|node| node.is_active()).collect();
            bytes.extend_from_slice(&u32::try_from(members.len()).unwrap_or(u32::MAX).to_be_bytes());
            for node in members {
                bytes.extend_from_slice(&node.ed25519.0);
                bytes.extend_from_slice(&node.swarm.0.to_be_bytes());
            }
        }
        bytes
    }

    /// Adds what the last run has told; nothing of it is newer than what is known.
    pub(super) fn recall(&mut self, mut bytes: &[u8]) {
        while let Some((count, rest)) = bytes.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*count)).unwrap_or(usize::MAX).saturating_mul(40);
            let Some((members, rest)) = rest.split_at_checked(length) else { return };
            let nodes = members.as_chunks::<40>().0.iter().map(member).collect();
            self.0.push_front((Instant::now(), Arc::new(Snapshot::new(0, String::new(), [0; 2], nodes))));
            bytes = rest;
        }
    }
}

/// A node of which nothing is known but its swarm.
fn member(bytes: &[u8; 40]) -> NodeInfo {
    let (mut key, mut swarm) = ([0; 32], [0; 8]);
    key.copy_from_slice(&bytes[..32]);
    swarm.copy_from_slice(&bytes[32..]);
    NodeInfo {
        legacy: LegacyPublicKey(key),
        ed25519: Ed25519PublicKey(key),
        x25519: X25519PublicKey(key),
        ip: [0; 4].into(),
        https_port: 0,
        omq_port: 0,
        swarm: SwarmId(u64::from_be_bytes(swarm)),
        version: [0; 3],
        requested_unlock_height: 0,
    }
}
