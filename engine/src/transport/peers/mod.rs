//! What this node asks others: over QUIC where there is a connection, over OMQ otherwise.

pub(super) mod dealers;
mod link;
mod liveness;
mod omq;
mod quic;
pub(crate) mod reachability;
pub(crate) mod time;
mod together;
mod traffic;

pub use link::Peers;
pub use liveness::{Liveness, Reachable};
pub use omq::OmqPeers;
pub(super) use quic::PeerServer;
pub use quic::{PeerConnection, QuicPeers};
pub use reachability::any_certificate;
pub(super) use traffic::{Direction, Outcome};
pub use traffic::{Traffic, TrafficCount};
