//! OMQ (`spec/transports` §2): ZMTP with CURVE between nodes, and from clients that speak it.
//!
//! One thread owns every socket (`server/omq/thread.rs`): a ROUTER that others connect to, and a DEALER per node that we
//! have something to say to, opened on demand and closed when idle (`peers/dealers.rs`). Two nodes may so have two
//! connections, and each sends along either: requests are served, and replies taken, on both alike (`spec/transports`
//! §2.1a). Here is what both directions need: libzmq, and the bounded queue to the thread.

pub(super) mod epoll;
pub(super) mod queue;
pub(super) mod sockets;
pub(super) mod zmq;
