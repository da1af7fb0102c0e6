//! Keys, the ciphers of onion layers, and signatures.

pub mod bls;
mod curve25519;
mod keys;
mod layer;

pub use curve25519::{
    Backend, Operation, Plan, Proof, forced, known_keys, measure, measure_aside, plan, verify_many, x25519_many,
};
pub use keys::{Ed25519Secret, Identity, SharedSecret, X25519Secret, ed25519_to_x25519, verify_ed25519};
pub use layer::{EncType, LayerKey, Side, UnknownEncType, layer_keys, open, seal};
