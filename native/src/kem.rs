//! ML-KEM-768 (FIPS 203) of AWS-LC.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_sys::{
    CBS, EVP_PKEY, EVP_PKEY_free, EVP_PKEY_get_raw_private_key, EVP_PKEY_get_raw_public_key, EVP_parse_private_key,
};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::PyBytes,
};
use zeroize::Zeroizing;

const SEED_BYTES: usize = 64;
const PUBLIC_BYTES: usize = 1184;
const SECRET_BYTES: usize = 2400;

/// What a seed follows in PKCS #8 (RFC 9935 §6): version 0, id-alg-ml-kem-768, and the seed alone as the private key.
const PKCS8: [u8; 22] = [
    0x30, 0x54, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x02, 0x04,
    0x42, 0x80, 0x40,
];

/// A key of AWS-LC's, freed (and with that zeroized) however its use ends.
struct Owned(*mut EVP_PKEY);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `EVP_parse_private_key`, is freed nowhere else, and may be null.
        unsafe { EVP_PKEY_free(self.0) }
    }
}

#[pyclass(frozen, module = "allium._native")]
pub(crate) struct MlKem768Key {
    secret: DecapsulationKey,
    public: [u8; PUBLIC_BYTES],
}

impl MlKem768Key {
    /// Of a seed d || z. `aws-lc-rs` takes no seeds, and of AWS-LC's ways to give one, the bindings that it is built with have
    /// only PKCS #8.
    fn of(seed: &[u8; SEED_BYTES]) -> Option<Self> {
        let mut encoded = Zeroizing::new([0; PKCS8.len() + SEED_BYTES]);
        encoded[..PKCS8.len()].copy_from_slice(&PKCS8);
        encoded[PKCS8.len()..].copy_from_slice(seed);
        let mut input = CBS { data: encoded.as_ptr(), len: encoded.len() };
        let mut public = [0; PUBLIC_BYTES];
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        let (mut public_len, mut secret_len) = (PUBLIC_BYTES, SECRET_BYTES);
        // SAFETY: `input` spans `encoded`, which outlives it; `key` is checked for null before it is read; the outputs have
        // the lengths that go along, and AWS-LC writes nothing to those that are too short.
        let got = unsafe {
            let key = Owned(EVP_parse_private_key(&raw mut input));
            !key.0.is_null()
                && EVP_PKEY_get_raw_public_key(key.0, public.as_mut_ptr(), &raw mut public_len) == 1
                && EVP_PKEY_get_raw_private_key(key.0, secret.as_mut_ptr(), &raw mut secret_len) == 1
        };
        if !got || public_len != PUBLIC_BYTES || secret_len != SECRET_BYTES {
            return None;
        }
        let secret = DecapsulationKey::new(&ML_KEM_768, secret.as_slice()).ok()?;
        Some(Self { secret, public })
    }
}

#[pymethods]
impl MlKem768Key {
    #[new]
    fn new(py: Python<'_>, seed: &[u8]) -> PyResult<Self> {
        let seed = seed.try_into().map_err(|_| PyValueError::new_err("a seed of ML-KEM-768 has 64 bytes"))?;
        py.detach(|| Self::of(seed)).ok_or_else(|| PyRuntimeError::new_err("AWS-LC made no ML-KEM key of the seed"))
    }

    #[getter]
    fn public<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.public)
    }

    fn decapsulate<'py>(&self, py: Python<'py>, ciphertext: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let shared = py.detach(|| self.secret.decapsulate(Ciphertext::from(ciphertext)));
        let shared = shared.map_err(|_| PyValueError::new_err("a ciphertext of ML-KEM-768 has 1088 bytes"))?;
        Ok(PyBytes::new(py, shared.as_ref()))
    }
}

/// A fresh shared secret for a public key, and the ciphertext that carries it.
#[pyfunction]
pub(crate) fn ml_kem_768_encapsulate<'py>(
    py: Python<'py>,
    public: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let made = py.detach(|| EncapsulationKey::new(&ML_KEM_768, public).ok()?.encapsulate().ok());
    let (ciphertext, shared) = made.ok_or_else(|| PyValueError::new_err("not a public key of ML-KEM-768"))?;
    Ok((PyBytes::new(py, ciphertext.as_ref()), PyBytes::new(py, shared.as_ref())))
}
