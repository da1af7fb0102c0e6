//! Onion requests: the client's side, and the opening of layers.

use allium_engine::{
    crypto::{EncType, LayerKey, X25519Secret, layer_keys},
    onion::build::{self, Destination, Hop},
    types::{Ed25519PublicKey, X25519PublicKey},
};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use zeroize::Zeroizing;

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

/// The plaintexts of layers for the node with this secret key.
#[pyfunction]
pub(crate) fn peel_batch<'py>(
    py: Python<'py>,
    x25519_secret: &[u8],
    layers: Vec<(String, [u8; 32], Vec<u8>)>,
) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
    let secret = Zeroizing::new(<[u8; 32]>::try_from(x25519_secret).map_err(|_| invalid("x25519_secret: 32 bytes"))?);
    let secret = X25519Secret::from_bytes(*secret);
    let (mut keys, mut sealed) = (Vec::with_capacity(layers.len()), Vec::with_capacity(layers.len()));
    for (enc_type, ephemeral_key, ciphertext) in layers {
        let enc_type: EncType = enc_type.parse().map_err(invalid)?;
        keys.push((enc_type, X25519PublicKey(ephemeral_key)));
        sealed.push(ciphertext);
    }
    let opened: Vec<_> = py.detach(|| {
        let open = |(key, layer): (Option<LayerKey>, &mut Vec<u8>)| key.and_then(|key| key.open_in_place(layer));
        layer_keys(&secret, &keys).into_iter().zip(&mut sealed).map(open).collect()
    });
    let plaintext = |(range, layer): (Option<std::ops::Range<usize>>, Vec<u8>)| {
        range.and_then(|range| layer.get(range).map(|bytes| PyBytes::new(py, bytes)))
    };
    Ok(opened.into_iter().zip(sealed).map(plaintext).collect())
}
