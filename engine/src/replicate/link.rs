//! How the engine reaches another node, whatever the transport.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::swarm::NodeInfo;

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

/// The answer's parts, later.
pub type PeerAnswer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Bytes>, PeerError>> + Send + 'a>>;

/// A way to send requests to other nodes.
pub trait PeerLink: Send + Sync {
    /// Sends `command` (`sn.storage_cc`, `sn.onion_request`, …) with data `parts` to `peer` and awaits the data parts of its answer.
    fn request<'a>(
        &'a self,
        peer: &Arc<NodeInfo>,
        command: &'static str,
        parts: Vec<Bytes>,
        timeout: Duration,
    ) -> PeerAnswer<'a>;

    /// Awaits what is to be known of `peer`: whether it runs Allium. Not for long.
    fn acquaint<'a>(&'a self, peer: &'a Arc<NodeInfo>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// Whether `peer` is known to run Allium, and so understands what the reference does not have.
    fn is_allium(&self, peer: &NodeInfo) -> bool;
}
