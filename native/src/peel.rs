//! What is under a layer, for programs that relay by themselves.

use allium_engine::{
    LayerKey, X25519Secret,
    onion::{self, Layer, Opened, PeelError, Peeled as EnginePeeled},
};
use pyo3::{
    exceptions::{PyOSError, PyValueError},
    prelude::*,
    types::PyBytes,
};
use zeroize::Zeroizing;

use crate::network::invalid;

#[pyclass(frozen, module = "allium._native")]
pub(crate) struct Peeled {
    key: Option<LayerKey>,
    #[pyo3(get)]
    kind: &'static str,
    body: Vec<u8>,
    destination: Option<[u8; 32]>,
    /// HTTPS, host, port, path.
    #[pyo3(get)]
    server: Option<(bool, String, u16, String)>,
    #[pyo3(get)]
    json: bool,
    #[pyo3(get)]
    base64: bool,
}

impl Peeled {
    const fn new(kind: &'static str) -> Self {
        Self { key: None, kind, body: Vec::new(), destination: None, server: None, json: false, base64: true }
    }

    fn of(opened: Result<Opened, String>) -> Self {
        let Opened { key, peeled } = match opened {
            Ok(opened) => opened,
            Err(text) => return Self { body: text.into_bytes(), ..Self::new("malformed") },
        };
        match peeled {
            Ok(EnginePeeled::Final { body, json, base64 }) => {
                Self { key, body: body.to_vec(), json, base64, ..Self::new("final") }
            }
            Ok(EnginePeeled::Server { server, payload }) => {
                let server = Some((server.https, server.host, server.port, server.target));
                Self { key, body: payload.to_vec(), server, ..Self::new("server") }
            }
            Ok(EnginePeeled::Relay { destination, next }) => {
                let (body, destination) = (onion::encode_hop(next).to_vec(), Some(destination.0));
                Self { key, body, destination, ..Self::new("relay") }
            }
            Err(PeelError::Ciphertext) => Self::new("ciphertext"),
            Err(PeelError::Json) => Self { key, ..Self::new("json") },
            Err(PeelError::Url) => Self { key, ..Self::new("url") },
        }
    }
}

#[pymethods]
impl Peeled {
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.body)
    }

    #[getter]
    fn destination<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.destination.map(|key| PyBytes::new(py, &key))
    }

    #[pyo3(signature = (plaintext, base64=true))]
    fn seal(&self, plaintext: &[u8], base64: bool) -> PyResult<Vec<u8>> {
        let key = self.key.as_ref().ok_or_else(|| PyValueError::new_err("the layer did not open"))?;
        onion::wrap_reply(key, plaintext, base64).ok_or_else(|| PyOSError::new_err("the system has no randomness"))
    }
}

/// What is under the layers of payloads, opened together.
#[pyfunction]
pub(crate) fn onion_peel(py: Python<'_>, x25519_secret: &[u8], payloads: Vec<Vec<u8>>) -> PyResult<Vec<Peeled>> {
    let secret = Zeroizing::new(<[u8; 32]>::try_from(x25519_secret).map_err(|_| invalid("x25519_secret: 32 bytes"))?);
    let secret = X25519Secret::from_bytes(*secret);
    Ok(py.detach(|| {
        let parsed: Vec<Result<Layer, String>> = payloads
            .into_iter()
            .map(|payload| onion::parse_entry(payload).map_err(|error| error.to_string()))
            .collect();
        let mut layers = Vec::with_capacity(parsed.len());
        // What is no layer keeps its place.
        let places: Vec<Option<String>> =
            parsed.into_iter().map(|layer| layer.map(|layer| layers.push(layer)).err()).collect();
        let mut opened = onion::peel_batch(&secret, layers).into_iter();
        places
            .into_iter()
            .filter_map(|malformed| malformed.map(Err).or_else(|| opened.next().map(Ok)))
            .map(Peeled::of)
            .collect()
    }))
}

/// The public Ed25519 key, the public X25519 key and the X25519 secret that belong to an Ed25519 seed.
#[pyfunction]
pub(crate) fn node_keys<'py>(py: Python<'py>, ed25519_seed: &[u8]) -> PyResult<[Bound<'py, PyBytes>; 3]> {
    let seed = Zeroizing::new(<[u8; 32]>::try_from(ed25519_seed).map_err(|_| invalid("ed25519_seed: 32 bytes"))?);
    let ed25519 = allium_engine::Ed25519Secret::from_seed(&seed);
    let x25519 = ed25519.x25519();
    let secret = x25519.to_bytes();
    Ok([ed25519.public().as_bytes(), x25519.public().as_bytes(), &secret].map(|key| PyBytes::new(py, key)))
}
