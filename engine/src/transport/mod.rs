//! Bytes in, requests out, answers back (`spec/transports`).
//!
//! * `server`: what others ask this node, over HTTPS, OMQ and QUIC.
//! * `relay`: an onion request on its way, to the next node or to a server outside.
//! * `peers`: what this node asks others, over OMQ and QUIC.
//! * `omq`, [`quic`]: what both directions of these transports have alike.
//!
//! The arrows go down: servers use relay and peers, peers use what both directions have, and nothing goes back.

mod cipher_suites;
mod memory;
mod omq;
pub(crate) mod peers;
pub mod quic;
mod readiness;
mod relay;
pub mod server;
mod slots;

pub use memory::{LEAST_MEMORY, Memory, MemoryBudget, default_memory_limit};
pub use peers::{
    Liveness, OmqPeers, PeerConnection, Peers, QuicPeers, Reachable, Traffic, TrafficCount, any_certificate,
};
pub use readiness::Readiness;
pub use relay::{OnionAnswer, OnionMetrics, OnionRelay, Peeler, Upstream, UpstreamError};
pub use server::{
    ConnectionLimits, Https, Limiter, Listeners, NodeStats, Omq, Patience, Pinged, Quic, RateLimits, Refusal, Refusals,
    ServerContext, StorageContext, parse_network,
};
pub use slots::{Slot, Slots};

pub use crate::rpc::AGENT;

/// Bytes of the largest request or answer, on every transport.
pub const MAX_BODY: usize = 10 * 1024 * 1024;
/// Instead of an answer that a transport cannot carry.
const ANSWER_TOO_LARGE: &str = "Answer too large";
