//! BLS keys and what the network signs with them.

use allium_engine::crypto::bls::{self, BlsError, BlsPublicKey, BlsSignature};
use pyo3::{
    exceptions::{PyOSError, PyValueError},
    prelude::*,
    types::PyBytes,
};

fn refused(error: BlsError) -> PyErr {
    match error {
        BlsError::Randomness => PyOSError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}

fn key(bytes: &[u8]) -> PyResult<BlsPublicKey> {
    bytes.try_into().map_err(|_| BlsError::PublicKey).and_then(BlsPublicKey::from_bytes).map_err(refused)
}

fn signature(bytes: &[u8]) -> PyResult<BlsSignature> {
    bytes.try_into().map_err(|_| BlsError::Signature).and_then(BlsSignature::from_bytes).map_err(refused)
}

#[pyclass(frozen, module = "allium._native")]
pub(crate) struct BlsSecretKey(bls::BlsSecretKey);

#[pymethods]
impl BlsSecretKey {
    #[new]
    fn new(secret: &[u8]) -> PyResult<Self> {
        let secret = secret.try_into().map_err(|_| PyValueError::new_err("a BLS secret key has 32 bytes"))?;
        bls::BlsSecretKey::from_bytes(secret).map(Self).map_err(refused)
    }

    #[staticmethod]
    fn random() -> PyResult<Self> {
        bls::BlsSecretKey::random().map(Self).map_err(refused)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.to_bytes().as_slice())
    }

    #[getter]
    fn public(&self, py: Python<'_>) -> Py<PyBytes> {
        let public = py.detach(|| self.0.public());
        PyBytes::new(py, &public.to_bytes()).unbind()
    }
}

#[pyclass(frozen, module = "allium._native")]
pub(crate) struct BlsDomain(bls::BlsDomain);

#[pymethods]
impl BlsDomain {
    #[new]
    fn new(chain_id: u64, contract: [u8; 20]) -> Self {
        Self(bls::BlsDomain::new(chain_id, &contract))
    }

    fn possession_message(&self, key: &[u8], operator: [u8; 20], ed25519: [u8; 32]) -> PyResult<Vec<u8>> {
        Ok(self.0.possession_message(&self::key(key)?, &operator, &ed25519))
    }

    fn reward_message(&self, recipient: [u8; 20], amount: u128) -> Vec<u8> {
        self.0.reward_message(&recipient, amount)
    }

    fn exit_message(&self, key: &[u8], timestamp: u64) -> PyResult<Vec<u8>> {
        Ok(self.0.exit_message(&self::key(key)?, timestamp))
    }

    fn liquidation_message(&self, key: &[u8], timestamp: u64) -> PyResult<Vec<u8>> {
        Ok(self.0.liquidation_message(&self::key(key)?, timestamp))
    }

    fn hash_to_g2(&self, py: Python<'_>, message: &[u8]) -> PyResult<Py<PyBytes>> {
        let point = py.detach(|| bls::hash_to_g2_bytes(message, &self.0.hash_to_g2)).map_err(refused)?;
        Ok(PyBytes::new(py, &point).unbind())
    }

    fn sign(&self, py: Python<'_>, secret: &BlsSecretKey, message: &[u8]) -> PyResult<Py<PyBytes>> {
        let signature = py.detach(|| secret.0.sign(message, &self.0.hash_to_g2)).map_err(refused)?;
        Ok(PyBytes::new(py, &signature.to_bytes()).unbind())
    }

    fn faulty(&self, py: Python<'_>, message: &[u8], signed: Vec<(Vec<u8>, Vec<u8>)>) -> PyResult<Vec<usize>> {
        py.detach(|| {
            let (mut places, mut pairs, mut found) = (Vec::new(), Vec::new(), Vec::new());
            for (place, (key, signature)) in signed.iter().enumerate() {
                match (self::key(key), self::signature(signature)) {
                    (Ok(key), Ok(signature)) => {
                        places.push(place);
                        pairs.push((key, signature));
                    }
                    _ => found.push(place),
                }
            }
            let bad = bls::faulty(&pairs, message, &self.0.hash_to_g2).map_err(refused)?;
            found.extend(bad.into_iter().map(|index| places[index]));
            found.sort_unstable();
            Ok(found)
        })
    }

    fn verify(&self, py: Python<'_>, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        py.detach(|| match (self::key(key), self::signature(signature)) {
            (Ok(key), Ok(signature)) => key.verify(message, &self.0.hash_to_g2, &signature),
            _ => false,
        })
    }
}

#[pyfunction]
pub(crate) fn bls_aggregate_keys(py: Python<'_>, keys: Vec<Vec<u8>>) -> PyResult<Py<PyBytes>> {
    let sum = py.detach(|| {
        let keys = keys.iter().map(|bytes| key(bytes)).collect::<PyResult<Vec<_>>>()?;
        BlsPublicKey::aggregate(&keys).map_err(refused)
    })?;
    Ok(PyBytes::new(py, &sum.to_bytes()).unbind())
}

#[pyfunction]
pub(crate) fn bls_aggregate_signatures(py: Python<'_>, signatures: Vec<Vec<u8>>) -> PyResult<Py<PyBytes>> {
    let sum = py.detach(|| {
        let signatures = signatures.iter().map(|bytes| signature(bytes)).collect::<PyResult<Vec<_>>>()?;
        BlsSignature::aggregate(&signatures).map_err(refused)
    })?;
    Ok(PyBytes::new(py, &sum.to_bytes()).unbind())
}
