//! Ed25519 signatures, many at a time.

use allium_engine::crypto::{Proof, verify_many};
use pyo3::prelude::*;

/// Whether each of (key, message, signature) holds, as `verify_ed25519` of the engine sees it.
#[pyfunction]
pub(crate) fn verify_ed25519(py: Python<'_>, proofs: Vec<([u8; 32], Vec<u8>, [u8; 64])>) -> Vec<bool> {
    let proofs: Vec<Proof> =
        proofs.into_iter().map(|(key, message, signature)| Proof { key, message, signature }).collect();
    py.detach(|| verify_many(&proofs))
}
