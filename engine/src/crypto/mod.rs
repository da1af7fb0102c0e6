//! Keys, the ciphers of onion layers, and signatures.

pub mod bls;
mod keys;
mod layer;

pub use keys::{Ed25519Secret, Identity, X25519Secret, ed25519_to_x25519, verify_ed25519};
pub use layer::{EncType, Side, UnknownEncType, open, seal};
