//! The asking end of QUIC.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use allium_engine::{
    crypto::Ed25519Secret,
    transport::quic::{QuicClient as EngineClient, QuicError, client_endpoint},
    types::Ed25519PublicKey,
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use pyo3::{
    exceptions::{PyConnectionError, PyTimeoutError, PyValueError},
    prelude::*,
    types::PyBytes,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};
use zeroize::Zeroizing;

use crate::network::invalid;

/// One connection to a node, and its notifications.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct QuicClient {
    runtime: Runtime,
    client: EngineClient,
    pushes: Mutex<mpsc::Receiver<Vec<u8>>>,
}

/// Where a socket is bound that reaches `ip`.
pub(crate) fn any_port(ip: IpAddr) -> SocketAddr {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, 0)
}

pub(crate) fn limit(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(invalid)
}

pub(crate) fn failed(error: &QuicError) -> PyErr {
    match error {
        QuicError::Timeout => PyTimeoutError::new_err(error.to_string()),
        QuicError::Connection(_) | QuicError::Refused(_) => PyConnectionError::new_err(error.to_string()),
    }
}

/// A reply and true, or a refusal and false.
fn told(py: Python<'_>, answer: Result<Vec<u8>, QuicError>) -> PyResult<(bool, Bound<'_, PyBytes>)> {
    match answer {
        Ok(reply) => Ok((true, PyBytes::new(py, &reply))),
        Err(QuicError::Refused(reply)) => Ok((false, PyBytes::new(py, &reply))),
        Err(error) => Err(failed(&error)),
    }
}

#[pymethods]
impl QuicClient {
    #[new]
    #[pyo3(signature = (ip, port, pubkey_ed25519, ed25519_seed, timeout=10.0))]
    fn new(
        py: Python<'_>,
        ip: &str,
        port: u16,
        pubkey_ed25519: [u8; 32],
        ed25519_seed: &[u8],
        timeout: f64,
    ) -> PyResult<Self> {
        let seed = Zeroizing::new(<[u8; 32]>::try_from(ed25519_seed).map_err(|_| invalid("ed25519_seed: 32 bytes"))?);
        let ip: IpAddr = ip.parse().map_err(|_| PyValueError::new_err(format!("no IP address: {ip}")))?;
        let limit = limit(timeout)?;
        let connect = || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let connected = runtime.block_on(async {
                let endpoint = client_endpoint(any_port(ip))?;
                let own = Ed25519Secret::from_seed(&seed);
                let (address, node) = (SocketAddr::new(ip, port), Ed25519PublicKey(pubkey_ed25519));
                EngineClient::connect(&endpoint, address, node, &own, limit).await.map_err(|error| failed(&error))
            });
            let (client, pushes) = connected?;
            Ok(Self { runtime, client, pushes: Mutex::new(pushes) })
        };
        py.detach(connect)
    }

    #[pyo3(signature = (endpoint, body, timeout=10.0))]
    fn request<'py>(
        &self,
        py: Python<'py>,
        endpoint: &str,
        body: &[u8],
        timeout: f64,
    ) -> PyResult<(bool, Bound<'py, PyBytes>)> {
        let limit = limit(timeout)?;
        let answer = py.detach(|| self.runtime.block_on(self.client.request(endpoint, body, limit)));
        told(py, answer)
    }

    #[pyo3(signature = (requests, timeout=10.0))]
    fn pipeline<'py>(
        &self,
        py: Python<'py>,
        requests: Vec<(String, Vec<u8>)>,
        timeout: f64,
    ) -> PyResult<Vec<(bool, Bound<'py, PyBytes>)>> {
        let limit = limit(timeout)?;
        // They are written in the order in which they are first polled.
        let ask = requests.iter().map(|(endpoint, body)| self.client.request(endpoint, body, limit));
        let answers = py.detach(|| self.runtime.block_on(join_all(ask)));
        answers.into_iter().map(|answer| told(py, answer)).collect()
    }

    #[pyo3(signature = (timeout=10.0))]
    fn notification<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let limit = limit(timeout)?;
        let pushed = py.detach(|| {
            let mut pushes = self.pushes.lock();
            self.runtime.block_on(async { tokio::time::timeout(limit, pushes.recv()).await })
        });
        Ok(pushed.ok().flatten().map(|dict| PyBytes::new(py, &dict)))
    }

    fn close(&self) {
        self.client.close();
    }
}
