//! What the engine counts, for whoever runs it.
//!
//! A request never writes a cache line that another core writes for another: every counter has a part for each core, and
//! only reading adds the parts up. Nothing here knows what is counted.

mod histogram;
mod stripes;

pub use histogram::{Distribution, Histograms, bound};
pub use stripes::Stripes;
pub(crate) use stripes::thread_number;
