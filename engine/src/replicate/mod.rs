//! What one member of a swarm tells the others.

mod fanout;
mod link;

pub use fanout::{MEMBER_TIMEOUT, MemberAnswer, fan_out};
pub use link::{PeerAnswer, PeerError, PeerLink};
