//! The data plane of a Session Network node: onion layers, message store, swarm replication.
//!
//! Nothing here knows of Python; other node builds embed this crate as it is.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod batch;
pub mod bencode;
pub mod clock;
pub mod crypto;
#[cfg(test)]
mod fuzz;
pub mod node;
pub mod onion;
pub mod replicate;
pub mod rpc;
pub mod store;
pub mod swarm;
mod threads;
pub mod transport;
pub mod types;
