//! The QUIC server: of clients, and of nodes on connections that either side opened.

mod answers;
mod listener;
mod outgoing;
mod serve;

pub use listener::Quic;
