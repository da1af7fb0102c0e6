//! What one member of a swarm tells the others.

mod link;

pub use link::{PeerAnswer, PeerError, PeerLink};
