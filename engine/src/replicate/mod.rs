//! What one member of a swarm tells the others.

mod fanout;
mod handshake;
mod link;
mod movement;
mod reconcile;
mod redeliver;
pub mod transfer;

pub use fanout::{MEMBER_TIMEOUT, MemberAnswer, fan_out};
pub use handshake::Handshake;
pub use link::{Daemon, PeerAnswer, PeerError, PeerLink};
pub use movement::{Movement, Topology, transfers};
pub use reconcile::{COMMAND as RECONCILE, Compared, Merge, Reconciler, Thing};
pub use redeliver::Redelivery;
