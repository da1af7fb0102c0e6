//! Keys, the ciphers of onion layers, and signatures.

pub mod bls;
mod keys;
mod layer;
mod x25519;

pub use keys::{Ed25519Secret, Identity, SharedSecret, X25519Secret, ed25519_to_x25519, verify_ed25519};
pub use layer::{EncType, LayerKey, Side, UnknownEncType, layer_keys, open, seal};
pub use x25519::Backend;
