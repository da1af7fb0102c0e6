//! The client's side of onion requests.

use allium_engine::{
    onion::build::{self, Destination, Hop},
    types::{Ed25519PublicKey, X25519PublicKey},
};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::network::invalid;

type Keys = ([u8; 32], [u8; 32]);

fn hop((ed25519, x25519): Keys) -> Hop {
    Hop { ed25519: Ed25519PublicKey(ed25519), x25519: X25519PublicKey(x25519) }
}

/// Opens the one answer to an onion request.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct ReplyKey(build::ReplyKey);

#[pymethods]
impl ReplyKey {
    #[pyo3(signature = (reply, base64=true))]
    fn open(&self, reply: &[u8], base64: bool) -> Option<Vec<u8>> {
        self.0.open(reply, base64)
    }
}

/// A payload for the first node of `path`, and the key to its answer.
#[pyfunction]
#[pyo3(signature = (path, destination, body, enc_type="aes-gcm"))]
pub(crate) fn onion_build(
    path: Vec<Keys>,
    destination: Keys,
    body: &[u8],
    enc_type: &str,
) -> PyResult<(Vec<u8>, ReplyKey)> {
    let enc_type = enc_type.parse().map_err(|error| PyValueError::new_err(format!("{error}")))?;
    let path: Vec<Hop> = path.into_iter().map(hop).collect();
    let (payload, key) = build::build(&path, &Destination::Node(hop(destination)), body, enc_type).map_err(invalid)?;
    Ok((payload, ReplyKey(key)))
}
