//! What one member of a swarm tells the others.

mod link;

pub use link::{PeerError, PeerLink};
