//! A client's command to the other members of the swarm (`spec/node-rpc` §3).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;

use super::{link::PeerLink, member::MemberAnswer};
use crate::{swarm::NodeInfo, types::Ed25519PublicKey};

/// How long a member may take.
pub const MEMBER_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends `method` with each one's `params` (a bencoded dict) to all of `members` at once and awaits every answer or its time limit.
pub async fn fan_out(
    peers: &dyn PeerLink,
    members: &[Arc<NodeInfo>],
    method: &'static str,
    params: impl Fn(&NodeInfo) -> Bytes,
) -> Vec<(Ed25519PublicKey, MemberAnswer)> {
    let ask = members.iter().map(|member| {
        let answer = peers.forward(member, method, params(member), MEMBER_TIMEOUT);
        async { (member.ed25519, answer.await) }
    });
    join_all(ask).await
}
