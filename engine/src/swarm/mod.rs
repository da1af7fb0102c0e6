//! Which swarm an account belongs to, and the immutable picture of the network that says so.

mod listings;
mod mapping;
mod past;
mod service_nodes;
mod snapshot;

pub use mapping::{SwarmId, position, swarm_of};
pub use service_nodes::service_nodes;
pub use snapshot::{Network, NodeInfo, Snapshot, Swarm};
