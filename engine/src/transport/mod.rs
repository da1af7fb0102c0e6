//! Bytes in, requests out, answers back (`spec/transports`): HTTPS for clients, OMQ and QUIC for clients and nodes.

mod certificate;
pub mod control;
pub mod https;
mod limiter;
mod linger;
mod listeners;
mod liveness;
mod memory;
mod metrics;
pub mod omq;
mod peeler;
mod peers;
mod pinged;
mod public;
pub mod quic;
pub(crate) mod reachability;
mod readiness;
mod relay;
mod services;
mod slots;
pub(crate) mod time;
mod traffic;
mod upstream;

pub use limiter::{ConnectionLimits, Limiter, RateLimits, parse_network};
pub use listeners::Listeners;
pub use liveness::{Liveness, Reachable};
pub use memory::{LEAST_MEMORY, Memory, MemoryBudget, default_memory_limit};
pub use metrics::{OnionMetrics, Refusal, Refusals};
pub use peeler::Peeler;
pub use peers::Peers;
pub use pinged::Pinged;
pub use reachability::any_certificate;
pub use readiness::Readiness;
pub use relay::{OnionAnswer, OnionRelay};
pub use services::{NodeStats, Patience, Services, StorageServices};
pub use slots::{Slot, Slots};
pub use traffic::{Traffic, TrafficCount};
pub use upstream::{Upstream, UpstreamError};

pub use crate::rpc::AGENT;

/// Bytes of the largest request or answer, on every transport.
pub const MAX_BODY: usize = 10 * 1024 * 1024;
/// Instead of an answer that a transport cannot carry.
const ANSWER_TOO_LARGE: &str = "Answer too large";
