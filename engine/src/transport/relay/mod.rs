//! An onion request on its way: peeled, then executed, passed to the next node or posted to a server (`spec/onion`).

mod metrics;
mod onion;
mod peeler;
mod public;
mod upstream;

pub use metrics::OnionMetrics;
pub use onion::{OnionAnswer, OnionRelay};
pub use peeler::Peeler;
pub use upstream::{Upstream, UpstreamError};
