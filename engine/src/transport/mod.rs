//! Bytes in, requests out, answers back (`spec/transports`): HTTPS for clients, OMQ and QUIC for clients and nodes.

mod certificate;
pub mod control;
pub mod https;
mod limiter;
mod linger;
mod listeners;
mod liveness;
mod metrics;
pub mod omq;
mod peeler;
mod peers;
pub mod quic;
pub(crate) mod reachability;
mod readiness;
mod relay;
mod services;
mod slots;
mod traffic;
mod upstream;

pub use limiter::{Limiter, RateLimits, parse_network};
pub use listeners::Listeners;
pub use liveness::Liveness;
pub use metrics::{OnionMetrics, Refusal, Refusals};
pub use peeler::Peeler;
pub use peers::Peers;
pub use reachability::{Pinged, Reachable, any_certificate};
pub use readiness::Readiness;
pub use relay::{OnionAnswer, OnionRelay};
pub use services::{Keeping, NodeStats, Patience, Services};
pub use slots::{Slot, Slots};
pub use traffic::{Traffic, TrafficCount};
pub use upstream::{Upstream, UpstreamError};

/// The node software that answers and asks: the `Server` and `User-Agent` headers (`spec/transports` §1.3).
pub const AGENT: &str = "Oxen Storage Server/2.8.0";
/// Bytes of the largest request or answer, on every transport.
pub const MAX_BODY: usize = 10 * 1024 * 1024;
/// Instead of an answer that a transport cannot carry.
const ANSWER_TOO_LARGE: &str = "Answer too large";
