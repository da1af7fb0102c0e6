//! What another member of the swarm makes of a client's command.

use bytes::Bytes;

use crate::bencode::Bt;

/// Why a peer gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Nothing came back in time, or there is no way to the node.
    #[error("no answer in time")]
    Timeout,
    /// Our own queue towards the node is full.
    #[error("queue to the node is full")]
    Congested,
    /// The node refused the command (the frames of its error).
    #[error("refused: {0}")]
    Refused(String),
}

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

/// The code and the text of a refusal as QUIC has it: `<code> <reason>\n\n<text>`.
pub(crate) fn refusal(text: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(text);
    let (head, body) = text.split_once("\n\n").unwrap_or(("500", text.as_ref()));
    (head.split(' ').next().unwrap_or("500").to_owned(), body.to_owned())
}

/// What the answer to `sn.storage_cc` says.
pub(crate) fn read(answer: Result<Vec<Bytes>, PeerError>) -> MemberAnswer {
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
