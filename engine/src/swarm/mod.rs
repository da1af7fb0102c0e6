//! Which swarm an account belongs to, and the immutable picture of the network that says so.

mod listings;
mod mapping;
mod network;
mod past;
mod service_nodes;
mod snapshot;

pub use mapping::{SwarmId, position, swarm_of};
pub use network::Network;
pub use service_nodes::service_nodes;
pub use snapshot::{NodeInfo, Snapshot, Swarm};
