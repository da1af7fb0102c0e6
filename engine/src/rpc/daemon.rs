//! How requests reach the network's daemon, which knows names and the chain.

use bytes::Bytes;

use crate::replicate::PeerAnswer;

/// A way to ask the network's daemon (`spec/swarms` §6).
pub trait Daemon: Send + Sync {
    /// Sends `command` (`rpc.ons_resolve`, …) with JSON params.
    fn request(&self, command: &'static str, params: Bytes) -> PeerAnswer<'_>;
}
