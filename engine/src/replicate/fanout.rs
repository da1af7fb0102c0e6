//! A client's command to the other members of the swarm (`spec/node-rpc` §3).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;

use super::link::{PeerError, PeerLink};
use crate::{bencode::Bt, swarm::NodeInfo, types::Ed25519PublicKey};

/// How long a member may take.
pub const MEMBER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a member made of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberAnswer {
    /// Its result: a dict.
    Done(Bt),
    /// It refused.
    Refused {
        /// Status number, as text.
        code: String,
        /// Why.
        reason: String,
    },
    /// Nothing came in time, or it does not know this node yet.
    TimedOut,
    /// What came makes no sense.
    Bad,
}

/// The code of a member that does not count itself to the swarm: it may not have heard yet that it joined.
pub(super) const ELSEWHERE: &str = "421";

impl MemberAnswer {
    /// Whether the member is to be told again later.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Refused { code, .. } => code == ELSEWHERE,
            Self::Done(_) | Self::Bad => false,
        }
    }
}

/// Sends `method` with each one's `params` (a bencoded dict) to all of `members` at once and awaits every answer or its time limit.
pub async fn fan_out(
    peers: &dyn PeerLink,
    members: &[Arc<NodeInfo>],
    method: &'static str,
    params: impl Fn(&NodeInfo) -> Bytes,
) -> Vec<(Ed25519PublicKey, MemberAnswer)> {
    let ask = members.iter().map(|member| {
        let parts = vec![Bytes::from_static(method.as_bytes()), params(member)];
        let answer = peers.request(member, "sn.storage_cc", parts, MEMBER_TIMEOUT);
        async { (member.ed25519, read(answer.await)) }
    });
    join_all(ask).await
}

fn read(answer: Result<Vec<Bytes>, PeerError>) -> MemberAnswer {
    let text = |part: &Bytes| String::from_utf8_lossy(part).into_owned();
    match answer.as_deref() {
        Ok([result]) => match Bt::parse(result) {
            Ok(result @ Bt::Dict(_)) => MemberAnswer::Done(result),
            _ => MemberAnswer::Bad,
        },
        Ok([code, reason]) => MemberAnswer::Refused { code: text(code), reason: text(reason) },
        Ok(_) => MemberAnswer::Bad,
        Err(PeerError::Timeout | PeerError::Congested | PeerError::Refused(_)) => MemberAnswer::TimedOut,
    }
}
