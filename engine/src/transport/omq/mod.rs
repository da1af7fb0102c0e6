//! OMQ (`spec/transports` §2): ZMTP with CURVE between nodes, and from clients that speak it.
//!
//! One thread owns every socket: a ROUTER that others connect to, and a DEALER per node that we have something to say
//! to, opened on demand and closed when idle. Two nodes may so have two connections, and each sends along either: requests
//! are served, and replies taken, on both alike (`spec/transports` §2.1a). Requests that arrive run as tasks of
//! the runtime; their answers come back to the thread through its bounded queue.

mod canary;
mod commands;
mod dealers;
mod doors;
mod endpoints;
mod epoll;
mod leaving;
mod message;
mod peers;
mod queue;
mod server;
mod sockets;
mod thread;
mod zmq;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use message::fuzz_message;
pub use peers::OmqPeers;
pub use server::Omq;
