//! What others ask this node: over HTTPS for clients, over OMQ and QUIC for clients and nodes.

mod certificate;
mod context;
pub mod control;
mod hibernation;
mod https;
mod limiter;
mod linger;
mod listeners;
pub(crate) mod omq;
mod pinged;
mod quic;
mod refusals;
mod session_tickets;
mod stats;
mod tls;

pub use context::{Patience, ServerContext, StorageContext};
pub use https::Https;
pub use limiter::{ConnectionLimits, Limiter, RateLimits, parse_network};
pub use listeners::Listeners;
pub use omq::Omq;
pub use pinged::Pinged;
pub use quic::Quic;
pub use refusals::{Refusal, Refusals};
pub use stats::NodeStats;
