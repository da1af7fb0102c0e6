//! How the engine reaches another node, whatever the transport.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;

use super::member::{MemberAnswer, PeerError, read};
use crate::swarm::NodeInfo;

/// The answer's parts, later.
pub type PeerAnswer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Bytes>, PeerError>> + Send + 'a>>;

/// What a member made of a command, later.
pub type Forwarding<'a> = Pin<Box<dyn Future<Output = MemberAnswer> + Send + 'a>>;

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

    /// Passes a client's command on to a member of the swarm: `sn.storage_cc`, or together with others that say the same to a
    /// member that takes them so.
    fn forward<'a>(
        &'a self,
        peer: &Arc<NodeInfo>,
        method: &'static str,
        params: Bytes,
        timeout: Duration,
    ) -> Forwarding<'a> {
        let parts = vec![Bytes::from_static(method.as_bytes()), params];
        let answer = self.request(peer, "sn.storage_cc", parts, timeout);
        Box::pin(async { read(answer.await) })
    }

    /// Awaits what is to be known of `peer`: whether it runs Allium. Not for long.
    fn acquaint<'a>(&'a self, peer: &'a Arc<NodeInfo>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// Whether `peer` is known to run Allium, and so understands what the reference does not have.
    fn is_allium(&self, peer: &NodeInfo) -> bool;
}
