//! What one member of a swarm tells the others.

mod fanout;
mod handshake;
mod link;
mod member;
mod originals;
mod rebalance;
mod reconcile;
mod redeliver;
mod things;
mod topology;
pub mod transfer;
mod turns;
mod wishes;

pub use fanout::{MEMBER_TIMEOUT, fan_out};
pub use handshake::Handshake;
pub use link::{Forwarding, PeerAnswer, PeerLink};
pub use member::{MemberAnswer, PeerError};
pub(crate) use member::{read, refusal};
pub use rebalance::{Rebalancer, transfers};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use reconcile::fuzz_things;
pub use reconcile::{COMMAND as RECONCILE, Compared, Merge, Reconciler};
pub use redeliver::Redelivery;
pub use things::Thing;
pub use topology::Topology;
