//! X25519 with one secret key and many public ones (RFC 7748), and Ed25519 signatures of many (RFC 8032), as fast as the
//! processor can.
//!
//! A relay's scalar is the same for every layer, so the ladders of many layers run side by side in vector registers.

mod backend;
mod current;
#[cfg(test)]
mod kernel;
mod known;
mod measure;
mod plan;
mod scalar;
mod sign;
#[cfg(test)]
mod tests;
#[cfg(allium_vectors)]
mod vector;
mod verify;
mod x25519;

pub use backend::Backend;
pub use current::{forced, plan};
pub(super) use known::KnownKeys;
pub use measure::{measure, measure_aside};
pub use plan::{Operation, Plan};
pub(super) use sign::Expanded;
pub use verify::{Proof, verify_many};
pub use x25519::x25519_many;

/// Bytes that is remembered of public keys take, and may take.
#[must_use]
pub fn known_keys() -> (usize, usize) {
    KnownKeys::shared().bytes()
}

/// Public keys of one call into vector code, at most.
const MAX_BATCH: usize = 64;
