//! Bytes in, requests out, answers back (`spec/transports`): HTTPS for clients, OMQ between nodes.

mod certificate;
pub mod https;
pub mod omq;
mod readiness;
mod relay;
mod services;
mod slots;
mod upstream;

pub use readiness::Readiness;
pub use relay::{OnionAnswer, OnionRelay};
pub use services::Services;
pub use slots::{Slot, Slots};
pub use upstream::{Upstream, UpstreamError};

/// The node software that answers and asks: the `Server` and `User-Agent` headers (`spec/transports` §1.3).
pub const AGENT: &str = "Oxen Storage Server/2.8.0";
/// Bytes of the largest request or answer, on every transport.
pub const MAX_BODY: usize = 10 * 1024 * 1024;
