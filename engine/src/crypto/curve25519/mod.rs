//! X25519 with one secret key and many public ones (RFC 7748), and Ed25519 signatures of many (RFC 8032), as fast as the
//! processor can.
//!
//! A relay's scalar is the same for every layer, so the ladders of many layers run side by side in vector registers.

mod backend;
#[cfg(test)]
mod kernel;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(allium_vectors)]
mod vector;
mod verify;

pub use backend::Backend;
pub use verify::{Proof, verify_many};

/// Public keys of one call into vector code, at most.
const MAX_BATCH: usize = 64;
